//! Flood: invalid statements from hostile peers, as fast as they can send, against one node; and how an honest job
//! on its network fares meanwhile.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use client::Client;
use protocol::JobId;
use serde_json::json;

use super::figure::FloodArgs;
use super::ground::{check_squares, deadline, fleet, median, through, trivial};
use super::hostile::{Crowd, Victim};
use crate::{Deadline, Member, procfs, table};

/// The first is flooded; the last submits, so that the other two execute.
const NODES: usize = 3;
/// Jobs before the flood.
const CALM: u64 = 5;

/// What the flooded node counts.
#[derive(Clone, Copy, Debug)]
struct Counts {
    heard: u64,
    refused: u64,
    unread: u64,
    unwanted: u64,
    bans: u64,
    cpu: Duration,
    at: Instant,
}

pub(super) fn run(args: &FloodArgs) -> anyhow::Result<()> {
    let deadline = deadline();
    let fleet = fleet(NODES, &args.ground.below, &args.ground.log, deadline)?;
    let client = fleet.member(NODES - 1).client()?;
    let flooded = fleet.member(0);
    let mut jobs = Jobs { client, units: args.units, next: 1, deadline };
    let (job, _) = jobs.one()?;
    let calm = (0..CALM).map(|_| Ok(jobs.one()?.1)).collect::<anyhow::Result<Vec<f64>>>()?;
    let pid = flooded.pid().context("the node runs")?;
    let (before, calm_peak) = (counts(flooded)?, procfs::own_peak_bytes(pid));

    let tcp = |address: &&String| address.contains("/tcp/");
    let address = flooded.addresses().iter().find(tcp).context("a TCP address")?.clone();
    let victim = Victim { address, network: flooded.client()?.node()?.network, job };
    let crowd = Crowd::start(args.peers, args.only, &victim)?;
    let mut busy = Vec::new();
    while before.at.elapsed() < Duration::from_secs(args.seconds) {
        busy.push(jobs.one()?.1);
    }
    // What is sent until all have stopped is heard until then, too.
    let sent = crowd.end();
    let (after, peak) = (counts(flooded)?, procfs::own_peak_bytes(pid));
    // The jobs are remembered by all, the flood by one.
    let other = fleet.member(1).pid().context("the other worker runs")?;
    let other_peak = procfs::own_peak_bytes(other);
    ensure!(flooded.pid() == Some(pid), "the node did not live through it");
    fleet.stop()?;

    let seconds = (after.at - before.at).as_secs_f64();
    let per_s = |count: u64| (count as f64 / seconds).round();
    let rows: Vec<Vec<String>> = sent
        .iter()
        .filter(|(.., names)| 0 < *names)
        .map(|(wrong, messages, names)| {
            let statements = messages * wrong.statements();
            let cells = [per_s(*messages), per_s(statements)].map(|n| format!("{n:.0}"));
            [vec![wrong.name().to_owned()], cells.to_vec(), vec![names.to_string()]].concat()
        })
        .collect();
    table::print(&["WHAT", "MESSAGES/S", "STATEMENTS/S", "NAMES"], &rows)?;
    let statements: u64 = sent.iter().map(|(wrong, n, _)| n * wrong.statements()).sum();
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    let cores = (after.cpu - before.cpu).as_secs_f64() / seconds;
    let (calm, busy) = (median(&calm), median(&busy));
    table::json(&json!({
        "figure": "flood", "peers": args.peers, "seconds": seconds.round(), "units": args.units,
        "messages_sent_per_s": per_s(sent.iter().map(|(_, n, _)| n).sum()),
        "statements_sent_per_s": per_s(statements),
        "messages_opened_per_s": per_s(after.heard - before.heard + after.refused - before.refused),
        "messages_unwanted_per_s": per_s(after.unwanted - before.unwanted),
        "messages_refused_per_s": per_s(after.refused - before.refused),
        "gossip_unread_per_s": per_s(after.unread - before.unread),
        "names": sent.iter().map(|(.., names)| names).sum::<u64>(),
        "bans": after.bans - before.bans,
        "node_cores": (cores * 100.0).round() / 100.0,
        "peak_mib": mib(peak).round(), "peak_mib_before": mib(calm_peak).round(),
        "peak_mib_of_another": mib(other_peak).round(),
        "job_s": busy, "job_s_before": calm, "slower": busy / calm.max(1e-9),
    }))?;
    Ok(())
}

/// Honest jobs, one after another.
struct Jobs<'a> {
    client: &'a Client,
    units: u64,
    next: u64,
    deadline: Deadline,
}

impl Jobs<'_> {
    /// The next one, and seconds until it is verified; its results must be right.
    fn one(&mut self) -> anyhow::Result<(JobId, f64)> {
        let from = self.next << 20;
        self.next += 1;
        let to = from + self.units;
        let job = trivial(from, to)?;
        let began = Instant::now();
        let (id, _) = through(self.client, &job, self.deadline)?;
        let took = began.elapsed().as_secs_f64();
        check_squares(self.client, id, from, to)?;
        Ok((id, took))
    }
}

fn counts(member: &Member) -> anyhow::Result<Counts> {
    let pid = member.pid().context("the node runs")?;
    Ok(Counts {
        heard: member.metric("dugnad_messages_heard_total")?,
        refused: member.metric("dugnad_messages_rejected_total")?,
        unread: member.metric("dugnad_net_gossip_ignored_total")?,
        unwanted: member.metric("dugnad_messages_unwanted_total")?,
        bans: member.metric("dugnad_net_bans_total")?,
        cpu: procfs::trees(&[pid]).cpu,
        at: Instant::now(),
    })
}
