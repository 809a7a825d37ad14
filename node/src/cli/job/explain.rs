//! `dugnad job explain`: what a job waits for, and why, in sentences.

use client::api::{JobState, JobStatus};

use crate::cli::args::Output;
use crate::cli::assurance::{outcome, waits};
use crate::cli::door::running;
use crate::cli::entry::Context;
use crate::cli::failure::{End, Outcome};
use crate::cli::show;
use crate::cli::terminal::{data, json};

/// Stuck units that are explained one by one.
const STUCK_TOLD: usize = 5;

pub(crate) fn run(context: &Context, job: &str) -> Outcome {
    let client = running(context)?;
    let (status, me) = (client.job(job)?, client.node()?.peer);
    if context.output == Output::Json {
        json(&status)?;
        return Ok(End::Done);
    }
    let (done, units) = show::done(&status);
    data(format!("{done} of {} have an outcome: {}", show::units(units), outcome(&status)))?;
    if let Some(why) = &status.idle_reason {
        data(format!("this node does not work on it: {why}"))?;
    }
    stuck(&status)?;
    waits(&status, me).into_iter().try_for_each(data)?;
    for convicted in &status.convicted {
        data(format!("{} is convicted: it {}", show::short_peer(convicted.peer), convicted.why))?;
    }
    Ok(End::Done)
}

fn stuck(status: &JobStatus) -> Outcome<()> {
    let JobState::Stuck { units } = &status.state else { return Ok(()) };
    for unit in units.iter().take(STUCK_TOLD) {
        let reasons: Vec<String> = unit
            .reasons
            .iter()
            .map(|one| format!("{} says: {}", show::short_peer(one.peer), one.reason))
            .collect();
        data(format!(
            "stage `{}` unit {} is stuck: {}",
            unit.stage,
            unit.unit,
            reasons.join("; ")
        ))?;
    }
    if STUCK_TOLD < units.len() {
        data(format!("and {} more are stuck", units.len() - STUCK_TOLD))?;
    }
    Ok(())
}
