//! The writer: one thread, one transaction and one fsync for all who wait at the same time.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::atomic::Ordering;

use protocol::{BlobId, BlobRef, Hash};
use tracing::{debug, error, warn};

use crate::StoreError;
use crate::batch::{Op, Source};
use crate::blobs::SMALL_BYTES_MAX;
use crate::folder::{remove_quietly, sync_dir};
use crate::ledger::{Gone, Place};
use crate::pieces::Intake;
use crate::queue::{OnDurable, Request};
use crate::store::Shared;
use crate::tables::Tables;

/// Access times wait in memory until there are this many, or the store is closed.
const TOUCHED_MAX: usize = 4096;

/// Why the store cannot write any more.
struct Fatal(String);

impl<E: Display> From<E> for Fatal {
    fn from(error: E) -> Self {
        Self(error.to_string())
    }
}

/// What a transaction does outside the index.
#[derive(Default)]
struct Round {
    changed: bool,
    /// Folders whose new names must be durable before the index speaks of them.
    folders: BTreeSet<PathBuf>,
    arrived: Vec<(BlobId, u64)>,
    gone: Vec<Gone>,
}

/// Serves the queue until it is closed.
pub(crate) fn run(shared: &Shared) {
    while let Some(group) = shared.queue.take() {
        serve(shared, group, TOUCHED_MAX);
    }
    serve(shared, Vec::new(), 1);
}

fn serve(shared: &Shared, group: Vec<Request>, touched_max: usize) {
    let (batches, told): (Vec<_>, Vec<_>) =
        group.into_iter().map(|request| (request.batch.ops, request.done)).unzip();
    let outcomes = match shared.check_writing() {
        Ok(()) => guarded(shared, batches, touched_max),
        Err(stopped) => Err(stopped),
    };
    match outcomes {
        Ok(outcomes) => told.into_iter().zip(outcomes).for_each(|(done, end)| tell(done, end)),
        Err(stopped) => told.into_iter().for_each(|done| tell(done, Err(stopped.clone()))),
    }
}

/// One transaction; whatever goes wrong in it ends all writing.
fn guarded(
    shared: &Shared,
    batches: Vec<Vec<Op>>,
    touched_max: usize,
) -> Result<Vec<Result<(), StoreError>>, StoreError> {
    let attempt = AssertUnwindSafe(|| transact(shared, batches, touched_max));
    match catch_unwind(attempt) {
        Ok(Ok(outcomes)) => Ok(outcomes),
        Ok(Err(Fatal(reason))) => Err(shared.stop(reason)),
        Err(_) => Err(shared.stop("the index panicked while writing".to_owned())),
    }
}

fn tell(done: Option<OnDurable>, end: Result<(), StoreError>) {
    let Some(done) = done else {
        if let Err(error) = end {
            warn!(%error, "lazy write lost");
        }
        return;
    };
    if catch_unwind(AssertUnwindSafe(|| done(end))).is_err() {
        error!("a callback of a commit panicked");
    }
}

fn transact(
    shared: &Shared,
    batches: Vec<Vec<Op>>,
    touched_max: usize,
) -> Result<Vec<Result<(), StoreError>>, Fatal> {
    let mut round = Round::default();
    let mut outcomes = Vec::with_capacity(batches.len());
    let txn = shared.db.begin_write()?;
    {
        let mut tables = Tables::open(&txn)?;
        for ops in batches {
            let left_before = round.gone.len();
            let prepared = prepare(shared, ops, &mut round);
            // Even a batch that was refused in the end may have made others leave.
            for gone in &round.gone[left_before..] {
                match gone {
                    Gone::Blob(id) => tables.forget(*id)?,
                    Gone::Partial(_) => {}
                }
            }
            outcomes.push(match prepared {
                Ok(ops) => Ok(apply_all(shared, &mut tables, ops, &mut round)?),
                Err(refused) => Err(refused),
            });
        }
        let mut ledger = shared.ledger();
        if touched_max <= ledger.touched() {
            for (id, entry) in ledger.take_touched() {
                tables.note(id, &entry)?;
                round.changed = true;
            }
        }
    }
    for folder in &round.folders {
        sync_dir(folder).map_err(|e| Fatal(format!("{}: {e}", folder.display())))?;
    }
    if round.changed {
        txn.commit()?;
        shared.commits.fetch_add(1, Ordering::Relaxed);
    } else {
        txn.abort()?;
    }
    settle(shared, round);
    Ok(outcomes)
}

/// All that may be refused without harm, before anything of the batch is written.
fn prepare(shared: &Shared, ops: Vec<Op>, round: &mut Round) -> Result<Vec<Op>, StoreError> {
    let bytes: u64 =
        ops.iter().map(|op| if let Op::Blob { blob, .. } = op { blob.size } else { 0 }).sum();
    if 0 < bytes {
        shared.check_disk(bytes)?;
    }
    for op in &ops {
        if let Op::Remove { id } = op
            && shared.ledger().is_pinned(*id)
        {
            return Err(StoreError::Pinned { id: *id });
        }
    }
    let ops = ops.into_iter().map(|op| spill(shared, op)).collect::<Result<Vec<_>, _>>()?;
    let gone = shared.ledger().admit(&ops)?;
    round.changed |= !gone.is_empty();
    round.gone.extend(gone);
    for op in &ops {
        let Op::File { blob, from, .. } = op else { continue };
        let known = shared.ledger().knows(blob.id);
        if !known {
            place(shared, *blob, from, &mut round.folders)?;
        }
    }
    Ok(ops)
}

/// A blob that is too large for the index becomes a file.
fn spill(shared: &Shared, op: Op) -> Result<Op, StoreError> {
    let Op::Blob { blob, bytes } = &op else { return Ok(op) };
    if blob.size <= SMALL_BYTES_MAX || shared.ledger().knows(blob.id) {
        return Ok(op);
    }
    let mut intake = Intake::new(&shared.folder)?;
    for piece in bytes.chunks(protocol::limits::CHUNK_BYTES as usize) {
        intake.push(piece)?;
    }
    let (blob, values, scratch) = intake.finish()?;
    Ok(Op::File { blob, values, from: Source::Scratch(scratch) })
}

/// Puts a file where it belongs.
fn place(
    shared: &Shared,
    blob: BlobRef,
    from: &Source,
    folders: &mut BTreeSet<PathBuf>,
) -> Result<(), StoreError> {
    match from {
        Source::Scratch(scratch) => shared.folder.place(scratch.path(), blob.id, folders),
        Source::At(path) => shared.folder.place(path, blob.id, folders),
        Source::InPlace => {
            let path = shared.folder.blob(blob.id);
            let size = fs::metadata(&path).map_err(|e| StoreError::io(&path, e))?.len();
            if size == blob.size { Ok(()) } else { Err(StoreError::Missing { id: blob.id }) }
        }
    }
}

fn apply_all(
    shared: &Shared,
    tables: &mut Tables<'_>,
    ops: Vec<Op>,
    round: &mut Round,
) -> Result<(), Fatal> {
    for op in ops {
        apply(shared, tables, op, round)?;
    }
    Ok(())
}

fn apply(shared: &Shared, tables: &mut Tables<'_>, op: Op, round: &mut Round) -> Result<(), Fatal> {
    round.changed |= !matches!(op, Op::Reserve { .. } | Op::Blob { .. } | Op::File { .. });
    match op {
        Op::Write { key, value } => tables.write(&key, &value)?,
        Op::Erase { key } => tables.erase(&key)?,
        Op::ErasePrefix { prefix } => tables.erase_prefix(&prefix)?,
        Op::Blob { blob, bytes } => keep_small(shared, tables, blob, &bytes, round)?,
        Op::File { blob, values, .. } => keep_file(shared, tables, blob, &values, round)?,
        Op::Pin { id, owner } => {
            shared.ledger().pin(id, owner);
            tables.pin(id, owner)?;
        }
        Op::Unpin { id, owner } => {
            shared.ledger().unpin(id, owner);
            tables.unpin(id, owner)?;
        }
        Op::UnpinAll { owner } => {
            for id in tables.unpin_all(owner)? {
                shared.ledger().unpin(id, owner);
            }
        }
        Op::Reserve { blob } => shared.ledger().reserve(blob),
        Op::Remove { id } => {
            if shared.ledger().remove(id).is_some() {
                tables.forget(id)?;
                round.gone.push(Gone::Blob(id));
            }
        }
        Op::SetAside { id, born } => set_aside(shared, tables, id, born)?,
    }
    Ok(())
}

fn keep_small(
    shared: &Shared,
    tables: &mut Tables<'_>,
    blob: BlobRef,
    bytes: &[u8],
    round: &mut Round,
) -> Result<(), Fatal> {
    let arrived = shared.ledger().arrive(blob, Place::Small);
    if let Some(entry) = arrived {
        tables.keep_small(blob.id, bytes)?;
        tables.note(blob.id, &entry)?;
        round.arrived.push((blob.id, entry.born));
        round.changed = true;
    }
    Ok(())
}

fn keep_file(
    shared: &Shared,
    tables: &mut Tables<'_>,
    blob: BlobRef,
    values: &[Hash],
    round: &mut Round,
) -> Result<(), Fatal> {
    let arrived = shared.ledger().arrive(blob, Place::File);
    if let Some(entry) = arrived {
        tables.keep_values(blob.id, values)?;
        tables.note(blob.id, &entry)?;
        round.arrived.push((blob.id, entry.born));
        round.changed = true;
    }
    Ok(())
}

fn set_aside(shared: &Shared, tables: &mut Tables<'_>, id: BlobId, born: u64) -> Result<(), Fatal> {
    let left = shared.ledger().remove_born(id, born);
    let Some(entry) = left else { return Ok(()) };
    tables.forget(id)?;
    match entry.place {
        Place::Small => {}
        Place::File => {
            if let Err(error) = shared.folder.set_aside(id) {
                warn!(%id, %error, "damaged blob not kept for inspection");
            }
        }
    }
    Ok(())
}

/// After the commit: new blobs are shown, and the files of those that left are removed.
fn settle(shared: &Shared, round: Round) {
    let mut ledger = shared.ledger();
    for (id, born) in round.arrived {
        ledger.show(id, born);
    }
    // What came back in the same transaction keeps its file.
    let left = round.gone.into_iter().filter(|gone| match gone {
        Gone::Blob(id) => !ledger.knows(*id),
        Gone::Partial(id) => !ledger.is_partial(*id),
    });
    let left: Vec<Gone> = left.collect();
    // Only this thread puts files there, so nothing can come back in between.
    drop(ledger);
    for gone in left {
        debug!(?gone, "blob left");
        match gone {
            Gone::Blob(id) => remove_quietly(&shared.folder.blob(id)),
            Gone::Partial(id) => {
                remove_quietly(&shared.folder.partial(id));
                remove_quietly(&shared.folder.partial_tree(id));
            }
        }
    }
}
