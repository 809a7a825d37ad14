//! `dugnad job list`

use crate::cli::args::Output;
use crate::cli::assurance::outcome;
use crate::cli::door::running;
use crate::cli::entry::Context;
use crate::cli::failure::{End, Outcome};
use crate::cli::show;
use crate::cli::terminal::{json, table};

pub(crate) fn run(context: &Context) -> Outcome {
    let jobs = running(context)?.jobs()?;
    if context.output == Output::Json {
        json(&jobs)?;
        return Ok(End::Done);
    }
    let rows: Vec<Vec<String>> = jobs
        .iter()
        .map(|status| {
            let (done, units) = show::done(status);
            vec![
                show::short(status.job),
                status.name.clone(),
                outcome(status),
                format!("{done}/{units}"),
                show::short_peer(status.submitter),
            ]
        })
        .collect();
    table(&["JOB", "NAME", "STATE", "UNITS", "SUBMITTER"], &rows)?;
    Ok(End::Done)
}
