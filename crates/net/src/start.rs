//! Starting: builds the swarm, listens, and spawns the task that owns it.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::StreamExt;
use libp2p::multiaddr::Protocol;
use libp2p::swarm::SwarmEvent;
use libp2p::{Multiaddr, SwarmBuilder, TransportError, noise, tcp, yamux};
use libp2p_stream::Control;
use protocol::PeerId;
use tokio::sync::{Semaphore, mpsc};
use tracing::info;

use crate::blob::Links;
use crate::command::Command;
use crate::config::Config;
use crate::event::{Event, Events};
use crate::handle::Net;
use crate::limits::{
    CHUNKS_IN_FLIGHT, COMMAND_QUEUE, EVENT_QUEUE, FETCHES_MAX, IDLE_TIMEOUT, SERVES_MAX,
    SERVES_PER_PEER,
};
use crate::names::Names;
use crate::notices::Notices;
use crate::roster::Roster;
use crate::stats::Counters;
use crate::swarm::{Behaviour, Voice};
use crate::talk::Pings;
use crate::{Blobs, Misdeed, Patience, blob, identity, streams, talk};

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

/// What the swarm's task, the streams' tasks and all handles have in common.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) me: PeerId,
    pub(crate) names: Names,
    pub(crate) patience: Patience,
    pub(crate) roster: Roster,
    pub(crate) notices: Arc<Notices>,
    pub(crate) counters: Counters,
    pub(crate) pings: Pings,
    pub(crate) control: Opaque<Control>,
    pub(crate) links: Links,
    pub(crate) chunks: Arc<Semaphore>,
    pub(crate) fetches: Semaphore,
    /// Weak: the node stops when the last handle is gone.
    pub(crate) commands: mpsc::WeakSender<Command>,
    listening: Mutex<Vec<String>>,
}

/// Something that has no `Debug` of its own.
#[derive(Clone)]
pub(crate) struct Opaque<T>(T);

impl<T> std::ops::Deref for Opaque<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> std::fmt::Debug for Opaque<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("…")
    }
}

impl Shared {
    /// Counts a misdeed; the swarm's task decides what follows from it.
    pub(crate) fn blame(&self, peer: PeerId, misdeed: Misdeed) {
        self.counters.faults.add(1);
        if let Some(commands) = self.commands.upgrade() {
            // Under a flood of faults, some go unpunished; they are counted all the same.
            let _ = commands.try_send(Command::Blame(peer, misdeed));
        }
    }

    pub(crate) fn listening(&self) -> Vec<String> {
        self.listening.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn listens(&self, address: String) {
        self.notices.push(Event::Listening { address: address.clone() });
        self.listening.lock().unwrap_or_else(PoisonError::into_inner).push(address);
    }

    pub(crate) fn listens_no_more(&self, address: &str) {
        self.listening.lock().unwrap_or_else(PoisonError::into_inner).retain(|a| a != address);
    }
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
    let (messages, inbox) = mpsc::channel(EVENT_QUEUE);
    let notices = Arc::new(Notices::default());
    let shared = Arc::new(Shared {
        me: identity::ours(swarm.local_peer_id()).expect("our own key is ed25519"),
        names,
        patience: config.patience,
        roster: Roster::default(),
        notices: notices.clone(),
        counters: Counters::default(),
        pings: Pings::default(),
        control: Opaque(control),
        links: Links::default(),
        chunks: Arc::new(Semaphore::new(CHUNKS_IN_FLIGHT)),
        fetches: Semaphore::new(FETCHES_MAX),
        commands: commands.downgrade(),
        listening: Mutex::default(),
    });

    let talking = {
        let (shared, messages) = (shared.clone(), messages.clone());
        streams::accept(talk_streams, 1, move |peer, stream| {
            talk::listen(shared.clone(), peer, stream, messages.clone())
        })
    };
    let serving = {
        let (shared, permits) = (shared.clone(), Arc::new(Semaphore::new(SERVES_MAX)));
        streams::accept(blob_streams, SERVES_PER_PEER, move |peer, stream| {
            blob::serve(shared.clone(), blobs.clone(), permits.clone(), peer, stream)
        })
    };
    listening(&mut swarm, &shared, &config, addresses.len()).await?;
    info!(me = %shared.me, "network started");
    let voice = Voice::new(swarm, shared.clone(), orders, messages, bootstrap, &config);
    tokio::spawn(voice.run(talking, serving));
    Ok((Net::new(shared, commands), Events::new(inbox, notices)))
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
        .with_tcp(tcp::Config::default().nodelay(true), noise::Config::new, yamux::Config::default)
        .map_err(|e| setup("encryption")(e.to_string()))?
        .with_quic()
        .with_dns()
        .map_err(|e| setup("name resolution")(e.to_string()))?
        .with_behaviour(|key| Behaviour::new(key, config, names))
        .map_err(|e| setup("the protocols")(e.to_string()))?
        // All addresses of a peer are raced, without libp2p's preference for QUIC: near by TCP
        // wins, which moves bulk data twice as fast at 0.6 of the CPU, and far away QUIC does.
        .with_swarm_config(|c| c.with_idle_connection_timeout(IDLE_TIMEOUT))
        .build();
    Ok(swarm)
}

/// Waits until every listener has told its first address, so that ports chosen by the system are
/// known to whoever started us.
async fn listening(
    swarm: &mut libp2p::Swarm<Behaviour>,
    shared: &Shared,
    config: &Config,
    mut missing: usize,
) -> Result<(), StartError> {
    const WITHIN: Duration = Duration::from_secs(10);
    let late = |_| StartError::Setup { what: "listening", reason: "no address so far".to_owned() };
    let mut seen = Vec::new();
    while 0 < missing {
        match tokio::time::timeout(WITHIN, swarm.select_next_some()).await.map_err(late)? {
            SwarmEvent::NewListenAddr { listener_id, address } => {
                if !seen.contains(&listener_id) {
                    seen.push(listener_id);
                    missing -= 1;
                }
                announce_address(swarm, shared, config, address);
            }
            SwarmEvent::ListenerClosed { reason: Err(error), addresses, .. } => {
                let address = addresses.first().map_or_else(String::new, Multiaddr::to_string);
                return Err(listen_error(&address, &error));
            }
            _ => {}
        }
    }
    Ok(())
}

/// A new address of ours: told to the application and, on a public node, to the DHT.
pub(crate) fn announce_address(
    swarm: &mut libp2p::Swarm<Behaviour>,
    shared: &Shared,
    config: &Config,
    address: Multiaddr,
) {
    if config.reachability == crate::Reachability::Public {
        swarm.add_external_address(address.clone());
    }
    let full = address.with(Protocol::P2p(*swarm.local_peer_id())).to_string();
    info!(address = full, "listening");
    shared.listens(full);
}

fn refused(address: &str, error: TransportError<io::Error>) -> StartError {
    match error {
        TransportError::MultiaddrNotSupported(_) => {
            StartError::BadAddress { address: address.to_owned() }
        }
        TransportError::Other(error) => listen_error(address, &error),
    }
}

fn listen_error(address: &str, error: &io::Error) -> StartError {
    let address = address.to_owned();
    // Transports wrap the system's error in their own, which keep its words only.
    if error.kind() == io::ErrorKind::AddrInUse || error.to_string().contains("in use") {
        StartError::InUse { address }
    } else {
        StartError::Listen { address, reason: error.to_string() }
    }
}
