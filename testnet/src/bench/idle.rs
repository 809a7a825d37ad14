//! Idle: what a node takes that has nothing to do.

use std::time::Duration;

use anyhow::ensure;
use serde_json::json;

use super::figure::IdleArgs;
use super::ground::{deadline, fleet};
use super::meter::Meter;
use crate::{procfs, table};

/// Until what belongs to starting has ended.
const SETTLE: Duration = Duration::from_secs(5);
const MIB: f64 = (1u64 << 20) as f64;

pub(super) fn run(args: &IdleArgs) -> anyhow::Result<()> {
    ensure!(1 <= args.nodes && args.nodes <= 100, "between 1 and 100 nodes fit one machine");
    let fleet = fleet(args.nodes, &args.ground.below, &args.ground.log, deadline())?;
    std::thread::sleep(SETTLE);
    let before = procfs::trees(&fleet.pids()).cpu;
    let meter = Meter::start(&fleet);
    std::thread::sleep(Duration::from_secs(args.seconds));
    let (read, usage) = (meter.read(), procfs::trees(&fleet.pids()));
    fleet.stop()?;
    let nodes = args.nodes as f64;
    let cpu = usage.cpu.saturating_sub(before).as_secs_f64();
    let percent = cpu / read.wall.as_secs_f64() * 100.0 / nodes;
    let (rss, pss) = (usage.rss_bytes as f64 / MIB / nodes, usage.pss_bytes as f64 / MIB / nodes);
    let processes = usage.processes as f64 / nodes;
    let row = vec![
        args.nodes.to_string(),
        format!("{rss:.1}"),
        format!("{pss:.1}"),
        format!("{percent:.2}"),
        format!("{processes:.1}"),
    ];
    table::print(&["NODES", "RSS MiB", "PSS MiB", "CPU %", "PROCESSES"], &[row])?;
    table::talk("all per node, workers included");
    table::json(&json!({
        "figure": "idle", "nodes": args.nodes, "seconds": args.seconds, "rss_mib": rss,
        "pss_mib": pss, "cpu_percent": percent, "processes": processes, "others_cores": read.others,
    }))?;
    Ok(())
}
