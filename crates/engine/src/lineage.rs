//! Lineage: outcomes that were agreed on and that nobody can deliver are made again by executing their units,
//! and before that, if need be, what those read. Their digest is known, so that nobody has to vote.

use std::collections::{BTreeMap, BTreeSet};

use protocol::{About, BlobRef, Execution, Hash, Loss, Outcome, merkle_root};

use crate::active::Active;
use crate::core::Core;
use crate::inputs::Readable;
use crate::limits::{
    REMADE_AFTER, REMADE_MAX, REMADE_REST_MS, REMADE_STALE_MS, REMADE_TRIES, REMADE_TURN_MS,
};
use crate::{BatchResult, Effect, FetchLoss, PackId, RunId};

type Place = (u16, About);

/// What is made again, and what was.
#[derive(Debug, Default)]
pub(crate) struct Lineage {
    /// How often outcomes were not to be had, by stage and first unit.
    losses: BTreeMap<(u16, u64), u32>,
    wanted: BTreeMap<Place, Remake>,
    /// Roots and packs that were made here.
    packs: BTreeMap<Place, (Hash, BlobRef)>,
}

#[derive(Debug)]
struct Remake {
    root: Hash,
    phase: Phase,
    tries: u32,
    /// Not before then.
    from_ms: u64,
    /// When it was last found missing.
    missed_ms: u64,
    executions: BTreeMap<u64, Execution>,
}

#[derive(Debug)]
enum Phase {
    Waiting,
    Running { run: RunId, left: BTreeSet<u64>, losses: Vec<Loss> },
    Packing { pack: PackId },
}

impl Lineage {
    pub(crate) fn is_idle(&self) -> bool {
        self.wanted.is_empty()
    }

    /// Whether nothing was missed.
    pub(crate) fn is_clean(&self) -> bool {
        self.wanted.is_empty() && self.losses.is_empty()
    }

    /// Whether what a batch or unit reads is needed to make it again.
    pub(crate) fn wants(&self, place: &Place) -> bool {
        self.wanted.contains_key(place)
    }

    /// A pack that was made here.
    pub(crate) fn pack(&self, place: &Place, root: Hash) -> Option<BlobRef> {
        self.packs.get(place).filter(|(own, _)| *own == root).map(|(_, pack)| *pack)
    }
}

impl Active {
    /// Outcomes of a batch have come: they need not be made again.
    pub(crate) fn found(&mut self, at: (u16, u32)) {
        let units = self.plan().partition(at.0).units_of(at.1);
        let lineage = &mut self.lineage;
        lineage.losses.retain(|(stage, first), _| *stage != at.0 || !units.contains(first));
        lineage.wanted.retain(|(stage, about), remake| {
            let is_of_it = *stage == at.0
                && match about {
                    About::Batch(batch) => *batch == at.1,
                    About::Unit(unit) => units.contains(unit),
                };
            !is_of_it || !matches!(remake.phase, Phase::Waiting)
        });
    }

    /// A fetch has failed: outcomes that are missed again and again are made again.
    pub(crate) fn miss(&mut self, core: &mut Core, loss: FetchLoss) {
        let FetchLoss::Outcomes { stage, first_unit } = loss else { return };
        let losses = self.lineage.losses.entry((stage, first_unit)).or_default();
        *losses += 1;
        // Once it came to that, whoever kept it back is not waited for again.
        let enough = if self.lineage.packs.is_empty() { REMADE_AFTER } else { 1 };
        if *losses < enough
            || !(core.config.works || self.submitted || self.opened || self.is_keeper())
        {
            return;
        }
        let Some((place, root)) = self.accepted_at(stage, first_unit) else { return };
        let now = core.now.mono_ms;
        let turn = match place.1 {
            About::Batch(batch) => self.place(core, stage, batch, &self.live_workers(core)),
            About::Unit(_) => 0,
        };
        let wanted = &mut self.lineage.wanted;
        if REMADE_MAX <= wanted.len() && !wanted.contains_key(&place) {
            return;
        }
        let from_ms = now + REMADE_TURN_MS * turn.min(12) as u64;
        let remake = wanted.entry(place).or_insert_with(|| Remake {
            root,
            phase: Phase::Waiting,
            tries: 0,
            from_ms,
            missed_ms: now,
            executions: BTreeMap::new(),
        });
        remake.missed_ms = now;
        if remake.root != root && matches!(remake.phase, Phase::Waiting) {
            (remake.root, remake.tries) = (root, 0);
        }
        core.wake_at(remake.from_ms);
    }

    /// The accepted outcomes that begin with a unit, and their root.
    fn accepted_at(&self, stage: u16, first_unit: u64) -> Option<(Place, Hash)> {
        let partition = self.plan().partition(stage);
        let batch = partition.batch_of(first_unit);
        let results = self.outcomes_of_batch(stage, batch)?;
        let whole = partition.units_of(batch);
        let of = |result: &BatchResult| {
            let is_whole = result.units == whole.end - whole.start;
            let about = if is_whole { About::Batch(batch) } else { About::Unit(first_unit) };
            ((stage, about), result.root)
        };
        let is_it = |result: &&BatchResult| result.verified && result.first_unit == first_unit;
        results.iter().find(is_it).map(of)
    }

    /// Starts to make something again, if its turn has come.
    pub(crate) fn remake(&mut self, core: &mut Core) -> bool {
        if self.lineage.is_idle() || !self.inputs.are_here() {
            return false;
        }
        let now = core.now.mono_ms;
        // Somebody else had it after all.
        let is_stale = |remake: &Remake| {
            matches!(remake.phase, Phase::Waiting) && remake.missed_ms + REMADE_STALE_MS < now
        };
        self.lineage.wanted.retain(|_, remake| !is_stale(remake));
        let waiting =
            |remake: &Remake| matches!(remake.phase, Phase::Waiting) && remake.tries < REMADE_TRIES;
        let due: Vec<Place> =
            self.lineage.wanted.iter().filter(|(_, r)| waiting(r)).map(|(p, _)| *p).collect();
        for place in due {
            let from_ms = self.lineage.wanted[&place].from_ms;
            if now < from_ms {
                core.wake_at(from_ms);
            } else if self.has_made(place) {
                self.lineage.wanted.remove(&place);
            } else if !self.work.is_busy_with(place.0, place.1)
                && let Readable::Yes(reads) = self.readable(core, place)
            {
                let units: Vec<u64> = self.units_of(place.0, place.1).collect();
                let run = RunId(core.id_for(self.id));
                let plan = self.plan().clone();
                let left = units.iter().copied().collect();
                core.push(Effect::Run { run, job: self.id, plan, stage: place.0, units, reads });
                core.running += 1;
                if let Some(remake) = self.lineage.wanted.get_mut(&place) {
                    remake.phase = Phase::Running { run, left, losses: Vec::new() };
                }
                return true;
            }
        }
        false
    }

    /// Whether a vote of ours has a pack of the same outcomes.
    fn has_made(&self, place: Place) -> bool {
        let slot = self.ledger.slot(place.0, place.1);
        slot.is_some_and(|slot| self.has_voted(&slot))
    }

    /// Takes in what was executed to be made again; false if it was for something else.
    pub(crate) fn remade(
        &mut self,
        core: &mut Core,
        id: RunId,
        units: &[(u64, Result<Execution, Loss>)],
    ) -> bool {
        let mut wanted = self.lineage.wanted.iter_mut();
        let is_it =
            |remake: &Remake| matches!(&remake.phase, Phase::Running { run, .. } if *run == id);
        let Some((place, remake)) = wanted.find(|(_, remake)| is_it(remake)) else { return false };
        let place = *place;
        let Phase::Running { left, losses, .. } = &mut remake.phase else { return true };
        for (unit, result) in units {
            if !left.remove(unit) {
                continue;
            }
            match result {
                Ok(execution) => drop(remake.executions.insert(*unit, execution.clone())),
                Err(loss) => losses.push(loss.clone()),
            }
        }
        if !left.is_empty() {
            return true;
        }
        let losses = std::mem::take(losses);
        core.running -= 1;
        let _ = core.claim_answer(id.0);
        self.inputs.done_with(&place);
        if losses.iter().any(|loss| matches!(loss, Loss::MissingBlob(_))) {
            self.inputs.refetch();
        }
        self.judge_remade(core, place, losses.is_empty());
        true
    }

    /// Packs what is what was agreed on; anything else is let go of.
    fn judge_remade(&mut self, core: &mut Core, place: Place, is_whole: bool) {
        let Some(remake) = self.lineage.wanted.get_mut(&place) else { return };
        let executions = std::mem::take(&mut remake.executions);
        let outcomes: Vec<Outcome> = executions.values().map(|of| of.outcome).collect();
        let digests: Vec<Hash> = outcomes.iter().map(Outcome::digest).collect();
        let units: Vec<u64> = executions.keys().copied().collect();
        let stage = place.0;
        if is_whole && merkle_root(&digests) == remake.root {
            let pack = PackId(core.id_for(self.id));
            remake.phase = Phase::Packing { pack };
            core.push(Effect::Pack { pack, job: self.id, stage, units, outcomes });
            return;
        }
        remake.phase = Phase::Waiting;
        remake.tries += 1;
        remake.from_ms = core.now.mono_ms + (REMADE_REST_MS << remake.tries);
        remake.missed_ms = remake.from_ms;
        core.wake_at(remake.from_ms);
        if !units.is_empty() {
            core.push(Effect::Release { job: self.id, stage, units });
        }
    }

    /// A pack of what was made again is in the store: whoever waits for it tries again; false if it was another.
    pub(crate) fn packed_again(&mut self, core: &mut Core, id: PackId, blob: BlobRef) -> bool {
        let mut wanted = self.lineage.wanted.iter();
        let is_it = |remake: &Remake| matches!(remake.phase, Phase::Packing { pack } if pack == id);
        let Some((place, remake)) = wanted.find(|(_, remake)| is_it(remake)) else { return false };
        let (place, root) = (*place, remake.root);
        self.lineage.wanted.remove(&place);
        self.lineage.packs.insert(place, (root, blob));
        self.inputs.hurry(core.now.mono_ms);
        self.holding.hurry(core.now.mono_ms);
        true
    }
}
