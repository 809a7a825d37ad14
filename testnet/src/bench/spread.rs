//! A hot blob to many nodes at once: what its first holder has to send, and how long each node waits.

use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, ensure};
use client::Client;
use client::api::Blob;
use protocol::JobId;
use serde_json::json;

use super::blob::Noise;
use super::figure::SpreadArgs;
use super::ground::{deadline, fleet, through, trivial};
use super::meter::Meter;
use crate::work::hand_over;
use crate::{Deadline, Fleet, procfs, table};

const GIB: f64 = (1u64 << 30) as f64;
/// What a node counts as sent, before encryption and framing.
const SENT: &str = "dugnad_net_blob_sent_bytes_total";

pub(super) fn run(args: &SpreadArgs) -> anyhow::Result<()> {
    ensure!(0 < args.nodes, "a blob spreads to one node at least");
    let deadline = deadline();
    let fleet = fleet(args.nodes + 1, &args.ground.below, &args.ground.log, deadline)?;
    let from = fleet.member(0).client()?;
    through(from, &trivial(0, 8)?, deadline)?;
    let blob: Blob = from.put_reader(&mut Noise::new(0, args.size), Some(args.size))?;
    // A job that does not need the blob: nobody fetches it before it is told to.
    let job = hand_over(from, &trivial(8, 16)?)?;
    until_known(&fleet, job, deadline)?;

    let (before, meter) = (sent(&fleet)?, Meter::start(&fleet));
    let took = fetch_everywhere(&fleet, job, &blob)?;
    let (read, after) = (meter.read(), sent(&fleet)?);
    let memory = fleet.pids().into_iter().map(procfs::peak_bytes).collect::<Vec<u64>>();
    fleet.stop()?;
    let sent: Vec<u64> = after.iter().zip(before).map(|(after, before)| after - before).collect();
    show(args, &took, &sent, &memory, read.wall, read.cpu)
}

/// Every node but the first fetches the blob, all beginning together; how long each took.
fn fetch_everywhere(fleet: &Fleet, job: JobId, blob: &Blob) -> anyhow::Result<Vec<Duration>> {
    let others = fleet.members().iter().skip(1);
    let clients = others.map(|member| member.client()).collect::<anyhow::Result<Vec<&Client>>>()?;
    let start = Instant::now();
    let fetch = |client: &Client| -> anyhow::Result<Duration> {
        client.fetch(job, std::slice::from_ref(blob))?;
        Ok(start.elapsed())
    };
    std::thread::scope(|scope| {
        let fetching: Vec<_> =
            clients.iter().map(|client| scope.spawn(move || fetch(client))).collect();
        let ended = fetching.into_iter().map(|one| one.join());
        ended.map(|one| one.map_err(|_| anyhow!("a thread panicked"))?).collect()
    })
}

fn until_known(fleet: &Fleet, job: JobId, deadline: Deadline) -> anyhow::Result<()> {
    for member in fleet.members() {
        let client = member.client()?;
        let mut look = || Ok(client.jobs()?.iter().any(|known| known.job == job).then_some(()));
        deadline.until("every node knows the job", &mut look)?;
    }
    Ok(())
}

fn sent(fleet: &Fleet) -> anyhow::Result<Vec<u64>> {
    fleet.members().iter().map(|member| member.metric(SENT)).collect()
}

fn show(
    args: &SpreadArgs,
    took: &[Duration],
    sent: &[u64],
    memory: &[u64],
    wall: Duration,
    cpu: Duration,
) -> anyhow::Result<()> {
    let gib = |bytes: u64| bytes as f64 / GIB;
    let times = [None].into_iter().chain(took.iter().map(Some));
    let mut rows = Vec::new();
    for (index, ((time, sent), memory)) in times.zip(sent).zip(memory).enumerate() {
        rows.push(vec![
            if index == 0 { "submitter".to_owned() } else { format!("node {index}") },
            time.map_or_else(String::new, |time| format!("{:.1}", time.as_secs_f64())),
            format!("{:.2}", gib(*sent)),
            format!("{}", memory >> 20),
        ]);
    }
    table::print(&["WHO", "WHOLE AFTER s", "SENT GiB", "PEAK MiB"], &rows)?;
    let moved = gib(args.size) * took.len() as f64;
    let copies = sent.first().context("there is a submitter")?;
    let copies = *copies as f64 / args.size as f64;
    table::json(&json!({
        "figure": "spread", "nodes": args.nodes, "bytes": args.size, "below": args.ground.below,
        "submitter_sent_copies": copies,
        "wall_s": wall.as_secs_f64(),
        "took_s": took.iter().map(Duration::as_secs_f64).collect::<Vec<_>>(),
        "gib_per_s": moved / wall.as_secs_f64(),
        "cpu_s_per_gib": cpu.as_secs_f64() / moved,
        "sent_gib": sent.iter().map(|bytes| gib(*bytes)).collect::<Vec<_>>(),
        "peak_mib_most": memory.iter().max().map(|bytes| bytes >> 20),
    }))?;
    Ok(())
}
