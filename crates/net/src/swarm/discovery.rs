//! Finding peers: bootstrap list, remembered peers and the local network.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p::{Multiaddr, PeerId, mdns};
use tracing::debug;

use super::Voice;
use super::connections::Waiter;
use crate::address::split;
use crate::book::Book;
use crate::limits::{REDIAL_MAX, REDIAL_MIN, REDIAL_REMEMBERED};
use crate::{ConnectError, identity, streams};

/// The ways in, and when to try them again.
#[derive(Debug)]
pub(super) struct Discovery {
    bootstrap: Vec<Multiaddr>,
    pub(super) book: Book,
    next: Option<Instant>,
    pause: Duration,
}

impl Discovery {
    pub(super) fn new(
        bootstrap: Vec<Multiaddr>,
        remembered: &[(protocol::PeerId, Vec<String>)],
    ) -> Self {
        let mut book = Book::default();
        for (peer, addresses) in remembered {
            let addresses = addresses.iter().filter_map(|text| text.parse().ok());
            book.learn(*peer, addresses.map(|address| split(&address).0));
        }
        Self { bootstrap, book, next: None, pause: REDIAL_MIN }
    }

    pub(super) fn learn(&mut self, peer: protocol::PeerId, addresses: Vec<Multiaddr>) {
        self.book.learn(peer, addresses);
    }

    /// Somebody is there: the next time starts with short pauses again.
    pub(super) fn succeeded(&mut self) {
        self.pause = REDIAL_MIN;
        self.next = None;
    }
}

impl Voice {
    /// While nobody is connected, tries all ways in, with growing pauses.
    pub(super) fn find_peers(&mut self, now: Instant) {
        if 0 < self.shared.roster.len() || self.discovery.next.is_some_and(|next| now < next) {
            return;
        }
        self.discovery.next = Some(now + streams::jitter(self.discovery.pause));
        self.discovery.pause = (self.discovery.pause * 2).min(REDIAL_MAX);
        // All addresses of one peer are raced at once.
        for (bare, peer) in self.discovery.bootstrap.clone().iter().map(split) {
            if let Some(name) = peer.and_then(|peer| identity::ours(&peer)) {
                self.discovery.learn(name, vec![bare]);
            }
        }
        for address in self.discovery.bootstrap.clone() {
            let (bare, peer) = split(&address);
            match peer {
                Some(peer) => self.dial_peer(peer, vec![bare]),
                None => self.dial_address(bare, None),
            }
        }
        let recent = self.discovery.book.recent().take(REDIAL_REMEMBERED);
        let recent: Vec<_> = recent.map(|(peer, at)| (*peer, at.clone())).collect();
        for (peer, addresses) in recent {
            if let Some(peer) = identity::theirs(&peer) {
                self.dial_peer(peer, addresses);
            }
        }
    }

    pub(super) fn on_mdns(&mut self, event: mdns::Event) {
        match event {
            mdns::Event::Discovered(found) => {
                let mut peers = BTreeSet::new();
                for (peer, address) in found {
                    if let Some(name) = identity::ours(&peer) {
                        self.discovery.learn(name, vec![split(&address).0]);
                        peers.insert(peer);
                    }
                }
                for peer in peers {
                    self.dial_peer(peer, Vec::new());
                }
            }
            // Who left the local network may still be connected; its connection will tell.
            mdns::Event::Expired(_) => {}
        }
    }

    /// Dials a peer at these addresses and all that are known, unless it is connected.
    pub(super) fn dial_peer(&mut self, peer: PeerId, mut addresses: Vec<Multiaddr>) {
        if let Some(name) = identity::ours(&peer) {
            addresses.extend(self.discovery.book.addresses(&name));
        }
        addresses.sort_unstable();
        addresses.dedup();
        let dial = DialOpts::peer_id(peer)
            .condition(PeerCondition::DisconnectedAndNotDialing)
            .addresses(addresses)
            .extend_addresses_through_behaviour()
            .build();
        let connection = dial.connection_id();
        if let Err(error) = self.swarm.dial(dial) {
            debug!(%peer, %error, "not dialled");
            self.on_dial_failed(connection, Some(peer), &error);
        }
    }

    /// Dials an address without knowing who is there.
    pub(super) fn dial_address(&mut self, address: Multiaddr, waiter: Option<Waiter>) {
        let dial = DialOpts::unknown_peer_id().address(address).build();
        let connection = dial.connection_id();
        if let Some(waiter) = waiter {
            self.connections.await_dial(connection, waiter);
        }
        if let Err(error) = self.swarm.dial(dial) {
            self.on_dial_failed(connection, None, &error);
        }
    }

    /// An address given by hand, or by another part of the program.
    pub(super) fn dial(&mut self, address: &Multiaddr, waiter: Waiter) {
        let (bare, peer) = split(address);
        match peer {
            Some(peer) => self.connect(peer, vec![bare], waiter),
            None => self.dial_address(bare, Some(waiter)),
        }
    }

    pub(super) fn connect(&mut self, peer: PeerId, addresses: Vec<Multiaddr>, waiter: Waiter) {
        let result = match identity::ours(&peer) {
            _ if peer == *self.swarm.local_peer_id() => Err(ConnectError::Ourselves),
            Some(name) if self.shared.roster.is_up(name) => Ok(name),
            Some(_) => {
                self.connections.await_peer(peer, waiter);
                self.dial_peer(peer, addresses);
                return;
            }
            None => Err(ConnectError::OtherNetwork),
        };
        // Whoever asked may have given up.
        let _ = waiter.send(result);
    }
}
