//! The engine: events are routed to the roles here, and reasoned about there.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use protocol::{
    Announcement, BlobId, BlobRef, Book, Bundle, FeedId, Heads, Hello, Inserted, Item, JobId,
    Manifest, Message, PeerId, Refusal, Signed, Slot, Stamp, Step,
};

use crate::core::Core;
use crate::feeds::{self, WindowView};
use crate::job::{Attempt, Job, Phase, announce, why_not};
use crate::journal::Entry;
use crate::limits::JOBS_MAX;
use crate::report::view;
use crate::{
    BatchResult, Config, Effect, Event, JobView, Judgement, Receipt, RecordId, ResultsPart,
    Standing, Time,
};
use protocol::limits::MANIFEST_BYTES_MAX;

/// One node's mind.
#[derive(Debug)]
pub struct Engine {
    core: Core,
    jobs: BTreeMap<JobId, Job>,
    /// Jobs in which something has happened since they were last looked at.
    touched: BTreeSet<JobId>,
}

impl Engine {
    pub fn new(config: Config) -> Self {
        Self { core: Core::new(config), jobs: BTreeMap::new(), touched: BTreeSet::new() }
    }

    /// Takes in what happened. [`Engine::poll`] must be drained before the next call.
    pub fn handle(&mut self, now: Time, event: Event) {
        self.core.now = now;
        match event {
            Event::Resumed { records, executions } => self.resume(records, executions),
            Event::Submit { manifest, stamp, recalls } => self.submit(manifest, stamp, recalls),
            Event::Stamped { stamp } => self.stamped(stamp),
            Event::Open { job } => self.open(job),
            Event::Cancel { job } => self.cancel(job),
            Event::Work { on } => self.set_working(on),
            Event::PeerUp { peer } => self.peer_up(peer),
            Event::PeerDown { peer } => self.peer_down(peer),
            Event::Heard { from, message, receipt } => self.hear(from, message, receipt),
            Event::Recorded { record } => {
                self.with_owner(record.0, |core, job| job.recorded(core, record))
            }
            Event::Fetched { fetch, got } => {
                self.with_owner(fetch.0, |core, job| job.fetched(core, fetch, got))
            }
            Event::Ran { run, units } => {
                if let Some(job) = self.core.owner(run.0) {
                    self.with_job(job, |core, job| {
                        if let Some(active) = job.active() {
                            active.ran(core, run, units);
                        }
                    });
                }
            }
            Event::Packed { pack, blob } => self.with_owner(pack.0, |core, job| {
                if let Some(active) = job.active() {
                    active.packed(core, pack, blob);
                }
            }),
            Event::Recalled { recall, units } => self.with_owner(recall.0, |core, job| {
                if let Some(active) = job.active() {
                    active.recalled(core, recall, units);
                }
            }),
            Event::Probed { probe, held } => self.with_owner(probe.0, |core, job| {
                if let Some(active) = job.active() {
                    active.probed(core, probe, held);
                }
            }),
            Event::Tick => self.tick(),
        }
        self.look_at_touched();
        self.take_work();
    }

    /// The next thing to do, in order; `None` when there is nothing more.
    pub fn poll(&mut self) -> Option<Effect> {
        self.core.out.pop_front()
    }

    /// When [`Event::Tick`] is due, in monotonic milliseconds.
    pub fn wake_at(&self) -> Option<u64> {
        self.core.alarm()
    }

    /// All jobs that this node knows.
    pub fn jobs(&self) -> Vec<JobView> {
        self.jobs.values().map(|job| view(&self.core, job)).collect()
    }

    /// Whether this node knows a job, if only by its id: what is said about others is ignored.
    pub fn knows(&self, job: JobId) -> bool {
        self.jobs.contains_key(&job)
    }

    /// What this node remembers of a peer.
    pub fn standing(&self, peer: PeerId) -> Standing {
        self.core.standings.of(peer)
    }

    /// One job.
    pub fn job(&self, job: JobId) -> Option<JobView> {
        self.jobs.get(&job).map(|job| view(&self.core, job))
    }

    /// The outcomes of the stages that no other stage reads, batch by batch, once all of them exist.
    pub fn results(&self, job: JobId) -> Option<Vec<BatchResult>> {
        match &self.jobs.get(&job)?.phase {
            Phase::Active(active) => active.results(),
            Phase::Seeking(_)
            | Phase::Noted
            | Phase::Manifest(_)
            | Phase::Parts { .. }
            | Phase::Broken { .. } => None,
        }
    }

    /// Those of them that hold some of the results, which are numbered in order; also once all of them exist.
    pub fn results_among(&self, job: JobId, numbers: Range<u64>) -> Option<ResultsPart> {
        match &self.jobs.get(&job)?.phase {
            Phase::Active(active) => active.results_among(numbers),
            Phase::Seeking(_)
            | Phase::Noted
            | Phase::Manifest(_)
            | Phase::Parts { .. }
            | Phase::Broken { .. } => None,
        }
    }

    /// Everything that a job's verdict follows from, once the manifest and its trees are here.
    pub fn proof(&self, job: JobId) -> Option<Bundle> {
        let job = self.jobs.get(&job)?;
        match &job.phase {
            Phase::Active(active) => {
                let announcement = job.announced.first();
                Some(Bundle::new(self.core.config.network, &active.ledger, announcement))
            }
            Phase::Seeking(_)
            | Phase::Noted
            | Phase::Manifest(_)
            | Phase::Parts { .. }
            | Phase::Broken { .. } => None,
        }
    }

    /// Jobs that are here for others only, if this is one of them: those of which we are a keeper.
    pub fn kept_beside(&self, job: JobId) -> Option<BTreeSet<JobId>> {
        let is_kept = |job: &Job| job.kept_for.is_some() && !job.submitted && !job.opened;
        let jobs = || self.jobs.values().filter(|job| is_kept(job)).map(|job| job.id);
        self.jobs.get(&job).filter(|job| is_kept(job)).map(|_| jobs().collect())
    }

    /// Packs that anybody has named in a job's log, and whether those are of a stage that no other one reads.
    pub fn packs(&self, job: JobId) -> BTreeMap<BlobId, bool> {
        let Some(Phase::Active(active)) = self.jobs.get(&job).map(|job| &job.phase) else {
            return BTreeMap::new();
        };
        let of_book = |(slot, book): (&Slot, &Book)| {
            let is_result = !active.plan().is_read(slot.stage);
            let packs: Vec<BlobRef> = book.votes().filter_map(|(_, cast)| cast.pack).collect();
            packs.into_iter().map(move |pack| (pack.id, is_result))
        };
        active.ledger.books().flat_map(of_book).collect()
    }

    /// The manifest of a job, once it is here.
    pub fn manifest(&self, job: JobId) -> Option<&Manifest> {
        self.jobs.get(&job)?.manifest()
    }

    /// The windows of a feed that are known here, without those in `seen`.
    pub fn windows(&self, feed: FeedId, seen: &BTreeSet<JobId>) -> Vec<WindowView> {
        feeds::windows(&self.core, &self.jobs, feed, seen)
    }

    /// Every feed of which a window is known.
    pub fn feeds(&self) -> BTreeSet<FeedId> {
        feeds::feeds(&self.jobs)
    }

    fn resume(
        &mut self,
        records: Vec<(Vec<u8>, Vec<u8>)>,
        executions: Vec<(JobId, u16, u64, protocol::Execution)>,
    ) {
        let (network, now) = (self.core.config.network, self.core.now.mono_ms);
        let entries: Vec<Entry> =
            records.iter().filter_map(|(key, value)| Entry::read(key, value)).collect();
        for entry in &entries {
            let Entry::Job(entry) = entry else { continue };
            let mut job = Job::new(entry.job, now);
            if let Some(announcement) = &entry.announcement
                && let Ok(announcement) = announcement.clone().verify::<Announcement>(network)
            {
                job.announced = announcement.into();
            }
            (job.submitted, job.opened, job.kept_for) =
                (entry.submitted, entry.opened, entry.kept_for);
            if !job.announced.is_empty() {
                job.phase = Phase::Manifest(Attempt::now(now));
            }
            self.jobs.insert(entry.job, job);
        }
        for entry in entries {
            let Entry::Step(entry) = entry else { continue };
            let step =
                entry.step.verify::<Step>(network).ok().filter(|step| step.value().check().is_ok());
            if let (Some(job), Some(step)) = (self.jobs.get_mut(&entry.job), step) {
                job.remember(step, entry.traces);
            }
        }
        for (job, stage, unit, execution) in executions {
            if let Some(job) = self.jobs.get_mut(&job) {
                job.remember_execution(stage, unit, execution);
            }
        }
        self.touched.extend(self.jobs.keys());
    }

    fn stamped(&mut self, stamp: Stamp) {
        self.core.config.stamp = Some(stamp);
        let peers: Vec<PeerId> = self.core.links.keys().copied().collect();
        for peer in peers {
            self.greet(peer);
        }
        // Our ranks have changed.
        for job in self.jobs.values_mut() {
            if let Some(active) = job.active() {
                active.picking.touch_all();
            }
        }
        self.touched.extend(self.jobs.keys());
    }

    fn greet(&mut self, peer: PeerId) {
        let Config { works, keeps, stamp, .. } = self.core.config;
        self.core.send(peer, Message::Hello(Hello { works, keeps, stamp }));
    }

    fn submit(&mut self, manifest: Manifest, stamp: Option<Stamp>, recalls: bool) {
        let id = manifest.job();
        let now = self.core.now.mono_ms;
        let announcement = Announcement { stamp, ..Announcement::of(&manifest) };
        let announcement = self.core.config.keypair.sign(self.core.config.network, announcement);
        let job = self.jobs.entry(id).or_insert_with(|| Job::new(id, now));
        job.submitted = true;
        job.recalls = recalls;
        job.announced = announcement.into();
        let record = RecordId(self.core.id_for(id));
        self.core.push(Effect::Record { id: Some(record), record: job.entry().record() });
        job.submission = Some(record);
        job.take_manifest(&mut self.core, manifest);
        self.touched.insert(id);
    }

    fn open(&mut self, id: JobId) {
        let now = self.core.now.mono_ms;
        let job = self.jobs.entry(id).or_insert_with(|| Job::new(id, now));
        job.opened = true;
        if let Some(active) = job.active() {
            active.opened = true;
            active.ask_around(&mut self.core);
        }
        job.note(&mut self.core);
        self.touched.insert(id);
    }

    fn cancel(&mut self, id: JobId) {
        self.with_job(id, |core, job| {
            if let Some(active) = job.active().filter(|active| active.submitter() == core.me) {
                active.say(Item::Cancel);
            }
        });
    }

    fn set_working(&mut self, on: bool) {
        self.core.paused = !on;
        self.touched.extend(self.jobs.keys());
    }

    fn peer_up(&mut self, peer: PeerId) {
        self.core.links.entry(peer).or_insert(None);
        self.greet(peer);
        let unix_ms = self.core.now.unix_ms;
        let alive = |job: &&Job| job.announced.iter().any(|a| unix_ms < a.value().expires_ms);
        let known: Vec<JobId> = self.jobs.values().filter(alive).map(|job| job.id).collect();
        if !known.is_empty() {
            self.core.send(peer, Message::Jobs(known));
        }
        let sought: Vec<JobId> =
            self.jobs.values().filter(|job| job.announced.is_empty()).map(|job| job.id).collect();
        if !sought.is_empty() {
            self.core.send(peer, Message::WantJobs(sought));
        }
        for job in self.jobs.values_mut() {
            if let Some(active) = job.active() {
                let heads = active.ledger.heads(true);
                self.core.send(peer, Message::Heads(heads));
            }
        }
        self.touched.extend(self.jobs.keys());
    }

    fn peer_down(&mut self, peer: PeerId) {
        self.core.links.remove(&peer);
        for job in self.jobs.values_mut() {
            if let Some(active) = job.active() {
                active.picking.touch_all();
                if active.claims.drop_peer(peer) {
                    self.core.standings.lapsed(peer);
                }
                active.keeper_gone(&mut self.core, peer);
            }
        }
        self.touched.extend(self.jobs.keys());
    }

    fn hear(&mut self, from: PeerId, message: Message, receipt: Option<Receipt>) {
        let judgement = match message {
            Message::Hello(hello) => self.hear_hello(from, hello),
            Message::Announce(announcement) => self.hear_announcement(announcement),
            Message::Jobs(jobs) => self.hear_jobs(from, jobs),
            Message::WantJobs(jobs) => self.hear_wanted(from, jobs),
            Message::Steps(steps) => self.hear_steps(from, steps, receipt.is_none()),
            Message::Claim(claim) => self.hear_claim(claim),
            Message::Heads(heads) => self.hear_heads(from, heads),
            Message::Keep(job) => self.hear_keep(from, job),
            Message::Kept(job) => self.hear_kept(from, job),
        };
        if let Some(receipt) = receipt {
            self.core.push(Effect::Judge { receipt, judgement });
        }
    }

    fn hear_hello(&mut self, from: PeerId, hello: Hello) -> Judgement {
        // Who repeats itself changes nothing, and is not worth a look at every job.
        if self.core.links.insert(from, Some(hello)) != Some(Some(hello)) {
            self.touched.extend(self.jobs.keys());
        }
        Judgement::Ignore
    }

    fn hear_announcement(&mut self, announcement: Signed<Announcement>) -> Judgement {
        let value = announcement.value();
        let (id, now) = (value.job, self.core.now);
        if (MANIFEST_BYTES_MAX as u64) < value.manifest_bytes {
            return Judgement::Reject;
        }
        if value.expires_ms < now.unix_ms {
            return Judgement::Ignore;
        }
        if !self.jobs.contains_key(&id) && JOBS_MAX <= self.jobs.len() {
            return Judgement::Ignore;
        }
        let job = self.jobs.entry(id).or_insert_with(|| Job::new(id, now.mono_ms));
        let mut announced = std::mem::take(&mut job.announced);
        let is_raised = announced.authors().any(|author| author == announcement.author());
        let is_news = announced.hear(announcement, job.manifest());
        job.announced = announced;
        if !is_news || matches!(job.phase, Phase::Broken { .. }) {
            return Judgement::Ignore;
        }
        if matches!(job.phase, Phase::Seeking(_)) {
            job.phase = Phase::Noted;
        } else if job.manifest().is_some() && !is_raised {
            // Those before it were false, and may have kept it from others.
            let peers: Vec<PeerId> = self.core.links.keys().copied().collect();
            for peer in peers {
                announce(job).for_each(|message| self.core.send(peer, message));
            }
        }
        job.note(&mut self.core);
        self.touched.insert(id);
        Judgement::Accept
    }

    fn hear_jobs(&mut self, from: PeerId, jobs: Vec<JobId>) -> Judgement {
        let unknown = |job: &JobId| self.jobs.get(job).is_none_or(|job| job.announced.is_empty());
        let wanted: Vec<JobId> = jobs.into_iter().filter(unknown).collect();
        if !wanted.is_empty() {
            self.core.send(from, Message::WantJobs(wanted));
        }
        Judgement::Ignore
    }

    fn hear_wanted(&mut self, from: PeerId, jobs: Vec<JobId>) -> Judgement {
        for message in jobs.iter().filter_map(|job| self.jobs.get(job)).flat_map(announce) {
            self.core.send(from, message);
        }
        Judgement::Ignore
    }

    fn hear_steps(&mut self, from: PeerId, steps: Vec<Signed<Step>>, is_answer: bool) -> Judgement {
        let (mut judgement, many) = (Judgement::Ignore, steps.len());
        let mut ahead = BTreeSet::new();
        let answered = steps.first().filter(|_| is_answer).map(|step| step.value().job);
        for step in steps {
            let id = step.value().job;
            let Some(job) = self.jobs.get_mut(&id) else { continue };
            let Some(active) = job.active() else {
                job.hold(step);
                continue;
            };
            match active.insert(&mut self.core, step.clone()) {
                Ok(Inserted::New | Inserted::Fork) => {
                    let (seq, step_id) = (step.value().seq, step.id());
                    let record = crate::journal::StepEntry::new(&step, vec![]).record(seq, step_id);
                    self.core.push(Effect::Record { id: None, record });
                    judgement = Judgement::Accept;
                    self.touched.insert(id);
                }
                Ok(Inserted::Known) => {}
                Ok(Inserted::TooFarAhead) => {
                    ahead.insert(id);
                }
                // Whose turn it is not is nobody's fault.
                Err(Refusal::Full) => {}
                Err(
                    Refusal::OtherJob
                    | Refusal::OutOfRange
                    | Refusal::NotEntitled
                    | Refusal::FalseLevel
                    | Refusal::NoStamp,
                ) => return Judgement::Reject,
            }
        }
        for id in ahead {
            if let Some(active) = self.jobs.get_mut(&id).and_then(Job::active) {
                let heads = active.ledger.heads(true);
                self.core.send(from, Message::Heads(heads));
            }
        }
        if let Some(active) = answered.and_then(|id| self.jobs.get_mut(&id)).and_then(Job::active) {
            active.sync.is_told();
        }
        if protocol::limits::STEPS_SENT_MAX / 4 < many {
            self.ask_for_more(from);
        }
        judgement
    }

    /// A long list of steps may have been cut off.
    fn ask_for_more(&mut self, from: PeerId) {
        let touched: Vec<JobId> = self.touched.iter().copied().collect();
        for id in touched {
            if let Some(active) = self.jobs.get_mut(&id).and_then(Job::active) {
                let heads = active.ledger.heads(false);
                self.core.send(from, Message::Heads(heads));
            }
        }
    }

    fn hear_claim(&mut self, claim: Signed<protocol::Claim>) -> Judgement {
        let id = claim.value().job;
        let well_formed = claim.value().is_well_formed();
        let Some(active) = self.jobs.get_mut(&id).and_then(Job::active) else {
            return Judgement::Ignore;
        };
        let fits = well_formed && active.hear_claim(&mut self.core, &claim);
        self.touched.insert(id);
        if fits { Judgement::Accept } else { Judgement::Reject }
    }

    fn hear_heads(&mut self, from: PeerId, heads: Heads) -> Judgement {
        if let Some(active) = self.jobs.get_mut(&heads.job).and_then(Job::active) {
            active.hear_heads(&mut self.core, from, &heads);
            if !heads.answer {
                active.sync.is_told();
            }
        } else if !self.jobs.contains_key(&heads.job) {
            self.core.send(from, Message::WantJobs(vec![heads.job]));
        }
        Judgement::Ignore
    }

    fn hear_keep(&mut self, from: PeerId, id: JobId) -> Judgement {
        let known = self.jobs.contains_key(&id);
        if !self.core.config.keeps || (!known && JOBS_MAX <= self.jobs.len()) {
            return Judgement::Ignore;
        }
        let now = self.core.now.mono_ms;
        let job = self.jobs.entry(id).or_insert_with(|| Job::new(id, now));
        if job.is_asked_to_keep(from, now) {
            if !job.announced.is_empty() {
                job.note(&mut self.core);
            }
            self.touched.insert(id);
        }
        Judgement::Ignore
    }

    fn hear_kept(&mut self, from: PeerId, id: JobId) -> Judgement {
        self.with_job(id, |core, job| {
            if let Some(active) = job.active() {
                active.hear_kept(core, from);
            }
        });
        Judgement::Ignore
    }

    fn tick(&mut self) {
        self.core.clear_alarm();
        let unix_ms = self.core.now.unix_ms;
        let expired = |job: &mut Job| job.is_expired(unix_ms).then_some(job.id);
        let expired: Vec<JobId> = self.jobs.values_mut().filter_map(expired).collect();
        for id in expired {
            self.jobs.remove(&id);
            self.core.push(Effect::Leave { job: id });
            self.core.push(Effect::Forget { job: id });
            self.core.push(Effect::Changed { job: id });
        }
        self.jobs.values_mut().for_each(|job| job.drop_doubtful_keeping(&mut self.core));
        self.touched.extend(self.jobs.keys());
    }

    fn with_owner(&mut self, id: u64, act: impl FnOnce(&mut Core, &mut Job)) {
        if let Some(job) = self.core.claim_answer(id) {
            self.with_job(job, act);
        }
    }

    fn with_job(&mut self, id: JobId, act: impl FnOnce(&mut Core, &mut Job)) {
        if let Some(job) = self.jobs.get_mut(&id) {
            act(&mut self.core, job);
            self.touched.insert(id);
        }
    }

    fn look_at_touched(&mut self) {
        for id in std::mem::take(&mut self.touched) {
            let Some(job) = self.jobs.get_mut(&id) else { continue };
            if let Some(active) = job.active() {
                active.advance(&mut self.core);
            }
            job.publish(&mut self.core);
            job.send_away(&mut self.core);
            job.pursue(&mut self.core);
            self.core.push(Effect::Changed { job: id });
        }
    }

    /// Fills the cores: submitters who had the least so far come first, then priority, then age.
    fn take_work(&mut self) {
        if self.core.paused {
            return;
        }
        let running = self.core.running;
        while self.core.running < self.core.config.cores {
            let core = &mut self.core;
            if self.jobs.values_mut().any(|job| job.active().is_some_and(|a| a.remake(core))) {
                continue;
            }
            let mut started = false;
            for id in self.queue() {
                let active = self.jobs.get_mut(&id).and_then(Job::active);
                if active.is_some_and(|active| active.take_work(&mut self.core)) {
                    started = true;
                    break;
                }
            }
            if !started {
                return;
            }
        }
        // One after the other: whoever comes first is the likeliest to run next.
        if running < self.core.running
            && let Some(active) =
                self.queue().first().and_then(|id| self.jobs.get_mut(id)?.active())
        {
            active.prefetch(&mut self.core);
        }
    }

    /// Jobs with work for this node, the next one first.
    fn queue(&self) -> Vec<JobId> {
        let mut queue: Vec<(u64, u8, u64, JobId)> =
            self.jobs.values().filter_map(|job| turn(&self.core, job)).collect();
        queue.sort();
        queue.into_iter().map(|(.., id)| id).collect()
    }
}

/// A job's turn, if it is one that this node may work on.
fn turn(core: &Core, job: &Job) -> Option<(u64, u8, u64, JobId)> {
    let announcement = job.announced.first()?;
    let Phase::Active(active) = &job.phase else { return None };
    let ours = announcement.author() == core.me || active.is_anchor(core.me);
    if active.over || (!ours && why_not(core, announcement).is_some()) {
        return None;
    }
    let spent = core.spent.get(&announcement.author()).copied().unwrap_or(0);
    Some((spent, 9 - announcement.value().priority.min(9), announcement.value().created_ms, job.id))
}
