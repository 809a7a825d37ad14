//! What units that are about to run read of earlier stages: accepted outcomes whose packs are in the store.

use std::collections::BTreeMap;

use protocol::{BlobRef, Gathered, Hash, Plan, Roots, merkle_root};

/// Outcomes of earlier stages that are here, by stage and batch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reads {
    batches: BTreeMap<(u16, u32), ReadBatch>,
}

/// One batch that is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadBatch {
    /// The accepted root over its outcomes.
    pub root: Hash,
    /// One pack of all its outcomes, or several of one each; and the first unit of each.
    pub packs: Vec<(u64, BlobRef)>,
}

impl Reads {
    pub fn batch(&self, stage: u16, batch: u32) -> Option<&ReadBatch> {
        self.batches.get(&(stage, batch))
    }

    /// All packs, each with its stage and first unit, in order.
    pub fn packs(&self) -> impl Iterator<Item = (u16, u64, BlobRef)> + '_ {
        let of = |((stage, _), batch): (&(u16, u32), &'_ ReadBatch)| {
            let stage = *stage;
            batch.packs.clone().into_iter().map(move |(first, pack)| (stage, first, pack))
        };
        self.batches.iter().flat_map(of)
    }

    /// Packs of a stage that hold outcomes of these units, each with its first unit, in order.
    pub fn packs_of(
        &self,
        stage: u16,
        batches: std::ops::Range<u32>,
    ) -> impl Iterator<Item = (u64, BlobRef)> + '_ {
        let own = self.batches.range((stage, batches.start)..(stage, batches.end));
        own.flat_map(|(_, batch)| batch.packs.iter().copied())
    }

    /// What names everything that a unit reads.
    pub fn gathered(&self, plan: &Plan, stage: u16, unit: u64) -> Option<Gathered> {
        plan.gathered(stage, unit..unit + 1, self)
    }

    /// Adds a pack of a batch that stands with this root; the packs of one batch come in order.
    pub fn insert(&mut self, stage: u16, batch: u32, root: Hash, pack: (u64, BlobRef)) {
        let of = self
            .batches
            .entry((stage, batch))
            .or_insert_with(|| ReadBatch { root, packs: Vec::new() });
        of.packs.push(pack);
    }

    /// The same, and what others hold.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.batches.extend(other.batches.iter().map(|(at, batch)| (*at, batch.clone())));
    }
}

/// Where all of a stage is read, all of it is here.
impl Roots for Reads {
    fn of_batch(&self, stage: u16, batch: u32) -> Option<Hash> {
        self.batch(stage, batch).map(|batch| batch.root)
    }

    fn of_stage(&self, stage: u16) -> Option<Hash> {
        let own = self.batches.range((stage, 0)..=(stage, u32::MAX));
        let roots: Vec<Hash> = own.map(|(_, batch)| batch.root).collect();
        (!roots.is_empty()).then(|| merkle_root(&roots))
    }
}
