//! Promises about what honest nodes say themselves: their votes are right, and their seals agree with them.

use protocol::{About, Hash, Item, JobId, Seal, Slot, Vote, merkle_root};

use crate::promise::Promise;
use crate::world::World;

impl World {
    /// **An honest vote is what executing gives**: where everything that a batch or unit reads is right, so is each
    /// honest vote on it.
    pub(crate) fn votes_are_right(&mut self, index: usize, job: JobId, vote: &Vote) {
        let Slot { stage, about, .. } = vote.slot;
        let Some(truth) = self.truth(job).filter(|t| t.slot(stage, about) == Some(vote.slot))
        else {
            return;
        };
        let right = truth.root(stage, truth.units(stage, about));
        if right.is_some_and(|right| right != root_of(about, vote.root)) {
            let what = format!("n{index} votes for {} on {:?}", vote.root, vote.slot);
            self.broken(Promise::VotesAreRight, what);
        }
    }

    /// **An anchor seals nothing that it has found to be otherwise**: its own vote on the batch, or its ballot on the only
    /// unit of the batch, has the root that it seals; and no step seals a batch and has a ballot without a path on one
    /// of several units, for who agrees with what stands shows where.
    pub(crate) fn anchors_are_of_one_mind(&mut self, index: usize, job: JobId, items: &[Item]) {
        let seals = items.iter().filter_map(|item| match item {
            Item::Seal(seal) => Some(seal),
            _ => None,
        });
        for seal in seals {
            self.seal_agrees(index, job, seal, items);
        }
    }

    fn seal_agrees(&mut self, index: usize, job: JobId, seal: &Seal, items: &[Item]) {
        let Some(truth) = self.truth(job) else { return };
        let stage = seal.stage;
        let is_against = |batch: u32, item: &Item| match item {
            Item::Vote(Vote {
                slot: Slot { stage: of, about: About::Unit(unit), .. },
                path,
                ..
            }) => {
                let partition = truth.plan.partition(stage);
                let units = partition.units_of(batch);
                *of == stage
                    && units.contains(unit)
                    && 1 < units.end - units.start
                    && path.is_empty()
            }
            _ => false,
        };
        let differs = (seal.first..).zip(&seal.batches).find(|(batch, (units, root))| {
            if items.iter().any(|item| is_against(*batch, item)) {
                return true;
            }
            let batch = About::Batch(*batch);
            let own = Slot { stage, about: batch, units: *units };
            // What the batch's only unit reads is known to be the same where it is right.
            let range = truth.units(stage, batch);
            let is_single = range.end - range.start == 1 && truth.slot(stage, batch) == Some(own);
            let alone = truth.slot(stage, About::Unit(range.start)).filter(|_| is_single);
            let mut said = [Some(own), alone].into_iter().flatten().filter_map(|slot| {
                self.watch.vote_of(index, job, slot).map(|said| root_of(slot.about, said))
            });
            said.any(|said| said != *root)
        });
        if let Some((batch, _)) = differs {
            let what = format!("n{index} seals stage {stage} batch {batch} against its own vote");
            self.broken(Promise::AnchorsAreOfOneMind, what);
        }
    }
}

/// The root that a vote is for; a ballot's is its only leaf.
fn root_of(about: About, said: Hash) -> Hash {
    match about {
        About::Batch(_) => said,
        About::Unit(_) => merkle_root(&[said]),
    }
}
