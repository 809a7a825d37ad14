//! `dugnad job check`: everything that can be known of a job before it is submitted.

use std::path::Path;
use std::time::Duration;

use client::api::Ending;
use client::{Client, Prepared, default_batch, show_bytes, show_duration_ms};
use serde_json::json;

use crate::cli::args::Output;
use crate::cli::entry::Context;
use crate::cli::failure::{End, Outcome};
use crate::cli::job::submit::load;
use crate::cli::job::terms::{promise, stamp_cost};
use crate::cli::terminal::{self, table, talk};
use crate::cli::trial::{Trial, cost, lost};

/// What a stage's first unit did.
#[derive(Debug)]
struct Tried {
    stage: String,
    ending: Ending,
    cpu: Duration,
    memory_bytes: u64,
    said: String,
    best_batch: u32,
}

pub(crate) fn run(context: &Context, file: &Path, no_run: bool) -> Outcome {
    let config = context.settings(&[], true)?.config;
    let prepared = load(file)?;
    let trial = Trial::new(&prepared, &config)?;
    let stages = 0..trial.manifest().stages.len() as u16;
    stages.clone().try_for_each(|stage| trial.inspect(stage))?;
    let mut tried = Vec::new();
    for stage in stages {
        if !no_run && let Some(one) = try_stage(&trial, stage)? {
            tried.push(one);
        }
    }
    match context.output {
        Output::Json => tell_json(&prepared, &tried)?,
        Output::Table => {
            tell(&prepared, &tried)?;
            let node = Client::find(&config.data_dir).and_then(|client| client.node()).ok();
            talk(promise(&prepared, node.as_ref().map(|node| node.network_size)));
            if let Some(cost) =
                node.and_then(|node| stamp_cost(&node, prepared.manifest().work_ms()))
            {
                talk(cost);
            }
        }
    }
    let all_well = tried.iter().all(|one| one.ending.is_success());
    Ok(if all_well { End::Done } else { End::Failed })
}

fn try_stage(trial: &Trial<'_>, number: u16) -> Outcome<Option<Tried>> {
    let stage = &trial.manifest().stages[usize::from(number)];
    let Some(unit) = trial.unit(number) else { return Ok(None) };
    let units = trial.manifest().unit_counts()[usize::from(number)];
    let ran = trial.run(unit)?.map_err(|loss| lost(&loss))?;
    let execution = &ran.execution;
    let cpu = Duration::from_micros(execution.cost.cpu_us);
    let ending = Ending::from(&execution.outcome);
    for line in String::from_utf8_lossy(&ran.stderr).lines().take(20) {
        talk(format!("stage `{}` unit 0: {line}", stage.name));
    }
    Ok(Some(Tried {
        stage: stage.name.clone(),
        ending,
        cpu,
        memory_bytes: execution.cost.memory_bytes,
        said: format!("{ending}, {}", cost(execution)),
        best_batch: default_batch(units, Some(cpu)),
    }))
}

fn tell(prepared: &Prepared, tried: &[Tried]) -> Outcome<()> {
    let rows: Vec<Vec<String>> = prepared
        .draft
        .stages
        .iter()
        .zip(prepared.draft.unit_counts())
        .map(|(stage, units)| {
            vec![
                stage.name.clone(),
                units.to_string(),
                stage.batch.to_string(),
                show_duration_ms(stage.limits.cpu_ms),
                show_bytes(stage.limits.memory_bytes),
                show_bytes(stage.limits.output_bytes),
            ]
        })
        .collect();
    table(&["STAGE", "UNITS", "BATCH", "CPU", "MEMORY", "OUTPUT"], &rows)?;
    for one in tried {
        talk(format!(
            "stage `{}` unit 0: {}; best is batch = {}",
            one.stage, one.said, one.best_batch
        ));
    }
    talk(format!("{} of data in {} blobs", show_bytes(prepared.bytes()), prepared.blobs.len()));
    Ok(())
}

fn tell_json(prepared: &Prepared, tried: &[Tried]) -> Outcome<()> {
    let tried: Vec<_> = tried
        .iter()
        .map(|one| {
            json!({
                "stage": one.stage,
                "ending": one.ending,
                "cpu_us": u64::try_from(one.cpu.as_micros()).unwrap_or(u64::MAX),
                "memory_bytes": one.memory_bytes,
                "best_batch": one.best_batch,
            })
        })
        .collect();
    let promise = prepared.promise(None);
    let promise = json!({
        "quorum": promise.quorum,
        "audit_ppm": promise.audit_ppm,
        "liars": promise.liars,
        "peers": promise.peers,
        "ancestry": promise.ancestry,
        "error": promise.error,
    });
    terminal::json(&json!({ "draft": prepared.draft, "tried": tried, "promise": promise }))
}
