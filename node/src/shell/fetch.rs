//! Fetching: what the engine wants is brought into the store, checked, and reported.

use std::sync::Arc;

use engine::{Event, FetchId, FetchLoss, Got, PackWant, Want};
use futures::{StreamExt, TryStreamExt, stream};
use protocol::limits::{MANIFEST_BYTES_MAX, PACK_BYTES_MAX};
use protocol::{BlobId, BlobRef, Exit, JobId, Manifest, Outcome, Pack, PeerId, Tree, merkle_root};
use store::Pin;
use tracing::{Instrument, debug, debug_span};

use crate::shell::Shared;
use crate::shell::courier::Courier;

/// Packs of one want on their way at the same time.
const PACKS_AT_ONCE: usize = 4;

/// Brings what is wanted; the event says how it ended.
pub(crate) fn start(
    shared: &Arc<Shared>,
    fetch: FetchId,
    job: JobId,
    want: Want,
    from: Vec<PeerId>,
) {
    let courier = Courier { shared: Arc::clone(shared), job, from };
    let span = debug_span!("fetch", %job, fetch = fetch.0);
    shared.spawn(
        async move {
            let got = bring(&courier, want).await;
            let counters = &courier.shared.counters;
            match &got {
                Ok(_) => counters.fetches_done.add(1),
                Err(loss) => {
                    counters.fetches_failed.add(1);
                    debug!(?loss, "a fetch came to nothing");
                }
            }
            courier.shared.tell(Event::Fetched { fetch, got }).await;
        }
        .instrument(span),
    );
}

async fn bring(courier: &Courier, want: Want) -> Result<Got, FetchLoss> {
    match want {
        Want::Manifest(blob) => manifest(courier, blob).await,
        Want::Inputs { blobs, trees, parts } => inputs(courier, blobs, trees, parts).await,
        Want::Leaves(want) => leaves(courier, &want).await,
        Want::Packs(wants) => {
            let coming = wants.into_iter().map(|want| counted(courier.clone(), want));
            let got: Vec<(BlobRef, u64)> =
                stream::iter(coming).buffered(PACKS_AT_ONCE).try_collect().await?;
            let failed = got.iter().map(|(_, failed)| failed).sum();
            Ok(Got::Packs { packs: got.into_iter().map(|(blob, _)| blob).collect(), failed })
        }
    }
}

async fn manifest(courier: &Courier, blob: BlobRef) -> Result<Got, FetchLoss> {
    let bytes = courier.read(blob, MANIFEST_BYTES_MAX as u64).await?;
    let manifest = Manifest::from_bytes(&bytes).map_err(|_| FetchLoss::Malformed(blob.id))?;
    Ok(Got::Manifest(Box::new(manifest)))
}

async fn inputs(
    courier: &Courier,
    blobs: Vec<BlobRef>,
    trees: Vec<BlobRef>,
    parts: Vec<BlobRef>,
) -> Result<Got, FetchLoss> {
    courier.blobs(blobs).await?;
    courier.deep_trees(trees).await?;
    let mut read = Vec::new();
    for part in parts {
        read.push((part.id, courier.tree(part).await?));
    }
    Ok(Got::Inputs { parts: read })
}

/// Brings the first of a batch's packs that is what was agreed on, with all its outputs.
///
/// Packs are named by voters, who may lie: a wrong one is dropped and the next one tried.
pub(crate) async fn pack(courier: &Courier, want: &PackWant) -> Result<(BlobRef, Pack), FetchLoss> {
    let courier = &courier.asking_first(&want.holders);
    let mut loss = FetchLoss::Missing(BlobId::new(*want.root.as_bytes()));
    for blob in &want.packs {
        match checked(courier, want, *blob).await {
            Ok(pack) => {
                outputs(courier, &pack).await?;
                return Ok((*blob, pack));
            }
            Err(found) => loss = found,
        }
    }
    Err(loss)
}

/// The digests of a batch's outcomes; their outputs stay where they are.
async fn leaves(courier: &Courier, want: &PackWant) -> Result<Got, FetchLoss> {
    let courier = &courier.asking_first(&want.holders);
    let mut loss = FetchLoss::Missing(BlobId::new(*want.root.as_bytes()));
    for blob in &want.packs {
        match checked(courier, want, *blob).await {
            Ok(pack) => return Ok(Got::Leaves(pack.digests())),
            Err(found) => loss = found,
        }
    }
    Err(loss)
}

/// A pack, and how many of its outcomes are not successes.
async fn counted(courier: Courier, want: PackWant) -> Result<(BlobRef, u64), FetchLoss> {
    let (blob, pack) = pack(&courier, &want).await?;
    let failed = pack.outcomes().iter().filter(|outcome| !outcome.is_success()).count();
    Ok((blob, failed as u64))
}

async fn checked(courier: &Courier, want: &PackWant, blob: BlobRef) -> Result<Pack, FetchLoss> {
    // That voters name a wrong pack breaks nothing: the units can be executed again.
    let wrong = FetchLoss::Missing(blob.id);
    let bytes = match courier.read(blob, PACK_BYTES_MAX as u64).await {
        Err(FetchLoss::Malformed(_)) => return Err(wrong),
        read => read?,
    };
    match Pack::from_bytes(&bytes) {
        Ok(pack) if pack.outcomes().len() as u64 == want.units && root_is(&pack, want) => Ok(pack),
        Ok(_) | Err(_) => {
            debug!(blob = %blob.id, stage = want.stage, batch = want.batch, "not the pack it should be");
            let pin = Pin::Job(courier.job);
            let dropped = move |store: &store::Store| {
                store.unpin(blob.id, pin).and_then(|()| store.remove(blob.id))
            };
            // Somebody else's pin may keep it; it does no harm then.
            let _ = courier.shared.with_store(dropped).await;
            Err(wrong)
        }
    }
}

fn root_is(pack: &Pack, want: &PackWant) -> bool {
    want.units != 0 && merkle_root(&pack.digests()) == want.root
}

/// Everything that is not inside the pack itself: large outputs, and the files under `/out`.
async fn outputs(courier: &Courier, pack: &Pack) -> Result<(), FetchLoss> {
    courier.blobs(pack.outside()).await?;
    let mut outs: Vec<BlobRef> = pack.outcomes().iter().filter_map(out).collect();
    outs.sort();
    outs.dedup();
    let mut trees = Vec::new();
    for out in outs {
        let tree = match pack.inline(out.id) {
            Some(bytes) => Tree::from_bytes(bytes).map_err(|_| FetchLoss::Malformed(out.id))?,
            None => courier.tree(out).await?,
        };
        trees.push((out.id, tree));
    }
    courier.entries(trees).await
}

fn out(outcome: &Outcome) -> Option<BlobRef> {
    match outcome {
        Outcome::Exit(Exit { out, .. }) => Some(*out),
        Outcome::Trap(_) | Outcome::OutOfFuel | Outcome::OutputTooLarge => None,
    }
}
