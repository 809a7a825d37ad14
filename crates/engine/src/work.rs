//! Working: which batch to take, how it is run, and the vote that comes of it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use protocol::limits::CLAIM_MS_MAX;
use protocol::{
    About, Abstention, BlobRef, Claim, Execution, Hash, Item, Loss, Message, Outcome, PeerId,
    Reason, Slot, Standing, Vote, merkle_root,
};

use crate::active::Active;
use crate::core::Core;
use crate::inputs::Readable;
use crate::limits::{
    BATCH_TIMES_KEPT, KEPT_UNITS_MAX, LEASE_BATCHES, LEASE_MS_FIRST, LEASE_MS_MIN, LOSS_MS,
};
use crate::{Effect, PackId, RunId};

type Place = (u16, About);

/// The slot that we voted in, and each unit's digest and trace.
type Kept = (Slot, Vec<(Hash, Hash)>);

/// What was executed under one number: what a unit reads may be revoked, and then it is another unit.
#[derive(Debug)]
struct Executed {
    /// The unit's identity; `None` where it is known from the start.
    unit: Option<Hash>,
    execution: Execution,
}

/// What this node executes and has executed for one job.
#[derive(Debug, Default)]
pub(crate) struct Work {
    runs: BTreeMap<RunId, Run>,
    packing: BTreeMap<PackId, Packing>,
    /// Units executed and not packed yet.
    executions: BTreeMap<(u16, u64), Executed>,
    /// Digests and traces of batches that we voted on: ballots are cast from them.
    kept: BTreeMap<(u16, u32), Kept>,
    kept_units: usize,
    /// What gave no outcome here rests until then.
    resting: BTreeMap<Place, u64>,
    /// How often a place gave no outcome here: it comes after those that never did so.
    losses: BTreeMap<Place, u32>,
    /// Units to execute alone, for a ballot.
    pub(crate) wanted_units: BTreeSet<(u16, u64)>,
    /// Those of them whose inputs are on their way.
    pub(crate) waiting: BTreeSet<(u16, u64)>,
    shown: BTreeSet<(Slot, PeerId)>,
    abstained: BTreeSet<(Slot, u64)>,
    times: VecDeque<u64>,
}

#[derive(Debug)]
struct Run {
    place: Place,
    slot: Slot,
    left: BTreeSet<u64>,
    lost: Vec<(u64, Loss)>,
    started_ms: u64,
    units: usize,
}

#[derive(Debug)]
struct Packing {
    place: Place,
    slot: Slot,
    digests: Vec<(Hash, Hash)>,
}

impl Work {
    /// With what was executed before a restart of units that are what they were.
    pub(crate) fn new(executions: BTreeMap<(u16, u64), Execution>) -> Self {
        let executions = executions.into_iter();
        let executions =
            executions.map(|(at, execution)| (at, Executed { unit: None, execution })).collect();
        Self { executions, ..Self::default() }
    }

    /// Whether nothing is being executed or packed, and no ballot is owed.
    pub(crate) fn is_idle(&self) -> bool {
        self.runs.is_empty() && self.packing.is_empty() && self.wanted_units.is_empty()
    }

    /// How long our claims ask others to wait: three median batch times, as far as a claim may.
    pub(crate) fn lease_ms(&self) -> u64 {
        let mut times: Vec<u64> = self.times.iter().copied().collect();
        times.sort_unstable();
        times.get(times.len() / 2).map_or(LEASE_MS_FIRST, |median| {
            median.saturating_mul(LEASE_BATCHES).clamp(LEASE_MS_MIN, CLAIM_MS_MAX)
        })
    }

    pub(crate) fn was_shown(&self, slot: &Slot, voter: PeerId) -> bool {
        self.shown.contains(&(*slot, voter))
    }

    pub(crate) fn note_shown(&mut self, slot: Slot, voter: PeerId) {
        self.shown.insert((slot, voter));
    }

    /// Digests and traces of a batch in the slot that we voted in.
    pub(crate) fn kept(&self, stage: u16, batch: u32, slot: &Slot) -> Option<&[(Hash, Hash)]> {
        self.kept
            .get(&(stage, batch))
            .filter(|(own, _)| own == slot)
            .map(|(_, digests)| digests.as_slice())
    }

    /// Whether there are any, in whatever slot.
    pub(crate) fn keeps(&self, stage: u16, batch: u32) -> bool {
        self.kept.contains_key(&(stage, batch))
    }

    pub(crate) fn is_busy_with(&self, stage: u16, about: About) -> bool {
        let place = (stage, about);
        self.runs.values().any(|run| run.place == place)
            || self.packing.values().any(|packing| packing.place == place)
    }

    /// Until when a place rests, if it does.
    pub(crate) fn rests_until(&self, place: &Place, now_ms: u64) -> Option<u64> {
        self.resting.get(place).copied().filter(|until| now_ms < *until)
    }

    /// Whether a place gave no outcome here before.
    pub(crate) fn has_lost(&self, place: Place) -> bool {
        self.losses.contains_key(&place)
    }

    fn keep(&mut self, at: (u16, u32), slot: Slot, digests: Vec<(Hash, Hash)>) {
        self.kept_units += digests.len();
        self.kept.insert(at, (slot, digests));
        while KEPT_UNITS_MAX < self.kept_units {
            let Some((_, (_, dropped))) = self.kept.pop_first() else { break };
            self.kept_units -= dropped.len();
        }
    }
}

impl Active {
    /// Runs what is missing of a batch or unit; packs it at once if nothing is.
    pub(crate) fn start(&mut self, core: &mut Core, place: Place) -> bool {
        let (stage, about) = place;
        let Some(slot) = self.ledger.slot(stage, about) else { return false };
        if self.has_voted(&slot)
            || self.work.is_busy_with(stage, about)
            || self.work.rests_until(&place, core.now.mono_ms).is_some()
        {
            return false;
        }
        let reads = match self.readable(core, place) {
            Readable::Yes(reads) => reads,
            Readable::Coming => {
                if let About::Unit(unit) = about {
                    self.work.waiting.insert((stage, unit));
                }
                return false;
            }
            Readable::No => return false,
        };
        let units = self.units_of(stage, about);
        let left: BTreeSet<u64> =
            units.clone().filter(|unit| self.executed(stage, *unit).is_none()).collect();
        if left.is_empty() {
            self.pack(core, place, slot);
            return true;
        }
        let run = RunId(core.id_for(self.id));
        let list = left.iter().copied().collect();
        core.push(Effect::Run {
            run,
            job: self.id,
            plan: self.plan().clone(),
            stage,
            units: list,
            reads,
        });
        core.running += 1;
        let units = left.len();
        self.work.runs.insert(
            run,
            Run { place, slot, left, lost: vec![], started_ms: core.now.mono_ms, units },
        );
        true
    }

    /// What a unit gave, as it is now, if it is executed and not packed yet.
    pub(crate) fn executed(&self, stage: u16, unit: u64) -> Option<&Execution> {
        let of = self.work.executions.get(&(stage, unit))?;
        (of.unit == self.identity(stage, unit)).then_some(&of.execution)
    }

    /// Keeps what a unit gave, as it is now, until it is packed.
    pub(crate) fn keep_executed(&mut self, stage: u16, unit: u64, execution: Execution) {
        let identity = self.identity(stage, unit);
        self.work.executions.insert((stage, unit), Executed { unit: identity, execution });
    }

    /// Lets go of what units gave, except for what is still to be packed.
    pub(crate) fn release(&self, core: &mut Core, stage: u16, mut units: Vec<u64>) {
        units.retain(|unit| self.executed(stage, *unit).is_none());
        if !units.is_empty() {
            core.push(Effect::Release { job: self.id, stage, units });
        }
    }

    /// A unit's identity where it hangs on what the unit reads.
    fn identity(&self, stage: u16, unit: u64) -> Option<Hash> {
        let slot = || self.ledger.slot(stage, About::Unit(unit)).map(|slot| slot.units);
        self.plan().is_dependent(stage).then(slot).flatten()
    }

    /// What we do about a batch may be different now.
    pub(crate) fn touch(&mut self, (stage, about): Place) {
        let batch = match about {
            About::Batch(batch) => batch,
            About::Unit(unit) => self.plan().partition(stage).batch_of(unit),
        };
        self.picking.touch((stage, batch));
    }

    pub(crate) fn units_of(&self, stage: u16, about: About) -> std::ops::Range<u64> {
        match about {
            About::Batch(batch) => self.plan().partition(stage).units_of(batch),
            About::Unit(unit) => unit..unit + 1,
        }
    }

    /// Lets others know that we run a batch, unless all of them are needed for it anyway.
    pub(crate) fn tell_claim(&mut self, core: &mut Core, stage: u16, batch: u32) {
        if self.live_workers(core).len() < self.quorum() {
            return;
        }
        let claim = Claim {
            job: self.id,
            shard: 0,
            stage,
            batches: vec![batch],
            span_ms: self.work.lease_ms(),
        };
        let claim = core.config.keypair.sign(core.config.network, claim);
        core.push(Effect::Broadcast { job: self.id, message: Message::Claim(claim) });
    }

    /// Some units of a run have ended.
    pub(crate) fn ran(
        &mut self,
        core: &mut Core,
        id: RunId,
        units: Vec<(u64, Result<Execution, Loss>)>,
    ) {
        if self.audited(core, id, &units) || self.remade(core, id, &units) {
            return;
        }
        let submitter = self.submitter();
        let Some(run) = self.work.runs.get_mut(&id) else { return };
        let (stage, about, slot) = (run.place.0, run.place.1, run.slot);
        let mut executed = Vec::new();
        for (unit, result) in units {
            if !run.left.remove(&unit) {
                continue;
            }
            match result {
                Ok(execution) => {
                    *core.spent.entry(submitter).or_default() += execution.cost.cpu_us;
                    executed.push((unit, execution));
                }
                Err(loss) => run.lost.push((unit, loss)),
            }
        }
        let is_over = run.left.is_empty();
        if self.ledger.slot(stage, about) == Some(slot) {
            executed.into_iter().for_each(|(unit, of)| self.keep_executed(stage, unit, of));
        } else {
            // What they read was revoked meanwhile.
            self.release(core, stage, executed.into_iter().map(|(unit, _)| unit).collect());
        }
        if !is_over {
            return;
        }
        core.running -= 1;
        let _ = core.claim_answer(id.0);
        let Some(run) = self.work.runs.remove(&id) else { return };
        self.touch(run.place);
        self.inputs.done_with(&run.place);
        if let (About::Batch(_), 0) = (run.place.1, run.lost.len()) {
            let whole = (core.now.mono_ms - run.started_ms)
                * self.units_of(stage, run.place.1).count() as u64;
            self.work.times.push_back(whole / run.units as u64);
            self.work.times.drain(..self.work.times.len().saturating_sub(BATCH_TIMES_KEPT));
        }
        if run.lost.is_empty() {
            self.pack(core, run.place, run.slot);
        } else {
            self.lose(core, run);
        }
    }

    /// Tells why some units gave no outcome here, and lets the batch rest.
    fn lose(&mut self, core: &mut Core, run: Run) {
        let losses = self.work.losses.entry(run.place).or_default();
        let until = core.now.mono_ms + (LOSS_MS << (*losses).min(6));
        *losses += 1;
        self.work.resting.insert(run.place, until);
        core.wake_at(until);
        for (unit, loss) in run.lost {
            let reason = match loss {
                Loss::Timeout => Reason::Timeout,
                Loss::HostMemory => Reason::HostMemory,
                Loss::StackOverflow => Reason::StackOverflow,
                Loss::WorkerCrash => Reason::WorkerCrash,
                Loss::Refused(_) => Reason::Refused,
                Loss::MissingBlob(_) => {
                    self.inputs.refetch();
                    continue;
                }
                Loss::Cancelled => continue,
            };
            if self.work.abstained.insert((run.slot, unit)) {
                self.say(Item::Abstention(Abstention { slot: run.slot, unit, reason }));
            }
        }
    }

    /// Makes the pack of executed units.
    pub(crate) fn pack(&mut self, core: &mut Core, place: Place, slot: Slot) {
        let (stage, about) = place;
        let units: Vec<u64> = self.units_of(stage, about).collect();
        let executed: Option<Vec<Execution>> =
            units.iter().map(|unit| self.executed(stage, *unit).cloned()).collect();
        let Some(executed) = executed else { return };
        let outcomes: Vec<Outcome> = executed.iter().map(|execution| execution.outcome).collect();
        let digests = executed
            .iter()
            .map(|execution| (execution.outcome.digest(), execution.trace))
            .collect();
        let pack = PackId(core.id_for(self.id));
        core.push(Effect::Pack { pack, job: self.id, stage, units, outcomes });
        self.work.packing.insert(pack, Packing { place, slot, digests });
    }

    /// The pack is in the store: now we may vote.
    pub(crate) fn packed(&mut self, core: &mut Core, pack: PackId, blob: BlobRef) {
        if self.packed_again(core, pack, blob) {
            return;
        }
        let Some(Packing { place, slot, digests }) = self.work.packing.remove(&pack) else {
            return;
        };
        let (stage, about) = place;
        self.touch(place);
        for unit in self.units_of(stage, about) {
            self.work.executions.remove(&(stage, unit));
        }
        if self.ledger.slot(stage, about) != Some(slot) || self.has_voted(&slot) {
            return;
        }
        match about {
            About::Batch(batch) => {
                let root =
                    merkle_root(&digests.iter().map(|(digest, _)| *digest).collect::<Vec<_>>());
                let trace =
                    merkle_root(&digests.iter().map(|(_, trace)| *trace).collect::<Vec<_>>());
                self.work.keep((stage, batch), slot, digests);
                self.vote(core, slot, trace, |seal| Vote {
                    slot,
                    root,
                    seal,
                    pack: Some(blob),
                    path: vec![],
                });
                self.seal_recalled(slot, root);
            }
            About::Unit(unit) => {
                let (digest, trace) = digests[0];
                let path = self.path_of(stage, unit, digest);
                self.vote(core, slot, trace, |seal| Vote {
                    slot,
                    root: digest,
                    seal,
                    pack: Some(blob),
                    path,
                });
            }
        }
    }

    /// Stops runs that nobody needs any more.
    pub(crate) fn drop_unwanted_runs(&mut self, core: &mut Core) {
        let verdict = self.ledger.last_verdict();
        let is_anchor = self.is_anchor(core.me);
        let unwanted = |run: &Run| {
            let (stage, about) = run.place;
            let settled = match about {
                About::Batch(batch) => {
                    let batch = verdict.batch(stage, batch);
                    let stands = matches!(batch.standing, Standing::Quorum { .. });
                    batch.is_sealed || (stands && batch.is_settled())
                }
                // An anchor may be the only one who can mend it.
                About::Unit(unit) => !is_anchor && verdict.decided.contains(&(stage, unit)),
            };
            settled || self.over
        };
        let stopped: Vec<RunId> =
            self.work.runs.iter().filter(|(_, run)| unwanted(run)).map(|(id, _)| *id).collect();
        for run in stopped {
            if let Some(run) = self.work.runs.remove(&run) {
                self.touch(run.place);
            }
            core.running -= 1;
            let _ = core.claim_answer(run.0);
            core.push(Effect::Stop { run });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // A batch of many long units takes weeks, and whoever claims more than a day is a nuisance to all who hear it.
    #[test]
    fn nobody_claims_for_longer_than_others_put_up_with() {
        let mut work = Work::default();
        assert_eq!(work.lease_ms(), LEASE_MS_FIRST);
        for (batch_ms, lease_ms) in
            [(1, LEASE_MS_MIN), (20_000, 60_000), (30 * 86_400_000, CLAIM_MS_MAX)]
        {
            work.times = [batch_ms; 3].into();
            assert_eq!(work.lease_ms(), lease_ms, "{batch_ms}");
        }
    }
}
