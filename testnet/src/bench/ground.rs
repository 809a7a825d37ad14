//! What all figures stand on: a warm network of honest nodes, and trivial jobs for it.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, ensure};
use client::api::{JobState, JobStatus};
use client::{Client, DraftSource, Prepared};
use protocol::JobId;

use crate::work::{self, example, hand_over};
use crate::{Deadline, Fleet, Recipe};

/// For everything that one figure does; they take seconds.
const WITHIN: Duration = Duration::from_secs(600);

/// The deadline of one figure.
pub(super) fn deadline() -> Deadline {
    Deadline::within(WITHIN)
}

/// Starts honest nodes with one core each, and waits until all know each other.
pub(super) fn fleet(
    nodes: usize,
    below: &Path,
    log: &str,
    deadline: Deadline,
) -> anyhow::Result<Fleet> {
    let mut recipe = Recipe::of_this_program(nodes)?;
    (recipe.below, recipe.log) = (below.to_owned(), log.to_owned());
    let fleet = Fleet::start(recipe, deadline)?;
    fleet.formed(deadline)?;
    Ok(fleet)
}

/// A job of trivial units with these numbers.
pub(super) fn trivial(from: u64, to: u64) -> anyhow::Result<Prepared> {
    let mut job = example("trivial")?;
    let stage = job.draft.stages.first_mut().context("the example `trivial` has a stage")?;
    stage.source = DraftSource::Range { from, to, block: 1 };
    // Not the unit's place but its number: no two jobs here have a unit in common.
    stage.args = vec!["{start}".to_owned()];
    stage.batch = client::default_batch(to - from, None);
    Ok(job)
}

/// Hands a job in, and waits for its verified end.
pub(super) fn through(
    client: &Client,
    job: &Prepared,
    deadline: Deadline,
) -> anyhow::Result<(JobId, JobStatus)> {
    let id = hand_over(client, job)?;
    let over = |status: &JobStatus| status.state == JobState::Verified;
    Ok((id, work::until(client, id, deadline, "a job was verified", over)?))
}

/// Adds up what a trivial job printed, which must be right.
pub(super) fn check_squares(client: &Client, job: JobId, from: u64, to: u64) -> anyhow::Result<()> {
    let units = work::fetch(client, job)?;
    ensure!(units.len() as u64 == to - from, "{} results", units.len());
    for (unit, x) in units.iter().zip(from..) {
        ensure!(unit.verified && unit.ending.is_success(), "unit {x}: {}", unit.ending);
        let want = format!("{}\n", x * x + 1);
        let stdout = unit.stdout.context("a unit without stdout")?;
        // Reading each would be measuring the API: the name says it all.
        ensure!(stdout.id == protocol::BlobId::of(want.as_bytes()), "unit {x} is wrong");
    }
    Ok(())
}

/// The median; 0 of nothing.
pub(super) fn median(numbers: &[f64]) -> f64 {
    percentile(numbers, 50)
}

/// The value that so many percent do not exceed.
pub(super) fn percentile(numbers: &[f64], percent: usize) -> f64 {
    let mut sorted = numbers.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
    sorted.get(at).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_occurred() {
        let numbers: Vec<f64> = (1..=200).rev().map(f64::from).collect();
        assert_eq!(percentile(&numbers, 50), 100.0);
        assert_eq!(percentile(&numbers, 99), 198.0);
        assert_eq!(median(&[]), 0.0);
        assert_eq!(median(&[3.0]), 3.0);
    }
}
