//! Executes honestly and gives its traces away: it publishes proofs in the names of peers that have not
//! voted, so that whoever finds its own among them can vote without having executed.

use std::collections::BTreeMap;

use protocol::{
    About, Certificate, Hash, Item, JobId, NetworkId, PeerId, Shown, Slot, merkle_root, proof,
};

use super::gang::Gang;
use super::part::{Part, Ran, Task};

#[derive(Debug)]
pub(super) struct Leaker {
    network: NetworkId,
    me: PeerId,
    gang: Gang,
    traces: BTreeMap<(JobId, u16, u64), (Hash, Task)>,
}

impl Leaker {
    pub(super) fn new(network: NetworkId, me: PeerId, gang: Gang) -> Self {
        Self { network, me, gang, traces: BTreeMap::new() }
    }

    fn trace(&self, job: JobId, slot: &Slot) -> Option<Hash> {
        let of_unit = |unit| self.traces.get(&(job, slot.stage, unit)).map(|(trace, _)| *trace);
        match slot.about {
            About::Unit(unit) => of_unit(unit),
            About::Batch(batch) => {
                let of_stage = self.traces.range((job, slot.stage, 0)..).next()?;
                let partition = of_stage.1.1.plan.partition(slot.stage);
                let traces: Option<Vec<Hash>> = partition.units_of(batch).map(of_unit).collect();
                traces.map(|traces| merkle_root(&traces))
            }
        }
    }

    fn leak(&self, job: JobId, slot: Slot, root: Hash) -> Option<Item> {
        let trace = self.trace(job, &slot)?;
        let others = self.gang.workers.iter().filter(|peer| **peer != self.me);
        let shown = |voter: &PeerId| {
            let proof = proof(self.network, job, &slot, *voter, trace);
            Shown { voter: *voter, proof }
        };
        let proofs: Vec<Shown> = others.take(16).map(shown).collect();
        (!proofs.is_empty()).then_some(Item::Certificate(Certificate { slot, root, proofs }))
    }
}

impl Part for Leaker {
    fn writes(&self) -> bool {
        true
    }

    fn ran(&mut self, task: &Task, ran: Ran, _forged: &mut Vec<Vec<u8>>) -> Ran {
        if let Ok(execution) = &ran {
            let of_unit = (execution.trace, task.clone());
            self.traces.insert((task.job, task.stage, task.unit), of_unit);
        }
        ran
    }

    fn write(&mut self, job: JobId, mut items: Vec<Item>) -> Vec<Item> {
        let votes = items.iter().filter_map(|item| match item {
            Item::Vote(vote) => Some((vote.slot, vote.root)),
            Item::Certificate(_)
            | Item::Leaves(_)
            | Item::Abstention(_)
            | Item::Seal(_)
            | Item::Keepers(_)
            | Item::Cancel => None,
        });
        let leaked: Vec<Item> =
            votes.filter_map(|(slot, root)| self.leak(job, slot, root)).collect();
        items.extend(leaked);
        items
    }
}
