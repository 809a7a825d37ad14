//! Keeping: what executed units left goes to memory, journal and store.

use std::collections::BTreeSet;
use std::io::Read;

use protocol::limits::{INLINE_BYTES_MAX, STDERR_BYTES_MAX};
use protocol::{BlobRef, Execution, Exit, JobId, Loss, Outcome, Tree};
use sandbox::{Output, OutputBytes, Ran};
use store::{BATCH_BYTES_MAX, Batch, Pin, Store, StoreError};
use tracing::warn;

use crate::shell::Shared;
use crate::shell::kept::{self, KeptUnit};

/// Units of one run that have ended.
#[derive(Debug)]
pub(crate) struct Harvest {
    pub(crate) job: JobId,
    pub(crate) stage: u16,
    pub(crate) units: Vec<(u64, Result<Ran, Loss>)>,
    /// Units whose outcome was another's.
    pub(crate) passed: Vec<(u64, KeptUnit)>,
}

/// Keeps executions so that a crash loses at most a second of them. Outputs that do not fit into a
/// pack are blobs of the store on return. Units that passed on an outcome come last.
pub(crate) fn keep(
    shared: &Shared,
    store: &Store,
    Harvest { job, stage, units, passed }: Harvest,
) -> Vec<(u64, Result<Execution, Loss>)> {
    let mut basket = Basket { shared, store, job, batch: Batch::default(), bytes: 0, blobs: false };
    let mut ended = Vec::new();
    for (unit, result) in units {
        let kept = result.and_then(|ran| {
            let execution = ran.execution.clone();
            basket.add((job, stage, unit), ran).map(|()| execution)
        });
        ended.push((unit, kept));
    }
    for (unit, kept) in passed {
        ended.push((unit, Ok(kept.execution.clone())));
        basket.keep((job, stage, unit), kept);
    }
    if let Err(error) = basket.write() {
        warn!(%job, %error, "outputs could not be stored");
        let lost = |result: Result<Execution, Loss>| result.and(Err(no_room(&error)));
        ended = ended.into_iter().map(|(unit, result)| (unit, lost(result))).collect();
    }
    if shared.kept.is_full() && store.flush().is_ok() {
        shared.kept.shrink();
    }
    ended
}

/// Gathers what is written together.
struct Basket<'a> {
    shared: &'a Shared,
    store: &'a Store,
    job: JobId,
    batch: Batch,
    bytes: usize,
    /// Whether blobs are among it, which must be stored before the engine hears of them.
    blobs: bool,
}

impl Basket<'_> {
    fn add(&mut self, place: kept::Place, ran: Ran) -> Result<(), Loss> {
        let Ran { execution, outputs, mut stderr } = ran;
        let inside = inside(&execution.outcome);
        let files = files(&execution.outcome, &outputs)?;
        let mut small = Vec::new();
        for output in outputs {
            if !inside.contains(&output.blob) {
                self.output(&output)?;
                continue;
            }
            let bytes = output.read().map_err(|_| Loss::WorkerCrash)?;
            check(output.blob, BlobRef::of(&bytes))?;
            // What is on stdout may be in a file as well, and files are read on their own.
            if files.contains(&output.blob) {
                self.blob(bytes.clone())?;
            }
            small.push(bytes);
        }
        self.keep(place, KeptUnit { execution, small });
        if !stderr.is_empty() && self.shared.kept.may_log(self.job, stderr.len()) {
            stderr.truncate(STDERR_BYTES_MAX as usize);
            kept::write_log(&mut self.batch, place, stderr);
        }
        Ok(())
    }

    fn keep(&mut self, place: kept::Place, unit: KeptUnit) {
        unit.write(place, &mut self.batch);
        self.shared.kept.add(place, unit);
    }

    /// An output that becomes a blob of the store.
    fn output(&mut self, output: &Output) -> Result<(), Loss> {
        match &output.bytes {
            OutputBytes::Here(bytes) => {
                let found = self.blob(bytes.clone())?;
                check(output.blob, found)
            }
            OutputBytes::File(..) => {
                let file = output.open().ok().flatten().ok_or(Loss::WorkerCrash)?;
                let found = self.store.put_reader(file.take(output.blob.size));
                check(output.blob, found.map_err(|error| no_room(&error))?)?;
                self.batch.pin(output.blob.id, Pin::Job(self.job));
                self.blobs = true;
                Ok(())
            }
        }
    }

    fn blob(&mut self, bytes: Vec<u8>) -> Result<BlobRef, Loss> {
        if BATCH_BYTES_MAX / 2 < self.bytes + bytes.len() {
            self.write().map_err(|error| no_room(&error))?;
        }
        self.bytes += bytes.len();
        let blob = self.batch.blob(bytes);
        self.batch.pin(blob.id, Pin::Job(self.job));
        self.blobs = true;
        Ok(blob)
    }

    /// Executions alone may wait for the next commit; with blobs there is one now.
    fn write(&mut self) -> Result<(), StoreError> {
        let batch = std::mem::take(&mut self.batch);
        self.bytes = 0;
        if std::mem::take(&mut self.blobs) {
            self.store.commit(batch)
        } else {
            self.store.write_soon(batch)
        }
    }
}

/// Outputs that will travel inside a pack.
fn inside(outcome: &Outcome) -> Vec<BlobRef> {
    let exit = match outcome {
        Outcome::Exit(Exit { stdout, out, .. }) => Some([*stdout, *out]),
        Outcome::Trap(_) | Outcome::OutOfFuel | Outcome::OutputTooLarge => None,
    };
    exit.into_iter().flatten().filter(|blob| blob.size <= INLINE_BYTES_MAX).collect()
}

/// The files under `/out`, which a pack does not take along. All that the outcome names must be there.
fn files(outcome: &Outcome, outputs: &[Output]) -> Result<BTreeSet<BlobRef>, Loss> {
    let Outcome::Exit(Exit { stdout, out, .. }) = outcome else { return Ok(BTreeSet::new()) };
    let listed = outputs.iter().find(|output| output.blob == *out).ok_or(Loss::WorkerCrash)?;
    let bytes = listed.read().map_err(|_| Loss::WorkerCrash)?;
    let tree = Tree::from_bytes(&bytes).map_err(|_| Loss::WorkerCrash)?;
    let files: BTreeSet<BlobRef> = tree.entries().iter().map(|entry| entry.blob).collect();
    let here: BTreeSet<BlobRef> = outputs.iter().map(|output| output.blob).collect();
    let whole = here.contains(stdout) && files.is_subset(&here);
    if whole { Ok(files) } else { Err(Loss::WorkerCrash) }
}

/// A worker names its outputs itself, and a guest may have taken it over.
fn check(named: BlobRef, found: BlobRef) -> Result<(), Loss> {
    if named == found { Ok(()) } else { Err(Loss::WorkerCrash) }
}

fn no_room(error: &StoreError) -> Loss {
    Loss::Refused(format!("the outputs could not be stored: {error}"))
}
