//! A job as one node knows it: how far it has come here, and what the node is to it.

use std::collections::BTreeMap;
use std::sync::Arc;

use protocol::limits::LEVEL_MAX;
use protocol::{
    Announcement, BlobRef, Execution, Hash, Ledger, Manifest, Message, PeerId, Plan, Signed, Slot,
    Step,
};
use protocol::{BlobId, JobId, Source, Tree, job_stamp_bits, levels_short};

use crate::active::Active;
use crate::announced::Announced;
use crate::core::Core;
use crate::journal::JobEntry;
use crate::limits::{
    EARLY_STEPS_MAX, FETCH_FROM_MAX, HELD_MS_MAX, KEEP_DOUBT_MS, LEVEL_MS, RETRY_MS_MAX,
    RETRY_MS_MIN,
};
use crate::{Effect, FetchId, FetchLoss, Got, RecordId, Want};

/// One job.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) id: JobId,
    pub(crate) announced: Announced,
    pub(crate) phase: Phase,
    /// We published it.
    pub(crate) submitted: bool,
    /// Our owner asked for it.
    pub(crate) opened: bool,
    /// A submitter asked us to hold it.
    pub(crate) kept_for: Option<PeerId>,
    /// Until when that is looked into, if it is not known to be good.
    keep_doubt_ms: u64,
    /// When we first heard of it.
    pub(crate) seen_ms: u64,
    /// Our submission, while it is on its way to the disk.
    pub(crate) submission: Option<RecordId>,
    /// Steps that came before the manifest; from the journal after a restart.
    early: Vec<Signed<Step>>,
    traces: BTreeMap<Slot, Hash>,
    executions: BTreeMap<(u16, u64), Execution>,
    /// Whether outcomes of earlier jobs stand in for execution.
    pub(crate) recalls: bool,
    /// Whether our own submission is on disk, and nobody was told of it yet.
    unannounced: bool,
}

/// How far a job has come here.
#[derive(Debug)]
pub(crate) enum Phase {
    /// Known by id only; asked for from time to time, if somebody here wants it.
    Seeking(Attempt),
    /// Announced, and nobody here needs more.
    Noted,
    /// The manifest is on its way.
    Manifest(Attempt),
    /// The manifest is here; trees that units are derived from are on their way.
    Parts { plan: Box<Plan>, attempt: Attempt },
    /// Everything that a verdict needs is here.
    Active(Box<Active>),
    /// The submitter's mistake: nobody can run it.
    Broken { why: String },
}

/// A fetch under way, or when to try again.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attempt {
    pub(crate) under_way: Option<FetchId>,
    pub(crate) retry_ms: u64,
    pub(crate) pause_ms: u64,
}

impl Attempt {
    pub(crate) fn now(now_ms: u64) -> Self {
        Self { under_way: None, retry_ms: now_ms, pause_ms: RETRY_MS_MIN }
    }

    /// Whether to start; if so, `under_way` must be set.
    pub(crate) fn is_due(&self, now_ms: u64) -> bool {
        self.under_way.is_none() && self.retry_ms <= now_ms
    }

    /// Whether it has come to nothing before.
    pub(crate) fn has_failed(&self) -> bool {
        self.pause_ms != RETRY_MS_MIN
    }

    /// What it was waiting for may be there now.
    pub(crate) fn hurry(&mut self, now_ms: u64) {
        self.retry_ms = self.retry_ms.min(now_ms);
    }

    pub(crate) fn failed(&mut self, now_ms: u64) {
        self.under_way = None;
        self.retry_ms = now_ms + self.pause_ms;
        self.pause_ms = (self.pause_ms * 2).min(RETRY_MS_MAX);
    }
}

impl Job {
    pub(crate) fn new(id: JobId, seen_ms: u64) -> Self {
        Self {
            id,
            announced: Announced::default(),
            phase: Phase::Seeking(Attempt::now(seen_ms)),
            submitted: false,
            opened: false,
            kept_for: None,
            keep_doubt_ms: seen_ms + KEEP_DOUBT_MS,
            seen_ms,
            submission: None,
            early: Vec::new(),
            traces: BTreeMap::new(),
            executions: BTreeMap::new(),
            recalls: false,
            unannounced: false,
        }
    }

    pub(crate) fn active(&mut self) -> Option<&mut Active> {
        match &mut self.phase {
            Phase::Active(active) => Some(active),
            Phase::Seeking(_)
            | Phase::Noted
            | Phase::Manifest(_)
            | Phase::Parts { .. }
            | Phase::Broken { .. } => None,
        }
    }

    /// Takes in that a peer asks us to keep the job. Who submitted it may, and whom its log names; as long as
    /// neither is known, the first who asks is believed for a while, so that it can be looked into.
    pub(crate) fn is_asked_to_keep(&mut self, from: PeerId, now_ms: u64) -> bool {
        let speaks_for_it = match &self.phase {
            Phase::Active(active) => active.may_ask_to_keep(from),
            Phase::Parts { plan, .. } => plan.manifest().submitter == from,
            Phase::Seeking(_) | Phase::Noted | Phase::Manifest(_) | Phase::Broken { .. } => {
                self.announced.authors().any(|author| author == from)
            }
        };
        let is_taken = self.kept_for.is_some_and(|asker| asker != from);
        let is_known = self.active().is_some_and(|active| active.is_keeper());
        if (is_taken || is_known) && !speaks_for_it {
            return false;
        }
        if !speaks_for_it {
            self.keep_doubt_ms = now_ms + KEEP_DOUBT_MS;
        }
        self.kept_for = Some(from);
        if let Some(active) = self.active() {
            active.kept_for = Some(from);
        }
        true
    }

    /// Lets go of a request to keep the job that nothing has borne out.
    pub(crate) fn drop_doubtful_keeping(&mut self, core: &mut Core) {
        let Some(asker) = self.kept_for else { return };
        let is_good = match &self.phase {
            Phase::Active(active) => active.may_ask_to_keep(asker),
            Phase::Parts { plan, .. } => plan.manifest().submitter == asker,
            Phase::Seeking(_) | Phase::Noted | Phase::Manifest(_) | Phase::Broken { .. } => false,
        };
        if is_good {
            return;
        }
        if core.now.mono_ms < self.keep_doubt_ms {
            core.wake_at(self.keep_doubt_ms);
            return;
        }
        let is_submitters = self.announced.authors().any(|author| author == asker);
        if is_submitters && !matches!(self.phase, Phase::Active(_) | Phase::Parts { .. }) {
            return;
        }
        self.kept_for = None;
        if let Some(active) = self.active() {
            active.kept_for = None;
        }
    }

    pub(crate) fn entry(&self) -> JobEntry {
        JobEntry {
            job: self.id,
            announcement: self.announced.first().map(|a| a.envelope().clone()),
            submitted: self.submitted,
            opened: self.opened,
            kept_for: self.kept_for,
        }
    }

    /// Puts the job into the journal; nothing waits for it.
    pub(crate) fn note(&self, core: &mut Core) {
        core.push(Effect::Record { id: None, record: self.entry().record() });
    }

    /// Keeps what a restart has brought back until the manifest is here.
    pub(crate) fn remember(&mut self, step: Signed<Step>, traces: Vec<(Slot, Hash)>) {
        self.traces.extend(traces);
        self.early.push(step);
    }

    pub(crate) fn remember_execution(&mut self, stage: u16, unit: u64, execution: Execution) {
        self.executions.insert((stage, unit), execution);
    }

    /// Keeps a step that came too early; reconciliation brings those that do not fit.
    pub(crate) fn hold(&mut self, step: Signed<Step>) {
        if self.early.len() < EARLY_STEPS_MAX {
            self.early.push(step);
        }
    }

    /// Starts to fetch what the next phase needs, if that is due.
    pub(crate) fn pursue(&mut self, core: &mut Core) {
        let wanted = self.is_wanted(core);
        let in_doubt = core.config.works && self.announced.are_in_conflict();
        if matches!(self.phase, Phase::Noted) && (wanted || in_doubt) {
            self.phase = Phase::Manifest(Attempt::now(core.now.mono_ms));
        }
        if wanted && matches!(self.phase, Phase::Parts { .. }) {
            self.begin_when_complete(core);
            if let Some(active) = self.active() {
                active.advance(core);
            }
        }
        let (now, authors) = (core.now.mono_ms, self.announced.authors());
        let manifest = self.announced.first().map(|a| a.value().manifest());
        match (&mut self.phase, manifest) {
            (Phase::Manifest(attempt), Some(manifest)) => {
                let from = providers(core, authors, &[]);
                fetch_when_due(core, self.id, attempt, now, from, || Want::Manifest(manifest));
            }
            // A manifest may have come only to tell whose announcement is true.
            (Phase::Parts { plan, attempt }, _) if wanted => {
                let from = providers(core, authors, &[]);
                let parts = plan.missing_parts();
                let want = || Want::Inputs { blobs: vec![], trees: vec![], parts };
                fetch_when_due(core, self.id, attempt, now, from, want);
            }
            (Phase::Active(active), _) => active.pursue_inputs(core),
            (Phase::Seeking(attempt), _) if self.opened || self.kept_for.is_some() => {
                seek_when_due(core, self.id, attempt)
            }
            (Phase::Seeking(_) | Phase::Noted | Phase::Broken { .. } | Phase::Manifest(_), _)
            | (Phase::Parts { .. }, _) => {}
        }
    }

    /// Takes in what a fetch of this phase has brought.
    pub(crate) fn fetched(&mut self, core: &mut Core, fetch: FetchId, got: Result<Got, FetchLoss>) {
        if let Phase::Active(active) = &mut self.phase {
            active.fetched(core, fetch, got);
            return;
        }
        match got {
            Ok(Got::Manifest(manifest)) => self.take_manifest(core, *manifest),
            Ok(Got::Inputs { parts }) => self.take_parts(core, parts),
            Ok(Got::Packs { .. } | Got::Leaves(_)) => {}
            Err(FetchLoss::Malformed(blob)) => {
                self.phase = Phase::Broken {
                    why: format!("its manifest or a dataset of it is malformed ({blob})"),
                };
            }
            Err(FetchLoss::Missing(_) | FetchLoss::Outcomes { .. } | FetchLoss::NoRoom) => {
                self.try_later(core);
            }
        }
    }

    /// The manifest is here: from the network, or from our own owner.
    pub(crate) fn take_manifest(&mut self, core: &mut Core, manifest: Manifest) {
        if self.announced.settle(&manifest) {
            self.note(core);
        }
        if self.announced.is_empty() {
            // All that we have heard was false.
            ask_for_announcements(core, self.id);
        }
        let plan = Box::new(Plan::new(manifest));
        self.phase = Phase::Parts { plan, attempt: Attempt::now(core.now.mono_ms) };
        if self.is_wanted(core) {
            self.begin_when_complete(core);
        }
    }

    fn take_parts(&mut self, core: &mut Core, parts: Vec<(BlobId, Tree)>) {
        let Phase::Parts { plan, .. } = &mut self.phase else { return };
        for (id, tree) in parts {
            if !plan.add_parts(id, tree) {
                let why =
                    "a dataset has another number of parts than the manifest says, or nested trees";
                self.phase = Phase::Broken { why: why.to_owned() };
                return;
            }
        }
        self.begin_when_complete(core);
    }

    fn begin_when_complete(&mut self, core: &mut Core) {
        if !matches!(&self.phase, Phase::Parts { plan, .. } if plan.missing_parts().is_empty()) {
            return;
        }
        let Phase::Parts { plan, .. } = std::mem::replace(&mut self.phase, Phase::Noted) else {
            return;
        };
        let ledger = Ledger::new(Arc::new(*plan));
        let traces = std::mem::take(&mut self.traces);
        let mut executions = std::mem::take(&mut self.executions);
        // Nothing tells what units have read that read other stages: they are executed anew.
        executions.retain(|(stage, unit), _| {
            let is_of_it = usize::from(*stage) < ledger.plan().manifest().stages.len();
            let stays = is_of_it && !ledger.plan().is_dependent(*stage);
            if !stays {
                let units = vec![*unit];
                core.push(Effect::Release { job: self.id, stage: *stage, units });
            }
            stays
        });
        let mut active =
            Box::new(Active::new(core, self.id, ledger, traces, executions, self.seen_ms));
        active.submitted = self.submitted;
        active.opened = self.opened;
        active.kept_for = self.kept_for;
        active.recalls = self.recalls;
        for step in std::mem::take(&mut self.early) {
            active.resume(core, step);
        }
        core.push(Effect::Join { job: self.id });
        if !active.is_held() {
            active.ask_around(core);
        }
        self.phase = Phase::Active(active);
    }

    /// Whether somebody here needs the job, or we have worked on it before a restart.
    fn is_wanted(&self, core: &mut Core) -> bool {
        self.submitted
            || self.opened
            || self.kept_for.is_some()
            || !self.traces.is_empty()
            || self.is_for_us(core)
    }

    /// Whether the job is one that this node's owner lends the machine to, and it is our turn at it.
    fn is_for_us(&self, core: &mut Core) -> bool {
        let fitting = self.announced.iter().filter(|a| why_not(core, a).is_none());
        let level = fitting.map(|a| a.value().level).min();
        level.is_some_and(|level| self.is_eligible(core, level))
    }

    /// Whether it is our turn: at once at the level that the submitter chose, and later, by our own clock,
    /// the more levels we are short of it.
    fn is_eligible(&self, core: &mut Core, level: u8) -> bool {
        let short = levels_short(self.id, core.me, level);
        let from_ms = self.seen_ms + u64::from(short) * LEVEL_MS;
        if core.now.mono_ms < from_ms {
            core.wake_at(from_ms);
        }
        from_ms <= core.now.mono_ms
    }

    /// Once nobody is needed who is not there, its submitter announces the job anew, at a level that nobody
    /// has: who has waited for its turn waits longer, and who comes later need not join.
    pub(crate) fn send_away(&mut self, core: &mut Core) {
        let is_public = self.submitted && self.submission.is_none() && !self.unannounced;
        let Some(known) = self.announced.first().filter(|known| {
            is_public && known.author() == core.me && known.value().level < LEVEL_MAX
        }) else {
            return;
        };
        let higher = Announcement { level: LEVEL_MAX, ..known.value().clone() };
        if !self.active().is_some_and(|active| active.has_enough_peers()) {
            return;
        }
        self.announced = core.config.keypair.sign(core.config.network, higher).into();
        self.note(core);
        for message in announce(self) {
            core.push(Effect::Announce { message });
        }
    }

    fn try_later(&mut self, core: &mut Core) {
        let now = core.now.mono_ms;
        if let Phase::Manifest(attempt) | Phase::Parts { attempt, .. } = &mut self.phase {
            attempt.failed(now);
            core.wake_at(attempt.retry_ms);
            core.push(Effect::Seek { job: self.id });
            // Its author may have told a false size, and others may know better.
            self.announced.turn();
            if matches!(self.phase, Phase::Manifest(_)) {
                ask_for_announcements(core, self.id);
            }
        }
    }

    /// The manifest, once it is here.
    pub(crate) fn manifest(&self) -> Option<&Manifest> {
        match &self.phase {
            Phase::Active(active) => Some(active.plan().manifest()),
            Phase::Parts { plan, .. } => Some(plan.manifest()),
            Phase::Seeking(_) | Phase::Noted | Phase::Manifest(_) | Phase::Broken { .. } => None,
        }
    }

    /// Whether the job's time is over, as far as we know.
    pub(crate) fn is_expired(&mut self, unix_ms: u64) -> bool {
        match self.manifest() {
            Some(manifest) => manifest.expires_ms < unix_ms,
            None => self.announced.expire(unix_ms),
        }
    }

    /// Tells everybody of our own submission once it is on disk, and everything that memory knows of it.
    pub(crate) fn publish(&mut self, core: &mut Core) {
        if !self.unannounced {
            return;
        }
        let is_recalling = match self.active() {
            Some(active) => active.is_recalling(),
            // Its datasets are not read yet.
            None => self.recalls && matches!(self.phase, Phase::Parts { .. }),
        };
        let patience = self.seen_ms + HELD_MS_MAX;
        if is_recalling && core.now.mono_ms < patience {
            core.wake_at(patience);
            return;
        }
        self.unannounced = false;
        if let Some(active) = self.active().filter(|active| active.is_held()) {
            active.go_public();
            active.ask_around(core);
        }
        for message in announce(self) {
            core.push(Effect::Announce { message });
        }
        let blobs = self.active().map_or_else(Vec::new, |active| active.plan().manifest().blobs());
        core.push(Effect::Provide { job: self.id, blobs });
    }

    /// A record is on disk: our own submission, or a step.
    pub(crate) fn recorded(&mut self, core: &mut Core, record: RecordId) {
        if self.submission.take_if(|own| *own == record).is_some() {
            self.unannounced = true;
        } else if let Some(active) = self.active() {
            active.recorded(core, record);
        }
    }
}

/// Peers that may have a job's bytes: the submitter, keepers and workers first, linked ones before those
/// that have to be dialled.
pub(crate) fn providers(
    core: &Core,
    submitters: impl IntoIterator<Item = PeerId>,
    holders: &[PeerId],
) -> Vec<PeerId> {
    let likely: Vec<PeerId> = submitters.into_iter().chain(holders.iter().copied()).collect();
    let linked = likely.iter().filter(|peer| core.links.contains_key(peer));
    let mut from: Vec<PeerId> = Vec::new();
    for peer in linked.chain(core.links.keys()).chain(&likely).copied() {
        if FETCH_FROM_MAX <= from.len() {
            break;
        }
        if peer != core.me && !from.contains(&peer) {
            from.push(peer);
        }
    }
    from
}

/// Why this node does not work on a job.
pub(crate) fn why_not(core: &Core, announcement: &Signed<Announcement>) -> Option<String> {
    let is_strange = announcement.author() != core.me;
    let announcement = announcement.value();
    if let Some(base) = core.config.job_stamp_base.filter(|_| is_strange) {
        let asked = job_stamp_bits(announcement.work_ms, base);
        let paid = announcement.stamp.map_or(0, |stamp| stamp.bits);
        if paid < asked {
            return Some(format!("its stamp has {paid} bits; so much work costs {asked} here"));
        }
    }
    if !core.config.works {
        return Some("this node does not work for others".to_owned());
    }
    if core.paused {
        return Some("work is paused".to_owned());
    }
    let (asked, lent) = (announcement.memory_bytes, core.config.memory_bytes);
    if lent < asked {
        return Some(format!("its units may use {asked} bytes of memory; this node lends {lent}"));
    }
    if announcement.semantics != protocol::SEMANTICS {
        return Some(format!(
            "it needs semantics {}; this node has {}",
            announcement.semantics,
            protocol::SEMANTICS
        ));
    }
    None
}

fn ask_for_announcements(core: &mut Core, job: JobId) {
    let peers: Vec<PeerId> = core.links.keys().copied().collect();
    for peer in peers {
        core.send(peer, Message::WantJobs(vec![job]));
    }
}

/// Asks neighbours and the DHT for a job that is known by id only.
fn seek_when_due(core: &mut Core, job: JobId, attempt: &mut Attempt) {
    if attempt.is_due(core.now.mono_ms) {
        attempt.failed(core.now.mono_ms);
        ask_for_announcements(core, job);
        core.push(Effect::Seek { job });
    }
    core.wake_at(attempt.retry_ms);
}

/// Starts a fetch, or asks to be woken when it may start.
pub(crate) fn fetch_when_due(
    core: &mut Core,
    job: JobId,
    attempt: &mut Attempt,
    now: u64,
    from: Vec<PeerId>,
    want: impl FnOnce() -> Want,
) {
    if attempt.is_due(now) {
        let fetch = FetchId(core.id_for(job));
        attempt.under_way = Some(fetch);
        core.push(Effect::Fetch { fetch, job, want: want(), from });
    } else if attempt.under_way.is_none() {
        core.wake_at(attempt.retry_ms);
    }
}

/// What a worker of a job has to hold, whichever units it runs; or all of a job, the parts of its datasets,
/// too.
pub(crate) fn inputs_of(plan: &Plan, all: bool) -> Want {
    let manifest = plan.manifest();
    let parts = manifest.stages.iter().filter_map(|stage| match &stage.source {
        Source::Parts(parts) => Some(parts.tree),
        Source::Range(_)
        | Source::Grid(_)
        | Source::Each(_)
        | Source::Gather(_)
        | Source::ByName(_) => None,
    });
    let parts: Vec<BlobRef> = parts.collect();
    let trees = manifest.stages.iter().flat_map(|stage| stage.trees());
    let trees: Vec<BlobRef> = trees.filter(|tree| all || !parts.contains(tree)).collect();
    let mut blobs = manifest.blobs();
    blobs.retain(|blob| !trees.contains(blob));
    Want::Inputs { blobs, parts, trees }
}

/// The messages that tell a neighbour about a job.
pub(crate) fn announce(job: &Job) -> impl Iterator<Item = Message> + '_ {
    job.announced.iter().cloned().map(Message::Announce)
}
