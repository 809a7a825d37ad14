//! The loop: one event at a time, each to the file that knows its protocol.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::StreamExt;
use libp2p::swarm::SwarmEvent;
use libp2p::{Multiaddr, Swarm, ping};
use protocol::PeerId;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tracing::{debug, info};

use super::Behaviour;
use super::behaviour::BehaviourEvent;
use super::connections::Connections;
use super::discovery::Discovery;
use super::routing::Routing;
use crate::address::{Reach, is_wildcard, reach};
use crate::command::Command;
use crate::faults::Faults;
use crate::limits::{LISTEN_WITHIN, TICK};
use crate::shared::Shared;
use crate::start::listen_error;
use crate::{Config, Reachability, StartError, identity};

/// Owns the swarm and what only its task may touch.
pub(crate) struct Voice {
    pub(super) swarm: Swarm<Behaviour>,
    pub(super) shared: Arc<Shared>,
    pub(super) connections: Connections,
    pub(super) discovery: Discovery,
    pub(super) routing: Routing,
    pub(super) faults: Faults,
    /// Gossip that nobody had time for in this tick, by whose it was.
    pub(super) unread: BTreeMap<PeerId, u32>,
    /// Whether what we listen on can be dialled by all.
    is_public: bool,
    /// Whether we listen on all interfaces, loopback among them.
    listens_everywhere: bool,
    acceptors: JoinSet<()>,
    orders: mpsc::Receiver<Command>,
}

impl Voice {
    pub(crate) fn new(
        mut swarm: Swarm<Behaviour>,
        shared: Arc<Shared>,
        orders: mpsc::Receiver<Command>,
        bootstrap: Vec<Multiaddr>,
        config: &Config,
    ) -> Self {
        let topic = shared.names.announcements();
        let subscribed = swarm.behaviour_mut().gossip.subscribe(&topic);
        debug_assert!(subscribed.is_ok(), "the default filter allows every topic");
        Self {
            discovery: Discovery::new(bootstrap, &config.remembered),
            swarm,
            shared,
            connections: Connections::default(),
            routing: Routing::default(),
            faults: Faults::default(),
            unread: BTreeMap::new(),
            is_public: config.reachability == Reachability::Public,
            listens_everywhere: config.listen.iter().any(|at| is_wildcard(at)),
            acceptors: JoinSet::new(),
            orders,
        }
    }

    /// Runs an acceptor of streams as long as the node.
    pub(crate) fn accept(&mut self, acceptor: impl Future<Output = ()> + Send + 'static) {
        self.acceptors.spawn(acceptor);
    }

    /// Waits until every listener has told its first address, so that ports chosen by the system
    /// are known to whoever started us.
    ///
    /// # Errors
    /// A listener closed, or nothing was heard of it.
    pub(crate) async fn until_listening(&mut self, listeners: usize) -> Result<(), StartError> {
        let mut heard = BTreeSet::new();
        while heard.len() < listeners {
            let event = timeout(LISTEN_WITHIN, self.swarm.select_next_some()).await;
            let event = event.map_err(|_| StartError::Setup {
                what: "listening",
                reason: "the system gave no address".to_owned(),
            })?;
            match &event {
                SwarmEvent::NewListenAddr { listener_id, .. } => {
                    heard.insert(listener_id.to_string());
                }
                SwarmEvent::ListenerClosed { reason: Err(error), addresses, .. } => {
                    let address = addresses.first().map_or_else(String::new, Multiaddr::to_string);
                    return Err(listen_error(&address, error));
                }
                _ => {}
            }
            self.on_event(event);
        }
        Ok(())
    }

    /// Runs until the last handle is gone or told us to stop.
    pub(crate) async fn run(mut self) {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                event = self.swarm.select_next_some() => self.on_event(event),
                order = self.orders.recv() => match order {
                    Some(Command::Stop) | None => break,
                    Some(order) => self.on_order(order),
                },
                now = ticks.tick() => self.on_tick(now),
            }
        }
        self.connections.stop();
        self.shared.roster.clear();
        self.shared.inbox.close();
        debug!("network stopped");
    }

    fn on_event(&mut self, event: SwarmEvent<BehaviourEvent>) {
        match event {
            SwarmEvent::Behaviour(event) => self.on_protocol(event),
            SwarmEvent::ConnectionEstablished { peer_id, connection_id, endpoint, .. } => {
                self.on_connected(peer_id, connection_id, &endpoint);
            }
            SwarmEvent::ConnectionClosed { peer_id, connection_id, num_established, .. } => {
                self.on_closed(peer_id, connection_id, num_established);
            }
            SwarmEvent::OutgoingConnectionError { connection_id, peer_id, error } => {
                self.on_dial_failed(connection_id, peer_id, &error);
            }
            SwarmEvent::NewListenAddr { address, .. } => {
                self.on_address(address);
            }
            SwarmEvent::ExpiredListenAddr { address, .. } => self.on_address_gone(&address),
            // What remains are steps on the way to these.
            _ => {}
        }
    }

    fn on_protocol(&mut self, event: BehaviourEvent) {
        match event {
            BehaviourEvent::Ping(event) => self.on_ping(event),
            BehaviourEvent::Identify(event) => self.on_identify(event),
            BehaviourEvent::Kad(event) => self.on_kad(event),
            BehaviourEvent::Gossip(event) => self.on_gossip(event),
            BehaviourEvent::Mdns(event) => self.on_mdns(event),
            BehaviourEvent::Blocked(never) | BehaviourEvent::Limits(never) => match never {},
            BehaviourEvent::Streams(()) => {}
        }
    }

    fn on_ping(&mut self, event: ping::Event) {
        match event.result {
            Ok(took) => {
                if let Some(peer) = identity::ours(&event.peer) {
                    self.shared.roster.round_trip(peer, took);
                }
            }
            // Whoever cannot answer is gone, whatever the socket believes.
            Err(ping::Failure::Timeout) => {
                self.swarm.close_connection(event.connection);
            }
            Err(ping::Failure::Unsupported | ping::Failure::Other { .. }) => {}
        }
    }

    fn on_address(&mut self, address: Multiaddr) {
        // Of a node on all interfaces, others have no use for its loopback address.
        let is_of_use = !self.listens_everywhere || reach(&address) != Some(Reach::Loopback);
        if self.is_public && is_of_use {
            self.swarm.add_external_address(address.clone());
        }
        let full = format!("{address}/p2p/{}", self.swarm.local_peer_id());
        info!(address = full, "listening");
        self.shared.listens(full);
    }

    fn on_address_gone(&mut self, address: &Multiaddr) {
        self.swarm.remove_external_address(address);
        let full = format!("{address}/p2p/{}", self.swarm.local_peer_id());
        self.shared.listens_no_more(&full);
    }

    fn on_tick(&mut self, now: Instant) {
        let now = now.into_std();
        self.send_away_the_silent(now);
        self.find_peers(now);
        self.renew_provided(now);
        self.measure_network();
        self.blame_floods();
        for peer in self.faults.forgive(now) {
            if let Some(peer) = identity::theirs(&peer) {
                self.swarm.behaviour_mut().blocked.unblock_peer(peer);
            }
        }
    }
}
