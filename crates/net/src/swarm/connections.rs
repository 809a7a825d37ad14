//! Connections: who waits for one, how many one place may have, and who is sent away.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use libp2p::core::ConnectedPoint;
use libp2p::swarm::{ConnectionId, DialError};
use libp2p::{Multiaddr, PeerId};
use tokio::sync::oneshot;
use tokio::task::AbortHandle;
use tracing::debug;

use super::Voice;
use crate::address::neighbourhood;
use crate::limits::{CONNECT_WAITERS_MAX, IDENTIFY_WITHIN, PER_ADDRESS_MAX, PER_SUBNET_MAX};
use crate::{ConnectError, Event, Misdeed, identity, talk};

pub(super) type Waiter = oneshot::Sender<Result<protocol::PeerId, ConnectError>>;

/// What is known of connections beside the roster.
#[derive(Debug, Default)]
pub(super) struct Connections {
    open: BTreeMap<ConnectionId, Open>,
    /// Dials to an address whose peer is not known yet.
    dials: BTreeMap<ConnectionId, Waiter>,
    /// Who waits for a peer to be up.
    arrivals: BTreeMap<PeerId, Vec<Waiter>>,
    speakers: BTreeMap<PeerId, AbortHandle>,
}

#[derive(Debug)]
struct Open {
    peer: PeerId,
    remote: Multiaddr,
    since: Instant,
    /// Address and subnet, where limits apply.
    place: Option<(IpAddr, IpAddr)>,
}

impl Connections {
    pub(super) fn await_dial(&mut self, connection: ConnectionId, waiter: Waiter) {
        if let Some(waiter) = self.admit(waiter) {
            self.dials.insert(connection, waiter);
        }
    }

    pub(super) fn await_peer(&mut self, peer: PeerId, waiter: Waiter) {
        if let Some(waiter) = self.admit(waiter) {
            self.arrivals.entry(peer).or_default().push(waiter);
        }
    }

    /// Tells those who wait for a peer how it went.
    pub(super) fn resolve(
        &mut self,
        peer: PeerId,
        result: &Result<protocol::PeerId, ConnectError>,
    ) {
        for waiter in self.arrivals.remove(&peer).into_iter().flatten() {
            // Whoever waited may have given up.
            let _ = waiter.send(result.clone());
        }
    }

    /// Where we are connected to a peer.
    pub(super) fn remote(&self, connection: ConnectionId) -> Option<&Multiaddr> {
        self.open.get(&connection).map(|open| &open.remote)
    }

    pub(super) fn stop(&mut self) {
        for speaker in std::mem::take(&mut self.speakers).into_values() {
            speaker.abort();
        }
    }

    /// Refuses one waiter too many; those who gave up do not count.
    fn admit(&mut self, waiter: Waiter) -> Option<Waiter> {
        self.dials.retain(|_, waiter| !waiter.is_closed());
        self.arrivals.retain(|_, waiters| {
            waiters.retain(|waiter| !waiter.is_closed());
            !waiters.is_empty()
        });
        let waiting = self.dials.len() + self.arrivals.values().map(Vec::len).sum::<usize>();
        if waiting < CONNECT_WAITERS_MAX {
            return Some(waiter);
        }
        let _ = waiter.send(Err(ConnectError::Busy));
        None
    }

    fn is_crowded(&self, place: Option<(IpAddr, IpAddr)>) -> bool {
        let Some((ip, subnet)) = place else { return false };
        let places = || self.open.values().filter_map(|open| open.place);
        PER_ADDRESS_MAX <= places().filter(|(other, _)| *other == ip).count()
            || PER_SUBNET_MAX <= places().filter(|(_, other)| *other == subnet).count()
    }
}

impl Voice {
    pub(super) fn on_connected(
        &mut self,
        peer: PeerId,
        connection: ConnectionId,
        endpoint: &ConnectedPoint,
    ) {
        if let Some(waiter) = self.connections.dials.remove(&connection) {
            self.connections.await_peer(peer, waiter);
        }
        let remote = endpoint.get_remote_address().clone();
        let place = neighbourhood(&remote);
        // Our own choice of peers is not bound by how many chose us.
        let crowded = endpoint.is_listener() && self.connections.is_crowded(place);
        let open = Open { peer, remote, since: Instant::now(), place };
        self.connections.open.insert(connection, open);
        match identity::ours(&peer) {
            None => self.send_away(peer, ConnectError::OtherNetwork),
            Some(_) if crowded => drop(self.swarm.close_connection(connection)),
            Some(name) if self.shared.roster.is_up(name) => {
                self.connections.resolve(peer, &Ok(name));
            }
            Some(_) => {}
        }
    }

    pub(super) fn on_closed(&mut self, peer: PeerId, connection: ConnectionId, left: u32) {
        self.connections.open.remove(&connection);
        if 0 < left {
            return;
        }
        self.connections.resolve(peer, &Err(ConnectError::Closed));
        if let Some(speaker) = self.connections.speakers.remove(&peer) {
            speaker.abort();
        }
        if let Some(name) = identity::ours(&peer)
            && self.shared.roster.remove(name)
        {
            self.shared.notices.push(Event::PeerDown { peer: name });
            self.shared.inbox.gone(name);
        }
    }

    pub(super) fn on_dial_failed(
        &mut self,
        connection: ConnectionId,
        peer: Option<PeerId>,
        error: &DialError,
    ) {
        let error = match error {
            DialError::LocalPeerId { .. } => ConnectError::Ourselves,
            DialError::NoAddresses => ConnectError::NoAddress,
            // Another dial to the same peer is under way and will tell.
            DialError::DialPeerConditionFalse(_) => return,
            DialError::Aborted
            | DialError::WrongPeerId { .. }
            | DialError::Denied { .. }
            | DialError::Transport(_) => ConnectError::Unreachable(reason(error)),
        };
        if let Some(waiter) = self.connections.dials.remove(&connection) {
            let _ = waiter.send(Err(error.clone()));
        }
        if let Some(peer) = peer
            && !self.swarm.is_connected(&peer)
        {
            self.connections.resolve(peer, &Err(error));
        }
    }

    /// A peer turned out to be of our network: from now on it can be talked to.
    pub(super) fn on_up(
        &mut self,
        peer: PeerId,
        name: protocol::PeerId,
        entry: crate::roster::Peer,
        frames: talk::Outgoing,
    ) {
        let jobs = self.shared.roster.add(name, entry);
        let speaker = tokio::spawn(talk::speak(Arc::clone(&self.shared), name, frames));
        if let Some(old) = self.connections.speakers.insert(peer, speaker.abort_handle()) {
            old.abort();
        }
        self.shared.notices.push(Event::PeerUp { peer: name });
        for job in jobs {
            self.shared.notices.push(Event::Joined { peer: name, job });
        }
        self.connections.resolve(peer, &Ok(name));
        self.discovery.succeeded();
    }

    /// Closes all connections with a peer.
    pub(super) fn send_away(&mut self, peer: PeerId, why: ConnectError) {
        debug!(%peer, %why, "peer sent away");
        self.connections.resolve(peer, &Err(why));
        // It may be gone already.
        let _ = self.swarm.disconnect_peer_id(peer);
    }

    /// Sends away those who have not said in time who they are.
    pub(super) fn send_away_the_silent(&mut self, now: Instant) {
        let late = |open: &Open| IDENTIFY_WITHIN <= now.duration_since(open.since);
        let up = |peer| identity::ours(peer).is_some_and(|name| self.shared.roster.is_up(name));
        let open = self.connections.open.values();
        let silent: Vec<PeerId> =
            open.filter(|open| late(open) && !up(&open.peer)).map(|open| open.peer).collect();
        for peer in silent {
            self.send_away(peer, ConnectError::OtherNetwork);
        }
    }

    /// Counts a misdeed; too many, and the peer is sent away for a while.
    pub(super) fn blame(&mut self, peer: protocol::PeerId, misdeed: Misdeed) {
        debug!(%peer, ?misdeed, "misdeed");
        if !self.faults.count(peer, misdeed, Instant::now()) {
            return;
        }
        if let Some(peer) = identity::theirs(&peer)
            && self.swarm.behaviour_mut().blocked.block_peer(peer)
        {
            self.shared.counters.bans.add(1);
            self.send_away(peer, ConnectError::Closed);
        }
    }
}

/// The innermost reason of a failed dial, without libp2p's nesting.
fn reason(error: &DialError) -> String {
    let mut text = match error {
        DialError::Transport(tried) => tried
            .iter()
            .map(|(address, error)| format!("{address}: {}", innermost(error)))
            .collect::<Vec<_>>()
            .join("; "),
        other => innermost(other),
    };
    if let Some((end, _)) = text.char_indices().nth(300) {
        text.truncate(end);
    }
    text
}

fn innermost(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}
