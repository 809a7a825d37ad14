//! Known jobs: what is said about others is not worth a signature's check.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use protocol::{JobId, Unchecked};

use crate::shell::unix_ms;

/// Jobs that were announced a moment ago, and that the engine may not have heard of yet.
const ANNOUNCED_MAX: usize = 256;

/// The jobs that the engine knows or is about to know.
#[derive(Debug, Default)]
pub(crate) struct Known {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    jobs: BTreeSet<JobId>,
    /// The oldest first.
    announced: VecDeque<JobId>,
}

impl Known {
    /// The engine knows this job, or knows it no longer.
    pub(crate) fn note(&self, job: JobId, is_known: bool) {
        let mut inner = self.lock();
        if is_known {
            inner.jobs.insert(job);
        } else {
            inner.jobs.remove(&job);
            inner.announced.retain(|other| *other != job);
        }
    }

    /// An announcement is on its way to the engine, and what else its sender says comes right behind it.
    pub(crate) fn announced(&self, job: JobId) {
        let mut inner = self.lock();
        if inner.jobs.contains(&job) || inner.announced.contains(&job) {
            return;
        }
        if inner.announced.len() == ANNOUNCED_MAX {
            inner.announced.pop_front();
        }
        inner.announced.push_back(job);
    }

    /// Whether the engine could do anything with a statement; it would ignore all others.
    pub(crate) fn wants(&self, said: Unchecked<'_>) -> bool {
        let job = match said {
            Unchecked::Announcement(announcement) => return unix_ms() <= announcement.expires_ms,
            Unchecked::Step(step) => step.job,
            Unchecked::Claim(claim) => claim.job,
        };
        let inner = self.lock();
        inner.jobs.contains(&job) || inner.announced.contains(&job)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
