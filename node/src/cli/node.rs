//! `dugnad node …`

use client::Client;
use client::api::NodeInfo;
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::args::{NodeVerb, Output};
use crate::cli::door::{OwnNode, running};
use crate::cli::entry::Context;
use crate::cli::failure::{End, Failure, Outcome};
use crate::cli::flags::SettingFlags;
use crate::cli::terminal::{data, json, talk};

pub(crate) fn run(context: &Context, verb: NodeVerb) -> Outcome {
    match verb {
        NodeVerb::Run(flags) => run_node(context, &flags),
        NodeVerb::Status => status(context),
        NodeVerb::Pause => tell(context, Client::pause, "it works on no jobs until it is resumed"),
        NodeVerb::Resume => tell(context, Client::resume, "it works on jobs"),
        NodeVerb::Stop => tell(context, Client::shutdown, "it ends"),
    }
}

fn run_node(context: &Context, flags: &SettingFlags) -> Outcome {
    let config = context.settings(&flags.0, false)?.config;
    let own = OwnNode::start(config)?;
    let info = Client::new(own.api.address(), own.api.token().as_str().to_owned()).node()?;
    match context.output {
        Output::Json => json(&info)?,
        Output::Table => {
            talk(format!("{} runs on {}", info.peer, own.node.config().data_dir.display()));
            talk(format!("API: http://{}", own.api.address()));
            info.addresses.iter().for_each(|address| talk(format!("listening: {address}")));
        }
    }
    let ended = own.block_on(until_asked(&own));
    own.stop();
    ended
}

/// Waits for a signal, for a request to stop, or for the node's own end.
async fn until_asked(own: &OwnNode) -> Outcome {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => Ok(End::Done),
        _ = interrupt.recv() => Ok(End::Done),
        () = own.asked_to_stop.cancelled() => Ok(End::Done),
        () = own.node.stopped() => Err(Failure::new(
            End::NoNode,
            "the node cannot go on",
            "the log says why",
        )),
    }
}

fn status(context: &Context) -> Outcome {
    let client = running(context)?;
    let info = client.node()?;
    if context.output == Output::Json {
        json(&info)?;
        return Ok(End::Done);
    }
    let stamp = stamp(&info);
    let NodeInfo { peer, network, version, addresses, peers, jobs, network_size, .. } = info;
    data(format!("peer       {peer}"))?;
    data(format!("network    {network}"))?;
    data(format!("version    {version}"))?;
    for address in addresses {
        data(format!("listening  {address}"))?;
    }
    data(format!("peers      {peers} connected, of about {network_size}"))?;
    data(format!("jobs       {jobs}"))?;
    data(format!("stamp      {stamp}"))?;
    Ok(End::Done)
}

/// What this network asks of identities, and whether the node has it.
fn stamp(info: &NodeInfo) -> String {
    match (info.stamp_bits, info.is_stamped) {
        (0, _) => "none is asked for".to_owned(),
        (bits, true) => format!("of {bits} bits"),
        (bits, false) => {
            format!("of {bits} bits, being made: until then jobs that ask for it do not hear it")
        }
    }
}

fn tell(
    context: &Context,
    ask: fn(&Client) -> Result<client::api::Done, client::ClientError>,
    said: &str,
) -> Outcome {
    ask(&running(context)?)?;
    talk(said);
    Ok(End::Done)
}
