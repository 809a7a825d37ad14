//! Latency: from handing in one trivial unit to its verified result, on a warm network.

use std::path::Path;
use std::time::{Duration, Instant};

use client::Client;
use client::api::JobState;
use serde_json::json;

use super::disk::three_syncs_ms;
use super::figure::LatencyArgs;
use super::ground::{deadline, fleet, percentile, through, trivial};
use crate::work::{fetch, hand_over};
use crate::{Deadline, table};

const NODES: usize = 3;
const WARM: u64 = 20;
/// Events gather for 50 ms in the node, so the job is asked for instead.
const LOOK_EVERY: Duration = Duration::from_micros(500);

/// What was measured in one place.
#[derive(Debug)]
struct Place {
    name: String,
    p50: f64,
    p99: f64,
    syncs: f64,
}

pub(super) fn run(args: &LatencyArgs) -> anyhow::Result<()> {
    let mut places = Vec::new();
    for below in [&args.ground.below, &args.memory] {
        places.push(measure(args, below)?);
    }
    let rows: Vec<Vec<String>> = places
        .iter()
        .map(|place| {
            let ms = |value: f64| format!("{value:.2}");
            vec![place.name.clone(), ms(place.p50), ms(place.p99), ms(place.syncs)]
        })
        .collect();
    table::print(&["DATA FOLDERS", "P50 ms", "P99 ms", "3 FDATASYNCS ms"], &rows)?;
    let places: Vec<_> = places
        .iter()
        .map(|p| json!({"below": p.name, "p50_ms": p.p50, "p99_ms": p.p99, "three_syncs_ms": p.syncs}))
        .collect();
    table::json(
        &json!({"figure": "latency", "nodes": NODES, "units": args.units, "places": places}),
    )?;
    Ok(())
}

fn measure(args: &LatencyArgs, below: &Path) -> anyhow::Result<Place> {
    let deadline = deadline();
    let syncs = three_syncs_ms(below)?;
    let fleet = fleet(NODES, below, &args.ground.log, deadline)?;
    let client = fleet.member(NODES - 1).client()?;
    for unit in 0..WARM {
        through(client, &trivial(unit, unit + 1)?, deadline)?;
    }
    let mut taken = Vec::new();
    for unit in WARM..WARM + args.units {
        taken.push(one(client, unit, deadline)?);
    }
    fleet.stop()?;
    Ok(Place {
        name: below.display().to_string(),
        p50: percentile(&taken, 50),
        p99: percentile(&taken, 99),
        syncs: percentile(&syncs, 50),
    })
}

/// Milliseconds until the result of one unit is here and verified.
fn one(client: &Client, unit: u64, deadline: Deadline) -> anyhow::Result<f64> {
    let job = trivial(unit, unit + 1)?;
    let start = Instant::now();
    let id = hand_over(client, &job)?;
    let name = id.to_string();
    while client.job(&name)?.state != JobState::Verified {
        deadline.check("a unit was verified")?;
        std::thread::sleep(LOOK_EVERY);
    }
    let results = fetch(client, id)?;
    let taken = start.elapsed().as_secs_f64() * 1e3;
    anyhow::ensure!(results.iter().all(|unit| unit.verified), "a result is not verified");
    Ok(taken)
}
