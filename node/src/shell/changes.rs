//! Tells watchers which jobs have changed, many changes of one job at a time.

use std::collections::BTreeSet;
use std::time::Duration;

use protocol::JobId;
use tokio::sync::broadcast;
use tokio::time::Instant;

/// How long changes gather: people do not read faster.
const GATHERED: Duration = Duration::from_millis(50);
/// Jobs that a slow watcher may be behind; beyond, it is told that it has missed some.
pub(crate) const CHANGES_BEHIND_MAX: usize = 1024;

#[derive(Debug)]
pub(crate) struct Changes {
    watchers: broadcast::Sender<JobId>,
    changed: BTreeSet<JobId>,
    due: Option<Instant>,
}

impl Changes {
    pub(crate) fn new(watchers: broadcast::Sender<JobId>) -> Self {
        Self { watchers, changed: BTreeSet::new(), due: None }
    }

    pub(crate) fn note(&mut self, job: JobId) {
        self.changed.insert(job);
        self.due.get_or_insert_with(|| Instant::now() + GATHERED);
    }

    /// When [`Changes::tell`] should be called; never, if nothing has changed.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.due
    }

    pub(crate) fn tell(&mut self) {
        self.due = None;
        for job in std::mem::take(&mut self.changed) {
            // That nobody watches is fine.
            let _ = self.watchers.send(job);
        }
    }
}
