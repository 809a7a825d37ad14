//! The plan of a transfer: which pieces are wanted, who has them, and who was asked for which.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use protocol::{PeerId, chunk_count};

use super::bits::Bits;
use super::report::Holding;

/// A piece that a slow provider owes is asked for elsewhere when another has nothing to do and
/// could have delivered so many in the meantime.
const OVERDUE_FACTOR: u32 = 3;
/// It must be late by at least this, or a few fast pieces would be fetched twice for nothing.
const OVERDUE_MIN: Duration = Duration::from_millis(100);
/// Nobody is asked for a piece that so many owe already, unless they owe it for long.
const ASKED_MAX: usize = 2;
/// They may ask for patience for minutes, and two bad ones must not keep a piece from the others.
const OVERDUE_LONG: Duration = Duration::from_secs(10);
/// Who has everything is asked for what those on their way have, too, once they have given nothing for
/// as long as it needs for so many pieces.
const LULL_FACTOR: u32 = 8;
const LULL_MIN: Duration = Duration::from_millis(200);
const LULL_MAX: Duration = Duration::from_secs(2);
/// Pieces that are compared to find a rare one.
const LOOKED_AT: usize = 256;

/// Pieces that are wanted or owed.
#[derive(Debug)]
pub(super) struct Plan {
    todo: BTreeSet<u64>,
    owed: BTreeMap<u64, Owed>,
    count: u64,
    /// Providers that are on their way themselves, and what they have.
    parts: BTreeMap<PeerId, Bits>,
    /// How many of them have a piece; one that has all counts no more.
    spread: Vec<u8>,
    /// From here on the pieces are asked for that nobody else has.
    cursor: u64,
    last_arrival: Option<Instant>,
    /// When one that is on its way gave something last, or was waited for at first.
    last_given: Option<Instant>,
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

/// A provider as it asks for work.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asking {
    pub(super) peer: PeerId,
    /// How many providers work.
    pub(super) peers: usize,
    /// What it needs for a piece, as far as that is known.
    pub(super) pace: Option<Duration>,
    /// Pieces that it may be asked for in one request.
    pub(super) most: u32,
}

impl Plan {
    pub(super) fn new(size: u64, missing: Vec<u64>) -> Self {
        let count = chunk_count(size);
        Self {
            todo: missing.into_iter().collect(),
            owed: BTreeMap::new(),
            count,
            parts: BTreeMap::new(),
            spread: vec![0; count as usize],
            cursor: 0,
            last_arrival: None,
            last_given: None,
        }
    }

    /// Pieces that have not arrived.
    pub(super) fn left(&self) -> u64 {
        (self.todo.len() + self.owed.len()) as u64
    }

    /// What a provider says it has. It may be wrong: then it is asked for nothing, or in vain.
    pub(super) fn holds(&mut self, peer: PeerId, holding: &Holding) {
        self.forget(peer);
        match holding {
            Holding::Whole => {}
            Holding::Part(bits) => {
                for index in bits.each() {
                    let spread = &mut self.spread[index as usize];
                    *spread = spread.saturating_add(1);
                }
                self.parts.insert(peer, bits.clone());
            }
        }
    }

    /// Where this transfer begins, so that others begin elsewhere.
    pub(super) fn begin_at(&mut self, start: u64) {
        if self.last_arrival.is_none() {
            self.cursor = start % self.count;
        }
    }

    /// What a provider should be asked for.
    pub(super) fn next(&mut self, asking: Asking, now: Instant) -> Next {
        if self.todo.is_empty() {
            return self.steal(asking, now);
        }
        let found = match self.parts.get(&asking.peer) {
            Some(bits) => self.rare(bits),
            None => match self.unspread() {
                Some(first) => Some(first),
                // Others on their way have it all. They should give it, as long as they do.
                None => {
                    let pace = asking.pace.unwrap_or_default() * LULL_FACTOR;
                    let lull = pace.clamp(LULL_MIN, LULL_MAX);
                    let due = self.last_given.get_or_insert(now).checked_add(lull);
                    if due.is_some_and(|due| now < due) {
                        return Next::Wait { until: due };
                    }
                    self.from(self.cursor).next()
                }
            },
        };
        match found {
            Some(first) => self.take(asking, first, now),
            None => self.steal(asking, now),
        }
    }

    /// A run of wanted pieces that the provider has, from `first` on.
    fn take(&mut self, asking: Asking, first: u64, now: Instant) -> Next {
        // Near the end everybody gets a share.
        let share = self.todo.len().div_ceil(2 * asking.peers.max(1));
        let most = share.min(asking.most as usize) as u64;
        let part = self.parts.get(&asking.peer);
        let fits = |index: &u64| match part {
            Some(bits) => bits.has(*index),
            None => self.spread[*index as usize] == self.spread[first as usize],
        };
        let wanted = |index: &u64| self.todo.contains(index) && fits(index);
        let count = (first..first + most).take_while(wanted).count().max(1) as u64;
        for index in first..first + count {
            self.todo.remove(&index);
            self.owed.insert(index, Owed { by: vec![asking.peer], since: now });
        }
        if !self.parts.contains_key(&asking.peer) {
            self.cursor = (first + count) % self.count;
        }
        Next::Pieces { first, count: count as u32 }
    }

    /// The next wanted piece that nobody else on the way is known to have.
    fn unspread(&self) -> Option<u64> {
        self.from(self.cursor).find(|index| self.spread[*index as usize] == 0)
    }

    /// Of what `bits` has and we want, a piece that few have.
    fn rare(&self, bits: &Bits) -> Option<u64> {
        let theirs = self.from(self.cursor).filter(|index| bits.has(*index));
        theirs.take(LOOKED_AT).min_by_key(|index| self.spread[*index as usize])
    }

    /// The wanted pieces from `start` on, and around to it.
    fn from(&self, start: u64) -> impl Iterator<Item = u64> {
        self.todo.range(start..).chain(self.todo.range(..start)).copied()
    }

    /// A piece that another provider owes for too long.
    fn steal(&mut self, asking: Asking, now: Instant) -> Next {
        if self.left() == 0 {
            return Next::Done;
        }
        let Asking { peer, pace, .. } = asking;
        let patience = pace.map_or(OVERDUE_MIN, |pace| (pace * OVERDUE_FACTOR).max(OVERDUE_MIN));
        let bits = self.parts.get(&peer);
        let open = |index: &u64, owed: &Owed| {
            bits.is_none_or(|bits| bits.has(*index)) && !owed.by.contains(&peer)
        };
        let due = |owed: &Owed| match owed.by.len() < ASKED_MAX {
            true => owed.since + patience,
            false => owed.since + patience.max(OVERDUE_LONG),
        };
        let others = self.owed.iter_mut().filter(|(index, owed)| open(index, owed));
        let Some((index, owed)) = others.min_by_key(|(_, owed)| due(owed)) else {
            return Next::Wait { until: None };
        };
        if now < due(owed) {
            return Next::Wait { until: Some(due(owed)) };
        }
        owed.by.push(peer);
        owed.since = now;
        Next::Pieces { first: *index, count: 1 }
    }

    /// A piece arrived and is right; true the first time.
    pub(super) fn arrived(&mut self, index: u64, by: PeerId, now: Instant) -> bool {
        self.last_arrival = Some(now);
        if self.parts.contains_key(&by) {
            self.last_given = Some(now);
        }
        self.owed.remove(&index).is_some()
    }

    pub(super) fn last_arrival(&self) -> Option<Instant> {
        self.last_arrival
    }

    /// Nothing more comes from `peer` now: what only it owed is wanted again.
    pub(super) fn drop_peer(&mut self, peer: PeerId) {
        self.forget(peer);
        self.owed.retain(|index, owed| {
            owed.by.retain(|other| *other != peer);
            if owed.by.is_empty() {
                self.todo.insert(*index);
            }
            !owed.by.is_empty()
        });
    }

    fn forget(&mut self, peer: PeerId) {
        for index in self.parts.remove(&peer).iter().flat_map(Bits::each) {
            let spread = &mut self.spread[index as usize];
            *spread = spread.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::CHUNKS_PER_REQUEST;

    const A: PeerId = PeerId::new([1; 32]);
    const B: PeerId = PeerId::new([2; 32]);
    const MIB: u64 = 1 << 20;

    fn asks(plan: &mut Plan, peer: PeerId, peers: usize, pace: Option<u64>, now: Instant) -> Next {
        let pace = pace.map(Duration::from_millis);
        plan.next(Asking { peer, peers, pace, most: CHUNKS_PER_REQUEST }, now)
    }

    fn pieces(first: u64, count: u32) -> Next {
        Next::Pieces { first, count }
    }

    fn part(count: u64, has: impl IntoIterator<Item = u64>) -> Holding {
        let mut bits = Bits::none(count);
        has.into_iter().for_each(|index| bits.set(index, true));
        Holding::Part(bits)
    }

    #[test]
    fn neighbouring_pieces_are_asked_for_together_and_gaps_divide_them() {
        let mut plan = Plan::new(21 * MIB, vec![0, 1, 2, 3, 4, 5, 9, 10, 20]);
        let now = Instant::now();
        assert_eq!(asks(&mut plan, A, 1, None, now), pieces(0, 4));
        assert_eq!(asks(&mut plan, A, 1, None, now), pieces(4, 2));
        assert_eq!(asks(&mut plan, B, 1, None, now), pieces(9, 2));
        assert_eq!(asks(&mut plan, B, 1, None, now), pieces(20, 1));
        assert_eq!(plan.left(), 9);
    }

    #[test]
    fn what_a_lost_provider_owed_is_wanted_again() {
        let (mut plan, now) = (Plan::new(4 * MIB, vec![0, 1, 2, 3]), Instant::now());
        assert_eq!(asks(&mut plan, A, 1, None, now), pieces(0, 2));
        assert!(plan.arrived(0, A, now));
        plan.drop_peer(A);
        plan.begin_at(3);
        assert_eq!(asks(&mut plan, B, 1, None, now), pieces(2, 2), "it began before");
        assert_eq!(asks(&mut plan, B, 1, None, now), pieces(1, 1));
        assert!(!plan.arrived(0, A, now), "it arrived before");
    }

    #[test]
    fn an_idle_provider_takes_over_what_another_owes_for_too_long() {
        let (mut plan, start) = (Plan::new(MIB, vec![0]), Instant::now());
        let pace = Some(200);
        assert_eq!(asks(&mut plan, A, 2, None, start), pieces(0, 1));
        let due = start + Duration::from_millis(600);
        assert_eq!(asks(&mut plan, A, 2, pace, due), Next::Wait { until: None }, "its own debt");
        assert_eq!(asks(&mut plan, B, 2, pace, start), Next::Wait { until: Some(due) });
        assert_eq!(asks(&mut plan, B, 2, pace, due), pieces(0, 1));
        assert!(plan.arrived(0, A, due));
        assert!(!plan.arrived(0, A, due), "the second copy is dropped");
        assert_eq!(asks(&mut plan, A, 2, pace, due), Next::Done);
    }

    #[test]
    fn two_that_never_deliver_do_not_keep_a_piece_from_a_third() {
        let (mut plan, start) = (Plan::new(MIB, vec![0]), Instant::now());
        assert_eq!(asks(&mut plan, A, 3, None, start), pieces(0, 1));
        let later = start + OVERDUE_MIN;
        assert_eq!(asks(&mut plan, B, 3, None, later), pieces(0, 1));
        let third = PeerId::new([3; 32]);
        assert_eq!(
            asks(&mut plan, third, 3, None, start + OVERDUE_LONG),
            Next::Wait { until: Some(later + OVERDUE_LONG) }
        );
        assert_eq!(asks(&mut plan, third, 3, None, later + OVERDUE_LONG), pieces(0, 1));
    }

    #[test]
    fn who_has_a_part_is_asked_for_that_and_who_has_all_for_the_rest() {
        let (mut plan, now) = (Plan::new(16 * MIB, (0..16).collect()), Instant::now());
        plan.begin_at(8);
        plan.holds(A, &part(16, [0, 1, 2, 9]));
        assert_eq!(asks(&mut plan, B, 2, None, now), pieces(8, 1));
        assert_eq!(asks(&mut plan, B, 2, None, now), pieces(10, 4));
        assert_eq!(asks(&mut plan, A, 2, None, now), pieces(0, 3));
        assert_eq!(asks(&mut plan, A, 2, None, now), pieces(9, 1));
        assert_eq!(asks(&mut plan, A, 2, None, now), Next::Wait { until: None });
        plan.holds(A, &Holding::Whole);
        assert_eq!(asks(&mut plan, A, 2, None, now), pieces(14, 2));
    }

    #[test]
    fn the_rarest_comes_first() {
        let (mut plan, now) = (Plan::new(8 * MIB, (0..8).collect()), Instant::now());
        plan.holds(A, &part(8, [0, 1, 6]));
        plan.holds(B, &part(8, [0, 1]));
        assert_eq!(asks(&mut plan, A, 2, None, now), pieces(6, 1));
    }

    #[test]
    fn who_has_all_stands_back_until_the_others_fall_silent() {
        let (mut plan, now) = (Plan::new(4 * MIB, (0..4).collect()), Instant::now());
        plan.holds(A, &part(4, 0..4));
        let due = now + LULL_MIN;
        assert_eq!(asks(&mut plan, B, 1, Some(1), now), Next::Wait { until: Some(due) });
        assert_eq!(asks(&mut plan, B, 1, Some(1), due), pieces(0, 2));
        plan.drop_peer(A);
        assert_eq!(asks(&mut plan, B, 1, Some(1), due), pieces(2, 1), "nobody else has it now");
    }
}
