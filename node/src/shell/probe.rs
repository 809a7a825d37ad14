//! Probing: a keeper shows a random mebibyte of what it says it holds.

use std::sync::Arc;

use engine::{Event, ProbeId};
use protocol::limits::{PACK_BYTES_MAX, TREE_BYTES_MAX};
use protocol::{BlobRef, Outcome, Pack, PeerId, Tree, chunk_count};
use store::Store;
use tracing::debug;

use crate::shell::Shared;

/// Asks for one piece of one blob, and for one of a pack or of what it lists, all drawn by chance.
pub(crate) fn start(
    shared: &Arc<Shared>,
    probe: ProbeId,
    peer: PeerId,
    blobs: Vec<BlobRef>,
    packs: Vec<BlobRef>,
) {
    let this = Arc::clone(shared);
    shared.spawn(async move {
        let listed = match below(packs.len() as u64) {
            Some(number) => {
                let pack = packs[number as usize];
                this.with_store(move |store| listed(store, pack)).await
            }
            None => Vec::new(),
        };
        let held = shows(&this, peer, &blobs).await && shows(&this, peer, &listed).await;
        this.tell(Event::Probed { probe, held }).await;
    });
}

/// Whether the peer shows one piece of these; nothing to hold is held by everybody.
async fn shows(shared: &Shared, peer: PeerId, blobs: &[BlobRef]) -> bool {
    let Some((blob, index)) = drawn(blobs) else { return true };
    match shared.net.probe(peer, blob, index).await {
        Ok(_) => true,
        Err(error) => {
            debug!(%peer, blob = %blob.id, %error, "a keeper did not show what it holds");
            false
        }
    }
}

/// A pack, the outputs beside it, and as far as that can be read here, the files of one of its units: those of all may be
/// more than fit into memory.
fn listed(store: &Store, pack: BlobRef) -> Vec<BlobRef> {
    let mut all = vec![pack];
    let read = store.get(pack.id, PACK_BYTES_MAX as u64).ok();
    let Some(pack) = read.and_then(|bytes| Pack::from_bytes(&bytes).ok()) else { return all };
    all.extend(pack.outside());
    let drawn = below(pack.outcomes().len() as u64).map(|number| pack.outcomes()[number as usize]);
    if let Some(Outcome::Exit(exit)) = drawn {
        let inside = pack.inline(exit.out.id).map(<[u8]>::to_vec);
        let bytes = inside.or_else(|| store.get(exit.out.id, TREE_BYTES_MAX as u64).ok());
        let tree = bytes.and_then(|bytes| Tree::from_bytes(&bytes).ok());
        all.extend(tree.iter().flat_map(|tree| tree.entries()).map(|entry| entry.blob));
    }
    all
}

/// Each mebibyte is as likely as every other.
fn drawn(blobs: &[BlobRef]) -> Option<(BlobRef, u64)> {
    let pieces: u64 = blobs.iter().map(|blob| chunk_count(blob.size)).sum();
    let mut number = below(pieces)?;
    for blob in blobs {
        let count = chunk_count(blob.size);
        if number < count {
            return Some((*blob, number));
        }
        number -= count;
    }
    None
}

/// A number below `end`, each as likely as every other; none if there is none.
fn below(end: u64) -> Option<u64> {
    getrandom::u64().unwrap_or_default().checked_rem(end)
}
