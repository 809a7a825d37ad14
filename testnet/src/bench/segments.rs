//! Segments: what it costs to cut one long unit into a chain of verified segments.

use std::path::Path;

use anyhow::{Context, ensure};
use client::api::JobState;
use client::{Client, JobFile, Prepared, SourceSpec, prepare};
use protocol::BlobId;
use serde_json::json;

use super::figure::SegmentsArgs;
use super::ground::{deadline, fleet, median};
use crate::work::{FileOf, hand_over, only_output, until};
use crate::{Deadline, table};

/// A submitter does not work on its own job, so two of these execute each segment.
const NODES: usize = 3;
/// Steps that the unit makes altogether; the numbers of segments divide it.
const STEPS: u32 = 4_000;
const SEGMENTS: [u32; 4] = [1, 10, 100, 200];

pub(super) fn run(args: &SegmentsArgs) -> anyhow::Result<()> {
    let deadline = deadline();
    let fleet = fleet(NODES, &args.ground.below, &args.ground.log, deadline)?;
    let client = fleet.member(NODES - 1).client()?;
    let mut plate = None;
    let mut taken = [const { Vec::new() }; SEGMENTS.len()];
    // The first turn warms the network.
    for turn in 0..=args.runs {
        for (taken, segments) in taken.iter_mut().zip(SEGMENTS) {
            let (ms, left) = one(client, segments, deadline)?;
            ensure!(*plate.get_or_insert(left) == left, "{segments} segments have another result");
            if turn != 0 {
                taken.push(ms);
            }
        }
    }
    fleet.stop()?;
    let whole = median(&taken[0]);
    let per_segment = |ms: f64, segments: u32| (ms - whole) / f64::from(segments - 1);
    let row = |(ms, segments): (f64, u32)| {
        let more = if segments == 1 {
            "-".to_owned()
        } else {
            format!("{:.1}", per_segment(ms, segments))
        };
        vec![segments.to_string(), format!("{ms:.0}"), more]
    };
    let medians: Vec<f64> = taken.iter().map(|taken| median(taken)).collect();
    let rows: Vec<Vec<String>> = medians.iter().copied().zip(SEGMENTS).map(row).collect();
    table::print(&["SEGMENTS", "ms", "MORE ms PER SEGMENT"], &rows)?;
    table::json(&json!({
        "figure": "segments", "nodes": NODES, "runs": args.runs, "segments": SEGMENTS, "ms": medians,
    }))?;
    Ok(())
}

/// Milliseconds until the verified result is here, and the result's name.
fn one(client: &Client, segments: u32, deadline: Deadline) -> anyhow::Result<(f64, BlobId)> {
    let job = job(segments)?;
    let start = std::time::Instant::now();
    let id = hand_over(client, &job)?;
    let verified = |status: &client::api::JobStatus| status.state == JobState::Verified;
    until(client, id, deadline, "the plate was verified", verified)?;
    let plate = only_output(client, id, FileOf::Stdout)?;
    Ok((start.elapsed().as_secs_f64() * 1e3, BlobId::of(&plate)))
}

/// One plate of the example `heat` in so many segments.
fn job(segments: u32) -> anyhow::Result<Prepared> {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
    let mut file = JobFile::load(&examples.join("heat/job.toml"))?;
    file.stages.truncate(1);
    let plate = file.stages.first_mut().context("the example `heat` has a stage")?;
    plate.source = SourceSpec::Range { from: 0, to: 1, block: 1 };
    plate.args = ["96".to_owned(), STEPS.to_string(), (STEPS / segments).to_string()].into();
    plate.segments = segments;
    let mut job = prepare(file)?;
    // What an earlier turn has verified is not to be remembered.
    job.draft.no_memo = true;
    Ok(job)
}
