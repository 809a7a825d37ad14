//! Tree: many outcomes reduced by levels of units, each of which reads few.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, ensure};
use client::api::{JobState, JobStatus, StageStatus};
use client::{JobFile, Prepared, SourceSpec, prepare};
use serde_json::json;

use super::figure::TreeArgs;
use super::ground::{deadline, fleet, through, trivial};
use super::meter::Meter;
use crate::work::{FileOf, hand_over, only_output, until};
use crate::{procfs, table};

/// A submitter does not work on its own job, so two of these execute each unit.
const NODES: usize = 3;
const WARM: u64 = 1_000;

pub(super) fn run(args: &TreeArgs) -> anyhow::Result<()> {
    let deadline = deadline();
    let fleet = fleet(NODES, &args.ground.below, &args.ground.log, deadline)?;
    let client = fleet.member(NODES - 1).client()?;
    through(client, &trivial(1 << 30, (1 << 30) + WARM)?, deadline)?;
    let job = job(args.units)?;
    let meter = Meter::start(&fleet);
    let start = Instant::now();
    let id = hand_over(client, &job)?;
    let mut over = BTreeMap::new();
    let seen = |status: &JobStatus| {
        for (number, stage) in status.stages.iter().enumerate() {
            if stage.accepted == stage.units {
                over.entry(number).or_insert_with(|| start.elapsed().as_secs_f64());
            }
        }
        status.state == JobState::Verified
    };
    let status = until(client, id, deadline, "the tree was verified", seen)?;
    let read = meter.read();
    let sum = String::from_utf8(only_output(client, id, FileOf::Stdout)?)?;
    let right = sum_of_squares(args.units);
    ensure!(sum == format!("{right}\n"), "the sum is {sum}, and not {right}");
    let peaks = fleet.pids().into_iter().map(|pid| procfs::peak_bytes(pid) >> 20);
    let peak_mib = peaks.max().unwrap_or(0);
    fleet.stop()?;
    let levels = status.stages.iter().zip(over.values());
    let row = |(stage, over): (&StageStatus, &f64)| {
        vec![stage.name.clone(), stage.units.to_string(), format!("{over:.2}")]
    };
    table::print(&["LEVEL", "UNITS", "OVER AFTER s"], &levels.map(row).collect::<Vec<_>>())?;
    table::json(&json!({
        "figure": "tree", "nodes": NODES, "outcomes": args.units, "wall_s": read.wall.as_secs_f64(),
        "cpu_s": read.cpu.as_secs_f64(), "others_cores": read.others, "peak_mib": peak_mib,
        "over_after_s": over.into_values().collect::<Vec<_>>(),
    }))?;
    Ok(())
}

/// The example `tree` with another number of squares.
fn job(units: u64) -> anyhow::Result<Prepared> {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
    let mut file = JobFile::load(&examples.join("tree/job.toml"))?;
    let squares = file.stages.first_mut().context("the example `tree` has stages")?;
    squares.source = SourceSpec::Range { from: 0, to: units, block: 1 };
    Ok(prepare(file)?)
}

/// Of x² + 1 for all x below a number.
fn sum_of_squares(count: u64) -> u64 {
    (0..count).map(|x| x * x + 1).sum()
}
