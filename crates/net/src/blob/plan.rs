//! The plan of a transfer: which pieces are wanted, and who was asked for which.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use protocol::PeerId;

use crate::limits::CHUNKS_PER_REQUEST;

/// A piece that a slow provider owes is asked for elsewhere when another has nothing to do and
/// could have delivered so many in the meantime.
const OVERDUE_FACTOR: u32 = 3;
/// It must be late by at least this, or a few fast pieces would be fetched twice for nothing.
const OVERDUE_MIN: Duration = Duration::from_millis(100);
/// Nobody is asked for a piece that so many owe already.
const ASKED_MAX: usize = 2;

/// Pieces that are wanted or owed.
#[derive(Debug)]
pub(super) struct Plan {
    todo: VecDeque<u64>,
    owed: BTreeMap<u64, Owed>,
}

#[derive(Debug)]
struct Owed {
    by: Vec<PeerId>,
    since: Instant,
}

/// What a provider should be asked for next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// These pieces, in one request.
    Pieces { first: u64, count: u32 },
    /// Nothing now; look again at this time, or when something changed.
    Wait { until: Option<Instant> },
    /// Nothing is wanted or owed any more.
    Done,
}

impl Plan {
    pub(super) fn new(missing: Vec<u64>) -> Self {
        Self { todo: missing.into(), owed: BTreeMap::new() }
    }

    /// Pieces that have not arrived.
    pub(super) fn left(&self) -> u64 {
        (self.todo.len() + self.owed.len()) as u64
    }

    /// What `peer`, one of `peers` that work, should be asked for; `pace` is what it needs for a
    /// piece, as far as that is known.
    pub(super) fn next(
        &mut self,
        peer: PeerId,
        peers: usize,
        pace: Option<Duration>,
        now: Instant,
    ) -> Next {
        let Some(first) = self.todo.pop_front() else { return self.steal(peer, pace, now) };
        // Near the end everybody gets a share.
        let share = (self.todo.len() + 1).div_ceil(2 * peers.max(1));
        let most = share.min(CHUNKS_PER_REQUEST as usize) as u32;
        let mut count = 1;
        while count < most && self.todo.front() == Some(&(first + u64::from(count))) {
            self.todo.pop_front();
            count += 1;
        }
        for index in first..first + u64::from(count) {
            self.owed.insert(index, Owed { by: vec![peer], since: now });
        }
        Next::Pieces { first, count }
    }

    /// A piece that another provider owes for too long.
    fn steal(&mut self, peer: PeerId, pace: Option<Duration>, now: Instant) -> Next {
        if self.owed.is_empty() {
            return Next::Done;
        }
        let patience = pace.map_or(OVERDUE_MIN, |pace| (pace * OVERDUE_FACTOR).max(OVERDUE_MIN));
        let open = |owed: &Owed| owed.by.len() < ASKED_MAX && !owed.by.contains(&peer);
        let oldest = self.owed.iter_mut().filter(|(_, owed)| open(owed));
        let Some((index, owed)) = oldest.min_by_key(|(_, owed)| owed.since) else {
            return Next::Wait { until: None };
        };
        if now < owed.since + patience {
            return Next::Wait { until: Some(owed.since + patience) };
        }
        owed.by.push(peer);
        owed.since = now;
        Next::Pieces { first: *index, count: 1 }
    }

    /// A piece arrived and is right; true the first time.
    pub(super) fn arrived(&mut self, index: u64) -> bool {
        self.owed.remove(&index).is_some()
    }

    /// Nothing more comes from `peer`: what only it owed is wanted again.
    pub(super) fn drop_peer(&mut self, peer: PeerId) {
        let mut back = Vec::new();
        self.owed.retain(|index, owed| {
            owed.by.retain(|other| *other != peer);
            if owed.by.is_empty() {
                back.push(*index);
            }
            !owed.by.is_empty()
        });
        for index in back.into_iter().rev() {
            self.todo.push_front(index);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: PeerId = PeerId::new([1; 32]);
    const B: PeerId = PeerId::new([2; 32]);

    #[test]
    fn neighbouring_pieces_are_asked_for_together_and_gaps_divide_them() {
        let mut plan = Plan::new(vec![0, 1, 2, 3, 4, 5, 9, 10, 20]);
        let now = Instant::now();
        assert_eq!(plan.next(A, 1, None, now), Next::Pieces { first: 0, count: 4 });
        assert_eq!(plan.next(A, 1, None, now), Next::Pieces { first: 4, count: 2 });
        assert_eq!(plan.next(B, 1, None, now), Next::Pieces { first: 9, count: 2 });
        assert_eq!(plan.next(B, 1, None, now), Next::Pieces { first: 20, count: 1 });
        assert_eq!(plan.left(), 9);
    }

    #[test]
    fn what_a_lost_provider_owed_is_wanted_again() {
        let (mut plan, now) = (Plan::new(vec![0, 1, 2, 3]), Instant::now());
        assert_eq!(plan.next(A, 1, None, now), Next::Pieces { first: 0, count: 2 });
        assert!(plan.arrived(0));
        plan.drop_peer(A);
        assert_eq!(plan.next(B, 1, None, now), Next::Pieces { first: 1, count: 2 });
        assert!(!plan.arrived(0), "it arrived before");
    }

    #[test]
    fn an_idle_provider_takes_over_what_another_owes_for_too_long() {
        let (mut plan, start) = (Plan::new(vec![0]), Instant::now());
        let pace = Some(Duration::from_millis(200));
        assert_eq!(plan.next(A, 2, None, start), Next::Pieces { first: 0, count: 1 });
        let due = start + Duration::from_millis(600);
        assert_eq!(plan.next(A, 2, pace, due), Next::Wait { until: None }, "its own debt");
        assert_eq!(plan.next(B, 2, pace, start), Next::Wait { until: Some(due) });
        assert_eq!(plan.next(B, 2, pace, due), Next::Pieces { first: 0, count: 1 });
        assert!(plan.arrived(0));
        assert!(!plan.arrived(0), "the second copy is dropped");
        assert_eq!(plan.next(A, 2, pace, due), Next::Done);
    }
}
