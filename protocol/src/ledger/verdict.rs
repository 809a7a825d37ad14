//! What the network believes about a job: the same for everybody who has the same steps.

use std::collections::{BTreeMap, BTreeSet};

use super::assurance::{Audited, Sureness};
use crate::{About, Gathered, Hash, PeerId, Plan, Roots};

/// The verdict on a whole job.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    pub(super) stages: Vec<Vec<BatchVerdict>>,
    /// The roots of stages that are read and have outcomes throughout.
    pub(super) whole: Vec<Option<Hash>>,
    /// Units whose outcome is in question, as (stage, unit).
    pub contested: BTreeSet<(u16, u64)>,
    /// Units whose contest was decided by ballots.
    pub decided: BTreeSet<(u16, u64)>,
    /// Certified roots in conflict whose leaves somebody should post, as (stage, batch, root).
    pub leaves_wanted: BTreeSet<(u16, u32, Hash)>,
    /// Who provably stated something wrong.
    pub convicted: BTreeMap<PeerId, Conviction>,
    /// Who said two different things where only one may be said.
    pub equivocators: BTreeSet<PeerId>,
    /// How far each voter's audits have come, once every batch is settled; nobody's before.
    pub audited: BTreeMap<PeerId, Audited>,
    /// How sure each batch is of the stages that others read, together with everything it has read itself.
    pub(super) read_as: Vec<Sureness>,
}

/// Why a peer's votes count no more in this job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conviction {
    /// Decided units on which it stated another outcome, as (stage, unit).
    pub units: BTreeSet<(u16, u64)>,
    /// Whether others stated the very same wrong outcome, which chance cannot do.
    pub colluded: bool,
}

/// The verdict on one batch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BatchVerdict {
    pub standing: Standing,
    /// Units for which the standing root is not the whole story.
    pub units: BTreeMap<u64, UnitVerdict>,
    /// Certified roots in conflict whose leaves somebody should post.
    pub leaves_wanted: Vec<Hash>,
    /// Units to decide before others: one for each pair of roots in conflict.
    pub decide_first: BTreeSet<u64>,
    /// The root over the units' outcomes as they stand; `None` while one of them has none.
    pub effective: Option<Hash>,
    /// Whether an anchor has latched it.
    pub is_sealed: bool,
}

/// What stands for a batch as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Standing {
    /// Nothing yet.
    #[default]
    Open,
    /// Executed by the submitter alone: an outcome, and not a verified one.
    SelfExecuted { root: Hash, by: PeerId },
    /// A quorum of joined votes.
    Quorum { root: Hash, voters: BTreeSet<PeerId> },
}

/// The verdict on one unit beside its batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnitVerdict {
    /// Accepted by ballots, where its batch has no quorum.
    Accepted(Hash),
    /// In question; it keeps its outcome, if it has one, until decided.
    Contested,
    /// Decided by ballots.
    Decided(Hash),
}

impl Verdict {
    pub fn batch(&self, stage: u16, batch: u32) -> &BatchVerdict {
        &self.stages[usize::from(stage)][batch as usize]
    }

    pub fn batches(&self, stage: u16) -> &[BatchVerdict] {
        &self.stages[usize::from(stage)]
    }

    /// What a batch or unit reads of other stages, once all of that has outcomes; nothing, if it reads none.
    pub fn gathered(&self, plan: &Plan, stage: u16, about: About) -> Option<Gathered> {
        let units = match about {
            About::Batch(batch) => plan.partition(stage).units_of(batch),
            About::Unit(unit) => unit..unit + 1,
        };
        plan.gathered(stage, units, self)
    }

    /// Whether a peer's further work on this job would count.
    pub fn is_faulty(&self, peer: PeerId) -> bool {
        self.convicted.contains_key(&peer) || self.equivocators.contains(&peer)
    }
}

impl Roots for Verdict {
    fn of_batch(&self, stage: u16, batch: u32) -> Option<Hash> {
        self.batch(stage, batch).effective
    }

    fn of_stage(&self, stage: u16) -> Option<Hash> {
        self.whole[usize::from(stage)]
    }
}

impl BatchVerdict {
    /// The same, if an anchor's word stands above everything.
    pub(super) fn latched(mut self, sealed: Option<Hash>) -> Self {
        if sealed.is_some() {
            self.effective = sealed;
            self.is_sealed = true;
            self.units.retain(|_, unit| *unit != UnitVerdict::Contested);
            self.leaves_wanted.clear();
            self.decide_first.clear();
        }
        self
    }

    /// Whether every unit has an outcome and none is in question.
    pub fn is_settled(&self) -> bool {
        self.effective.is_some() && (self.is_sealed || !self.is_contested())
    }

    /// Whether an outcome is in question: a unit is contested, or quorums differ and the one that
    /// stands has not shown its leaves. A rival that does not show its own puts nothing in question.
    pub fn is_contested(&self) -> bool {
        let is_hidden = match &self.standing {
            Standing::Quorum { root, .. } => self.leaves_wanted.contains(root),
            Standing::Open | Standing::SelfExecuted { .. } => false,
        };
        is_hidden || self.units.values().any(|unit| *unit == UnitVerdict::Contested)
    }

    /// Whether independent peers stand behind every outcome.
    pub fn is_verified(&self) -> bool {
        let alone = matches!(self.standing, Standing::SelfExecuted { .. });
        self.is_settled() && (self.is_sealed || !alone)
    }
}
