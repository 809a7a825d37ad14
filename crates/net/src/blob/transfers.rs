//! What is on its way to us, so that others may have of it, and who asked whom for what lately.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use protocol::{BlobId, BlobRef, PeerId, Subtrees, chunk_count};
use tokio::sync::Notify;

use super::bits::Bits;
use super::report::{Holding, NAMED_MAX, Report};
use crate::limits::{ASKED_BLOBS_MAX, ASKERS_MAX, PROVIDERS_MAX};

/// Who asked is told to others for so long.
const ASKERS_MEMORY: Duration = Duration::from_secs(60);

/// The transfers of a node, and who asks it.
#[derive(Debug, Default)]
pub(crate) struct Transfers(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    live: BTreeMap<BlobId, Arc<Live>>,
    asked: BTreeMap<BlobId, Asked>,
}

/// Who asked for one blob.
#[derive(Debug)]
struct Asked {
    peers: BTreeMap<PeerId, Asker>,
    /// How many came, those who are forgotten included.
    came: u32,
    last: Instant,
}

#[derive(Clone, Copy, Debug)]
struct Asker {
    rank: u32,
    last: Instant,
}

/// A transfer as others may look at it.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) blob: BlobRef,
    pub(super) trees: Subtrees,
    have: Mutex<Bits>,
    /// Peers that may have some of it, and were not taken up yet.
    heard: Mutex<BTreeSet<PeerId>>,
    pub(super) is_heard: Notify,
}

/// A transfer is known to others as long as this.
#[derive(Debug)]
pub(super) struct Shown<'a> {
    transfers: &'a Transfers,
    pub(super) live: Arc<Live>,
}

impl Transfers {
    /// Lets others have what arrives. Of two transfers of the same blob they see the later.
    pub(super) fn show(&self, live: Arc<Live>) -> Shown<'_> {
        self.lock().live.insert(live.blob.id, Arc::clone(&live));
        Shown { transfers: self, live }
    }

    pub(super) fn live(&self, blob: BlobRef) -> Option<Arc<Live>> {
        self.lock().live.get(&blob.id).filter(|live| live.blob == blob).cloned()
    }

    /// What we tell a peer that asks what we have of a blob; `None` if nothing. It is told to others,
    /// and, if we are on our way to the whole blob, asked itself.
    pub(super) fn report(&self, blob: BlobRef, is_whole: bool, peer: PeerId) -> Option<Report> {
        let live = self.live(blob);
        let holding = match (is_whole, &live) {
            (true, _) => Holding::Whole,
            (false, Some(live)) => Holding::Part(live.have().clone()),
            (false, None) => return None,
        };
        if let Some(live) = live {
            live.hear([peer]);
        }
        let (rank, peers) = self.lock().note(blob.id, peer, Instant::now());
        Some(Report { holding, start: start_of(rank, chunk_count(blob.size)), peers })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Remembers that `peer` asked; how many came before it, and others who asked.
    fn note(&mut self, blob: BlobId, peer: PeerId, now: Instant) -> (u32, Vec<PeerId>) {
        self.asked.retain(|_, asked| now.duration_since(asked.last) < ASKERS_MEMORY);
        if self.asked.len() == ASKED_BLOBS_MAX && !self.asked.contains_key(&blob) {
            let oldest = self.asked.iter().min_by_key(|(_, asked)| asked.last).map(|(id, _)| *id);
            oldest.and_then(|id| self.asked.remove(&id));
        }
        let fresh = || Asked { peers: BTreeMap::new(), came: 0, last: now };
        let asked = self.asked.entry(blob).or_insert_with(fresh);
        asked.last = now;
        asked.peers.retain(|_, asker| now.duration_since(asker.last) < ASKERS_MEMORY);
        if asked.peers.len() == ASKERS_MAX && !asked.peers.contains_key(&peer) {
            let oldest = asked.peers.iter().min_by_key(|(_, asker)| asker.last).map(|(p, _)| *p);
            oldest.and_then(|peer| asked.peers.remove(&peer));
        }
        let came = &mut asked.came;
        let asker = asked.peers.entry(peer).or_insert_with(|| {
            let rank = *came;
            *came = came.wrapping_add(1);
            Asker { rank, last: now }
        });
        asker.last = now;
        let rank = asker.rank;
        let mut others: Vec<(PeerId, Asker)> = asked
            .peers
            .iter()
            .filter(|(other, _)| **other != peer)
            .map(|(p, a)| (*p, *a))
            .collect();
        others.sort_by_key(|(_, asker)| std::cmp::Reverse(asker.last));
        (rank, others.into_iter().take(NAMED_MAX).map(|(peer, _)| peer).collect())
    }
}

impl Live {
    pub(super) fn new(blob: BlobRef, trees: Subtrees, missing: &[u64]) -> Self {
        let mut have = Bits::all(chunk_count(blob.size));
        missing.iter().for_each(|index| have.set(*index, false));
        Self {
            blob,
            trees,
            have: Mutex::new(have),
            heard: Mutex::default(),
            is_heard: Notify::new(),
        }
    }

    /// The sink has taken a piece.
    pub(super) fn arrived(&self, index: u64) {
        self.have().set(index, true);
    }

    pub(super) fn has(&self, index: u64) -> bool {
        self.have().has(index)
    }

    fn have(&self) -> MutexGuard<'_, Bits> {
        self.have.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// These may have some of it.
    pub(super) fn hear(&self, peers: impl IntoIterator<Item = PeerId>) {
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        for peer in peers {
            if heard.len() < PROVIDERS_MAX && heard.insert(peer) {
                self.is_heard.notify_one();
            }
        }
    }

    pub(super) fn take_heard(&self) -> BTreeSet<PeerId> {
        std::mem::take(&mut self.heard.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Shown<'_> {
    fn drop(&mut self) {
        let mut state = self.transfers.lock();
        if state.live.get(&self.live.blob.id).is_some_and(|live| Arc::ptr_eq(live, &self.live)) {
            state.live.remove(&self.live.blob.id);
        }
    }
}

/// Where the one of this rank begins: the first at the front, the second in the middle, then at the
/// quarters, and so on, so that however many come, they begin far from each other.
fn start_of(rank: u32, count: u64) -> u32 {
    let start = (u64::from(rank.reverse_bits()) * count) >> 32;
    u32::try_from(start).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BLOB: BlobId = BlobId::new([9; 32]);

    fn name(number: u64) -> PeerId {
        let mut name = [0; 32];
        name[..8].copy_from_slice(&number.to_be_bytes());
        PeerId::new(name)
    }

    #[test]
    fn those_who_ask_hear_of_each_other_and_begin_far_apart() {
        let (mut state, now) = (State::default(), Instant::now());
        assert_eq!(state.note(BLOB, name(1), now), (0, vec![]));
        assert_eq!(state.note(BLOB, name(2), now), (1, vec![name(1)]));
        assert_eq!(state.note(BLOB, name(1), now), (0, vec![name(2)]), "it keeps its rank");
        let starts: Vec<u32> = (0..4).map(|rank| start_of(rank, 1024)).collect();
        assert_eq!(starts, [0, 512, 256, 768]);
        let later = now + ASKERS_MEMORY;
        assert_eq!(state.note(BlobId::new([8; 32]), name(3), later), (0, vec![]));
        assert_eq!(state.asked.len(), 1, "who asked long ago is forgotten");
    }

    #[test]
    fn a_flood_of_names_and_blobs_is_bounded() {
        let (mut state, now) = (State::default(), Instant::now());
        for number in 0..4 * ASKERS_MAX as u64 {
            let (_, named) = state.note(BLOB, name(number), now);
            assert!(named.len() <= NAMED_MAX);
            state.note(BlobId::new(*name(number).as_bytes()), name(0), now);
        }
        assert_eq!(state.asked.len(), ASKED_BLOBS_MAX);
        let most = state.asked.values().map(|asked| asked.peers.len()).max();
        assert!(most <= Some(ASKERS_MAX));
    }
}
