//! The watch: remembers what honest nodes said and did, and compares it with what they do next.

use std::collections::{BTreeMap, BTreeSet};

use engine::{Effect, JobView};
use protocol::{
    About, Announcement, Hash, Heads, Item, JobId, Message, PeerId, Signed, Slot, Step, StepId,
    encode, hash,
};

use crate::promise::{Promise, Violation};
use crate::trust::Trust;
use crate::world::World;

/// What was seen so far.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    pub(crate) violation: Option<Violation>,
    /// How often each noteworthy thing has happened: a promise that was never at stake was not tested.
    pub(crate) marks: BTreeMap<&'static str, u64>,
    /// Units that honest nodes have executed to an outcome.
    pub(crate) executions: u64,
    /// Honest nodes' steps by author, job and number.
    steps: BTreeMap<(usize, JobId, u64), StepId>,
    /// Honest nodes' votes: root and seal.
    votes: BTreeMap<(usize, JobId, Slot), (Hash, Hash)>,
    /// Whoever had just these logs, and the state that followed from them.
    states: BTreeMap<Hash, (usize, Hash)>,
    /// Whether heads said now are all that the state follows from.
    pub(crate) heads_are_whole: bool,
    last_writes_lost: BTreeMap<usize, usize>,
    pub(crate) trust: Trust,
    /// Whom submitters have asked to keep a job.
    asked: BTreeMap<(usize, JobId), BTreeSet<PeerId>>,
}

impl Watch {
    pub(crate) fn mark(&mut self, what: &'static str) {
        *self.marks.entry(what).or_default() += 1;
    }

    pub(crate) fn ran(&mut self, _index: usize, is_honest: bool, is_outcome: bool) {
        if is_honest && is_outcome {
            self.executions += 1;
        }
    }

    /// Whether a node has voted on a batch, whatever its inputs were.
    pub(crate) fn has_voted(&self, index: usize, job: JobId, stage: u16, batch: u32) -> bool {
        let about = About::Batch(batch);
        let from = Slot { stage, about, units: Hash::ZERO };
        let mut later = self.votes.range((index, job, from)..);
        later.next().is_some_and(|((node, of, slot), _)| {
            (*node, *of, slot.stage, slot.about) == (index, job, stage, about)
        })
    }

    pub(crate) fn crashed(&mut self, index: usize, lost: usize) {
        self.last_writes_lost.insert(index, lost);
        if 0 < lost {
            self.mark("crashes that lost writes");
        }
    }
}

impl World {
    /// Compares an honest node's effect with everything that it did before.
    pub(crate) fn watch_effect(&mut self, index: usize, effect: &Effect) {
        if !self.nodes[index].is_honest() {
            return;
        }
        if let Effect::Send { message, .. } | Effect::Broadcast { message, .. } = effect {
            self.watch_message(index, message);
        }
        if let Effect::Send { to, message: Message::Keep(job) } = effect {
            let asked = self.watch.asked.entry((index, *job)).or_default();
            if asked.insert(*to) && 3 < asked.len() {
                self.watch.mark("keepers replaced");
            }
        }
        if let Effect::Run { job, plan, stage, units, reads, .. } = effect {
            self.mark_run(units);
            self.within_cores(index);
            let is_wrong = |unit: &u64| {
                let right = self.truth(*job).and_then(|truth| truth.gathered(*stage, *unit));
                let own = reads.gathered(plan, *stage, *unit);
                right.is_some() && own.is_some() && own != right
            };
            if units.iter().any(is_wrong) {
                self.wrong_root(index, *job, &format!("stage {stage} of its input"));
            }
            let batch = units.first().map(|unit| plan.partition(*stage).batch_of(*unit));
            if let Some(batch) = batch
                && plan.partition(*stage).units_of(batch).eq(units.iter().copied())
                && 2 <= units.len()
                && let range = plan.partition(*stage).units_of(batch)
                && let gathered = plan.gathered(*stage, range, &**reads)
                && let Some(root) = plan.units_root(*stage, batch, gathered)
            {
                let slot = Slot { stage: *stage, about: About::Batch(batch), units: root };
                if self.watch.votes.contains_key(&(index, *job, slot)) {
                    let what = format!("n{index} runs s{stage} batch {batch} again after its vote");
                    self.broken(Promise::NothingRedone, what);
                }
            }
        }
    }

    pub(crate) fn truth(&self, job: JobId) -> Option<&crate::truth::Truth> {
        self.names.jobs.get(&job).map(|number| &self.truths[*number])
    }

    /// Counts what an honest node is told about a job by somebody who did not submit it.
    pub(crate) fn mark_announcement(&mut self, to: usize, announcement: &Signed<Announcement>) {
        let job = announcement.value().job;
        let submitter = self.truth(job).map(|truth| truth.manifest.submitter);
        if !self.nodes[to].is_honest() || submitter == Some(announcement.author()) {
            return;
        }
        self.watch.mark("jobs announced falsely");
        let engine = self.nodes[to].engine.as_ref();
        if engine.is_some_and(|engine| engine.job(job).is_none()) {
            self.watch.mark("jobs first heard of falsely");
        }
    }

    fn mark_run(&mut self, units: &[u64]) {
        self.watch.mark(if units.len() == 1 {
            "runs of one unit"
        } else {
            "runs of several units"
        });
    }

    fn within_cores(&mut self, index: usize) {
        let running = self.nodes[index].runs.values().filter(|run| !run.is_stopped).count();
        if self.scenario.cores < running + 1 {
            let what = format!("n{index} starts a run beside {running} others");
            self.broken(Promise::WithinCores, what);
        }
    }

    fn watch_message(&mut self, index: usize, message: &Message) {
        match message {
            Message::Steps(steps) => {
                let me = self.nodes[index].peer;
                for step in steps.iter().filter(|step| step.author() == me) {
                    self.watch_step(index, step);
                }
            }
            Message::Heads(heads) => {
                self.keeps_bounds(index, heads);
                self.watch_heads(index, heads);
            }
            Message::Hello(_)
            | Message::Announce(_)
            | Message::Jobs(_)
            | Message::WantJobs(_)
            | Message::Claim(_)
            | Message::Keep(_)
            | Message::Kept(_) => {}
        }
    }

    fn watch_step(&mut self, index: usize, step: &Signed<Step>) {
        let value = step.value();
        let key = (index, value.job, value.seq);
        match self.watch.steps.get(&key) {
            Some(known) if *known == step.id() => return,
            Some(_) => {
                let what = format!("n{index} signed two steps number {}", value.seq);
                self.broken(Promise::NoEquivocation, what);
            }
            None => {}
        }
        if !self.nodes[index].disk.holds(&encode(value)) {
            let what = format!("n{index} sent step {} before it was durable", value.seq);
            self.broken(Promise::RecordedFirst, what);
        }
        self.watch.steps.insert(key, step.id());
        let level = self.truth(value.job).map_or(0, |truth| truth.spec.level);
        if value.seq == 0 && value.level < level {
            self.watch.mark("levels relaxed");
        }
        for item in &value.items {
            self.watch_item(index, value.job, item);
        }
    }

    fn watch_item(&mut self, index: usize, job: JobId, item: &Item) {
        match item {
            Item::Vote(vote) => {
                let said = (vote.root, vote.seal);
                let known = self.watch.votes.insert((index, job, vote.slot), said);
                self.note_audit(index, job, vote);
                self.watch.mark(match vote.slot.about {
                    About::Batch(_) => "votes",
                    About::Unit(_) => "ballots",
                });
                if known.is_some_and(|known| known != said) {
                    let what = format!("n{index} voted twice on {:?}", vote.slot);
                    self.broken(Promise::NoEquivocation, what);
                }
            }
            Item::Certificate(_) => self.watch.mark("certificates"),
            Item::Leaves(_) => self.watch.mark("leaves"),
            Item::Abstention(_) => self.watch.mark("abstentions"),
            Item::Seal(seal) => {
                self.watch.mark("seals");
                self.watch_seal(index, job, seal);
            }
            Item::Keepers(_) => self.watch.mark("keepers named"),
            Item::Cancel => self.watch.mark("cancellations"),
        }
    }

    /// Whoever has the same logs must believe the same.
    fn watch_heads(&mut self, index: usize, heads: &Heads) {
        let engine = self.nodes[index].engine.as_ref();
        let Some(view) = engine.and_then(|engine| engine.job(heads.job)) else { return };
        if view.stages.is_empty() || !self.watch.heads_are_whole {
            return;
        }
        let state = self.state(index, &view);
        let mut sorted = heads.clone();
        sorted.heads.sort();
        sorted.forked.sort_by_key(|fork| (fork.author, fork.at));
        let logs = hash(
            "logs",
            &[heads.job.blob().as_bytes(), &encode(&sorted.heads), &encode(&sorted.forked)],
        );
        match self.watch.states.get(&logs) {
            Some((other, theirs)) if *theirs != state => {
                let other = *other;
                let what = format!(
                    "n{index} and n{other} both had {} and disagreed; n{index} believes {}",
                    self.names.message(&Message::Heads(sorted)),
                    self.state_text(index, &view)
                );
                self.broken(Promise::SameState, what);
            }
            Some(_) => self.watch.mark("states compared"),
            None => {
                self.watch.states.insert(logs, (index, state));
            }
        }
    }

    /// What follows from a job's steps and from nothing else.
    pub(crate) fn state(&self, index: usize, view: &JobView) -> Hash {
        hash("state", &[self.state_text(index, view).as_bytes()])
    }

    pub(crate) fn state_text(&self, index: usize, view: &JobView) -> String {
        let peers = |list: &[(PeerId, u64)]| {
            let mut list: Vec<String> =
                list.iter().map(|(peer, n)| format!("{}={n}", self.names.peer(*peer))).collect();
            list.sort();
            list.join(" ")
        };
        let mut convicted: Vec<String> =
            view.convicted.iter().map(|(peer, _)| self.names.peer(*peer)).collect();
        convicted.sort();
        format!(
            "{} executions {} disputed {} convicted [{}] outvoted [{}] workers [{}]",
            self.outcome_text(index, view),
            view.executions,
            view.disputed,
            convicted.join(" "),
            peers(&view.outvoted),
            peers(&view.workers),
        )
    }

    /// What users go by: how many units are in which state, and the results.
    pub(crate) fn outcome_text(&self, index: usize, view: &JobView) -> String {
        let stages: Vec<String> = view
            .stages
            .iter()
            .map(|s| {
                let waiting = s.open + s.running;
                format!("{}: {waiting}+{}+{}+{}", s.units, s.self_executed, s.accepted, s.contested)
            })
            .collect();
        let results = self.nodes[index].engine.as_ref().and_then(|engine| engine.results(view.job));
        let results = results.into_iter().flatten().map(|r| {
            let root: String = r.root.to_string().chars().take(6).collect();
            format!("s{}b{} {root} {}", r.stage, r.batch, r.verified)
        });
        let results: Vec<String> = results.collect();
        format!("[{}] results [{}]", stages.join(", "), results.join(", "))
    }
}
