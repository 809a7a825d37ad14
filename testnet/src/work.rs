//! Jobs as a researcher's program hands them in, follows them and fetches them.

use std::io::Read;
use std::path::Path;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use anyhow::{Context, anyhow, bail, ensure};
use client::api::{Blob, JobStatus, UnitResult};
use client::{Client, JobFile, Prepared, prepare};
use protocol::{BlobId, JobId};

use crate::Deadline;

/// The largest output that is read into memory here.
const OUTPUT_BYTES_MAX: u64 = 64 << 20;
/// Results of one page.
const PAGE: u64 = 4096;

/// An example, the file that it leaves, and that file's name by content as it was computed natively;
/// each example's page says how to do that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    pub example: &'static str,
    pub file: &'static str,
    pub id: &'static str,
}

/// The examples with results to look at.
pub const KNOWN: [Known; 3] = [
    Known {
        example: "fractal",
        file: "fractal.png",
        id: "bafkr4ih4kcx44v2bebuy3ufcvj7rpudtoh4zpr4nhsgh5fgslcfjcgamrq",
    },
    Known {
        example: "options",
        file: "prices.csv",
        id: "bafkr4id3kgonskv7nguchzvpohdp57uuim75i5e2ng6w7tykkaatvnvecy",
    },
    Known {
        example: "kmers",
        file: "kmers.tsv",
        id: "bafkr4ihqaqpbqvocky7bnh25qz6p5iikzqmfove25ay22vqhegm6pmeqg4",
    },
];

/// Which output of a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileOf<'a> {
    Stdout,
    /// Below `/out`.
    Path(&'a str),
}

/// One of the examples, ready to be handed in.
///
/// # Errors
/// If the repository is not where this program was built.
pub fn example(name: &str) -> anyhow::Result<Prepared> {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
    let file = JobFile::load(&examples.join(name).join("job.toml"));
    let file = file.with_context(|| format!("the example `{name}`"))?;
    prepare(file).with_context(|| format!("the example `{name}`"))
}

/// Gives a node every blob of a job, and the job.
///
/// # Errors
/// What the node says against it.
pub fn hand_over(client: &Client, job: &Prepared) -> anyhow::Result<JobId> {
    for source in &job.blobs {
        client.put(source)?;
    }
    Ok(client.submit(&job.draft)?)
}

/// Reads a job's states as its node reports them until `seen` is content with one.
///
/// # Errors
/// If the job ends otherwise than verified before that, or the deadline is over.
pub fn until(
    client: &Client,
    job: JobId,
    deadline: Deadline,
    what: &str,
    mut seen: impl FnMut(&JobStatus) -> bool,
) -> anyhow::Result<JobStatus> {
    let news = follow(client, job);
    loop {
        let status = match news.recv_timeout(deadline.left().min(Duration::from_millis(100))) {
            Ok(status) => status.with_context(|| what.to_owned())?,
            Err(RecvTimeoutError::Timeout) => {
                deadline.check(what)?;
                continue;
            }
            Err(RecvTimeoutError::Disconnected) => bail!("the node went silent before {what}"),
        };
        if seen(&status) {
            return Ok(status);
        }
        ensure!(may_still_be_verified(&status), "{:?} came before {what}", status.state);
    }
}

/// A job's states as its node reports them, until it goes silent.
pub(crate) fn follow(
    client: &Client,
    job: JobId,
) -> mpsc::Receiver<Result<JobStatus, client::ClientError>> {
    let (sender, news) = mpsc::channel();
    let client = client.clone();
    std::thread::spawn(move || {
        let events = match client.events(job) {
            Ok(events) => events,
            Err(error) => return drop(sender.send(Err(error))),
        };
        for status in events {
            if sender.send(status).is_err() {
                return;
            }
        }
    });
    news
}

/// All outcomes of the final stages.
///
/// # Errors
/// What the node says against it.
pub(crate) fn fetch(client: &Client, job: JobId) -> anyhow::Result<Vec<UnitResult>> {
    let mut units: Vec<UnitResult> = Vec::new();
    loop {
        let page = client.results(job, units.len() as u64, PAGE)?;
        let empty = page.units.is_empty();
        units.extend(page.units);
        if empty || page.total <= units.len() as u64 {
            return Ok(units);
        }
    }
}

/// An output of a unit, checked against its name.
///
/// # Errors
/// If the unit did not leave it, or the node has other bytes.
pub(crate) fn output(
    client: &Client,
    unit: &UnitResult,
    file: FileOf<'_>,
) -> anyhow::Result<Vec<u8>> {
    let found = match file {
        FileOf::Stdout => unit.stdout,
        FileOf::Path(path) => unit.files.iter().find(|f| f.path == path).map(|f| f.blob),
    };
    let Blob { id, size } =
        found.ok_or_else(|| anyhow!("unit {} of `{}` left no {file:?}", unit.index, unit.stage))?;
    let mut bytes = Vec::new();
    client.blob(id)?.take(size.min(OUTPUT_BYTES_MAX) + 1).read_to_end(&mut bytes)?;
    ensure!(BlobId::of(&bytes) == id, "{file:?} of `{}` has other bytes than {id}", unit.stage);
    Ok(bytes)
}

/// An output of the only unit of a job's final stages.
///
/// # Errors
/// If there are several, or its outcome is not verified or no success.
pub fn only_output(client: &Client, job: JobId, file: FileOf<'_>) -> anyhow::Result<Vec<u8>> {
    let units = fetch(client, job)?;
    let [unit] = units.as_slice() else { bail!("{} results instead of one", units.len()) };
    ensure!(unit.verified, "the result is not verified");
    ensure!(unit.ending.is_success(), "the last stage ended with {}", unit.ending);
    output(client, unit, file)
}

/// The file of an example whose verified results are here.
///
/// # Errors
/// If they are not verified, or not what a native run gives.
pub fn known_file(client: &Client, job: JobId, known: Known) -> anyhow::Result<Vec<u8>> {
    let bytes = only_output(client, job, FileOf::Path(known.file))?;
    let id = BlobId::of(&bytes).to_string();
    ensure!(id == known.id, "{} is {id} and should be {}", known.file, known.id);
    Ok(bytes)
}

/// Units with an outcome, and units altogether.
pub(crate) fn done(status: &JobStatus) -> (u64, u64) {
    let sum = |of: fn(&client::api::StageStatus) -> u64| status.stages.iter().map(of).sum();
    (sum(client::api::StageStatus::done), sum(|stage| stage.units))
}

fn may_still_be_verified(status: &JobStatus) -> bool {
    use client::api::JobState;
    match &status.state {
        JobState::Seeking
        | JobState::Fetching
        | JobState::Running
        | JobState::SelfExecuted
        | JobState::Stuck { .. }
        | JobState::Verified => true,
        // What failed may have read what liars made up; until it is sealed, that can be revoked.
        JobState::Failed { .. } => status.assurance != client::api::Assurance::Sealed,
        JobState::Broken { .. } | JobState::Cancelled | JobState::Expired => false,
    }
}
