//! `dugnad job show`

use client::api::{JobState, JobStatus};
use protocol::PeerId;

use crate::cli::args::Output;
use crate::cli::assurance::{outcome, waits};
use crate::cli::door::running;
use crate::cli::entry::Context;
use crate::cli::failure::{End, Outcome};
use crate::cli::show;
use crate::cli::terminal::{data, json, table};

/// Stuck units that are shown one by one.
const STUCK_SHOWN: usize = 20;

pub(crate) fn run(context: &Context, job: &str) -> Outcome {
    let client = running(context)?;
    let status = client.job(job)?;
    match context.output {
        Output::Json => json(&status)?,
        Output::Table => print(&status, client.node()?.peer)?,
    }
    Ok(End::Done)
}

fn print(status: &JobStatus, me: PeerId) -> Outcome<()> {
    data(format!("job        {}", status.job))?;
    data(format!("name       {}", status.name))?;
    data(format!("submitter  {}", status.submitter))?;
    data(format!("state      {}", outcome(status)))?;
    for anchor in &status.anchors {
        data(format!("anchor     {anchor}"))?;
    }
    data(format!("executions {}, of which {} were audits", status.executions, status.audits))?;
    data(format!("disputed   {}", show::units(status.disputed)))?;
    if status.recalled != 0 {
        data(format!("memory     {} from earlier jobs", show::units(status.recalled)))?;
    }
    data(format!("keepers    {}", show::keepers(status)))?;
    if let Some(why) = &status.idle_reason {
        data(format!("idle here  {why}"))?;
    }
    data("")?;
    let rows: Vec<Vec<String>> = status
        .stages
        .iter()
        .map(|stage| {
            let counts = [
                stage.units,
                stage.open,
                stage.running,
                stage.accepted,
                stage.self_executed,
                stage.contested,
                stage.finals,
                stage.sealed,
            ];
            std::iter::once(stage.name.clone()).chain(counts.map(|n| n.to_string())).collect()
        })
        .collect();
    let heading = [
        "STAGE",
        "UNITS",
        "OPEN",
        "RUNNING",
        "ACCEPTED",
        "SELF-EXECUTED",
        "CONTESTED",
        "FINAL",
        "SEALED",
    ];
    table(&heading, &rows)?;
    let waits = waits(status, me);
    if !waits.is_empty() {
        data("")?;
        waits.into_iter().try_for_each(data)?;
    }
    peers(status)?;
    stuck(status)
}

fn peers(status: &JobStatus) -> Outcome<()> {
    let mut rows: Vec<Vec<String>> = Vec::new();
    let mut add = |peer: String, what: String| rows.push(vec![peer, what]);
    for worker in &status.workers {
        add(worker.peer.to_string(), format!("executed {}", show::units(worker.units)));
    }
    for peer in &status.keepers {
        add(peer.to_string(), "keeps everything".to_owned());
    }
    for peer in &status.outvoted {
        add(peer.peer.to_string(), format!("outvoted on {}", show::units(peer.units)));
    }
    for convicted in &status.convicted {
        add(convicted.peer.to_string(), format!("convicted: {}", convicted.why));
    }
    if rows.is_empty() {
        return Ok(());
    }
    data("")?;
    table(&["PEER", "WHAT"], &rows)
}

fn stuck(status: &JobStatus) -> Outcome<()> {
    let JobState::Stuck { units } = &status.state else { return Ok(()) };
    let rows: Vec<Vec<String>> = units
        .iter()
        .take(STUCK_SHOWN)
        .map(|unit| {
            let reasons: Vec<String> = unit
                .reasons
                .iter()
                .map(|one| format!("{}: {}", show::short_peer(one.peer), one.reason))
                .collect();
            vec![unit.stage.clone(), unit.unit.to_string(), reasons.join("; ")]
        })
        .collect();
    data("")?;
    table(&["STAGE", "STUCK UNIT", "WHY"], &rows)?;
    if STUCK_SHOWN < units.len() {
        data(format!("and {} more", units.len() - STUCK_SHOWN))?;
    }
    Ok(())
}
