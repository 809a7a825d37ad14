//! Refusals: why units cannot run on this machine, in more words than a step may carry.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use protocol::JobId;

/// Stages that reasons are remembered of; the reasons of others are in the log only.
const STAGES_MAX: usize = 1024;
/// Characters kept of a reason.
const CHARS_MAX: usize = 400;

/// The last reason of each stage, since the start.
#[derive(Debug, Default)]
pub(crate) struct Refusals {
    reasons: Mutex<BTreeMap<(JobId, u16), String>>,
}

impl Refusals {
    pub(crate) fn note(&self, job: JobId, stage: u16, why: &str) {
        let mut reasons = self.lock();
        if reasons.len() < STAGES_MAX || reasons.contains_key(&(job, stage)) {
            reasons.insert((job, stage), why.chars().take(CHARS_MAX).collect());
        }
    }

    pub(crate) fn of(&self, job: JobId, stage: u16) -> Option<String> {
        self.lock().get(&(job, stage)).cloned()
    }

    /// Forgets a job.
    pub(crate) fn remove_job(&self, job: JobId) {
        self.lock().retain(|(of, _), _| *of != job);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<(JobId, u16), String>> {
        self.reasons.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
