//! How many units make a batch when the author does not say.

use std::time::Duration;

use protocol::limits::{BATCH_UNITS_MAX, BATCHES_MAX};

/// A batch is worth about this much work: more than its votes cost, little enough to do it again.
const BATCH_WORK: Duration = Duration::from_secs(2);

/// Units per batch for a stage of `units`, of which one takes `measured` where somebody tried.
///
/// With a measurement it is two seconds of work, but leaves at least four batches to share; without
/// one it leaves about sixteen batches. Never more than the protocol allows, and never so few that the
/// stage had more than half of the batches that a job may have.
pub fn default_batch(units: u64, measured: Option<Duration>) -> u32 {
    let batch = match measured {
        Some(unit) => {
            let by_time = BATCH_WORK.as_nanos() / unit.as_nanos().max(1);
            u64::try_from(by_time).unwrap_or(u64::MAX).min(units.div_ceil(4))
        }
        None => units / 16,
    };
    let batch = batch.max(units.div_ceil(BATCHES_MAX / 2));
    u32::try_from(batch).unwrap_or(u32::MAX).clamp(1, BATCH_UNITS_MAX)
}
