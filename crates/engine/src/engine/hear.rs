//! Hearing: peers come and go, and what they say goes to the job that it is about.

use std::collections::BTreeSet;

use protocol::limits::MANIFEST_BYTES_MAX;
use protocol::{
    Announcement, Heads, Hello, Inserted, JobId, Message, PeerId, Refusal, Signed, Step,
};

use super::Engine;
use crate::job::{Job, Phase, announce};
use crate::limits::JOBS_MAX;
use crate::{Config, Effect, Judgement, Receipt};

impl Engine {
    pub(super) fn greet(&mut self, peer: PeerId) {
        let Config { works, keeps, stamp, .. } = self.core.config;
        self.core.send(peer, Message::Hello(Hello { works, keeps, stamp }));
    }

    pub(super) fn peer_up(&mut self, peer: PeerId) {
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

    pub(super) fn peer_down(&mut self, peer: PeerId) {
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

    pub(super) fn hear(&mut self, from: PeerId, message: Message, receipt: Option<Receipt>) {
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
}
