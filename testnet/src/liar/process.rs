//! A liar's process: a node without an HTTP API, which nobody needs to ask anything.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use clap::Args;
use client::api::NodeInfo;
use node::identity::Home;
use node::{Config, Node};
use protocol::{Tree, hash};
use sim::{Gang, LiarKind, Mask};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

use super::tamper::{Masked, Shelf};
use crate::{scenario, table};

#[derive(Clone, Debug, Args)]
pub(crate) struct LiarArgs {
    #[arg(long, value_parser = scenario::kind)]
    kind: LiarKind,
    /// Units that a sleeper executes honestly first.
    #[arg(long)]
    after: u64,
    /// Of the batches that a gang could lie about, the percentage that it does.
    #[arg(long)]
    about: u64,
    #[arg(long)]
    data_dir: PathBuf,
    #[arg(long)]
    network: String,
    #[arg(long, value_delimiter = ',')]
    bootstrap: Vec<String>,
    #[arg(long)]
    cores: usize,
    #[arg(long)]
    log: String,
}

/// Lies until it is told to end.
pub(crate) fn run(args: LiarArgs) -> anyhow::Result<ExitCode> {
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::try_new(&args.log)?)
        .with_ansi(false)
        .with_writer(io::stderr)
        .init();
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(lie(args))?;
    Ok(ExitCode::SUCCESS)
}

async fn lie(args: LiarArgs) -> anyhow::Result<()> {
    let mut config = Config::loopback(args.data_dir.clone(), &args.network);
    (config.bootstrap, config.cores) = (args.bootstrap.clone(), args.cores);
    let shelf = Shelf::default();
    let masked = masked(&config, &args, &shelf)?;
    let mut terminate = signal(SignalKind::terminate())?;
    let node = Node::start_tampered(config, Box::new(masked)).await.context("starting a liar")?;
    // Every lie says that nothing was left in /out.
    node.store().put(&Tree::default().to_bytes())?;
    shelf.get_or_init(|| Arc::clone(node.store()));
    table::json(&NodeInfo {
        peer: node.me(),
        network: node.network(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        addresses: node.addresses(),
        peers: 0,
        jobs: 0,
        network_size: 0,
        stamp_bits: 0,
        is_stamped: false,
        job_stamp: None,
        cores: args.cores as u64,
    })?;
    tokio::select! {
        _ = terminate.recv() => {}
        () = node.stopped() => {}
    }
    node.shutdown().await;
    Ok(())
}

/// All coalitions of one network say the same; everything else is a liar's own.
fn masked(config: &Config, args: &LiarArgs, shelf: &Shelf) -> anyhow::Result<Masked> {
    let keypair = Home::open(&config.data_dir)?.identity()?.keypair();
    let network = config.network_id();
    let flavour = hash("flavour", &[network.as_bytes()]);
    let own = hash("seed", &[keypair.peer().as_bytes()]);
    let seed = own.as_bytes().iter().fold(0u64, |seed, byte| (seed << 8) ^ u64::from(*byte));
    let kind = args.kind;
    let gang = Gang { after: args.after, rate: args.about, ..Gang::alone(flavour) };
    let mask = move || Mask::among(kind, keypair, network, gang, seed);
    Masked::new(mask, Arc::clone(shelf))
}
