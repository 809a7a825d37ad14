//! Dispatch: how many trivial units per second become verified, and what one costs.

use std::ops::Range;

use serde_json::json;

use super::figure::DispatchArgs;
use super::ground::{check_squares, deadline, fleet, median, through, trivial};
use super::meter::Meter;
use super::peers::{self, PeerRun};
use crate::table;

/// A submitter does not work on its own job, so two of these execute each unit.
const NODES: usize = 3;
/// Units of the job that warms caches.
const WARM: u64 = 2_000;

/// One run.
#[derive(Clone, Copy, Debug)]
struct Run {
    units_per_s: f64,
    cpu_us_per_unit: f64,
    others: f64,
}

pub(super) fn run(args: &DispatchArgs) -> anyhow::Result<()> {
    let (Some(venv), Some(programs)) = (&args.peers, &args.programs) else {
        table::talk("Ray and Dask beside it: --peers VENV --programs DIR, see docs/BENCHMARKS.md");
        return show(args, &measure(args, 0..args.runs)?, &[]);
    };
    // Half of our runs come after theirs, so that a machine that others use is fair to both.
    let half = args.runs.div_ceil(2);
    let mut ours = measure(args, 0..half)?;
    let peers = peers::w1(venv, programs)?;
    ours.extend(measure(args, half..args.runs)?);
    show(args, &ours, &peers)
}

fn measure(args: &DispatchArgs, runs: Range<usize>) -> anyhow::Result<Vec<Run>> {
    let deadline = deadline();
    let fleet = fleet(NODES, &args.ground.below, &args.ground.log, deadline)?;
    let client = fleet.member(NODES - 1).client()?;
    through(client, &trivial(0, WARM)?, deadline)?;
    let mut measured = Vec::new();
    for run in runs {
        let from = (run as u64 + 1) << 20;
        let to = from + args.units;
        let job = trivial(from, to)?;
        let meter = Meter::start(&fleet);
        let (id, status) = through(client, &job, deadline)?;
        let read = meter.read();
        check_squares(client, id, from, to)?;
        let units = args.units as f64;
        measured.push(Run {
            units_per_s: units / read.wall.as_secs_f64(),
            cpu_us_per_unit: read.cpu.as_secs_f64() * 1e6 / units,
            others: read.others,
        });
        table::talk(format!(
            "run {run}: {:.2} s, {} executions, others kept {:.2} cores busy",
            read.wall.as_secs_f64(),
            status.executions,
            read.others
        ));
    }
    fleet.stop()?;
    Ok(measured)
}

fn show(args: &DispatchArgs, runs: &[Run], peers: &[PeerRun]) -> anyhow::Result<()> {
    let of = |value: fn(&Run) -> f64| median(&runs.iter().map(value).collect::<Vec<_>>());
    let ours = Run {
        units_per_s: of(|run| run.units_per_s),
        cpu_us_per_unit: of(|run| run.cpu_us_per_unit),
        others: of(|run| run.others),
    };
    let row = |name: String, per_s: f64, cpu_us: f64| {
        vec![
            name,
            format!("{per_s:.0}"),
            format!("{cpu_us:.0}"),
            format!("{:.2}x", ours.units_per_s / per_s.max(1e-9)),
            format!("{:.2}x", ours.cpu_us_per_unit / cpu_us.max(1e-9)),
        ]
    };
    let mut rows =
        vec![row("dugnad, twice and verified".into(), ours.units_per_s, ours.cpu_us_per_unit)];
    for peer in peers {
        let name = format!("{}: {}", peer.system, peer.variant);
        rows.push(row(name, peer.tasks_per_s, peer.cpu_us_per_task));
    }
    table::print(&["WHAT", "UNITS/S", "CPU µs/UNIT", "OUR SPEED", "OUR CPU"], &rows)?;
    let peers: Vec<_> = peers
        .iter()
        .map(|p| json!({"system": p.system, "variant": p.variant, "tasks_per_s": p.tasks_per_s, "cpu_us_per_task": p.cpu_us_per_task}))
        .collect();
    table::json(&json!({
        "figure": "dispatch", "nodes": NODES, "units": args.units, "runs": runs.len(),
        "units_per_s": ours.units_per_s.round(), "cpu_us_per_unit": ours.cpu_us_per_unit.round(),
        "others_cores": ours.others, "peers": peers,
    }))?;
    Ok(())
}
