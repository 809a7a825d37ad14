//! Identify: who a peer is, and whether it is of our network.

use std::time::Instant;

use libp2p::identify;
use libp2p::swarm::ConnectionId;

use super::Voice;
use crate::address::sensible;
use crate::limits::{AGENT_CHARS_MAX, BOOK_ADDRESSES_MAX};
use crate::roster::Peer;
use crate::talk::Queue;
use crate::{ConnectError, identity};

impl Voice {
    pub(super) fn on_identify(&mut self, event: identify::Event) {
        match event {
            identify::Event::Received { connection_id, peer_id, info } => {
                self.on_identified(connection_id, peer_id, &info);
            }
            identify::Event::Error { peer_id, error, .. } => {
                tracing::debug!(peer = %peer_id, %error, "peer did not say who it is");
            }
            identify::Event::Sent { .. } | identify::Event::Pushed { .. } => {}
        }
    }

    fn on_identified(
        &mut self,
        connection: ConnectionId,
        peer: libp2p::PeerId,
        info: &identify::Info,
    ) {
        let Some(name) = identity::ours(&peer) else { return };
        if !info.protocols.contains(&self.shared.names.talk()) {
            self.shared.counters.foreign.add(1);
            self.send_away(peer, ConnectError::OtherNetwork);
            return;
        }
        let Some(met) = self.connections.remote(connection) else { return };
        let addresses = sensible(&info.listen_addrs, met, BOOK_ADDRESSES_MAX);
        let bare = addresses.iter().map(|address| crate::address::split(address).0);
        let addresses: Vec<_> = bare.collect();
        let agent: String = info.agent_version.chars().take(AGENT_CHARS_MAX).collect();

        self.discovery.learn(name, addresses.clone());
        if info.protocols.contains(&self.shared.names.kad()) {
            self.route(peer, &addresses);
        }
        if !self.shared.roster.update(name, &agent, &addresses) {
            let (queue, frames) = Queue::new();
            let since = Instant::now();
            let entry = Peer { addresses, agent, since, round_trip: None, queue };
            self.on_up(peer, name, entry, frames);
        }
    }
}
