//! Inspections: every now and then nodes are looked at from outside, as their owners would.

use engine::{JobState, JobView};

use crate::promise::Promise;
use crate::scenario::{Planned, What};
use crate::world::{Happening, World};

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
        let views = engine.jobs();
        for view in views {
            let broken = adds_up(&view)
                .map(|what| (Promise::AddsUp, what))
                .or_else(|| self.convicts_honest(&view))
                .or_else(|| self.undelivered(index, &view).map(|what| (Promise::Delivered, what)))
                .or_else(|| breaks(&view).map(|what| (Promise::Finishes, what)));
            if let Some((promise, what)) = broken {
                self.broken(promise, format!("n{index}: {what}"));
                return;
            }
            self.mark_state(&view);
            self.inspect_trust(index, &view);
        }
    }

    /// **Results are delivered while one keeper is left**: whoever has opened the job has them in time.
    fn undelivered(&self, index: usize, view: &JobView) -> Option<String> {
        let number = self.number(view.job)?;
        let by_ms = self.scenario.jobs[number].delivered_by_ms;
        let is_open = |event: &Planned| {
            event.what == What::Open && event.job == number && event.nodes.contains(&index)
        };
        let is_due = by_ms != 0 && by_ms * 1000 <= self.now_us && !self.is_calm();
        let waits =
            is_due && view.state != JobState::Verified && self.scenario.events.iter().any(is_open);
        waits.then(|| format!("j{number} is {:?} where it was opened", view.state))
    }

    fn mark_state(&mut self, view: &JobView) {
        match view.state {
            JobState::Stuck(_) => self.watch.mark("poison"),
            JobState::SelfExecuted => self.watch.mark("self-executed"),
            JobState::Failed { .. } => self.watch.mark("failed jobs"),
            JobState::Seeking
            | JobState::Fetching
            | JobState::Running
            | JobState::Verified
            | JobState::Cancelled
            | JobState::Broken { .. }
            | JobState::Expired => {}
        }
    }
}

/// **Progress adds up**: each unit of a stage is counted in exactly one state, and no more of them are final
/// or sealed than are accepted.
fn adds_up(view: &JobView) -> Option<String> {
    let wrong = view.stages.iter().find(|s| {
        let sum = s.open + s.running + s.self_executed + s.accepted + s.contested;
        sum != s.units || s.accepted < s.finals + s.sealed
    });
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
