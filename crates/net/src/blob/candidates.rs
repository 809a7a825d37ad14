//! Whom a transfer may ask: whoever was named for it, and whoever is connected once those only promise.

use std::collections::{BTreeSet, VecDeque};

use protocol::PeerId;

use crate::limits::{PROVIDERS_AT_ONCE, PROVIDERS_MAX};
use crate::shared::Shared;

/// Peers, each taken up once.
#[derive(Debug)]
pub(super) struct Candidates {
    /// Ourselves included.
    known: BTreeSet<PeerId>,
    waiting: VecDeque<PeerId>,
    /// How many may be asked at one time.
    at_once: usize,
}

impl Candidates {
    pub(super) fn new(me: PeerId, named: impl IntoIterator<Item = PeerId>) -> Self {
        let mut candidates = Self {
            known: BTreeSet::from([me]),
            waiting: VecDeque::new(),
            at_once: PROVIDERS_AT_ONCE,
        };
        candidates.add(named);
        candidates
    }

    /// Adds those who are new, as far as there is room.
    pub(super) fn add(&mut self, peers: impl IntoIterator<Item = PeerId>) {
        for peer in peers {
            if self.known.len() <= PROVIDERS_MAX && self.known.insert(peer) {
                self.waiting.push_back(peer);
            }
        }
    }

    /// Those who were asked have given nothing for long: others are asked beside them, and whoever
    /// is connected may be one.
    pub(super) fn widen(&mut self, shared: &Shared) {
        self.at_once = (self.at_once + PROVIDERS_AT_ONCE).min(PROVIDERS_MAX);
        self.add(shared.roster.names());
    }

    /// The next to ask, if not too many are being asked.
    pub(super) fn next(&mut self, asked: usize) -> Option<PeerId> {
        if asked < self.at_once { self.waiting.pop_front() } else { None }
    }

    pub(super) fn can_ask(&self, asked: usize) -> bool {
        asked < self.at_once && !self.waiting.is_empty()
    }

    /// They are asked once more, before all others.
    pub(super) fn take_back(&mut self, peers: Vec<PeerId>) {
        peers.into_iter().rev().for_each(|peer| self.waiting.push_front(peer));
        self.at_once = PROVIDERS_AT_ONCE;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_asked_once_and_only_so_many_at_one_time() {
        let name = |number: usize| PeerId::new([number as u8; 32]);
        let mut candidates = Candidates::new(name(0), [name(1), name(0), name(1), name(2)]);
        assert_eq!(candidates.next(PROVIDERS_AT_ONCE), None);
        assert_eq!(candidates.next(0), Some(name(1)));
        assert_eq!(candidates.next(1), Some(name(2)));
        candidates.add((0..200).map(name));
        let rest = std::iter::from_fn(|| candidates.next(0)).count();
        assert_eq!(rest + 2, PROVIDERS_MAX, "however many are named");
        candidates.take_back(vec![name(1), name(2)]);
        assert_eq!(candidates.next(0), Some(name(1)));
    }
}
