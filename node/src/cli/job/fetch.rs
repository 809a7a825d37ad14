//! Bringing results: into a folder, or their stdout to stdout.

use std::path::Path;

use client::api::{JobStatus, UnitResult};
use client::{Client, show_bytes};
use protocol::outcome_folder;

use crate::cli::args::Output;
use crate::cli::assurance::word;
use crate::cli::entry::Context;
use crate::cli::failure::Outcome;
use crate::cli::job::sample::Sampled;
use crate::cli::many::for_each;
use crate::cli::save::Folder;
use crate::cli::show;
use crate::cli::terminal::{copy, json, talk};

/// Results asked for at a time.
const PAGE: u64 = 4096;
/// Units whose failure is told one by one.
const FAILURES_TOLD: u64 = 10;

/// What was brought.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Fetched {
    units: u64,
    files: u64,
    bytes: u64,
    /// Whether there is more than stdout.
    has_files: bool,
    /// Units that did not end with exit code 0.
    pub(crate) failed: u64,
    unverified: u64,
}

/// Brings the results of a finished job.
pub(crate) fn results(
    context: &Context,
    client: &Client,
    status: &JobStatus,
    to: Option<&Path>,
) -> Outcome<Fetched> {
    results_and(context, client, status, to, None)
}

/// The same, and what a sample of its units has shown.
pub(crate) fn results_and(
    context: &Context,
    client: &Client,
    status: &JobStatus,
    to: Option<&Path>,
    sampled: Option<&Sampled>,
) -> Outcome<Fetched> {
    let folder = to.map(Folder::open).transpose()?;
    let mut fetched = Fetched::default();
    let mut listed = Vec::new();
    loop {
        let page = client.results(status.job, fetched.units, PAGE)?;
        let empty = page.units.is_empty();
        if let Some(folder) = &folder {
            for_each(&page.units, |unit| save(client, folder, unit, page.total == 1))?;
        }
        for unit in page.units {
            if folder.is_none() && context.output == Output::Table {
                print(client, &unit)?;
            }
            fetched.count(&unit);
            if context.output == Output::Json {
                listed.push(unit);
            }
        }
        if empty || page.total <= fetched.units {
            break;
        }
    }
    if context.output == Output::Json {
        let mut all = serde_json::json!({ "job": status, "results": listed });
        if let Some(sampled) = sampled {
            all["sample"] = serde_json::json!(sampled);
        }
        json(&all)?;
    }
    fetched.tell(status, to);
    Ok(fetched)
}

impl Fetched {
    fn count(&mut self, unit: &UnitResult) {
        self.units += 1;
        let files = unit.files.iter().map(|file| file.blob);
        for blob in files.chain(unit.stdout) {
            self.files += 1;
            self.bytes += blob.size;
        }
        self.has_files |= !unit.files.is_empty();
        self.unverified += u64::from(!unit.verified);
        if !unit.ending.is_success() {
            self.failed += 1;
            if self.failed <= FAILURES_TOLD {
                talk(format!("stage `{}` unit {}: {}", unit.stage, unit.index, unit.ending));
            }
        }
    }

    fn tell(&self, status: &JobStatus, to: Option<&Path>) {
        if FAILURES_TOLD < self.failed {
            talk(format!("and {} more that failed", self.failed - FAILURES_TOLD));
        }
        let verified = match self.unverified {
            0 => format!("verified, {}", word(status.assurance)),
            all if all == self.units => "not verified".to_owned(),
            _ => "not all verified".to_owned(),
        };
        let units = show::units(self.units);
        match to {
            Some(folder) => talk(format!(
                "{units}, {verified}: {} files, {} in {}",
                self.files,
                show_bytes(self.bytes),
                folder.display()
            )),
            None if self.has_files => talk(format!(
                "{units}, {verified}; `dugnad job get {} -o DIR` fetches their files",
                show::short(status.job)
            )),
            None => talk(format!("{units}, {verified}")),
        }
    }
}

fn save(client: &Client, folder: &Folder, unit: &UnitResult, only: bool) -> Outcome<()> {
    let place = if only {
        String::new()
    } else {
        format!("{}/{}/", unit.stage, outcome_folder(unit.index, unit.count))
    };
    // A guest may have called a file of its own so.
    let taken = unit.files.iter().any(|f| f.path == "stdout" || f.path.starts_with("stdout/"));
    let below = if taken { "out/" } else { "" };
    let stdout = unit.stdout.map(|blob| ("stdout".to_owned(), blob));
    let files = unit.files.iter().map(|file| (format!("{below}{}", file.path), file.blob));
    for (path, blob) in stdout.into_iter().chain(files) {
        folder.write(&format!("{place}{path}"), blob, &mut client.blob(blob.id)?)?;
    }
    Ok(())
}

fn print(client: &Client, unit: &UnitResult) -> Outcome<()> {
    match unit.stdout {
        Some(blob) if 0 < blob.size => copy(&mut client.blob(blob.id)?),
        Some(_) | None => Ok(()),
    }
}
