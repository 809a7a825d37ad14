//! A rate that is kept to: a bucket that fills evenly and is emptied by who comes first.

use std::time::Duration;

use tokio::sync::{Mutex, MutexGuard};
use tokio::time::{Instant, sleep};

/// Bytes per second, or no limit.
#[derive(Debug)]
pub(crate) struct Bucket {
    rate: Option<u64>,
    level: Mutex<Level>,
}

/// What is in the bucket; below zero it was promised already.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Level {
    bytes: i64,
    at: Instant,
}

impl Bucket {
    pub(crate) fn new(rate: Option<u64>) -> Self {
        let bytes = rate.map_or(0, |rate| rate.clamp(1, i64::MAX as u64) as i64);
        Self { rate, level: Mutex::new(Level { bytes, at: Instant::now() }) }
    }

    /// Waits until bytes may go. Those who wait come in the order of asking, and others wait until this
    /// one has said how many.
    pub(crate) async fn turn(&self) -> Turn<'_> {
        let Some(rate) = self.rate else { return Turn(None) };
        let mut level = self.level.lock().await;
        loop {
            let wait = level.fill(rate, Instant::now());
            if wait.is_zero() {
                return Turn(Some(level));
            }
            sleep(wait).await;
        }
    }
}

/// The leave to move some bytes.
#[derive(Debug)]
pub(crate) struct Turn<'a>(Option<MutexGuard<'a, Level>>);

impl Turn<'_> {
    pub(crate) fn take(self, bytes: u64) {
        if let Some(mut level) = self.0 {
            level.bytes = level.bytes.saturating_sub(i64::try_from(bytes).unwrap_or(i64::MAX));
        }
    }
}

impl Level {
    /// Adds what time has brought, a second's worth at most; how long until there is anything.
    fn fill(&mut self, rate: u64, now: Instant) -> Duration {
        let rate = rate.clamp(1, 1 << 40);
        let millis = now.duration_since(self.at).as_millis().min(1 << 20) as u64;
        let gained = (rate * millis / 1000) as i64;
        if 0 < gained {
            self.bytes = self.bytes.saturating_add(gained).min(rate as i64);
            self.at = now;
        }
        match 0 < self.bytes {
            true => Duration::ZERO,
            false => Duration::from_millis(self.bytes.unsigned_abs() * 1000 / rate + 1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_out_keeps_to_the_rate_however_large_the_portions_are() {
        let (rate, start) = (100_000, Instant::now());
        for portion in [1_000, 50_000, 1_000_000] {
            let (mut level, mut now) = (Level { bytes: rate as i64, at: start }, start);
            for _ in 0..3_000_000 / portion {
                now += level.fill(rate, now);
                assert_eq!(level.fill(rate, now), Duration::ZERO);
                level.bytes -= portion;
            }
            let least = ((3_000_000 - portion) / 100_000 - 1) as u64;
            let took = (now - start).as_secs();
            assert!((least..=least + 2).contains(&took), "{portion}: {took} s, at least {least}");
        }
    }

    #[test]
    fn an_idle_line_saves_up_a_second_and_no_more() {
        let start = Instant::now();
        let mut level = Level { bytes: 0, at: start };
        assert_eq!(level.fill(1000, start + Duration::from_secs(3600)), Duration::ZERO);
        assert_eq!(level.bytes, 1000);
    }
}
