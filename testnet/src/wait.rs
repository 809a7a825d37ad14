//! Waiting for facts, all of them under one deadline.

use std::time::{Duration, Instant};

use anyhow::bail;

use crate::interrupt;

/// How often a fact is looked at that nobody reports.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// When everything that a story waits for must have happened.
#[derive(Clone, Copy, Debug)]
pub struct Deadline {
    at: Instant,
}

impl Deadline {
    pub fn within(span: Duration) -> Self {
        Self { at: Instant::now() + span }
    }

    /// What is left of it.
    pub fn left(&self) -> Duration {
        self.at.saturating_duration_since(Instant::now())
    }

    /// An error if it is over or somebody has pressed Ctrl-C.
    ///
    /// # Errors
    /// Names what was waited for.
    pub fn check(&self, what: &str) -> anyhow::Result<()> {
        interrupt::check()?;
        if self.left().is_zero() { bail!("it took too long until {what}") } else { Ok(()) }
    }

    /// Looks until `look` sees something.
    ///
    /// # Errors
    /// Those of `look`, or that the deadline is over before `what`.
    pub fn until<T>(
        &self,
        what: &str,
        mut look: impl FnMut() -> anyhow::Result<Option<T>>,
    ) -> anyhow::Result<T> {
        loop {
            if let Some(seen) = look()? {
                return Ok(seen);
            }
            self.check(what)?;
            std::thread::sleep(LOOK_EVERY.min(self.left()));
        }
    }
}
