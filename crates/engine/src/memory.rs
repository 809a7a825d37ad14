//! Memory: outcomes that the submitter's own earlier jobs have verified stand as its votes, and are sealed.
//!
//! Nothing is believed that strangers say of earlier jobs: the table is the submitter's own. It was audited when it
//! was made; what is recalled is sealed, and nobody executes it again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use protocol::{About, Execution, Hash, Item, Seal, Slot};

use crate::active::Active;
use crate::core::Core;
use crate::limits::RECALLS_MAX;
use crate::pick::At;
use crate::{BatchResult, Effect, PackWant, Reads, RecallId};

/// What the submitter recalls for one job.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    asked: BTreeMap<RecallId, (At, Slot)>,
    /// Batches to look at: all at first, and then those whose slots have changed.
    todo: BTreeSet<At>,
    has_begun: bool,
    /// Slots that were asked about, whatever came of it.
    known: BTreeSet<Slot>,
    /// Slots whose outcomes were recalled: a vote on them is sealed at once.
    recalled: BTreeSet<Slot>,
    /// Units that were recalled.
    pub(crate) units: u64,
    /// Whether the outcomes of this job are in the table.
    remembered: bool,
    /// Whether others have been told of the job.
    is_public: bool,
}

impl Active {
    /// Asks for outcomes of batches that nobody has executed yet; and remembers those of a job that is sealed.
    pub(crate) fn tend_memory(&mut self, core: &mut Core, touched: &BTreeSet<At>) {
        if !self.submitted || !self.recalls || !self.is_anchor(core.me) {
            return;
        }
        if !std::mem::replace(&mut self.memory.has_begun, true) {
            let plan = self.plan().clone();
            let all = |stage| (0..plan.partition(stage).batches()).map(move |batch| (stage, batch));
            self.memory.todo.extend(plan.stages().flat_map(all));
        }
        self.memory.todo.extend(touched);
        while self.memory.asked.len() < RECALLS_MAX
            && let Some(at) = self.memory.todo.pop_first()
        {
            self.recall(core, at);
        }
        if !self.memory.remembered && self.ledger.last_verdict().is_sealed() {
            self.memory.remembered = true;
            self.remember(core);
        }
    }

    /// Whether answers from memory, or votes that follow from them, are still to come.
    pub(crate) fn is_recalling(&self) -> bool {
        let is_packing = || self.memory.recalled.iter().any(|slot| !self.has_voted(slot));
        self.is_held() && (!self.memory.asked.is_empty() || is_packing() || self.is_speaking())
    }

    /// Whether nobody is to hear of the job yet.
    pub(crate) fn is_held(&self) -> bool {
        self.recalls && !self.memory.is_public
    }

    /// From now on nobody waits for memory any more.
    pub(crate) fn go_public(&mut self) {
        self.memory.is_public = true;
    }

    fn recall(&mut self, core: &mut Core, at: At) {
        let about = About::Batch(at.1);
        if self.ledger.last_verdict().batch(at.0, at.1).effective.is_some() {
            return;
        }
        let Some(slot) = self.ledger.slot(at.0, about) else { return };
        if self.memory.known.contains(&slot) || self.has_voted(&slot) {
            return;
        }
        let Some(reads) = self.own_reads(core, at) else { return };
        self.memory.known.insert(slot);
        let recall = RecallId(core.id_for(self.id));
        self.memory.asked.insert(recall, (at, slot));
        core.push(Effect::Recall {
            recall,
            job: self.id,
            plan: self.plan().clone(),
            stage: at.0,
            units: self.units_of(at.0, about).collect(),
            reads: Arc::new(reads),
        });
    }

    /// What a batch reads, where all of that is in packs of our own.
    fn own_reads(&self, core: &Core, (stage, batch): At) -> Option<Reads> {
        let (plan, mut reads) = (self.plan(), Reads::default());
        for read in plan.reads(stage, plan.partition(stage).units_of(batch)) {
            for batch in read.batches {
                let slot = self.ledger.slot(read.stage, About::Batch(batch))?;
                let own = self.ledger.book(&slot)?.vote_of(core.me)?;
                let root = self.ledger.last_verdict().batch(read.stage, batch).effective?;
                let pack = own.pack.filter(|_| own.root == root)?;
                let first = plan.partition(read.stage).units_of(batch).start;
                reads.insert(read.stage, batch, root, (first, pack));
            }
        }
        Some(reads)
    }

    /// Outcomes from memory are here: of all units of a batch, or of none.
    pub(crate) fn recalled(&mut self, core: &mut Core, id: RecallId, units: Vec<(u64, Execution)>) {
        let Some(((stage, batch), slot)) = self.memory.asked.remove(&id) else { return };
        let about = About::Batch(batch);
        let whole = self.units_of(stage, about).eq(units.iter().map(|(unit, _)| *unit));
        if !whole || self.ledger.slot(stage, about) != Some(slot) || self.has_voted(&slot) {
            return;
        }
        self.memory.units += units.len() as u64;
        self.memory.recalled.insert(slot);
        let units = units.into_iter().map(|(unit, execution)| ((stage, unit), execution));
        self.work.executions.extend(units);
        self.pack(core, (stage, about), slot);
    }

    /// We have just voted in a slot: what was recalled is sealed with it.
    pub(crate) fn seal_recalled(&mut self, slot: Slot, root: Hash) {
        if let About::Batch(first) = slot.about
            && self.memory.recalled.contains(&slot)
        {
            let seal = Seal { stage: slot.stage, first, batches: vec![(slot.units, root)] };
            self.say(Item::Seal(seal));
        }
    }

    fn remember(&self, core: &mut Core) {
        let plan = self.plan().clone();
        let all = plan.stages().flat_map(|stage| self.outcomes_of(stage).unwrap_or_default());
        let want = |result: BatchResult| -> PackWant { self.want(&result) };
        let packs: Vec<PackWant> = all.map(want).collect();
        let from = self.holders();
        core.push(Effect::Remember { job: self.id, plan, packs, from });
    }
}
