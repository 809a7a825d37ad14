//! Contests: leaves are posted, and workers of low rank cast ballots until the unit is decided.

use std::collections::BTreeSet;

use protocol::{Hash, Item, Leaves, Standing};

use super::town::Town;
use crate::schemes::setting::Adversary;

/// Workers of the lowest ranks that cast ballots at once; more join if that does not decide.
const FIRST: usize = 8;
/// How many join each time the verdict is read and nobody is left.
const MORE: usize = 2;

/// A unit in question.
#[derive(Debug)]
pub(super) struct Contest {
    /// Everybody, by rank.
    order: Vec<usize>,
    allowed: usize,
    busy: BTreeSet<usize>,
    /// Who should cast a ballot now.
    pub(super) wanted: BTreeSet<usize>,
}

impl Town {
    pub(super) fn standing_root(&self, number: u32) -> Option<Hash> {
        match &self.ledger.last_verdict().batch(0, number).standing {
            Standing::Quorum { root, .. } => Some(*root),
            Standing::Open | Standing::SelfExecuted { .. } => None,
        }
    }

    /// A unit in question that waits for this worker.
    pub(super) fn pick_contest(&mut self, who: usize) -> Option<u64> {
        let (unit, contest) = self.contests.iter_mut().find(|(_, c)| c.wanted.contains(&who))?;
        contest.wanted.remove(&who);
        contest.busy.insert(who);
        Some(*unit)
    }

    pub(super) fn judged(&mut self, who: usize, unit: u64) {
        if let Some(contest) = self.contests.get_mut(&unit) {
            contest.busy.remove(&who);
        }
        if !self.ballots.get(&unit).is_some_and(|ballots| ballots.contains_key(&who)) {
            let digest = self.finding(who, unit, false);
            self.cast(who, unit, digest);
        }
    }

    /// Brings the contests in line with the verdict's; says whether somebody has yet to speak.
    pub(super) fn attend_to_contests(&mut self, contested: &BTreeSet<u64>, turn: &BTreeSet<u64>) {
        self.contests.retain(|unit, _| contested.contains(unit));
        for unit in turn {
            if !self.contests.contains_key(unit) {
                let number = self.batch_of(*unit);
                let mut order: Vec<usize> = (0..self.workers.len()).collect();
                order.sort_by_cached_key(|w| self.rank(number, self.workers[*w].pen.peer));
                let (busy, wanted) = (BTreeSet::new(), BTreeSet::new());
                let contest = Contest { order, allowed: FIRST, busy, wanted };
                self.contests.insert(*unit, contest);
            }
            self.call(*unit);
        }
    }

    /// Calls the workers of the lowest ranks to cast ballots; who knows the unit does so at once.
    fn call(&mut self, unit: u64) {
        let batch = &self.batches[self.batch_of(unit) as usize];
        let contest = self.contests.get_mut(&unit).expect("it was just opened");
        let has_said =
            |who: usize| self.ballots.get(&unit).is_some_and(|ballots| ballots.contains_key(&who));
        let hides = |who: usize| {
            self.workers[who].is_liar
                && self.setting.adversary != Adversary::Open
                && batch.vote_of(who).is_some_and(|content| Some(content) == batch.lie.as_ref())
        };
        let index = batch.index(unit);
        let live = || contest.order.iter().copied().filter(|who| !self.workers[*who].is_out);
        let silent = |allowed: usize| -> BTreeSet<usize> {
            live().take(allowed).filter(|who| !has_said(*who) && !hides(*who)).collect()
        };
        let mut wanted = silent(contest.allowed);
        if wanted.is_empty() && contest.allowed < live().count() {
            wanted = silent(contest.allowed + MORE);
            contest.allowed += MORE;
        }
        let (known, unknown): (BTreeSet<usize>, BTreeSet<usize>) =
            wanted.into_iter().partition(|who| batch.vote_of(*who).is_some());
        contest.wanted = unknown.difference(&contest.busy).copied().collect();
        let known: Vec<(usize, Hash)> = known
            .into_iter()
            .filter_map(|who| Some((who, batch.vote_of(who)?.digests[index])))
            .collect();
        for (who, digest) in known {
            self.cast(who, unit, digest);
        }
    }

    /// Posts what is under the roots in question, as anybody does who could fetch it.
    pub(super) fn post_leaves(&mut self, wanted: &BTreeSet<(u32, Hash)>) {
        let withholds = matches!(self.setting.adversary, Adversary::Withholder { .. });
        for (number, root) in wanted {
            let batch = &self.batches[*number as usize];
            let Some(content) = batch.content(*root).cloned() else { continue };
            let is_hidden = withholds && Some(&content) == batch.lie.as_ref();
            if is_hidden || !self.posted.insert((*number, *root)) {
                continue;
            }
            let slot = batch.slot;
            let leaves = Leaves { slot, root: *root, digests: content.digests.clone() };
            let honest = self.workers.iter_mut().find(|worker| !worker.is_liar);
            honest.expect("some are honest").pen.say(Item::Leaves(leaves));
        }
    }

    pub(super) fn is_anybody_called(&self) -> bool {
        self.contests
            .values()
            .any(|contest| !contest.wanted.is_empty() || contest.allowed < self.workers.len())
    }
}
