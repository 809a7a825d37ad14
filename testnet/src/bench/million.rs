//! A million units: a job as large as people dare, with a node killed and restarted in the middle.

use std::time::Duration;

use anyhow::{Context, bail, ensure};
use client::api::{JobState, JobStatus};
use serde_json::json;

use super::figure::MillionArgs;
use super::ground::{check_squares, fleet, through, trivial};
use super::meter::Meter;
use crate::work::{done, hand_over};
use crate::{Deadline, Fleet, procfs, table};

const NODES: usize = 3;
const SUBMITTER: usize = NODES - 1;
const VICTIM: usize = 1;
const WITHIN: Duration = Duration::from_secs(1800);
const LOOK_EVERY: Duration = Duration::from_millis(50);
const MANIFEST_BYTES_MAX: usize = 64 << 10;
const SUBMITTER_BYTES_MAX: u64 = 300 << 20;
const FIRST: u64 = 1 << 24;

pub(super) fn run(args: &MillionArgs) -> anyhow::Result<()> {
    let deadline = Deadline::within(WITHIN);
    let mut fleet = fleet(NODES, &args.ground.below, &args.ground.log, deadline)?;
    through(fleet.member(SUBMITTER).client()?, &trivial(0, 1000)?, deadline)?;
    let (from, to) = (FIRST, FIRST + args.units);
    let job = trivial(from, to)?;
    let manifest = job.manifest().to_bytes().len();
    ensure!(manifest <= MANIFEST_BYTES_MAX, "the manifest has {manifest} bytes");
    let meter = Meter::start(&fleet);
    let client = fleet.member(SUBMITTER).client()?.clone();
    let id = hand_over(&client, &job)?;
    let (mut looks, mut before, mut is_killed) = (0_u64, 0, false);
    let last = loop {
        deadline.check("a million units were verified")?;
        let status = client.job(&id.to_string())?;
        check(&status, args.units, &mut before)?;
        looks += 1;
        match status.state {
            JobState::Verified => break status,
            JobState::Failed { .. }
            | JobState::Broken { .. }
            | JobState::Cancelled
            | JobState::Expired => {
                bail!("the job ended as {:?}", status.state)
            }
            JobState::Seeking
            | JobState::Fetching
            | JobState::Running
            | JobState::SelfExecuted
            | JobState::Stuck { .. } => {}
        }
        if !is_killed && args.units <= 2 * done(&status).0 {
            is_killed = true;
            restart(&mut fleet, deadline)?;
        }
        std::thread::sleep(LOOK_EVERY);
    };
    let read = meter.read();
    let pid = fleet.member(SUBMITTER).pid().context("the submitter does not run")?;
    let peak = procfs::own_peak_bytes(pid);
    ensure!(is_killed, "all was over before anybody was killed");
    check_squares(&client, id, from, to)?;
    ensure!(peak <= SUBMITTER_BYTES_MAX, "the submitter had {} MiB", peak >> 20);
    let after = procfs::own_peak_bytes(pid);
    let wall = read.wall.as_secs_f64();
    table::print(
        &["UNITS", "SECONDS", "UNITS/S", "MANIFEST B", "SUBMITTER MiB", "LOOKS"],
        &[vec![
            args.units.to_string(),
            format!("{wall:.1}"),
            format!("{:.0}", args.units as f64 / wall),
            manifest.to_string(),
            (peak >> 20).to_string(),
            looks.to_string(),
        ]],
    )?;
    table::json(&json!({
        "figure": "million", "nodes": NODES, "units": args.units, "wall_s": wall, "manifest_bytes": manifest,
        "submitter_peak_mib": peak >> 20, "submitter_peak_with_results_mib": after >> 20, "looks": looks,
        "executions": last.executions,
    }))?;
    fleet.stop()
}

/// Progress adds up, and never goes back.
fn check(status: &JobStatus, units: u64, before: &mut u64) -> anyhow::Result<()> {
    let Some(stage) = status.stages.first() else { return Ok(()) };
    let sum = stage.open + stage.running + stage.self_executed + stage.accepted + stage.contested;
    ensure!(stage.units == units && sum == units, "the units do not add up: {stage:?}");
    ensure!(stage.finals + stage.sealed <= stage.accepted, "more is sure than accepted: {stage:?}");
    ensure!(*before <= stage.accepted, "{before} units were accepted, and now {}", stage.accepted);
    *before = stage.accepted;
    Ok(())
}

fn restart(fleet: &mut Fleet, deadline: Deadline) -> anyhow::Result<()> {
    table::talk(format!("{} is killed and restarted", fleet.member(VICTIM).name()));
    fleet.kill(VICTIM);
    fleet.restart(VICTIM, deadline)
}
