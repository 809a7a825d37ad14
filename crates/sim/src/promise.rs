//! The promises: what must hold in every world, one function each.

use std::fmt;

use engine::{JobState, JobView};

use crate::node::Node;
use crate::world::{Happening, World};

/// What was promised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Promise {
    NoWrongResult,
    SameState,
    Finishes,
    NothingRedone,
    NoHonestConvicted,
    NoHonestBlamed,
    NoEquivocation,
    RecordedFirst,
    NoPanic,
    AddsUp,
    Readable,
    Judged,
    WithinCores,
    Calm,
    Deterministic,
}

/// A broken promise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    pub promise: Promise,
    pub what: String,
    pub at_ms: u64,
}

impl fmt::Display for Promise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoWrongResult => "no wrong result is accepted below the bound",
            Self::SameState => "same statements, same state",
            Self::Finishes => "every job finishes once the faults stop",
            Self::NothingRedone => "nothing completed is executed again",
            Self::NoHonestConvicted => "no honest peer is convicted",
            Self::NoHonestBlamed => "no honest peer's gossip is rejected",
            Self::NoEquivocation => "honest nodes never equivocate",
            Self::RecordedFirst => "recorded before sent",
            Self::NoPanic => "no panic",
            Self::AddsUp => "progress adds up",
            Self::Readable => "what honest nodes say can be read",
            Self::Judged => "every gossip message is judged once",
            Self::WithinCores => "no more runs at a time than the owner has lent cores",
            Self::Calm => "no node runs in circles",
            Self::Deterministic => "the same seed gives the same trace",
        })
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { promise, what, at_ms } = self;
        write!(f, "`{promise}` is broken after {}.{:03} s: {what}", at_ms / 1000, at_ms % 1000)
    }
}

const EVERY_US: u64 = 2_000_000;

impl World {
    /// Looks at nodes from outside, as their owners would.
    pub(crate) fn inspect(&mut self) {
        let chosen = self.inspections.below(self.nodes.len() as u64) as usize;
        for index in 0..self.nodes.len() {
            if self.nodes[index].is_honest() && (self.is_calm() || index == chosen) {
                self.inspect_node(index);
            }
        }
        if self.is_calm() {
            match self.unfinished() {
                None => self.finish(),
                Some(what) if self.deadline_us <= self.now_us => {
                    self.broken(Promise::Finishes, what);
                }
                Some(_) => {}
            }
        }
        self.later(EVERY_US, Happening::Inspect);
    }

    fn inspect_node(&mut self, index: usize) {
        let Some(engine) = &self.nodes[index].engine else { return };
        for view in engine.jobs() {
            let broken = adds_up(&view)
                .map(|what| (Promise::AddsUp, what))
                .or_else(|| {
                    self.convicts_honest(&view).map(|what| (Promise::NoHonestConvicted, what))
                })
                .or_else(|| breaks(&view).map(|what| (Promise::Finishes, what)));
            if let Some((promise, what)) = broken {
                self.broken(promise, format!("n{index}: {what}"));
                return;
            }
            if let Some(what) = self.wrong_result(index, &view) {
                self.wrong_root(index, &what);
            }
        }
    }

    /// **No wrong result is accepted below the bound.** While fewer than a quorum of identities share
    /// a lie, no honest node holds a wrong outcome for verified.
    fn wrong_result(&self, index: usize, view: &JobView) -> Option<String> {
        let truth = self.truth(view.job)?;
        let results = self.nodes[index].engine.as_ref()?.results(view.job)?;
        let wrong = results.iter().find(|result| {
            let units = result.first_unit..result.first_unit + result.units;
            let right = truth.root(result.stage, units);
            result.verified && right.is_some_and(|right| right != result.root)
        })?;
        Some(format!("result of stage {} batch {}", wrong.stage, wrong.batch))
    }

    /// **No honest peer is convicted** where fewer than two liars collude.
    fn convicts_honest(&self, view: &JobView) -> Option<String> {
        let honest = view.convicted.iter().find(|(peer, _)| {
            let index = self.names.peers.get(peer);
            index.is_some_and(|index| self.nodes[*index].is_honest())
        });
        let (peer, why) = honest.filter(|_| self.scenario.colluders() < 2)?;
        Some(format!("{} is convicted: {why}", self.names.peer(*peer)))
    }

    /// **Every job finishes once the faults stop**, at every honest node that takes part in it, and
    /// all of those nodes see the same; what is missing for that, if anything is.
    fn unfinished(&self) -> Option<String> {
        (0..self.truths.len()).find_map(|job| self.job_unfinished(job))
    }

    fn job_unfinished(&self, job: usize) -> Option<String> {
        let (truth, fate) = (&self.truths[job], &self.jobs[job]);
        if fate.is_excused || !fate.is_submitted {
            return None;
        }
        let mut first: Option<(usize, String)> = None;
        for node in self.nodes.iter().filter(|node| node.is_honest()) {
            let Some(engine) = &node.engine else { continue };
            let takes_part = node.joined.contains(&truth.job) || truth.spec.submitter == node.index;
            let Some(view) = engine.job(truth.job) else { continue };
            if !takes_part && !is_end(&view.state) {
                continue;
            }
            if !self.is_final(job, &view) {
                let text = self.state_text(node.index, &view);
                return Some(format!("j{job} at n{} is {:?}: {text}", node.index, view.state));
            }
            let text = self.outcome_text(node.index, &view);
            if let Some((other, theirs)) = &first
                && *theirs != text
            {
                return Some(format!("j{job}: n{other} sees {theirs}, n{} {text}", node.index));
            }
            first.get_or_insert((node.index, text));
        }
        if first.is_none() { Some(format!("nobody takes part in j{job}")) } else { None }
    }

    /// Whether the state is one in which this job may end.
    fn is_final(&self, job: usize, view: &JobView) -> bool {
        let (truth, fate) = (&self.truths[job], &self.jobs[job]);
        let lied_away = usize::from(truth.spec.quorum) <= self.scenario.colluders();
        let endless = !truth.spec.looping.is_empty();
        match view.state {
            JobState::Verified => !endless || lied_away,
            JobState::Failed { .. } => truth.fails(),
            JobState::Stuck(_) => endless,
            JobState::SelfExecuted => self.lives() <= usize::from(truth.spec.quorum),
            JobState::Cancelled => fate.is_cancelled,
            JobState::Seeking
            | JobState::Fetching
            | JobState::Running
            | JobState::Broken { .. }
            | JobState::Expired => false,
        }
    }

    fn lives(&self) -> usize {
        self.nodes.iter().filter(|node: &&Node| node.is_honest() && node.is_up()).count()
    }

    fn finish(&mut self) {
        self.is_over = true;
        for (job, truth) in self.truths.iter().enumerate() {
            if self.jobs[job].is_cancelled || self.jobs[job].is_excused {
                continue;
            }
            let submitter = &self.nodes[truth.spec.submitter];
            let view = submitter.engine.as_ref().and_then(|engine| engine.job(truth.job));
            if let Some(view) = view
                && let Some(_wrong) = self.wrong_result(submitter.index, &view)
            {
                self.watch.mark("jobs that ended wrong above the bound");
            }
        }
    }
}

/// **Progress adds up**: each unit of a stage is counted in exactly one state.
fn adds_up(view: &JobView) -> Option<String> {
    let wrong = view
        .stages
        .iter()
        .find(|s| s.open + s.running + s.self_executed + s.accepted + s.contested != s.units);
    wrong.map(|stage| format!("{stage:?} does not add up"))
}

/// A job that everybody described rightly is never broken, and none lives long enough to expire.
fn breaks(view: &JobView) -> Option<String> {
    match &view.state {
        JobState::Broken { why } => Some(format!("a good job is broken: {why}")),
        JobState::Expired => Some("a job has expired before its time".to_owned()),
        JobState::Seeking
        | JobState::Fetching
        | JobState::Running
        | JobState::Verified
        | JobState::SelfExecuted
        | JobState::Failed { .. }
        | JobState::Stuck(_)
        | JobState::Cancelled => None,
    }
}

/// Whether a node that has left the job's topic may have done so.
fn is_end(state: &JobState) -> bool {
    match state {
        JobState::Verified
        | JobState::SelfExecuted
        | JobState::Failed { .. }
        | JobState::Stuck(_)
        | JobState::Broken { .. }
        | JobState::Cancelled
        | JobState::Expired => true,
        JobState::Seeking | JobState::Fetching | JobState::Running => false,
    }
}
