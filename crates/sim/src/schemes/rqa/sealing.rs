//! Sealing: the submitter comes back to a finished job, audits as an anchor does, and seals what is left.

use std::collections::{BTreeMap, BTreeSet};

use protocol::{PeerId, Standing};

use super::pen::Pen;
use super::town::{Town, submitter, true_outcome};
use crate::schemes::setting::Outcome;

/// What the engine's anchor executes at least, if there is as much to draw from.
const AUDITS_MIN: u64 = 64;

type Voters = BTreeSet<PeerId>;

impl Town {
    /// Draws units of sets of voters that stand together until none is left or the budget is spent, as the engine
    /// does, and lets the town settle what that shows; then adds to the outcome what is sealed.
    pub(super) fn seal(&mut self, outcome: Outcome) -> Outcome {
        let anchor = self.workers.len();
        self.take_in(Pen::of(submitter(self.setting)), false, Vec::new());
        let budget = AUDITS_MIN.max(self.setting.size.units * self.rqa.audits / 400);
        let (mut drawn, mut convicted, mut anchored) = (BTreeSet::new(), 0, 0);
        loop {
            let out = self.workers.iter().filter(|worker| worker.is_out).count();
            if out != convicted {
                // What is executed anew was not there to be drawn.
                (convicted, drawn) = (out, BTreeSet::new());
            }
            let strata: Vec<_> =
                self.strata().into_iter().filter(|(voters, _)| !drawn.contains(voters)).collect();
            if strata.is_empty() || budget <= anchored || self.rqa.audits == 0 {
                break;
            }
            anchored += self.audit_strata(anchor, strata, budget - anchored, &mut drawn);
            self.play();
        }
        Outcome { anchored, wrong_sealed: self.outcome().wrong, ..outcome }
    }

    /// Casts ballots on a unit of each set, in any order; returns how many.
    fn audit_strata(
        &mut self,
        anchor: usize,
        mut strata: Vec<(Voters, Vec<u32>)>,
        budget: u64,
        drawn: &mut BTreeSet<Voters>,
    ) -> u64 {
        let mut audits = 0;
        while audits < budget && !strata.is_empty() {
            let turn = self.chance.below(strata.len() as u64) as usize;
            let (voters, batches) = strata.swap_remove(turn);
            drawn.insert(voters);
            let batch = batches[self.chance.below(batches.len() as u64) as usize];
            let units = self.batches[batch as usize].units.clone();
            let unit = units.start + self.chance.below(units.end - units.start);
            if !self.ballots.get(&unit).is_some_and(|ballots| ballots.contains_key(&anchor)) {
                self.cast(anchor, unit, true_outcome(unit));
                audits += 1;
            }
        }
        audits
    }

    /// Batches by who stands behind them.
    fn strata(&self) -> BTreeMap<Voters, Vec<u32>> {
        let mut strata: BTreeMap<Voters, Vec<u32>> = BTreeMap::new();
        for (number, read) in (0..).zip(self.ledger.last_verdict().batches(0)) {
            if let Standing::Quorum { voters, .. } = &read.standing {
                strata.entry(voters.clone()).or_default().push(number);
            }
        }
        strata
    }
}
