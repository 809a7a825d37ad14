//! The loop: one event at a time, each to the file that knows its protocol.

use std::sync::Arc;

use futures::StreamExt;
use libp2p::swarm::SwarmEvent;
use libp2p::{Multiaddr, Swarm, ping};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tracing::debug;

use super::Behaviour;
use super::behaviour::BehaviourEvent;
use super::connections::Connections;
use super::discovery::Discovery;
use super::routing::Routing;
use crate::command::Command;
use crate::event::Event;
use crate::faults::Faults;
use crate::limits::TICK;
use crate::start::{Shared, announce_address};
use crate::{Config, identity};

/// Owns the swarm and what only its task may touch.
pub(crate) struct Voice {
    pub(super) swarm: Swarm<Behaviour>,
    pub(super) shared: Arc<Shared>,
    pub(super) messages: mpsc::Sender<Event>,
    pub(super) connections: Connections,
    pub(super) discovery: Discovery,
    pub(super) routing: Routing,
    pub(super) faults: Faults,
    config: Config,
    orders: mpsc::Receiver<Command>,
}

impl Voice {
    pub(crate) fn new(
        mut swarm: Swarm<Behaviour>,
        shared: Arc<Shared>,
        orders: mpsc::Receiver<Command>,
        messages: mpsc::Sender<Event>,
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
            messages,
            connections: Connections::default(),
            routing: Routing::default(),
            faults: Faults::default(),
            config: config.clone(),
            orders,
        }
    }

    /// Runs until the last handle is gone or told us to stop; the acceptors of streams end with it.
    pub(crate) async fn run(
        mut self,
        talking: impl Future<Output = ()> + Send + 'static,
        serving: impl Future<Output = ()> + Send + 'static,
    ) {
        let acceptors = [tokio::spawn(talking), tokio::spawn(serving)];
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
        for acceptor in acceptors {
            acceptor.abort();
        }
        self.connections.stop();
        self.shared.roster.clear();
        debug!("network stopped");
    }

    fn on_event(&mut self, event: SwarmEvent<super::behaviour::BehaviourEvent>) {
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
                announce_address(&mut self.swarm, &self.shared, &self.config, address);
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
        for peer in self.faults.forgive(now) {
            if let Some(peer) = identity::theirs(&peer) {
                self.swarm.behaviour_mut().blocked.unblock_peer(peer);
            }
        }
    }
}
