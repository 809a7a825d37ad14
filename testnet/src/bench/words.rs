//! Words: a large text is handed in, counted by a shuffle, and the verified table comes back.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use client::api::JobState;
use client::{JobFile, Prepared, prepare};
use serde_json::json;
use sha2::{Digest, Sha256};

use super::figure::WordsArgs;
use super::ground::{deadline, fleet, median};
use super::meter::Meter;
use super::peers::{self, WordsRun};
use super::text::{self, CHUNK_BYTES, hex};
use crate::work::{FileOf, hand_over, only_output, until};
use crate::{Fleet, procfs, table};

/// A submitter does not work on its own job, so two of these execute each unit.
const NODES: usize = 3;
/// The text of 64 chunks, and the table of its words: as many digits as Ray's program prints.
const CHUNKS_KNOWN: u64 = 64;
const TEXT_SHA256: &str = "2855b5f1ce0378ab335b6f03de1d557961f8b2e3e9a3493320595de994414281";
const TABLE_SHA256_BEGIN: &str = "2bc4711eec7d1613";

/// One run.
#[derive(Clone, Debug)]
struct Run {
    /// From handing it in until the table is here.
    wall: Duration,
    /// Of that, until the node had the text and the job.
    handing: Duration,
    cpu: Duration,
    others: f64,
    table: String,
    /// Of each node with its workers, the submitter last.
    peak_mib: Vec<u64>,
}

pub(super) fn run(args: &WordsArgs) -> anyhow::Result<()> {
    let lab = tempfile::Builder::new().prefix("words-").tempdir_in(&args.ground.below)?;
    let digest = text::write(&lab.path().join("text"), args.chunks)?;
    ensure!(args.chunks != CHUNKS_KNOWN || digest == TEXT_SHA256, "the text is {digest}");
    // Half of our runs come after theirs, so that a machine that others use is fair to both.
    let half = args.runs.div_ceil(2);
    let mut ours = Vec::new();
    for _ in 0..half {
        ours.push(measure(args, lab.path())?);
    }
    let ray = match (&args.ray, &args.programs) {
        (Some(python), Some(programs)) if args.chunks == CHUNKS_KNOWN => {
            peers::w7(python, programs, lab.path())?
        }
        _ => {
            table::talk(
                "Ray beside it: --ray PYTHON --programs DIR, and 64 chunks; see docs/BENCHMARKS.md",
            );
            Vec::new()
        }
    };
    for _ in half..args.runs {
        ours.push(measure(args, lab.path())?);
    }
    show(args, &ours, &ray)
}

/// One run on a network of its own: a second one would find the text where it is needed.
fn measure(args: &WordsArgs, lab: &Path) -> anyhow::Result<Run> {
    let deadline = deadline();
    let fleet = fleet(NODES, &args.ground.below, &args.ground.log, deadline)?;
    let client = fleet.member(NODES - 1).client()?;
    let warm = crate::work::example("words")?;
    let verified = |status: &client::api::JobStatus| status.state == JobState::Verified;
    let id = hand_over(client, &warm)?;
    until(client, id, deadline, "the network was warm", verified)?;
    let meter = Meter::start(&fleet);
    let start = Instant::now();
    let job = job(lab, args.chunks)?;
    let id = hand_over(client, &job)?;
    let handing = start.elapsed();
    until(client, id, deadline, "the words were verified", verified)?;
    let table = only_output(client, id, FileOf::Path("words.txt"))?;
    let read = meter.read();
    let table = hex(&Sha256::digest(&table));
    ensure!(
        args.chunks != CHUNKS_KNOWN || table.starts_with(TABLE_SHA256_BEGIN),
        "the table is {table}"
    );
    let peak_mib = peaks(&fleet);
    table::talk(format!(
        "{:.2} s, of which {:.2} s to hand it in; others kept {:.2} cores busy",
        read.wall.as_secs_f64(),
        handing.as_secs_f64(),
        read.others
    ));
    fleet.stop()?;
    Ok(Run { wall: read.wall, handing, cpu: read.cpu, others: read.others, table, peak_mib })
}

fn peaks(fleet: &Fleet) -> Vec<u64> {
    fleet.pids().into_iter().map(|pid| procfs::peak_bytes(pid) >> 20).collect()
}

/// The job of the example `words` for another text.
fn job(lab: &Path, chunks: u64) -> anyhow::Result<Prepared> {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
    let mut file = JobFile::load(&examples.join("words/job.toml"))?;
    let count = file.stages.first_mut().context("the example `words` has stages")?;
    let data = client::DataSpec::Path(lab.join("text").display().to_string());
    let cut = client::Cut::File { recursive: false };
    count.source = client::SourceSpec::Parts(client::PartsSpec { data, cut });
    count.batch = Some((chunks / 32).clamp(1, 1024) as u32);
    Ok(prepare(file)?)
}

fn show(args: &WordsArgs, runs: &[Run], ray: &[WordsRun]) -> anyhow::Result<()> {
    let of = |value: fn(&Run) -> f64| median(&runs.iter().map(value).collect::<Vec<_>>());
    let wall = of(|run| run.wall.as_secs_f64());
    let (cpu, handing) = (of(|run| run.cpu.as_secs_f64()), of(|run| run.handing.as_secs_f64()));
    let table_of = runs.first().map_or("", |run| run.table.get(..16).unwrap_or_default());
    let mib = args.chunks as f64 * CHUNK_BYTES as f64 / f64::from(1 << 20);
    let row = |name: &str, wall: f64, cpu: f64, digest: &str| {
        let rate = format!("{:.0}", mib / wall.max(1e-9));
        vec![name.to_owned(), format!("{wall:.2}"), rate, format!("{cpu:.2}"), digest.to_owned()]
    };
    let mut rows = vec![row("dugnad, twice and verified", wall, cpu, table_of)];
    let middle = |value: fn(&WordsRun) -> f64| median(&ray.iter().map(value).collect::<Vec<_>>());
    let has_ray = !ray.is_empty();
    let ray_wall = has_ray.then(|| middle(|run| run.wall_s));
    let ray_cpu = has_ray.then(|| middle(|run| run.cpu_s));
    if let (Some(first), Some(ray_wall), Some(ray_cpu)) = (ray.first(), ray_wall, ray_cpu) {
        let same = ray.iter().all(|run| run.check.0 == table_of);
        ensure!(same, "Ray has counted {:?}, and here it is {table_of}", first.check);
        rows.push(row(&format!("ray: {}", first.variant), ray_wall, ray_cpu, &first.check.0));
    }
    table::print(&["WHAT", "SECONDS", "MiB/S", "CPU s", "DIGEST"], &rows)?;
    let peak: Vec<u64> = (0..NODES)
        .map(|node| {
            runs.iter().filter_map(|run| run.peak_mib.get(node)).max().copied().unwrap_or(0)
        })
        .collect();
    table::json(&json!({
        "figure": "words", "nodes": NODES, "chunks": args.chunks, "runs": runs.len(), "wall_s": wall,
        "handing_s": handing, "cpu_s": cpu, "others_cores": of(|run| run.others), "table_sha256": table_of,
        "peak_mib": peak, "ray_wall_s": ray_wall, "ray_cpu_s": ray_cpu, "over_ray": ray_wall.map(|ray| wall / ray),
    }))?;
    Ok(())
}
