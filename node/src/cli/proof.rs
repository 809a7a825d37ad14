//! Proof bundles at the command line: from a node or a file, and checked before anything is said.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;

use client::Client;
use protocol::limits::BUNDLE_BYTES_MAX;
use protocol::{Bundle, BundleError, JobId, Opened};

use crate::cli::failure::{End, Failure, Outcome};
use crate::cli::save::open_to_others;

/// Asks a node for a job's bundle. The node is not believed: the bundle must be about the job asked for.
pub(crate) fn fetch(client: &Client, text: &str) -> Outcome<(Vec<u8>, Bundle)> {
    let job = match text.parse::<JobId>() {
        Ok(job) => job,
        Err(_) => client.job(text)?.job,
    };
    let bytes = client.proof(job)?;
    let bundle = Bundle::from_bytes(&bytes).map_err(refused)?;
    let is_whole = text.parse::<JobId>().is_ok();
    let fits = bundle.job() == job && (is_whole || job.to_string().starts_with(text));
    if fits {
        return Ok((bytes, bundle));
    }
    let error = format!("the node gave the bundle of {} for {text}", bundle.job());
    Err(Failure::new(End::BadInput, error, "ask another node; this one is broken or lies"))
}

/// Reads a file of one bundle or several.
pub(crate) fn read(path: &Path) -> Outcome<Vec<Bundle>> {
    let fail = |error| at(path, &error);
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(fail)?;
    file.take(BUNDLE_BYTES_MAX as u64 + 1).read_to_end(&mut bytes).map_err(fail)?;
    Bundle::read_all(&bytes).map_err(refused)
}

/// Writes a file whole, or not at all.
pub(crate) fn write(path: &Path, pieces: &[Vec<u8>]) -> Outcome<()> {
    let parent = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        Some(_) | None => Path::new("."),
    };
    let fail = |error| at(path, &error);
    let mut file = tempfile::NamedTempFile::new_in(parent).map_err(fail)?;
    for piece in pieces {
        file.write_all(piece).map_err(fail)?;
    }
    open_to_others(file.as_file()).map_err(fail)?;
    file.persist(path).map_err(|error| at(path, &error.error))?;
    Ok(())
}

/// Checks every signature of a bundle, and folds its steps.
pub(crate) fn open(bundle: Bundle) -> Outcome<Opened> {
    bundle.open().map_err(refused)
}

fn refused(error: BundleError) -> Failure {
    let hint = "it was changed on its way, or made up: ask whoever gave it for another one";
    Failure::new(End::BadInput, format!("the bundle shows nothing: {error}"), hint)
}

fn at(path: &Path, error: &std::io::Error) -> Failure {
    let hint = "give a file that this user can read and write";
    Failure::new(End::BadInput, format!("{}: {error}", path.display()), hint)
}
