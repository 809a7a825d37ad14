//! Fetching: what the engine wants is brought into the store, checked, and reported.

use std::ops::Range;
use std::sync::Arc;

use engine::{Event, FetchId, FetchLoss, Got, PackWant, Want};
use futures::{StreamExt, TryStreamExt, stream};
use protocol::limits::{MANIFEST_BYTES_MAX, PACK_BYTES_MAX};
use protocol::{
    BlobId, BlobRef, CONVERGED_FILE, Entry, Exit, JobId, Manifest, Outcome, Pack, PeerId, Read,
    Role, Tree, bucket_of, merkle_root,
};
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
        Want::Packs { wants, outputs } => {
            let part = if outputs { Part::All } else { Part::Outcomes };
            packs(courier, wants, part).await
        }
        Want::Reads { plan, stage, units, packs: wants } => {
            courier
                .blobs(units.clone().filter_map(|unit| plan.part(stage, unit)).collect())
                .await?;
            let reads: Vec<Read> = plan.reads(stage, units.clone());
            let converges = plan.stage(stage).links.converges;
            packs(courier, wants, Part::Of { reads: reads.into(), units, converges }).await
        }
    }
}

/// How much of packs is wanted.
#[derive(Clone, Debug)]
enum Part {
    /// How the units have ended.
    Outcomes,
    /// With all outputs.
    All,
    /// With the outputs that some units of another stage read, or pass on if they end a loop.
    Of { reads: Arc<[Read]>, units: Range<u64>, converges: bool },
}

impl Part {
    /// Whether anybody reads the outcome of a unit.
    fn reads(&self, stage: u16, unit: u64) -> bool {
        match self {
            Self::Outcomes | Self::All => true,
            Self::Of { reads, .. } => {
                reads.iter().any(|read| read.stage == stage && read.units.contains(&unit))
            }
        }
    }

    /// Whether a file of an outcome that is read is read itself.
    fn reads_file(&self, stage: u16, path: &str) -> bool {
        match self {
            Self::Outcomes => false,
            Self::All => true,
            Self::Of { reads, units, .. } => {
                reads.iter().filter(|read| read.stage == stage).any(|read| match read.role {
                    Role::Bucket(n) => units.contains(&u64::from(bucket_of(path, n))),
                    Role::Single | Role::Many | Role::Before => true,
                })
            }
        }
    }
}

/// The packs with everything in them, in order, as far as their large outputs together have at most `bytes`;
/// nothing for those that have not.
pub(crate) async fn affordable(
    courier: &Courier,
    wants: &[PackWant],
    mut bytes: u64,
) -> Result<Vec<Option<BlobRef>>, FetchLoss> {
    let mut found = Vec::new();
    for want in wants {
        let (blob, pack) = partly(courier, want, &Part::Outcomes).await?;
        let size = size_outside(courier, &pack).await?;
        let fits = size <= bytes;
        if fits {
            bytes -= size;
            outputs(courier, &pack, want, &Part::All).await?;
        }
        found.push(fits.then_some(blob));
    }
    Ok(found)
}

/// Bytes of all outputs that are not inside a pack, by the lists of their names.
async fn size_outside(courier: &Courier, pack: &Pack) -> Result<u64, FetchLoss> {
    let mut size: u64 = 0;
    for outcome in pack.outcomes() {
        let Outcome::Exit(Exit { stdout, out, .. }) = outcome else { continue };
        let tree = match pack.inline(out.id) {
            Some(bytes) => Tree::from_bytes(bytes).map_err(|_| FetchLoss::Malformed(out.id))?,
            None => courier.tree(*out).await?,
        };
        let outside = [stdout, out].into_iter().filter(|blob| pack.inline(blob.id).is_none());
        let files = tree.entries().iter().map(|entry| &entry.blob);
        size = outside.chain(files).fold(size, |sum, blob| sum.saturating_add(blob.size));
    }
    Ok(size)
}

async fn packs(courier: &Courier, wants: Vec<PackWant>, part: Part) -> Result<Got, FetchLoss> {
    let coming = wants.into_iter().map(|want| counted(courier.clone(), want, part.clone()));
    let got: Vec<(BlobRef, u64)> =
        stream::iter(coming).buffered(PACKS_AT_ONCE).try_collect().await?;
    let failed = got.iter().map(|(_, failed)| failed).sum();
    Ok(Got::Packs { packs: got.into_iter().map(|(blob, _)| blob).collect(), failed })
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
    partly(courier, want, &Part::All).await
}

async fn partly(
    courier: &Courier,
    want: &PackWant,
    part: &Part,
) -> Result<(BlobRef, Pack), FetchLoss> {
    let courier = &courier.asking_first(&want.holders);
    let mut loss = FetchLoss::Missing(BlobId::new(*want.root.as_bytes()));
    for blob in &want.packs {
        match checked(courier, want, *blob).await {
            Ok(pack) => {
                outputs(courier, &pack, want, part).await?;
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

/// A pack, and how many of its outcomes that are read are not successes.
async fn counted(
    courier: Courier,
    want: PackWant,
    part: Part,
) -> Result<(BlobRef, u64), FetchLoss> {
    let (blob, pack) = partly(&courier, &want, &part).await?;
    let has_failed = |(unit, outcome): &(u64, &Outcome)| {
        let goes_on = want.goes_on && outcome.asks_to_go_on();
        part.reads(want.stage, *unit) && !outcome.is_success() && !goes_on
    };
    let failed = (want.first_unit..).zip(pack.outcomes()).filter(has_failed).count();
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

/// What is not inside the pack itself and is wanted: large outputs, and the files under `/out`.
async fn outputs(
    courier: &Courier,
    pack: &Pack,
    want: &PackWant,
    part: &Part,
) -> Result<(), FetchLoss> {
    if matches!(part, Part::Outcomes) {
        return Ok(());
    }
    let outcomes = (want.first_unit..).zip(pack.outcomes());
    let read = outcomes.filter(|(unit, _)| part.reads(want.stage, *unit));
    let exits: Vec<Exit> = read
        .filter_map(|(_, outcome)| match outcome {
            Outcome::Exit(exit) => Some(*exit),
            Outcome::Trap(_) | Outcome::OutOfFuel | Outcome::OutputTooLarge => None,
        })
        .collect();
    let blobs = exits.iter().flat_map(|exit| [exit.stdout, exit.out]);
    let outside = blobs.filter(|blob| pack.inline(blob.id).is_none());
    courier.blobs(outside.collect()).await?;
    let mut outs: Vec<BlobRef> = exits.iter().map(|exit| exit.out).collect();
    outs.sort();
    outs.dedup();
    let (mut files, mut below) = (Vec::new(), Vec::new());
    for out in outs {
        let tree = match pack.inline(out.id) {
            Some(bytes) => Tree::from_bytes(bytes).map_err(|_| FetchLoss::Malformed(out.id))?,
            None => courier.tree(out).await?,
        };
        let ends = |entry: &Entry| entry.path == CONVERGED_FILE && !entry.is_tree;
        let is_passed =
            matches!(part, Part::Of { converges: true, .. }) && tree.entries().iter().any(ends);
        let is_read = |entry: &&Entry| is_passed || part.reads_file(want.stage, &entry.path);
        for entry in tree.entries().iter().filter(is_read) {
            if entry.is_tree { &mut below } else { &mut files }.push(entry.blob);
        }
    }
    courier.blobs(files).await?;
    courier.deep_trees(below).await
}
