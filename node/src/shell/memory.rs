//! Memory of our own earlier jobs: for each unit that they have verified, in which pack its outcome is.
//!
//! A pack that has gone makes its units unknown, and a job that is forgotten takes its entries along.

use std::sync::Arc;
use std::time::Duration;

use engine::{Event, PackWant, Reads, RecallId};
use protocol::limits::{INLINE_BYTES_MAX, PACK_BYTES_MAX, TREE_BYTES_MAX};
use protocol::{
    BlobRef, Cost, Execution, Exit, JobId, Outcome, Pack, PeerId, Plan, Tree, UnitId, decode,
    encode, hash,
};
use store::{Batch, Pin, Store};
use tokio::time::timeout;
use tracing::{Instrument, debug, debug_span, warn};

use crate::shell::Shared;
use crate::shell::courier::Courier;
use crate::shell::fetch;
use crate::shell::kept::KeptUnit;
use crate::shell::mount::Mounter;
use crate::shell::order::passed_on;

/// Entries are found by the unit's id alone: equal units have equal outcomes, whatever job they are of.
const ENTRY: &[u8] = b"memory/unit/";
/// The units of a job, so that they can be forgotten together.
const OF_JOB: &[u8] = b"memory/job/";
/// An entry: a blob, a number and a job.
const ENTRY_BYTES_MAX: usize = 256;
/// Large outputs of one job that are fetched to be remembered; batches beyond it are executed again another
/// time.
const OUTPUT_BYTES_MAX: u64 = 256 << 20;
/// How long a look into memory waits for what is being entered.
const ENTERED_WITHIN: Duration = Duration::from_secs(5);
/// Entries that are written together.
const AT_ONCE: usize = 4096;

/// The pack, the place in it, and the job that has verified it.
type Entry = (BlobRef, u32, JobId);

/// Units of one batch that may be known.
pub(crate) struct Recall {
    pub(crate) recall: RecallId,
    pub(crate) job: JobId,
    pub(crate) plan: Arc<Plan>,
    pub(crate) stage: u16,
    pub(crate) units: Vec<u64>,
    pub(crate) reads: Arc<Reads>,
}

/// Looks a batch up; the event has the outcomes of all its units, or none.
pub(crate) fn recall(shared: &Arc<Shared>, of: Recall) {
    let this = Arc::clone(shared);
    let span = debug_span!("recall", job = %of.job, stage = of.stage);
    shared.spawn(
        async move {
            let (recall, job, stage) = (of.recall, of.job, of.stage);
            entered(&this).await;
            let found = this.with_store(move |store| all_of(store, &of)).await.unwrap_or_default();
            let keeping = Arc::clone(&this);
            let units =
                this.with_store(move |store| keep(&keeping, store, (job, stage), found)).await;
            this.tell(Event::Recalled { recall, units }).await;
        }
        .instrument(span),
    );
}

/// Waits for what has just ended and is on its way into memory.
pub(crate) async fn entered(shared: &Shared) {
    drop(timeout(ENTERED_WITHIN, shared.remembering.write()).await);
}

/// Keeps what was found as if it had been executed here.
fn keep(
    shared: &Shared,
    store: &Store,
    (job, stage): (JobId, u16),
    found: Vec<(u64, KeptUnit)>,
) -> Vec<(u64, Execution)> {
    let mut batch = Batch::default();
    let mut units = Vec::new();
    for (unit, kept) in found {
        kept.write((job, stage, unit), &mut batch);
        units.push((unit, kept.execution.clone()));
        shared.kept.add((job, stage, unit), kept);
    }
    if let Err(error) = store.write_soon(batch) {
        warn!(%job, %error, "what was recalled could not be kept");
    }
    if shared.kept.is_full() && store.flush().is_ok() {
        shared.kept.shrink();
    }
    units
}

fn all_of(store: &Store, of: &Recall) -> Option<Vec<(u64, KeptUnit)>> {
    let mut mounter = Mounter::new(store, &of.plan, &of.reads);
    let mut last: Option<(BlobRef, Pack)> = None;
    let mut found = Vec::new();
    for unit in &of.units {
        if let Some(passed) = mounter.passed(of.stage, *unit).ok()? {
            found.push((*unit, passed_on(&passed)));
            continue;
        }
        let gathered = mounter.gathered(of.stage, *unit).ok()?;
        let id = of.plan.unit(of.stage, *unit, gathered)?.id();
        let (blob, at, _) = entry(store, id)?;
        if last.as_ref().is_none_or(|(open, _)| *open != blob) {
            let bytes = store.get(blob.id, PACK_BYTES_MAX as u64).ok()?;
            last = Some((blob, Pack::from_bytes(&bytes).ok()?));
        }
        let (_, pack) = last.as_ref()?;
        let kept = kept(pack, at as usize)?;
        pin_outputs(store, of.job, pack, &kept.execution.outcome)?;
        found.push((*unit, kept));
    }
    Some(found)
}

/// Pins the outputs that are not inside the pack for the job that recalls them; nothing, if one is not here.
/// Nobody else need have them any more, and what is sealed is not executed again.
fn pin_outputs(store: &Store, job: JobId, pack: &Pack, outcome: &Outcome) -> Option<()> {
    let Outcome::Exit(Exit { stdout, out, .. }) = outcome else { return Some(()) };
    let tree = match pack.inline(out.id) {
        Some(bytes) => Tree::from_bytes(bytes).ok()?,
        None => Tree::from_bytes(&store.get(out.id, TREE_BYTES_MAX as u64).ok()?).ok()?,
    };
    let outside = [stdout, out].into_iter().filter(|blob| pack.inline(blob.id).is_none());
    let mut batch = Batch::default();
    for blob in outside.chain(tree.entries().iter().map(|entry| &entry.blob)) {
        if !store.contains(blob.id) {
            return None;
        }
        batch.pin(blob.id, Pin::Job(job));
    }
    store.write_soon(batch).ok()
}

/// Whether a unit without upstream is known; for choosing batches before a job has an id.
pub(crate) fn knows(store: &Store, id: UnitId) -> bool {
    entry(store, id).is_some_and(|(blob, ..)| store.contains(blob.id))
}

fn entry(store: &Store, id: UnitId) -> Option<Entry> {
    let record = store.record(&[ENTRY, id.as_bytes()].concat()).ok().flatten()?;
    decode(&record, ENTRY_BYTES_MAX).ok()
}

/// An outcome as if it had been executed here. Whoever did so has shown the trace to others long ago.
fn kept(pack: &Pack, at: usize) -> Option<KeptUnit> {
    let outcome = *pack.outcomes().get(at)?;
    let blobs = match outcome {
        Outcome::Exit(Exit { stdout, out, .. }) => vec![stdout, out],
        Outcome::Trap(_) | Outcome::OutOfFuel | Outcome::OutputTooLarge => Vec::new(),
    };
    let small = blobs.into_iter().filter(|blob| blob.size <= INLINE_BYTES_MAX);
    let small = small.map(|blob| pack.inline(blob.id).map(<[u8]>::to_vec));
    let trace = hash("recalled", &[outcome.digest().as_bytes()]);
    let execution = Execution { outcome, trace, cost: Cost::default() };
    Some(KeptUnit { execution, small: small.collect::<Option<_>>()? })
}

/// Enters all outcomes of a job that is sealed.
pub(crate) fn remember(
    shared: &Arc<Shared>,
    job: JobId,
    plan: Arc<Plan>,
    packs: Vec<PackWant>,
    from: Vec<PeerId>,
) {
    let this = Arc::clone(shared);
    // Before anything else happens: a job that comes next may look into memory at once.
    let entering = Arc::clone(&shared.remembering).try_read_owned().ok();
    let span = debug_span!("remember", %job);
    shared.spawn(
        async move {
            let _entering = entering;
            let courier = Courier::new(&this, job, from);
            let Ok(blobs) = fetch::affordable(&courier, &packs, OUTPUT_BYTES_MAX).await else {
                debug!("not everything of the job is to be had; nothing is remembered");
                return;
            };
            let packs: Vec<(PackWant, BlobRef)> = packs
                .into_iter()
                .zip(blobs)
                .filter_map(|(want, blob)| Some((want, blob?)))
                .collect();
            let written = move |store: &Store| enter(store, job, &plan, &packs);
            let entries = this.with_store(written).await;
            debug!(entries, "outcomes are remembered");
        }
        .instrument(span),
    );
}

fn enter(store: &Store, job: JobId, plan: &Plan, packs: &[(PackWant, BlobRef)]) -> usize {
    let mut reads = Reads::default();
    for (want, blob) in packs {
        reads.insert(want.stage, want.batch, want.root, (want.first_unit, *blob));
    }
    let mut mounter = Mounter::new(store, plan, &reads);
    let (mut batch, mut waiting, mut entries) = (Batch::default(), 0, 0);
    for (want, blob) in packs {
        for at in 0..want.units {
            let unit = want.first_unit + at;
            // What is passed on is found again without being remembered.
            if !matches!(mounter.passed(want.stage, unit), Ok(None)) {
                continue;
            }
            let Ok(gathered) = mounter.gathered(want.stage, unit) else { continue };
            let Some(derived) = plan.unit(want.stage, unit, gathered) else { continue };
            let id = derived.id();
            let entry: Entry = (*blob, at as u32, job);
            batch.write([ENTRY, id.as_bytes()].concat(), encode(&entry));
            batch.write([OF_JOB, job.blob().as_bytes(), id.as_bytes()].concat(), Vec::new());
            (waiting, entries) = (waiting + 1, entries + 1);
            if AT_ONCE <= waiting {
                waiting = 0;
                // Faster than the disk, a million of them would wait in memory.
                if store.commit(std::mem::take(&mut batch)).is_err() {
                    return entries;
                }
            }
        }
    }
    // A job that waits for this reads what is durable.
    if let Err(error) = store.commit(batch) {
        warn!(%job, %error, "outcomes could not be remembered");
    }
    entries
}

/// Erases the entries of a job; those that a later job has written again stay.
pub(crate) fn erase_job(store: &Store, batch: &mut Batch, job: JobId) {
    let prefix = [OF_JOB, job.blob().as_bytes()].concat();
    let each = store.scan_each(&prefix, |key, _| {
        if let Ok(id) = <[u8; 32]>::try_from(&key[prefix.len()..])
            && entry(store, UnitId::new(id)).is_some_and(|(.., own)| own == job)
        {
            batch.erase([ENTRY, &id].concat());
        }
        true
    });
    if let Err(error) = each {
        warn!(%job, %error, "what was remembered of a job could not be looked at");
    }
    batch.erase_prefix(prefix);
}
