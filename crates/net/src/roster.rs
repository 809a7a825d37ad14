//! Who is connected, what they subscribed to, and the queues through which they are spoken to.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use libp2p::Multiaddr;
use protocol::{JobId, PeerId};
use tokio::sync::Notify;

use crate::limits::PEERS_KEPT;
use crate::talk::Queue;

/// Shared by the swarm's task, which writes it, and by everybody who sends.
#[derive(Debug)]
pub(crate) struct Roster {
    me: PeerId,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    up: BTreeMap<PeerId, Peer>,
    /// Also of peers that have not been identified yet; gossipsub allows 100 topics each.
    jobs: BTreeMap<PeerId, BTreeSet<JobId>>,
    /// The jobs that we joined ourselves.
    joined: BTreeSet<JobId>,
}

/// A connected peer of our network.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) addresses: Vec<Multiaddr>,
    pub(crate) agent: String,
    pub(crate) since: Instant,
    pub(crate) round_trip: Option<Duration>,
    pub(crate) queue: Queue,
}

impl Roster {
    pub(crate) fn new(me: PeerId) -> Self {
        Self { me, state: Mutex::default(), changed: Notify::new() }
    }

    /// Adds a peer; returns those of our jobs that it subscribed to before.
    pub(crate) fn add(&self, name: PeerId, peer: Peer) -> Vec<JobId> {
        let mut state = self.lock();
        state.up.insert(name, peer);
        self.changed.notify_waiters();
        let theirs = state.jobs.get(&name);
        theirs.map_or_else(Vec::new, |jobs| jobs.intersection(&state.joined).copied().collect())
    }

    /// Renews what an identified peer says of itself; false if it is not up.
    pub(crate) fn update(&self, name: PeerId, agent: &str, addresses: &[Multiaddr]) -> bool {
        let mut state = self.lock();
        let Some(peer) = state.up.get_mut(&name) else { return false };
        agent.clone_into(&mut peer.agent);
        peer.addresses = addresses.to_vec();
        true
    }

    pub(crate) fn round_trip(&self, name: PeerId, took: Duration) {
        if let Some(peer) = self.lock().up.get_mut(&name) {
            peer.round_trip = Some(took);
        }
    }

    /// Forgets a peer; true if it was up.
    pub(crate) fn remove(&self, name: PeerId) -> bool {
        let mut state = self.lock();
        state.jobs.remove(&name);
        state.up.remove(&name).is_some()
    }

    pub(crate) fn clear(&self) {
        *self.lock() = State::default();
        self.changed.notify_waiters();
    }

    /// True if the application wants to know.
    pub(crate) fn subscribed(&self, name: PeerId, job: JobId) -> bool {
        let mut state = self.lock();
        let is_new = state.jobs.entry(name).or_default().insert(job);
        is_new && state.up.contains_key(&name) && state.joined.contains(&job)
    }

    /// True if the application wants to know.
    pub(crate) fn unsubscribed(&self, name: PeerId, job: JobId) -> bool {
        let mut state = self.lock();
        let was_there = state.jobs.get_mut(&name).is_some_and(|jobs| jobs.remove(&job));
        was_there && state.up.contains_key(&name) && state.joined.contains(&job)
    }

    /// True if we had not joined before.
    pub(crate) fn join(&self, job: JobId) -> bool {
        self.lock().joined.insert(job)
    }

    pub(crate) fn leave(&self, job: JobId) {
        self.lock().joined.remove(&job);
    }

    pub(crate) fn has_joined(&self, job: JobId) -> bool {
        self.lock().joined.contains(&job)
    }

    pub(crate) fn is_up(&self, name: PeerId) -> bool {
        self.lock().up.contains_key(&name)
    }

    pub(crate) fn len(&self) -> usize {
        self.lock().up.len()
    }

    pub(crate) fn names(&self) -> Vec<PeerId> {
        self.lock().up.keys().copied().collect()
    }

    pub(crate) fn queue(&self, name: PeerId) -> Option<Queue> {
        self.lock().up.get(&name).map(|peer| peer.queue.clone())
    }

    /// Connected peers that take part in a job.
    pub(crate) fn members(&self, job: JobId) -> Vec<(PeerId, Queue)> {
        let state = self.lock();
        let member = |name: &PeerId| state.jobs.get(name).is_some_and(|jobs| jobs.contains(&job));
        let members = state.up.iter().filter(|(name, _)| member(name));
        members.map(|(name, peer)| (*name, peer.queue.clone())).collect()
    }

    /// Sums up a job's participants as we see them, us among them: two that see the same need not
    /// pass on to each other's neighbours. Names are keys, and so as good as random.
    pub(crate) fn audience(&self, members: &[(PeerId, Queue)]) -> u64 {
        let number = |peer: &PeerId| {
            let (head, _) = peer.as_bytes().split_first_chunk().expect("a name has 32 bytes");
            u64::from_be_bytes(*head)
        };
        members.iter().fold(number(&self.me), |sum, (peer, _)| sum ^ number(peer))
    }

    /// Whether the connection is worth keeping although nothing is said on it.
    pub(crate) fn is_kept(&self, name: PeerId) -> bool {
        let state = self.lock();
        let shared = |jobs: &BTreeSet<JobId>| !jobs.is_disjoint(&state.joined);
        state.up.len() <= PEERS_KEPT || state.jobs.get(&name).is_some_and(shared)
    }

    /// Calls `each` for every peer with the jobs that it subscribed to.
    pub(crate) fn each<T>(&self, each: impl Fn(PeerId, &Peer, Vec<JobId>) -> T) -> Vec<T> {
        let state = self.lock();
        let jobs = |name| state.jobs.get(name).into_iter().flatten().copied().collect();
        state.up.iter().map(|(name, peer)| each(*name, peer, jobs(name))).collect()
    }

    /// Waits until the peer is up.
    pub(crate) async fn until_up(&self, name: PeerId) {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if self.is_up(name) {
                return;
            }
            changed.await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
