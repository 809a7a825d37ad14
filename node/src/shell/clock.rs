//! The two clocks that the engine is told.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use engine::Time;

/// Counts from when it was made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    start: Instant,
}

impl Clock {
    pub(crate) fn new() -> Self {
        Self { start: Instant::now() }
    }

    pub(crate) fn now(&self) -> Time {
        Time { mono_ms: millis(self.start.elapsed()), unix_ms: unix_ms() }
    }

    /// The moment that the engine calls `mono_ms`.
    pub(crate) fn at(&self, mono_ms: u64) -> tokio::time::Instant {
        // A year from now is as good as never, and cannot overflow.
        let ahead = mono_ms.saturating_sub(millis(self.start.elapsed())).min(366 * 24 * 3_600_000);
        (Instant::now() + Duration::from_millis(ahead)).into()
    }
}

/// Milliseconds since 1970 by the machine's clock.
pub(crate) fn unix_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, millis)
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
