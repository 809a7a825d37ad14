//! What a verdict says that single units' outcomes are, and who stands behind it.

use std::collections::{BTreeMap, BTreeSet};

use protocol::{About, BlobRef, Hash, Ledger, Pack, PeerId, Standing, UnitVerdict, merkle_root};

use crate::cli::failure::{End, Failure, Outcome};
use crate::cli::job::larder::Larder;
use crate::cli::job::verdict::slot;

/// The digests under the roots of a verdict, batch by batch as they are asked for.
#[derive(Debug)]
pub(crate) struct Leaves<'a> {
    ledger: &'a Ledger,
    larder: &'a Larder<'a>,
    known: BTreeMap<(u16, u32), Vec<Hash>>,
}

impl<'a> Leaves<'a> {
    pub(crate) fn new(ledger: &'a Ledger, larder: &'a Larder<'a>) -> Self {
        Self { ledger, larder, known: BTreeMap::new() }
    }

    /// The digest of a unit's outcome, shown by the root that stands for its batch.
    pub(crate) fn of(&mut self, stage: u16, unit: u64) -> Outcome<Hash> {
        let partition = self.ledger.plan().partition(stage);
        let batch = partition.batch_of(unit);
        if !self.known.contains_key(&(stage, batch)) {
            let digests = self.batch(stage, batch)?;
            self.known.insert((stage, batch), digests);
        }
        let index = (unit - partition.units_of(batch).start) as usize;
        Ok(self.known[&(stage, batch)][index])
    }

    /// Peers that have stated this outcome of a unit, by a ballot or with its whole batch.
    pub(crate) fn voters(&self, stage: u16, unit: u64, digest: Hash) -> BTreeSet<PeerId> {
        let batch = self.ledger.plan().partition(stage).batch_of(unit);
        let ballots = self.stated(stage, About::Unit(unit), digest);
        let of = self.ledger.last_verdict().batch(stage, batch);
        let overruled =
            matches!(of.units.get(&unit), Some(UnitVerdict::Decided(_) | UnitVerdict::Accepted(_)));
        let with_batch = match &of.standing {
            Standing::Quorum { voters, .. } if !overruled => voters.clone(),
            Standing::SelfExecuted { by, .. } if !overruled => BTreeSet::from([*by]),
            Standing::Quorum { .. } | Standing::SelfExecuted { .. } | Standing::Open => {
                BTreeSet::new()
            }
        };
        ballots.into_iter().chain(with_batch).collect()
    }

    /// The packs of a batch's outcomes, in order, each with its first unit.
    pub(crate) fn packs(&self, stage: u16, batch: u32) -> Outcome<Vec<(u64, BlobRef, Pack)>> {
        let of = self.ledger.last_verdict().batch(stage, batch);
        let Some(root) = of.effective else { return Err(nothing(stage, batch)) };
        let units = self.ledger.plan().partition(stage).units_of(batch);
        let whole = self.named(stage, About::Batch(batch), root);
        if !whole.is_empty() {
            let (blob, pack) = self.larder.pack(&whole, root)?;
            return Ok(vec![(units.start, blob, pack)]);
        }
        let mut packs = Vec::new();
        for unit in units {
            let digest = match of.units.get(&unit) {
                Some(UnitVerdict::Accepted(digest) | UnitVerdict::Decided(digest)) => *digest,
                Some(UnitVerdict::Contested) | None => return Err(nothing(stage, batch)),
            };
            let alone = self.named(stage, About::Unit(unit), digest);
            let (blob, pack) = self.larder.pack(&alone, merkle_root(&[digest]))?;
            packs.push((unit, blob, pack));
        }
        Ok(packs)
    }

    /// All digests of a batch: they hash to the root that stands, or they are not what is wanted.
    fn batch(&self, stage: u16, batch: u32) -> Outcome<Vec<Hash>> {
        let of = self.ledger.last_verdict().batch(stage, batch);
        let Some(effective) = of.effective else { return Err(nothing(stage, batch)) };
        let range = self.ledger.plan().partition(stage).units_of(batch);
        let standing = match &of.standing {
            Standing::Quorum { root, .. } | Standing::SelfExecuted { root, .. } => Some(*root),
            Standing::Open => None,
        };
        let alone = |unit: u64| match of.units.get(&unit) {
            Some(UnitVerdict::Accepted(digest) | UnitVerdict::Decided(digest)) => Some(*digest),
            Some(UnitVerdict::Contested) | None => None,
        };
        // What ballots have decided replaces leaves of the root that a quorum stands behind.
        let under = standing.filter(|root| *root != effective);
        let under = under.and_then(|root| self.under(stage, batch, root).ok());
        let composed: Option<Vec<Hash>> = (0..)
            .zip(range)
            .map(|(i, unit)| alone(unit).or_else(|| under.as_ref()?.get(i as usize).copied()))
            .collect();
        match composed.filter(|digests| merkle_root(digests) == effective) {
            Some(digests) => Ok(digests),
            None => self.under(stage, batch, effective),
        }
    }

    /// The digests under a root: posted in the steps, or of a pack that a voter names.
    fn under(&self, stage: u16, batch: u32, root: Hash) -> Outcome<Vec<Hash>> {
        let book =
            slot(self.ledger, stage, About::Batch(batch)).and_then(|slot| self.ledger.book(&slot));
        if let Some(posted) = book.and_then(|book| book.leaves_of(root)) {
            return Ok(posted.to_vec());
        }
        let (_, pack) = self.larder.pack(&self.named(stage, About::Batch(batch), root), root)?;
        let units = self.ledger.plan().partition(stage).units_of(batch).count();
        let digests = pack.digests();
        if digests.len() == units { Ok(digests) } else { Err(nothing(stage, batch)) }
    }

    /// Packs that voters for a root name, each once.
    fn named(&self, stage: u16, about: About, root: Hash) -> Vec<BlobRef> {
        let book = slot(self.ledger, stage, about).and_then(|slot| self.ledger.book(&slot));
        let votes = book.into_iter().flat_map(|book| book.votes());
        let packs: BTreeSet<BlobRef> =
            votes.filter(|(_, cast)| cast.root == root).filter_map(|(_, cast)| cast.pack).collect();
        packs.into_iter().collect()
    }

    fn stated(&self, stage: u16, about: About, root: Hash) -> Vec<PeerId> {
        let book = slot(self.ledger, stage, about).and_then(|slot| self.ledger.book(&slot));
        let votes = book.into_iter().flat_map(|book| book.votes());
        votes.filter(|(_, cast)| cast.root == root).map(|(peer, _)| peer).collect()
    }
}

fn nothing(stage: u16, batch: u32) -> Failure {
    let error = format!("the outcomes of batch {batch} of stage number {stage} are not known");
    Failure::new(End::Undecided, error, "wait until every unit has an outcome")
}
