//! `dugnad job check`: everything that can be known of a job before it is submitted.

use std::path::Path;

use client::{Prepared, show_bytes, show_duration_ms};

use crate::cli::args::Output;
use crate::cli::entry::Context;
use crate::cli::failure::{End, Outcome};
use crate::cli::job::submit::load;
use crate::cli::terminal::{json, table, talk};

pub(crate) fn run(context: &Context, file: &Path, _no_run: bool) -> Outcome {
    context.settings(&[], true)?;
    let prepared = load(file)?;
    match context.output {
        Output::Json => json(&prepared.draft)?,
        Output::Table => print(&prepared)?,
    }
    Ok(End::Done)
}

fn print(prepared: &Prepared) -> Outcome<()> {
    let rows: Vec<Vec<String>> = prepared
        .draft
        .stages
        .iter()
        .map(|stage| {
            vec![
                stage.name.clone(),
                stage.unit_count().to_string(),
                stage.batch.to_string(),
                show_duration_ms(stage.limits.cpu_ms),
                show_bytes(stage.limits.memory_bytes),
                show_bytes(stage.limits.output_bytes),
            ]
        })
        .collect();
    table(&["STAGE", "UNITS", "BATCH", "CPU", "MEMORY", "OUTPUT"], &rows)?;
    talk(format!("{} of data in {} blobs", show_bytes(prepared.bytes()), prepared.blobs.len()));
    Ok(())
}
