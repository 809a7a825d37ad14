//! Units of a stage by what the verdict says of them: numbers that always add up.

use super::assurance::Assurance;
use super::verdict::{Standing, UnitVerdict, Verdict};
use crate::Plan;

/// Open, self-executed, accepted and contested units add up to all of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub units: u64,
    pub open: u64,
    /// Executed by the submitter alone.
    pub self_executed: u64,
    /// With an outcome that a quorum or an anchor stands behind.
    pub accepted: u64,
    /// In question, with or without an outcome.
    pub contested: u64,
    /// Of those with an outcome: final, and not sealed.
    pub finals: u64,
    /// Of those with an outcome: sealed.
    pub sealed: u64,
}

impl Verdict {
    /// What becomes of a stage's units.
    pub fn tally(&self, plan: &Plan, stage: u16) -> Tally {
        let batches = 0..self.batches(stage).len() as u32;
        batches.fold(Tally::default(), |sum, batch| {
            let one = self.tally_of(plan, stage, batch);
            Tally {
                units: sum.units + one.units,
                open: sum.open + one.open,
                self_executed: sum.self_executed + one.self_executed,
                accepted: sum.accepted + one.accepted,
                contested: sum.contested + one.contested,
                finals: sum.finals + one.finals,
                sealed: sum.sealed + one.sealed,
            }
        })
    }

    /// What becomes of one batch's units.
    pub fn tally_of(&self, plan: &Plan, stage: u16, batch: u32) -> Tally {
        let of = self.batch(stage, batch);
        let range = plan.partition(stage).units_of(batch);
        let units = range.end - range.start;
        let is_contested = |unit: &&UnitVerdict| **unit == UnitVerdict::Contested;
        let contested = of.units.values().filter(is_contested).count() as u64;
        let alone = of.units.len() as u64 - contested;
        let mut tally = Tally { units, contested, ..Tally::default() };
        match &of.standing {
            // Whatever has become of the votes: an anchor's word stands in their place.
            Standing::Open | Standing::SelfExecuted { .. } if of.is_sealed => {
                tally.accepted = units;
            }
            Standing::Quorum { .. } => tally.accepted = units - contested,
            Standing::SelfExecuted { .. } => tally.self_executed = units - contested,
            Standing::Open => (tally.accepted, tally.open) = (alone, units - contested - alone),
        }
        match self.assurance(plan, stage, batch) {
            Assurance::Provisional => {}
            Assurance::Final => tally.finals = units,
            Assurance::Sealed => tally.sealed = units,
        }
        tally
    }
}
