//! The engine: events are routed to the roles here, and reasoned about there.

mod ask;
mod hear;

use std::collections::{BTreeMap, BTreeSet};

use protocol::{Announcement, Item, JobId, Manifest, PeerId, Stamp, Step};

use crate::core::Core;
use crate::job::{Attempt, Job, Phase, why_not};
use crate::journal::Entry;
use crate::{Config, Effect, Event, RecordId, Time};

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
