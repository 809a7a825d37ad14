//! `dugnad job prove`: what a job's verdict follows from, as a file that can be sent around.

use std::path::Path;

use client::show_bytes;
use serde_json::json;

use crate::cli::args::Output;
use crate::cli::door::running;
use crate::cli::entry::Context;
use crate::cli::failure::{End, Outcome};
use crate::cli::proof;
use crate::cli::terminal::{self, talk};

pub(crate) fn run(context: &Context, job: &str, to: &Path) -> Outcome {
    let (bytes, bundle) = proof::fetch(&running(context)?, job)?;
    let (job, steps) = (bundle.job(), bundle.step_count());
    // What others could not read is not worth being sent to them.
    proof::open(bundle)?;
    let len = bytes.len() as u64;
    proof::write(to, &[bytes])?;
    match context.output {
        Output::Json => terminal::json(&json!({ "job": job, "steps": steps, "bytes": len }))?,
        Output::Table => talk(format!(
            "{steps} steps, {}; `dugnad job verify {}` checks them without a node",
            show_bytes(len),
            to.display()
        )),
    }
    Ok(End::Done)
}
