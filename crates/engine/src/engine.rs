//! The engine: events are routed to the roles here, and reasoned about there.

use protocol::JobId;

use crate::{BatchResult, Config, Effect, Event, JobView, Time};

/// One node's mind.
#[derive(Debug)]
pub struct Engine {
    config: Config,
}

impl Engine {
    pub fn new(config: Config) -> Self {
        Self { config }
    }

    /// Takes in what happened. [`Engine::poll`] must be drained before the next call.
    pub fn handle(&mut self, _now: Time, _event: Event) {}

    /// The next thing to do, in order; `None` when there is nothing more.
    pub fn poll(&mut self) -> Option<Effect> {
        None
    }

    /// When [`Event::Tick`] is due, in monotonic milliseconds.
    pub fn wake_at(&self) -> Option<u64> {
        None
    }

    /// All jobs that this node knows.
    pub fn jobs(&self) -> Vec<JobView> {
        Vec::new()
    }

    /// One job.
    pub fn job(&self, _job: JobId) -> Option<JobView> {
        let _ = &self.config;
        None
    }

    /// The outcomes of the stages that no other stage reads, batch by batch, once all of them exist.
    pub fn results(&self, _job: JobId) -> Option<Vec<BatchResult>> {
        None
    }
}
