//! Where accepted outcomes are: which packs hold them, who has those, and how sure they are.

use std::ops::Range;

use protocol::{About, Assurance, BlobRef, Hash, PeerId, Roots, Standing, UnitVerdict};

use crate::active::Active;
use crate::limits::HOLDERS_MAX;
use crate::{BatchResult, PackWant, ResultsPart, Want};

impl Active {
    /// The outcomes of the stages that no other stage reads, once all of them exist.
    pub(crate) fn results(&self) -> Option<Vec<BatchResult>> {
        let mut results = Vec::new();
        for stage in self.plan().stages().filter(|stage| !self.plan().is_read(*stage)) {
            results.extend(self.outcomes_of(stage)?);
        }
        Some(results)
    }

    /// Where those of the results are that have these numbers, once all results exist.
    pub(crate) fn results_among(&self, numbers: Range<u64>) -> Option<ResultsPart> {
        let (plan, verdict) = (self.plan(), self.ledger.last_verdict());
        let name = |stage| (plan.stage(stage).mount().to_owned(), plan.partition(stage).units());
        let stages = plan.stages().map(name).collect();
        let mut part = ResultsPart { stages, total: 0, first: 0, batches: Vec::new() };
        for stage in plan.stages().filter(|stage| !plan.is_read(*stage)) {
            let partition = plan.partition(stage);
            for batch in 0..partition.batches() {
                verdict.of_batch(stage, batch)?;
                let units = partition.units_of(batch);
                let first = part.total;
                part.total += units.end - units.start;
                if first < numbers.end && numbers.start < part.total {
                    if part.batches.is_empty() {
                        part.first = first;
                    }
                    part.batches.extend(self.outcomes_of_batch(stage, batch)?);
                }
            }
        }
        Some(part)
    }

    /// Where the outcomes of a whole stage are.
    pub(crate) fn outcomes_of(&self, stage: u16) -> Option<Vec<BatchResult>> {
        let batches = 0..self.plan().partition(stage).batches();
        let all: Option<Vec<_>> =
            batches.map(|batch| self.outcomes_of_batch(stage, batch)).collect();
        Some(all?.into_iter().flatten().collect())
    }

    /// Where the outcomes of a batch are: together, or by unit where ballots accepted them.
    pub(crate) fn outcomes_of_batch(&self, stage: u16, batch: u32) -> Option<Vec<BatchResult>> {
        let verdict = self.ledger.last_verdict().batch(stage, batch);
        let root = verdict.effective?;
        let assurance = self.ledger.last_verdict().assurance(self.plan(), stage, batch);
        let units = self.plan().partition(stage).units_of(batch);
        // Where ballots alone have accepted every unit, somebody may have packed the batch, too; but
        // that one may be alone with it and keep it.
        let (packs, holders) = self.packs_of(stage, About::Batch(batch), root);
        let stands = match &verdict.standing {
            Standing::Quorum { root: standing, .. } => *standing == root,
            Standing::SelfExecuted { .. } => true,
            Standing::Open => false,
        };
        let by_units = self.outcomes_by_unit(stage, batch, assurance);
        if let Some(of_units) = by_units.filter(|units| {
            let all = units.iter().all(|unit| !unit.packs.is_empty());
            !stands && (all || packs.is_empty())
        }) {
            return Some(of_units);
        }
        if !stands && packs.is_empty() {
            return None;
        }
        let alone = matches!(verdict.standing, Standing::SelfExecuted { .. });
        let verified = verdict.is_sealed || !alone;
        let (first_unit, units) = (units.start, units.end - units.start);
        let all = (first_unit, units, root);
        Some(vec![result(stage, batch, all, (packs, holders), (verified, assurance))])
    }

    /// The outcomes of a batch that ballots have accepted unit by unit.
    fn outcomes_by_unit(
        &self,
        stage: u16,
        batch: u32,
        assurance: Assurance,
    ) -> Option<Vec<BatchResult>> {
        let verdict = self.ledger.last_verdict().batch(stage, batch);
        let of_unit = |unit: u64| {
            let digest = match verdict.units.get(&unit)? {
                UnitVerdict::Accepted(digest) | UnitVerdict::Decided(digest) => *digest,
                UnitVerdict::Contested => return None,
            };
            let (packs, holders) = self.packs_of(stage, About::Unit(unit), digest);
            let alone = (unit, 1, protocol::merkle_root(&[digest]));
            Some(result(stage, batch, alone, (packs, holders), (true, assurance)))
        };
        self.plan().partition(stage).units_of(batch).map(of_unit).collect()
    }

    /// The packs that voters of a root name, and those voters.
    pub(crate) fn packs_of(
        &self,
        stage: u16,
        about: About,
        root: Hash,
    ) -> (Vec<BlobRef>, Vec<PeerId>) {
        let Some(slot) = self.slot_now(stage, about) else { return (vec![], vec![]) };
        let votes = self.ledger.book(&slot).into_iter().flat_map(|book| book.votes());
        let over = match about {
            About::Batch(_) => root,
            About::Unit(_) => protocol::merkle_root(&[root]),
        };
        let made_here = self.lineage.pack(&(stage, about), over);
        let (mut packs, mut holders) = (Vec::from_iter(made_here), Vec::new());
        for (peer, cast) in votes.filter(|(_, cast)| cast.root == root) {
            packs.extend(cast.pack.filter(|pack| !packs.contains(pack)));
            holders.push(peer);
        }
        (packs, holders)
    }

    pub(crate) fn packs(&self, results: &[BatchResult], outputs: bool) -> Want {
        let wants = results.iter().map(|result| self.want(result)).collect();
        Want::Packs { wants, outputs }
    }

    pub(crate) fn want(&self, result: &BatchResult) -> PackWant {
        let BatchResult { stage, batch, first_unit, units, root, ref packs, ref holders, .. } =
            *result;
        let (packs, holders) = (packs.clone(), few(holders));
        let goes_on = self.plan().goes_on(stage);
        PackWant { stage, batch, first_unit, units, root, packs, holders, goes_on }
    }
}

fn result(
    stage: u16,
    batch: u32,
    (first_unit, units, root): (u64, u64, Hash),
    (packs, holders): (Vec<BlobRef>, Vec<PeerId>),
    (verified, assurance): (bool, Assurance),
) -> BatchResult {
    BatchResult { stage, batch, first_unit, units, root, packs, holders, verified, assurance }
}

/// Some of a pack's voters are enough to ask.
pub(crate) fn few(holders: &[PeerId]) -> Vec<PeerId> {
    holders.iter().copied().take(HOLDERS_MAX).collect()
}
