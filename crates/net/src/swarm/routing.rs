//! The DHT: who is in our routing table, what we provide, and look-ups of providers.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use libp2p::core::Endpoint;
use libp2p::kad::store::RecordStore;
use libp2p::kad::{self, GetProvidersOk, InboundRequest, ProviderRecord, QueryId, QueryResult};
use libp2p::swarm::{ConnectionId, NetworkBehaviour};
use libp2p::{Multiaddr, PeerId};
use tokio::sync::oneshot;
use tracing::debug;

use super::Voice;
use crate::address::{neighbourhood, split};
use crate::limits::{
    BOOK_ADDRESSES_MAX, DHT_ADDRESSES_MAX, DHT_OWN_KEYS_MAX, DHT_PER_SUBNET_MAX, DHT_PROVIDERS_MAX,
    DHT_QUERIES_MAX, DHT_RENEWALS_PER_TICK,
};
use crate::{DhtError, Key, identity};

/// While the routing table is smaller than this, each newcomer may be a better place for what we
/// provide.
const SMALL_TABLE: usize = 20;

/// The nearest peers that an estimate of the network's size goes by: those a routing table knows best.
const NEAREST: usize = 20;

/// What the swarm's task remembers about the DHT.
#[derive(Debug, Default)]
pub(super) struct Routing {
    queries: HashMap<QueryId, Query>,
    provided: BTreeSet<Key>,
    /// When to tell new neighbours what we provide.
    renew: Option<Instant>,
    renewing: VecDeque<Key>,
}

#[derive(Debug)]
enum Query {
    Provide(oneshot::Sender<Result<(), DhtError>>),
    Providers { found: BTreeSet<protocol::PeerId>, answer: Answer },
}

type Answer = oneshot::Sender<Result<Vec<protocol::PeerId>, DhtError>>;

impl Voice {
    /// Takes an identified peer into the routing table, if its subnet has room there.
    pub(super) fn route(&mut self, peer: PeerId, addresses: &[Multiaddr]) {
        let kad = &mut self.swarm.behaviour_mut().kad;
        if let Some((_, subnet)) = addresses.iter().find_map(neighbourhood) {
            let others = kad.kbuckets().map(|bucket| {
                let entries = bucket.iter().filter(|entry| *entry.node.key.preimage() != peer);
                let of = |at: &Multiaddr| neighbourhood(at).is_some_and(|(_, s)| s == subnet);
                entries.filter(|entry| entry.node.value.iter().any(of)).count()
            });
            if DHT_PER_SUBNET_MAX <= others.sum() {
                return;
            }
        }
        for address in addresses {
            kad.add_address(&peer, address.clone());
        }
    }

    pub(super) fn on_kad(&mut self, event: kad::Event) {
        match event {
            kad::Event::RoutingUpdated { is_new_peer, .. } => self.on_routed(is_new_peer),
            kad::Event::InboundRequest { request: InboundRequest::AddProvider { record } } => {
                self.on_provider_record(record);
            }
            kad::Event::OutboundQueryProgressed { id, result, step, .. } => {
                self.on_query(id, result, step.last);
            }
            // Identify puts peers into the table, and we keep no values.
            kad::Event::InboundRequest { .. }
            | kad::Event::UnroutablePeer { .. }
            | kad::Event::RoutablePeer { .. }
            | kad::Event::PendingRoutablePeer { .. }
            | kad::Event::ModeChanged { .. } => {}
        }
    }

    /// Estimates anew how large the network is.
    pub(super) fn measure_network(&mut self) {
        let own = kad::KBucketKey::from(*self.swarm.local_peer_id());
        let mut distances = Vec::new();
        for bucket in self.swarm.behaviour_mut().kad.kbuckets() {
            let top =
                bucket.iter().map(|peer| (own.distance(peer.node.key).0 >> 192_usize).as_u64());
            distances.extend(top);
        }
        let estimate = network_size(distances);
        self.shared.network_size.store(estimate, Relaxed);
    }

    fn on_routed(&mut self, is_new: bool) {
        let kad = &mut self.swarm.behaviour_mut().kad;
        let size: usize = kad.kbuckets().map(|bucket| bucket.num_entries()).sum();
        if is_new && size <= SMALL_TABLE && self.routing.renew.is_none() {
            self.routing.renew = Some(Instant::now() + Duration::from_secs(1));
        }
    }

    /// Others' records are kept if they are of the only shape we write.
    fn on_provider_record(&mut self, record: Option<ProviderRecord>) {
        let Some(mut record) = record else { return };
        if record.key.as_ref().len() != 32 || identity::ours(&record.provider).is_none() {
            return;
        }
        record.addresses.truncate(DHT_ADDRESSES_MAX);
        if let Err(error) = self.swarm.behaviour_mut().kad.store_mut().add_provider(record) {
            debug!(%error, "provider record not kept");
        }
    }

    pub(super) fn provide(&mut self, key: Key, answer: oneshot::Sender<Result<(), DhtError>>) {
        let routing = &mut self.routing;
        if DHT_QUERIES_MAX <= routing.queries.len() {
            let _ = answer.send(Err(DhtError::Busy));
            return;
        }
        let full = DHT_OWN_KEYS_MAX <= routing.provided.len() && !routing.provided.contains(&key);
        if full {
            let _ = answer.send(Err(DhtError::Full));
            return;
        }
        match self.swarm.behaviour_mut().kad.start_providing(key.record()) {
            Ok(id) => {
                self.routing.provided.insert(key);
                self.routing.queries.insert(id, Query::Provide(answer));
            }
            Err(_) => drop(answer.send(Err(DhtError::Full))),
        }
    }

    pub(super) fn stop_providing(&mut self, key: Key) {
        self.routing.provided.remove(&key);
        self.swarm.behaviour_mut().kad.stop_providing(&key.record());
    }

    pub(super) fn find_providers(&mut self, key: Key, answer: Answer) {
        if DHT_QUERIES_MAX <= self.routing.queries.len() {
            let _ = answer.send(Err(DhtError::Busy));
            return;
        }
        let id = self.swarm.behaviour_mut().kad.get_providers(key.record());
        self.routing.queries.insert(id, Query::Providers { found: BTreeSet::new(), answer });
    }

    /// Tells neighbours that are new what we provide; they may be nearer to it than those before.
    pub(super) fn renew_provided(&mut self, now: Instant) {
        if self.routing.renew.is_some_and(|at| at <= now) {
            self.routing.renew = None;
            self.routing.renewing = self.routing.provided.iter().copied().collect();
        }
        for _ in 0..DHT_RENEWALS_PER_TICK {
            let Some(key) = self.routing.renewing.pop_front() else { return };
            if self.routing.provided.contains(&key) {
                // It is in the store already, so that this cannot find the store full.
                let _ = self.swarm.behaviour_mut().kad.start_providing(key.record());
            }
        }
    }

    fn on_query(&mut self, id: QueryId, result: QueryResult, last: bool) {
        if let QueryResult::GetProviders(Ok(GetProvidersOk::FoundProviders { providers, .. })) =
            &result
        {
            self.on_found(id, providers.iter().copied());
        }
        if !last {
            return;
        }
        match (self.routing.queries.remove(&id), result) {
            (Some(Query::Provide(answer)), QueryResult::StartProviding(result)) => {
                let _ = answer.send(result.map(|_| ()).map_err(|_| DhtError::TimedOut));
            }
            (Some(Query::Providers { found, answer }), _) => {
                let _ = answer.send(Ok(found.into_iter().collect()));
            }
            (Some(Query::Provide(_)) | None, _) => {}
        }
    }

    /// Keeps the addresses of providers, which the DHT forgets when its look-up ends.
    fn on_found(&mut self, id: QueryId, providers: impl Iterator<Item = PeerId>) {
        for peer in providers.take(DHT_PROVIDERS_MAX) {
            let Some(name) = identity::ours(&peer) else { continue };
            let Some(Query::Providers { found, .. }) = self.routing.queries.get_mut(&id) else {
                return;
            };
            if name == self.shared.me || DHT_PROVIDERS_MAX <= found.len() {
                continue;
            }
            found.insert(name);
            let kad = &mut self.swarm.behaviour_mut().kad;
            // Asked as the swarm asks before it dials: this is the only way to learn them.
            let asked = kad.handle_pending_outbound_connection(
                ConnectionId::new_unchecked(usize::MAX),
                Some(peer),
                &[],
                Endpoint::Dialer,
            );
            let addresses = asked.unwrap_or_default().into_iter().take(BOOK_ADDRESSES_MAX);
            self.discovery.learn(name, addresses.map(|address| split(&address).0).collect());
        }
    }
}

/// How many peers there are but us, by their distances from us in 2^-64 of the whole key space.
///
/// While the table holds few peers, it holds all. Beyond, peers lie everywhere alike: the n nearest lie
/// within a share of the space that is about n of all peers.
fn network_size(mut distances: Vec<u64>) -> u64 {
    distances.sort_unstable();
    let known = distances.len() as u64;
    match distances.get(NEAREST - 1) {
        Some(&farthest) if NEAREST < distances.len() => {
            let share = (farthest as f64 + 1.0) / 2_f64.powi(64);
            known.max(((NEAREST - 1) as f64 / share) as u64)
        }
        Some(_) | None => known,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Distances as even as they can be, of which a routing table keeps the nearest and some others.
    fn even(peers: u64) -> Vec<u64> {
        let gap = u64::MAX / peers;
        let nearest = (1..=30).map(|n| n * gap);
        let farther = (1..=10).map(|n| u64::MAX - n * gap);
        nearest.chain(farther).collect()
    }

    #[test]
    fn a_network_is_as_large_as_its_nearest_peers_are_close() {
        assert_eq!(network_size(vec![]), 0);
        assert_eq!(network_size(vec![7, 1, 3]), 3);
        for peers in [100, 1_000, 100_000, 10_000_000] {
            let estimate = network_size(even(peers));
            assert!((peers * 9 / 10..=peers).contains(&estimate), "{peers}: {estimate}");
        }
    }
}
