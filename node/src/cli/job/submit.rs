//! `dugnad job submit`: hand a job over, and wait until others hold it.

use std::path::Path;

use client::{Client, JobFile, Prepared, check, prepare, show_bytes};
use protocol::JobId;

use crate::cli::args::{Output, SubmitArgs};
use crate::cli::assurance::outcome;
use crate::cli::door::running;
use crate::cli::entry::Context;
use crate::cli::failure::{End, Outcome};
use crate::cli::job::follow::{Follow, News};
use crate::cli::job::terms::{promise, stamp_cost};
use crate::cli::many::for_each;
use crate::cli::show;
use crate::cli::terminal::{data, json, talk};

pub(crate) fn run(context: &Context, args: &SubmitArgs) -> Outcome {
    let client = running(context)?;
    let mut prepared = load(&args.file)?;
    prepared.draft.no_memo = args.no_memo;
    let job = hand_over(&client, &prepared)?;
    match context.output {
        Output::Json => json(&serde_json::json!({ "job": job }))?,
        Output::Table => data(job.to_string())?,
    }
    if args.no_wait { Ok(End::Done) } else { wait_for_keepers(&client, job) }
}

/// Reads a job and what it names, and says what may not be meant.
pub(crate) fn load(file: &Path) -> Outcome<Prepared> {
    let prepared = prepare(JobFile::load(file)?)?;
    for warning in check(&prepared) {
        talk(format!("warning: {warning}"));
    }
    Ok(prepared)
}

/// Gives the node every blob, and the job.
pub(crate) fn hand_over(client: &Client, prepared: &Prepared) -> Outcome<JobId> {
    let manifest = prepared.manifest();
    talk(format!(
        "`{}`: {} in {} blobs, {} of data",
        manifest.name,
        show::units(manifest.unit_count()),
        prepared.blobs.len(),
        show_bytes(prepared.bytes())
    ));
    // Small blobs that arrive together share a write to the node's disk.
    for_each(&prepared.blobs, |source| Ok(client.put(source)?))?;
    let node = client.node()?;
    talk(promise(prepared, Some(node.network_size)));
    if let Some(cost) = stamp_cost(&node, manifest.work_ms()) {
        talk(cost);
    }
    Ok(client.submit(&prepared.draft)?)
}

fn wait_for_keepers(client: &Client, job: JobId) -> Outcome {
    let follow = Follow::start(client, job)?;
    let mut said = String::new();
    loop {
        match follow.next(None) {
            News::Status(status) => {
                let keepers = show::keepers(&status);
                if keepers != said {
                    talk(&keepers);
                    said = keepers;
                }
                if status.safe_to_leave {
                    return Ok(End::Done);
                }
                let end = show::end(&status.state);
                if !matches!(end, End::Done | End::Undecided | End::Unverified) {
                    talk(outcome(&status));
                    return Ok(end);
                }
            }
            News::Interrupted => {
                talk(format!(
                    "not safe to leave yet: keep the node running; come back with `dugnad job watch {}`",
                    show::short(job)
                ));
                return Ok(End::Interrupted);
            }
            News::Lost(error) => return Err(error.into()),
            News::Silence => {}
        }
    }
}
