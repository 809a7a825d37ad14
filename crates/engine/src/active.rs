//! A job whose manifest is here: its ledger, and what this node has done and is doing for it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use protocol::{
    About, Claim, Execution, Hash, Inserted, Item, JobId, Ledger, PeerId, Plan, Rank, Ranks,
    Refusal, Report, Signed, Slot, Step, Vote, encode, level_of,
};

use crate::audit::Audits;
use crate::claims::Claims;
use crate::contest::Contests;
use crate::core::Core;
use crate::holding::Holding;
use crate::inputs::Inputs;
use crate::journal::StepEntry;
use crate::keeping::Keeping;
use crate::leaves::Wanted;
use crate::limits::{
    ITEMS_BYTES_MAX, LEASE_BATCHES, PATIENCE_MS_MAX, PATIENCE_MS_MIN, PATIENT_MAX,
};
use crate::lineage::Lineage;
use crate::memory::Memory;
use crate::pick::Picking;
use crate::sealing::Sealing;
use crate::sync::Sync;
use crate::work::Work;
use crate::{Effect, RecordId};

/// A job in full.
#[derive(Debug)]
pub(crate) struct Active {
    pub(crate) id: JobId,
    pub(crate) ledger: Ledger,
    pub(crate) submitted: bool,
    pub(crate) opened: bool,
    pub(crate) kept_for: Option<PeerId>,
    pub(crate) seen_ms: u64,
    /// Slots that we have voted in, with the trace roots that only executors know.
    pub(crate) traces: BTreeMap<Slot, Hash>,
    /// Slots of our own new votes: others may have voted there before.
    pub(crate) news: BTreeSet<Slot>,
    pub(crate) claims: Claims,
    pub(crate) work: Work,
    pub(crate) picking: Picking,
    pub(crate) contests: Contests,
    pub(crate) wanted: Wanted,
    pub(crate) audits: Audits,
    pub(crate) sealing: Sealing,
    pub(crate) inputs: Inputs,
    pub(crate) keeping: Keeping,
    pub(crate) holding: Holding,
    pub(crate) lineage: Lineage,
    /// What earlier jobs tell, if the submitter wants to know.
    pub(crate) memory: Memory,
    pub(crate) recalls: bool,
    pub(crate) sync: Sync,
    pub(crate) over: bool,
    /// Whether every unit of every stage has an uncontested outcome.
    pub(crate) settled: bool,
    /// A batch that was not settled when it was last looked at.
    unsettled: (u16, u32),
    /// Whether anybody has ever given up on a unit.
    pub(crate) has_abstentions: bool,
    log: OwnLog,
}

/// What we have to say, and the step that is on its way to the disk.
#[derive(Debug, Default)]
struct OwnLog {
    pending: Vec<Item>,
    /// What travels with the next step, or alone when it has waited long enough, or is many.
    patient: Vec<Item>,
    patient_since_ms: u64,
    in_flight: Option<(RecordId, Signed<Step>)>,
    /// Steps that we have ever signed: the ledger lets logs go when a job has too many authors.
    signed: u64,
}

impl Active {
    pub(crate) fn new(
        core: &Core,
        id: JobId,
        ledger: Ledger,
        traces: BTreeMap<Slot, Hash>,
        executions: BTreeMap<(u16, u64), Execution>,
        seen_ms: u64,
    ) -> Self {
        let work = Work::new(executions);
        let inputs = Inputs::new(ledger.plan());
        let mut active = Self {
            picking: Picking::default(),
            id,
            ledger,
            submitted: false,
            opened: false,
            kept_for: None,
            seen_ms,
            traces,
            news: BTreeSet::new(),
            claims: Claims::default(),
            work,
            contests: Contests::default(),
            wanted: Wanted::default(),
            audits: Audits::default(),
            sealing: Sealing::default(),
            inputs,
            keeping: Keeping::default(),
            holding: Holding::default(),
            lineage: Lineage::default(),
            memory: Memory::default(),
            recalls: false,
            sync: Sync::new(core.now.mono_ms),
            over: false,
            settled: false,
            unsettled: (0, 0),
            has_abstentions: false,
            log: OwnLog::default(),
        };
        active.picking.touch_all();
        active
    }

    pub(crate) fn plan(&self) -> &Arc<Plan> {
        self.ledger.plan()
    }

    pub(crate) fn submitter(&self) -> PeerId {
        self.plan().manifest().submitter
    }

    pub(crate) fn quorum(&self) -> usize {
        usize::from(self.plan().manifest().policy.quorum)
    }

    /// Takes in somebody's step, and what it makes worth looking at.
    pub(crate) fn insert(
        &mut self,
        core: &mut Core,
        step: Signed<Step>,
    ) -> Result<Inserted, Refusal> {
        let gives_up = |item: &Item| matches!(item, Item::Abstention(_));
        self.has_abstentions |= step.value().items.iter().any(gives_up);
        let author = step.author();
        let inserted = self.ledger.insert(step)?;
        if matches!(inserted, Inserted::New | Inserted::Fork) {
            self.sync.progress(core.now.mono_ms);
        }
        if self.ledger.has_gap(author) {
            self.sync.gap(core.now.mono_ms, self.ledger.authors().count());
        }
        Ok(inserted)
    }

    /// Looks at everything that may follow from what is known, except taking new work.
    pub(crate) fn advance(&mut self, core: &mut Core) {
        self.ledger.verdict();
        let touched = self.ledger.take_touched();
        touched.iter().for_each(|at| self.picking.touch(*at));
        if !touched.is_empty() {
            self.look_whether_settled();
        }
        self.certify(core);
        self.tend_audits(core, &touched);
        let is_over = self.is_over(core);
        let was_over = std::mem::replace(&mut self.over, is_over);
        match (was_over, self.over) {
            (false, true) => core.push(Effect::Leave { job: self.id }),
            (true, false) => core.push(Effect::Join { job: self.id }),
            (true, true) | (false, false) => {}
        }
        if !self.over {
            self.settle_contests(core);
            self.tend_sealing(core);
        }
        self.tend_memory(core, &touched);
        self.drop_unwanted_runs(core);
        self.note_results(&touched);
        self.tend_keepers(core);
        self.pursue_results(core);
        self.speak(core);
        if !self.is_held() {
            self.tend_sync(core);
        }
    }

    fn look_whether_settled(&mut self) {
        let verdict = self.ledger.last_verdict();
        let is_open = |at: &(u16, u32)| !verdict.batch(at.0, at.1).is_settled();
        if is_open(&self.unsettled) {
            self.settled = false;
            return;
        }
        let batches =
            |stage: u16| (0..verdict.batches(stage).len() as u32).map(move |batch| (stage, batch));
        let open = self.plan().stages().rev().flat_map(batches).find(is_open);
        self.settled = open.is_none();
        self.unsettled = open.unwrap_or(self.unsettled);
    }

    /// Says `item` with the next step.
    pub(crate) fn say(&mut self, item: Item) {
        self.log.pending.push(item);
    }

    /// Says `item` with some step soon.
    pub(crate) fn say_later(&mut self, core: &Core, item: Item) {
        if self.log.patient.is_empty() {
            self.log.patient_since_ms = core.now.mono_ms;
        }
        self.log.patient.push(item);
    }

    /// Lets what is patient travel with what is not, or after a while alone.
    fn gather_patient(&mut self, core: &mut Core) {
        if self.log.patient.is_empty() {
            return;
        }
        let batch_ms = self.work.lease_ms() / LEASE_BATCHES;
        let patience = batch_ms.clamp(PATIENCE_MS_MIN, PATIENCE_MS_MAX);
        let due = self.log.patient_since_ms + patience;
        let is_due = self.settled || due <= core.now.mono_ms;
        if is_due || !self.log.pending.is_empty() || PATIENT_MAX <= self.log.patient.len() {
            self.log.pending.append(&mut self.log.patient);
        } else {
            core.wake_at(due);
        }
    }

    /// Publishes the proofs of votes that agree with what we executed.
    fn certify(&mut self, core: &mut Core) {
        self.news.append(&mut self.ledger.take_news());
        for slot in std::mem::take(&mut self.news) {
            if let (About::Batch(batch), Some(book)) = (slot.about, self.ledger.book(&slot)) {
                let voters = book.votes().map(|(peer, _)| peer);
                self.claims.voted(slot.stage, batch, voters, core.now.mono_ms);
            }
            let Some(trace) = self.traces.get(&slot).copied() else {
                if let About::Unit(unit) = slot.about {
                    self.hear_ballots(core, slot, unit);
                }
                continue;
            };
            let Some(book) = self.ledger.book(&slot) else { continue };
            let Some(root) =
                book.vote_of(core.me).map(|own| own.root).or_else(|| self.pending_root(&slot))
            else {
                continue;
            };
            let fits = |voter: PeerId, seal: Hash| {
                let proof = protocol::proof(core.config.network, self.id, &slot, voter, trace);
                (protocol::seal(proof) == seal).then_some(protocol::Shown { voter, proof })
            };
            let others = book.votes().filter(|(peer, cast)| *peer != core.me && cast.root == root);
            let unshown = others.filter(|(peer, _)| {
                !book.is_shown(*peer, core.me) && !self.work.was_shown(&slot, *peer)
            });
            let range = self.units_of(slot.stage, slot.about);
            let units = range.end - range.start;
            let proofs: Vec<protocol::Shown> =
                unshown.filter_map(|(peer, cast)| fits(peer, cast.seal)).collect();
            for shown in &proofs {
                self.work.note_shown(slot, shown.voter);
                core.standings.shared(shown.voter, units);
            }
            for proofs in proofs.chunks(protocol::limits::PROOFS_MAX) {
                self.say(Item::Certificate(protocol::Certificate {
                    slot,
                    root,
                    proofs: proofs.to_vec(),
                }));
            }
        }
    }

    /// What we are about to vote for in a slot.
    fn pending_root(&self, slot: &Slot) -> Option<Hash> {
        let in_flight = self.log.in_flight.iter().flat_map(|(_, step)| &step.value().items);
        self.log.pending.iter().chain(&self.log.patient).chain(in_flight).find_map(
            |item| match item {
                Item::Vote(vote) if vote.slot == *slot => Some(vote.root),
                Item::Vote(_)
                | Item::Certificate(_)
                | Item::Leaves(_)
                | Item::Abstention(_)
                | Item::Seal(_)
                | Item::Keepers(_)
                | Item::Cancel => None,
            },
        )
    }

    /// Whether something that we have to say is not on disk yet.
    pub(crate) fn is_speaking(&self) -> bool {
        self.log.in_flight.is_some() || !self.log.pending.is_empty()
    }

    /// Casts our vote in a slot, sealed with the trace root.
    pub(crate) fn vote(
        &mut self,
        core: &Core,
        slot: Slot,
        trace: Hash,
        vote: impl FnOnce(Hash) -> Vote,
    ) {
        let proof = protocol::proof(core.config.network, self.id, &slot, core.me, trace);
        self.traces.insert(slot, trace);
        self.news.insert(slot);
        self.say(Item::Vote(vote(protocol::seal(proof))));
    }

    /// Casts a ballot that agrees with what stands: nobody waits for it.
    pub(crate) fn agree(
        &mut self,
        core: &Core,
        slot: Slot,
        trace: Hash,
        digest: Hash,
        path: Vec<Hash>,
    ) {
        let proof = protocol::proof(core.config.network, self.id, &slot, core.me, trace);
        self.traces.insert(slot, trace);
        self.news.insert(slot);
        let seal = protocol::seal(proof);
        let vote = Vote { slot, root: digest, seal, pack: None, path };
        self.say_later(core, Item::Vote(vote));
    }

    /// Whether we have voted in a slot, be it only in a step that is not recorded yet.
    pub(crate) fn has_voted(&self, slot: &Slot) -> bool {
        self.traces.contains_key(slot)
    }

    /// Signs what is pending, one step at a time: while one is on its way to the disk, more gathers.
    fn speak(&mut self, core: &mut Core) {
        self.gather_patient(core);
        if self.log.in_flight.is_some() || self.log.pending.is_empty() {
            return;
        }
        let (mut bytes, mut count) = (0, 0);
        for item in &self.log.pending {
            bytes += encode(item).len();
            if ITEMS_BYTES_MAX < bytes || count == protocol::limits::STEP_ITEMS_MAX {
                break;
            }
            count += 1;
        }
        if self.is_unheard(core) {
            self.log.pending.clear();
            return;
        }
        let items: Vec<Item> = self.log.pending.drain(..count).collect();
        let (seq, prev) = self.ledger.next_step(core.me);
        let report = (seq == 0).then(|| bounded(&core.config.report));
        let policy = &self.plan().manifest().policy;
        let level = if policy.level == 0 { 0 } else { level_of(self.id, 0, core.me) };
        let level = level.min(policy.level);
        let stamp = core.config.stamp.filter(|_| seq == 0 && policy.stamp_bits != 0);
        let step = Step { job: self.id, shard: 0, seq, prev, level, stamp, report, items };
        let traces = step.items.iter().filter_map(|item| match item {
            Item::Vote(vote) => Some((vote.slot, self.traces[&vote.slot])),
            Item::Certificate(_)
            | Item::Leaves(_)
            | Item::Abstention(_)
            | Item::Seal(_)
            | Item::Keepers(_)
            | Item::Cancel => None,
        });
        let traces = traces.collect();
        let step = core.config.keypair.sign(core.config.network, step);
        let id = RecordId(core.id_for(self.id));
        let record = StepEntry::new(&step, traces).record(seq, step.id());
        core.push(Effect::Record { id: Some(id), record });
        self.log.in_flight = Some((id, step));
    }

    /// Our step is on disk: now it counts, and others may know it. Before that not even our own ledger
    /// has it, or a reconciliation could give it away.
    pub(crate) fn recorded(&mut self, core: &mut Core, record: RecordId) {
        if let Some((_, step)) = self.log.in_flight.take_if(|(id, _)| *id == record) {
            self.log.signed = step.value().seq + 1;
            // It does not fit if the journal is older than what we once said: then it stays unsaid.
            // Who learns of the job later asks for it.
            if self.insert(core, step.clone()) == Ok(Inserted::New) && !self.is_held() {
                core.push(Effect::Broadcast {
                    job: self.id,
                    message: protocol::Message::Steps(vec![step]),
                });
            }
        }
    }

    /// Takes in a step that a restart has brought back.
    pub(crate) fn resume(&mut self, core: &mut Core, step: Signed<Step>) {
        if step.author() == core.me {
            self.log.signed = self.log.signed.max(step.value().seq + 1);
        }
        // One that breaks the job's rules could not be refused before they were known.
        let _ = self.insert(core, step);
    }

    /// Whether others took our log's place. Whoever began again would sign two first steps.
    fn is_unheard(&self, core: &Core) -> bool {
        self.ledger.next_step(core.me).0 < self.log.signed
    }

    /// Steps of ours that there are, on disk or beyond.
    pub(crate) fn signed(&self) -> u64 {
        self.log.signed
    }

    /// A claim of somebody else.
    pub(crate) fn hear_claim(&mut self, core: &mut Core, claim: &Signed<Claim>) -> bool {
        let Claim { stage, ref batches, span_ms, .. } = *claim.value();
        let fits = usize::from(stage) < self.plan().manifest().stages.len()
            && batches.iter().all(|batch| *batch < self.plan().partition(stage).batches());
        if fits {
            for peer in self.claims.expire(core.now.mono_ms) {
                core.standings.lapsed(peer);
            }
            let until_ms = core.now.mono_ms.saturating_add(span_ms.min(self.work.lease_ms() * 4));
            let (peer, honoured) = (claim.author(), core.standings.of(claim.author()));
            self.claims.add(peer, honoured.claims_honoured(), (stage, batches), until_ms);
            batches.iter().for_each(|batch| self.picking.touch((stage, *batch)));
        }
        fits
    }

    /// A peer's place for a batch. Of who has no log yet, the stamp counts that it greets with.
    pub(crate) fn rank(&self, core: &Core, stage: u16, batch: u32, peer: PeerId) -> Rank {
        let ranks = self.ledger.ranks();
        let asks = self.plan().manifest().policy.stamp_bits != 0;
        if !asks || ranks.stamps.contains_key(&peer) {
            return ranks.of(stage, batch, peer);
        }
        let stamps = core.stamp_of(peer).map(|stamp| (peer, stamp)).into_iter().collect();
        Ranks { stamps: &stamps, ..ranks }.of(stage, batch, peer)
    }

    /// Whether our word would be heard: jobs may ask for a stamp, but not of those whom they name.
    pub(crate) fn may_speak(&self, core: &Core) -> bool {
        if self.is_unheard(core) {
            return false;
        }
        let manifest = self.plan().manifest();
        let bits = manifest.policy.stamp_bits;
        let is_named = core.me == manifest.submitter || self.is_anchor(core.me);
        let is_stamped =
            || core.config.stamp.is_some_and(|stamp| stamp.is_enough(bits, manifest.created_ms));
        bits == 0 || is_named || is_stamped()
    }

    /// Peers that hold something of the job, by what they have said.
    pub(crate) fn holders(&self) -> Vec<PeerId> {
        self.ledger.keepers().iter().copied().chain(self.ledger.authors()).collect()
    }
}

/// A report within its bound, whatever the machine calls itself.
fn bounded(report: &Report) -> Report {
    let cut = |text: &str| {
        text.chars().filter(char::is_ascii).take(protocol::limits::REPORT_BYTES_MAX / 2).collect()
    };
    Report { engine: cut(&report.engine), cpu: cut(&report.cpu) }
}
