//! Starting: builds the swarm, listens, and spawns the task that owns it.

use std::io;
use std::sync::Arc;

use libp2p::{Multiaddr, SwarmBuilder, TransportError};
use tokio::sync::mpsc;
use tracing::info;

use crate::config::Config;
use crate::event::Events;
use crate::handle::Net;
use crate::limits::{COMMAND_QUEUE, IDLE_TIMEOUT, SERVES_MAX, SERVES_PER_PEER};
use crate::names::Names;
use crate::shared::Shared;
use crate::streams::{self, Opener};
use crate::swarm::{Behaviour, Voice};
use crate::{Blobs, blob, identity, talk, transport};

/// Why the network did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("`{address}` is not an address such as /ip4/0.0.0.0/tcp/4001")]
    BadAddress { address: String },
    #[error("`{address}` is in use by another program")]
    InUse { address: String },
    #[error("cannot listen on `{address}`: {reason}")]
    Listen { address: String, reason: String },
    #[error("cannot set up {what}: {reason}")]
    Setup { what: &'static str, reason: String },
}

/// Starts a node and returns once it listens on every address of its configuration.
///
/// `blobs` is what others may fetch from us. The node stops when [`Net::stop`] is called or the
/// last handle is dropped. Needs a tokio runtime.
///
/// # Errors
/// [`StartError`] names the address at fault.
pub async fn start(config: Config, blobs: Arc<dyn Blobs>) -> Result<(Net, Events), StartError> {
    let addresses: Vec<Multiaddr> = parse(&config.listen)?;
    let bootstrap = parse(&config.bootstrap)?;
    let external = parse(&config.external)?;
    let names = Names::new(config.network);

    let mut swarm = build(&config, &names)?;
    for (address, text) in addresses.iter().zip(&config.listen) {
        swarm.listen_on(address.clone()).map_err(|error| refused(text, error))?;
    }
    for address in external {
        swarm.add_external_address(address);
    }
    let mut control = swarm.behaviour().streams.new_control();
    let taken = "nobody else accepts our protocols";
    let talk_streams = control.accept(names.talk()).expect(taken);
    let blob_streams = control.accept(names.blob()).expect(taken);

    let (commands, orders) = mpsc::channel(COMMAND_QUEUE);
    let me = identity::ours(swarm.local_peer_id()).expect("our own key is ed25519");
    let opener = Opener::new(control);
    let shared = Arc::new(Shared::new(me, names, config.patience, config.rates, opener, &commands));
    let events = Events::new(shared.inbox.clone(), shared.notices.clone());

    let mut voice = Voice::new(swarm, shared.clone(), orders, bootstrap, &config);
    let hearer = shared.clone();
    voice.accept(streams::accept(talk_streams, 1, move |peer, stream| {
        talk::listen(hearer.clone(), peer, stream)
    }));
    let (server, turns) = (shared.clone(), Arc::new(blob::Turns::new(SERVES_MAX)));
    voice.accept(streams::accept(blob_streams, SERVES_PER_PEER, move |peer, stream| {
        blob::serve(server.clone(), blobs.clone(), turns.clone(), peer, stream)
    }));
    voice.until_listening(addresses.len()).await?;
    info!(%me, "network started");
    tokio::spawn(voice.run());
    Ok((Net::new(shared, commands), events))
}

fn parse(addresses: &[String]) -> Result<Vec<Multiaddr>, StartError> {
    let one = |address: &String| {
        address.parse().map_err(|_| StartError::BadAddress { address: address.clone() })
    };
    addresses.iter().map(one).collect()
}

fn build(config: &Config, names: &Names) -> Result<libp2p::Swarm<Behaviour>, StartError> {
    let setup = |what| move |reason: String| StartError::Setup { what, reason };
    let swarm = SwarmBuilder::with_existing_identity(identity::keypair(&config.secret))
        .with_tokio()
        .with_other_transport(|key| transport::over_tcp(key).map_err(Box::from))
        .map_err(|e| setup("encryption")(e.to_string()))?
        .with_other_transport(transport::over_quic)
        .map_err(|e| setup("encryption")(e.to_string()))?
        .with_dns()
        .map_err(|e| setup("name resolution")(e.to_string()))?
        .with_behaviour(|key| Behaviour::new(key, config, names))
        .map_err(|e| setup("the protocols")(e.to_string()))?
        // All addresses of a peer are raced, without libp2p's preference for QUIC.
        .with_swarm_config(|c| c.with_idle_connection_timeout(IDLE_TIMEOUT))
        .build();
    Ok(swarm)
}

fn refused(address: &str, error: TransportError<io::Error>) -> StartError {
    match error {
        TransportError::MultiaddrNotSupported(_) => {
            StartError::BadAddress { address: address.to_owned() }
        }
        TransportError::Other(error) => listen_error(address, &error),
    }
}

pub(crate) fn listen_error(address: &str, error: &io::Error) -> StartError {
    let address = address.to_owned();
    // Transports wrap the system's error in their own, which keep its words only.
    if error.kind() == io::ErrorKind::AddrInUse || error.to_string().contains("in use") {
        StartError::InUse { address }
    } else {
        StartError::Listen { address, reason: error.to_string() }
    }
}
