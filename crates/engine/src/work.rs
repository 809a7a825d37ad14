//! Working: which batch to take, how it is run, and the vote that comes of it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use protocol::{
    About, Abstention, BlobRef, Claim, Execution, Gathered, Hash, Item, Loss, Message, Outcome,
    PeerId, Rank, Reason, Slot, Standing, Vote, merkle_root,
};

use crate::active::Active;
use crate::audit::Ballot;
use crate::core::Core;
use crate::limits::{
    ALONE_MS, BATCH_TIMES_KEPT, FEW_PEERS_MS, KEPT_UNITS_MAX, LEASE_BATCHES, LEASE_MS_FIRST,
    LEASE_MS_MIN, LOSS_MS, PLACE_MS, UNJOINED_MS,
};
use crate::{Effect, PackId, RunId};

type Place = (u16, About);

/// The slot that we voted in, and each unit's digest and trace.
type Kept = (Slot, Vec<(Hash, Hash)>);

/// What this node executes and has executed for one job.
#[derive(Debug, Default)]
pub(crate) struct Work {
    /// Batches that may need us, in the order in which we take them.
    order: Vec<(u16, u32)>,
    convicted: usize,
    runs: BTreeMap<RunId, Run>,
    packing: BTreeMap<PackId, Packing>,
    /// Units executed and not packed yet.
    pub(crate) executions: BTreeMap<(u16, u64), Execution>,
    /// Digests and traces of batches that we voted on: ballots are cast from them.
    kept: BTreeMap<(u16, u32), Kept>,
    kept_units: usize,
    /// What gave no outcome here rests until then.
    resting: BTreeMap<Place, u64>,
    /// How often a place gave no outcome here: it comes after those that never did so.
    losses: BTreeMap<Place, u32>,
    /// Units to execute alone, for a ballot.
    pub(crate) wanted_units: BTreeSet<(u16, u64)>,
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

/// Whether to take a batch.
enum Choice {
    Now,
    /// Only if there is nothing else: it is the turn of others, who would come to it the later, the
    /// higher this rank is.
    Spare(Rank),
    At(u64),
    No,
}

impl Work {
    pub(crate) fn new(executions: BTreeMap<(u16, u64), Execution>) -> Self {
        Self { executions, ..Self::default() }
    }

    /// Whether nothing is being executed or packed, and no ballot is owed.
    pub(crate) fn is_idle(&self) -> bool {
        self.runs.is_empty() && self.packing.is_empty() && self.wanted_units.is_empty()
    }

    /// How long our claims ask others to wait: three median batch times.
    pub(crate) fn lease_ms(&self) -> u64 {
        let mut times: Vec<u64> = self.times.iter().copied().collect();
        times.sort_unstable();
        times
            .get(times.len() / 2)
            .map_or(LEASE_MS_FIRST, |median| (median * LEASE_BATCHES).max(LEASE_MS_MIN))
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

    pub(crate) fn is_busy_with(&self, stage: u16, about: About) -> bool {
        let place = (stage, about);
        self.runs.values().any(|run| run.place == place)
            || self.packing.values().any(|packing| packing.place == place)
    }

    fn is_resting(&self, place: &Place, now_ms: u64) -> bool {
        self.resting.get(place).is_some_and(|until| now_ms < *until)
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
    /// All batches by our own rank, the small ones of a stage's tail last.
    pub(crate) fn arrange_work(&mut self, core: &Core) {
        let plan = self.plan().clone();
        let batches = plan.stages().flat_map(|stage| {
            (0..plan.partition(stage).batches()).map(move |batch| (stage, batch))
        });
        let mut order: Vec<(u16, u32)> = batches.collect();
        order.sort_by_cached_key(|(stage, batch)| {
            let partition = plan.partition(*stage);
            let tail = partition.units_of(*batch).count() < partition.units_of(0).count();
            (*stage, tail, self.rank(core, *stage, *batch, core.me))
        });
        self.work.order = order;
    }

    /// Starts one run, if there is something for us to do.
    pub(crate) fn take_work(&mut self, core: &mut Core) -> bool {
        let is_faulty = self.ledger.last_verdict().is_faulty(core.me);
        if self.over || !self.inputs.are_here() || is_faulty || !self.may_speak(core) {
            return false;
        }
        if let Some((stage, unit)) = self.work.wanted_units.pop_first() {
            return self.start(core, (stage, About::Unit(unit))) || self.take_work(core);
        }
        if self.start_audit(core) {
            return true;
        }
        let convicted = self.ledger.last_verdict().convicted.len();
        if self.work.convicted != convicted {
            self.work.convicted = convicted;
            self.arrange_work(core);
        }
        let Some(from) = self.base_work_from(core) else { return false };
        if core.now.mono_ms < from {
            core.wake_at(from);
            return false;
        }
        let verdict = self.ledger.last_verdict();
        self.work.order.retain(|(stage, batch)| {
            let verdict = verdict.batch(*stage, *batch);
            !(matches!(verdict.standing, Standing::Quorum { .. }) && verdict.is_settled())
        });
        let live = self.live_workers(core);
        let lost = |at: &(u16, u32)| self.work.losses.contains_key(&(at.0, About::Batch(at.1)));
        let (last, first): (Vec<_>, Vec<_>) = self.work.order.iter().copied().partition(lost);
        let mut spare: BTreeSet<(Rank, u16, u32)> = BTreeSet::new();
        for (stage, batch) in first.into_iter().chain(last) {
            match self.choose(core, stage, batch, &live) {
                Choice::Now => {
                    if self.start_batch(core, stage, batch, &live) {
                        return true;
                    }
                }
                Choice::Spare(rank) => {
                    spare.insert((rank, stage, batch));
                }
                Choice::At(when) => core.wake_at(when),
                Choice::No => {}
            }
        }
        spare.into_iter().rev().any(|(_, stage, batch)| self.start_batch(core, stage, batch, &live))
    }

    fn start_batch(&mut self, core: &mut Core, stage: u16, batch: u32, live: &[PeerId]) -> bool {
        let started = self.start(core, (stage, About::Batch(batch)));
        if started {
            self.tell_claim(core, stage, batch, live);
        }
        started
    }

    /// From when on we execute batches: an anchor does so only while too few peers are there.
    fn base_work_from(&self, core: &Core) -> Option<u64> {
        let anchors = &self.plan().manifest().policy.anchors;
        if core.me != self.submitter() && !anchors.contains(&core.me) {
            return core.config.works.then_some(0);
        }
        match self.live_workers(core).len() {
            0 => Some(self.seen_ms + ALONE_MS),
            others if others < self.quorum() => Some(self.seen_ms + FEW_PEERS_MS),
            _ => None,
        }
    }

    /// Linked peers that may work on this job's batches.
    pub(crate) fn live_workers(&self, core: &Core) -> Vec<PeerId> {
        let anchors = &self.plan().manifest().policy.anchors;
        let verdict = self.ledger.last_verdict();
        core.workers().filter(|peer| !anchors.contains(peer) && !verdict.is_faulty(*peer)).collect()
    }

    /// Others that may execute batches of this job: live workers, and anchors while those are too few.
    pub(crate) fn partners(&self, core: &Core) -> usize {
        let live = self.live_workers(core).len();
        let anchors = &self.plan().manifest().policy.anchors;
        let helping = core.workers().filter(|peer| anchors.contains(peer)).count();
        if live + usize::from(!anchors.contains(&core.me)) < self.quorum() {
            live + helping
        } else {
            live
        }
    }

    /// How many live workers have a lower rank for a batch than we.
    pub(crate) fn place(&self, core: &Core, stage: u16, batch: u32, live: &[PeerId]) -> usize {
        let own = self.rank(core, stage, batch, core.me);
        live.iter().filter(|peer| self.rank(core, stage, batch, **peer) < own).count()
    }

    fn choose(&mut self, core: &mut Core, stage: u16, batch: u32, live: &[PeerId]) -> Choice {
        let (now, about) = (core.now.mono_ms, About::Batch(batch));
        let Some(slot) = self.ledger.slot(stage, about) else { return Choice::No };
        if self.has_voted(&slot)
            || self.work.is_busy_with(stage, about)
            || self.goes_by_units(core, &slot)
        {
            return Choice::No;
        }
        if let Some(until) = self.work.resting.get(&(stage, about)).filter(|until| now < **until) {
            return Choice::At(*until);
        }
        if !self.is_readable(core, stage) {
            return Choice::No;
        }
        let quorum = self.quorum();
        let support = self.support(&slot);
        let own = self.rank(core, stage, batch, core.me);
        let claims: Vec<PeerId> = self.claims.on(stage, batch, now).map(|(peer, _)| peer).collect();
        let is_lower = |peer: &&PeerId| self.rank(core, stage, batch, **peer) < own;
        let lower = claims.iter().filter(is_lower).count();
        if quorum <= support {
            // Enough votes agree. While they are not joined, ever more of them are taken for copies.
            let last = self.claims.last_vote_ms(stage, batch).unwrap_or(0);
            let doubted = (now.saturating_sub(last) / UNJOINED_MS) as usize;
            let needed = quorum + doubted;
            return if support + claims.len() < needed {
                Choice::Now
            } else {
                Choice::At(now + UNJOINED_MS)
            };
        }
        if quorum <= support + lower {
            return Choice::At(now + self.work.lease_ms());
        }
        let place = self.place(core, stage, batch, live);
        if place < quorum {
            return Choice::Now;
        }
        let patience = self.seen_ms + PLACE_MS * (place - quorum + 1) as u64;
        if now < patience {
            return Choice::At(patience);
        }
        if quorum <= support + claims.len() {
            return Choice::At(now + self.work.lease_ms());
        }
        let first = live.iter().map(|peer| self.rank(core, stage, batch, *peer)).min();
        Choice::Spare(first.unwrap_or(own))
    }

    /// The most votes for one root, of peers that may be right.
    fn support(&self, slot: &Slot) -> usize {
        let verdict = self.ledger.last_verdict();
        let mut roots: BTreeMap<Hash, usize> = BTreeMap::new();
        for (peer, cast) in self.ledger.book(slot).into_iter().flat_map(|book| book.votes()) {
            if !verdict.is_faulty(peer) {
                *roots.entry(cast.root).or_default() += 1;
            }
        }
        roots.into_values().max().unwrap_or(0)
    }

    /// Whether what the stage reads is here; asks for it if not.
    pub(crate) fn is_readable(&mut self, core: &mut Core, stage: u16) -> bool {
        if self.plan().stage(stage).upstream().is_none() {
            return true;
        }
        let Some(gathered) = self.ledger.last_verdict().gathered(stage) else { return false };
        if let Some(reading) = self.inputs.reading(stage, gathered) {
            return reading.failed == 0;
        }
        self.want_reading(core, stage, gathered);
        false
    }

    /// Whether peers gave up on a batch as a whole: as many as the quorum, or all there are.
    pub(crate) fn is_given_up(&self, core: &Core, slot: &Slot) -> bool {
        let all = self.partners(core) + usize::from(self.base_work_from(core).is_some());
        let enough = self.quorum().min(all.max(1));
        let given_up = |book: &protocol::Book| {
            let peers: BTreeSet<PeerId> =
                book.abstentions().values().flat_map(|peers| peers.keys().copied()).collect();
            enough <= peers.len()
        };
        self.ledger.book(slot).is_some_and(given_up)
    }

    /// A batch that was given up is voted on unit by unit, where there is anybody to agree with.
    fn goes_by_units(&self, core: &Core, slot: &Slot) -> bool {
        self.is_given_up(core, slot) && self.partners(core) != 0
    }

    /// Runs what is missing of a batch or unit; packs it at once if nothing is.
    pub(crate) fn start(&mut self, core: &mut Core, place: Place) -> bool {
        let (stage, about) = place;
        let Some(slot) = self.ledger.slot(stage, about) else { return false };
        if self.has_voted(&slot)
            || self.work.is_busy_with(stage, about)
            || self.work.is_resting(&place, core.now.mono_ms)
        {
            return false;
        }
        if !self.is_readable(core, stage) {
            return false;
        }
        let units = self.units_of(stage, about);
        let left: BTreeSet<u64> = units
            .clone()
            .filter(|unit| !self.work.executions.contains_key(&(stage, *unit)))
            .collect();
        if left.is_empty() {
            self.pack(core, place, slot);
            return true;
        }
        let gathered = self.ledger.last_verdict().gathered(stage);
        let packs: Vec<BlobRef> = self.packs_for(stage, gathered);
        let run = RunId(core.id_for(self.id));
        let list = left.iter().copied().collect();
        core.push(Effect::Run {
            run,
            job: self.id,
            plan: self.plan().clone(),
            stage,
            units: list,
            gathered,
            packs,
        });
        core.running += 1;
        let units = left.len();
        self.work.runs.insert(
            run,
            Run { place, slot, left, lost: vec![], started_ms: core.now.mono_ms, units },
        );
        true
    }

    fn packs_for(&self, stage: u16, gathered: Option<Gathered>) -> Vec<BlobRef> {
        gathered
            .and_then(|gathered| self.inputs.reading(stage, gathered))
            .map_or_else(Vec::new, |reading| reading.packs.clone())
    }

    fn units_of(&self, stage: u16, about: About) -> std::ops::Range<u64> {
        match about {
            About::Batch(batch) => self.plan().partition(stage).units_of(batch),
            About::Unit(unit) => unit..unit + 1,
        }
    }

    /// Lets others know that we run a batch, unless all of them are needed for it anyway.
    fn tell_claim(&mut self, core: &mut Core, stage: u16, batch: u32, live: &[PeerId]) {
        if live.len() < self.quorum() {
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
        let submitter = self.submitter();
        let Some(run) = self.work.runs.get_mut(&id) else { return };
        let stage = run.place.0;
        for (unit, result) in units {
            if !run.left.remove(&unit) {
                continue;
            }
            match result {
                Ok(execution) => {
                    *core.spent.entry(submitter).or_default() += execution.cost.cpu_us;
                    self.work.executions.insert((stage, unit), execution);
                }
                Err(loss) => run.lost.push((unit, loss)),
            }
        }
        if !run.left.is_empty() {
            return;
        }
        core.running -= 1;
        let _ = core.claim_answer(id.0);
        let Some(run) = self.work.runs.remove(&id) else { return };
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
            units.iter().map(|unit| self.work.executions.get(&(stage, *unit)).cloned()).collect();
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
        let Some(Packing { place, slot, digests }) = self.work.packing.remove(&pack) else {
            return;
        };
        let (stage, about) = place;
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
            }
            About::Unit(unit) => {
                let (digest, trace) = digests[0];
                self.cast_executed(core, Ballot { slot, unit, digest, trace, pack: blob });
            }
        }
    }

    /// Stops runs that nobody needs any more.
    pub(crate) fn drop_unwanted_runs(&mut self, core: &mut Core) {
        let verdict = self.ledger.last_verdict();
        let unwanted = |run: &Run| {
            let (stage, about) = run.place;
            let settled = match about {
                About::Batch(batch) => {
                    let batch = verdict.batch(stage, batch);
                    matches!(batch.standing, Standing::Quorum { .. }) && batch.is_settled()
                }
                About::Unit(unit) => verdict.decided.contains(&(stage, unit)),
            };
            settled || self.over
        };
        let stopped: Vec<RunId> =
            self.work.runs.iter().filter(|(_, run)| unwanted(run)).map(|(id, _)| *id).collect();
        for run in stopped {
            self.work.runs.remove(&run);
            core.running -= 1;
            let _ = core.claim_answer(run.0);
            core.push(Effect::Stop { run });
        }
    }
}
