//! Packing: the executions of a batch become one blob, and leave the journal in the same commit.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use engine::{Event, PackId};
use protocol::limits::INLINE_BYTES_MAX;
use protocol::{BlobId, BlobRef, Exit, JobId, Outcome, Pack};
use store::{Batch, Pin, Store, StoreError};
use tokio::sync::oneshot;
use tracing::{Instrument, debug_span, error, warn};

use crate::shell::{Shared, kept};

/// Outputs that belong into a pack or beside it, by name.
type Outputs = BTreeMap<BlobId, Vec<u8>>;

/// Why no pack came about. Neither should happen while the store works.
#[derive(Debug, thiserror::Error)]
enum PackLoss {
    #[error("the output {0} of an execution is not here any more")]
    Output(BlobId),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Makes the pack; the event follows once it is on disk.
pub(crate) fn start(
    shared: &Arc<Shared>,
    pack: PackId,
    job: JobId,
    stage: u16,
    units: Vec<u64>,
    outcomes: Vec<Outcome>,
) {
    let this = Arc::clone(shared);
    let span = debug_span!("pack", %job, stage, pack = pack.0);
    shared.spawn(
        async move {
            match make(&this, job, stage, units, outcomes).await {
                Ok(blob) => {
                    this.counters.packs_made.add(1);
                    this.tell(Event::Packed { pack, blob }).await;
                }
                Err(error) => {
                    error!(%error, "no pack could be made: the batch stays without a vote")
                }
            }
        }
        .instrument(span),
    );
}

/// Lets go of executions that are in no pack of ours. If that is lost in a crash, they come back and are let
/// go of again.
pub(crate) fn release(shared: &Arc<Shared>, job: JobId, stage: u16, units: &[u64]) {
    let places: Vec<kept::Place> = units.iter().map(|unit| (job, stage, *unit)).collect();
    let mut batch = Batch::default();
    kept::erase(&mut batch, places.iter().copied());
    if let Err(error) = shared.store.write_soon(batch) {
        warn!(%job, %error, "executions that are not needed could not be erased");
    }
}

async fn make(
    shared: &Arc<Shared>,
    job: JobId,
    stage: u16,
    units: Vec<u64>,
    outcomes: Vec<Outcome>,
) -> Result<BlobRef, PackLoss> {
    let this = Arc::clone(shared);
    let places: Vec<kept::Place> = units.iter().map(|unit| (job, stage, *unit)).collect();
    let from = places.clone();
    let outputs = shared.with_store(move |store| gather(&this, store, &from, &outcomes)).await?;
    let (outcomes, outputs) = outputs;
    let pack = Pack::new(outcomes, |id| outputs.get(&id).cloned().unwrap_or_default());

    let mut batch = Batch::default();
    for blob in pack.outside() {
        if let Some(bytes) = outputs.get(&blob.id) {
            batch.blob(bytes.clone());
            batch.pin(blob.id, Pin::Job(job));
        }
    }
    let blob = batch.blob(pack.to_bytes());
    batch.pin(blob.id, Pin::Job(job));
    kept::erase(&mut batch, places.iter().copied());
    let (done, durable) = oneshot::channel();
    shared
        .with_store(move |store| {
            store.commit_with(batch, move |end| {
                // The receiver waits below, unless the node is stopping.
                let _ = done.send(end);
            });
        })
        .await;
    match durable.await {
        Ok(end) => end?,
        Err(_) => std::future::pending().await,
    }
    // In memory they stay until their room is needed: another pack may be about to take them, too.
    Ok(blob)
}

/// The bytes of all small outputs, most of which were kept with their executions.
fn gather(
    shared: &Shared,
    store: &Store,
    places: &[kept::Place],
    outcomes: &[Outcome],
) -> Result<(Vec<Outcome>, Outputs), PackLoss> {
    let mut found: Outputs = BTreeMap::new();
    for place in places {
        if let Some(unit) = shared.kept.get(store, *place) {
            found.extend(unit.small.into_iter().map(|bytes| (BlobId::of(&bytes), bytes)));
        }
    }
    for blob in outcomes.iter().flat_map(small) {
        if let Entry::Vacant(place) = found.entry(blob.id) {
            // An earlier pack of the same unit may have taken it along as a blob.
            let bytes = store.get(blob.id, INLINE_BYTES_MAX);
            place.insert(bytes.map_err(|_| PackLoss::Output(blob.id))?);
        }
    }
    Ok((outcomes.to_vec(), found))
}

/// Outputs that may travel inside a pack.
fn small(outcome: &Outcome) -> impl Iterator<Item = BlobRef> + use<> {
    let exit = match outcome {
        Outcome::Exit(Exit { stdout, out, .. }) => Some([*stdout, *out]),
        Outcome::Trap(_) | Outcome::OutOfFuel | Outcome::OutputTooLarge => None,
    };
    exit.into_iter().flatten().filter(|blob| blob.size <= INLINE_BYTES_MAX)
}
