//! Probing: a keeper shows a random mebibyte of what it says it holds.

use std::sync::Arc;

use engine::{Event, ProbeId};
use protocol::{BlobRef, PeerId, chunk_count};
use tracing::debug;

use crate::shell::Shared;

/// Asks once, for one piece of one blob, both drawn by chance.
pub(crate) fn start(shared: &Arc<Shared>, probe: ProbeId, peer: PeerId, blobs: Vec<BlobRef>) {
    let this = Arc::clone(shared);
    shared.spawn(async move {
        let held = match drawn(&blobs) {
            Some((blob, index)) => match this.net.probe(peer, blob, index).await {
                Ok(_) => true,
                Err(error) => {
                    debug!(%peer, blob = %blob.id, %error, "a keeper did not show what it holds");
                    false
                }
            },
            // Nothing to hold is held by everybody.
            None => true,
        };
        this.tell(Event::Probed { probe, held }).await;
    });
}

/// Each mebibyte is as likely as every other.
fn drawn(blobs: &[BlobRef]) -> Option<(BlobRef, u64)> {
    let pieces: u64 = blobs.iter().map(|blob| chunk_count(blob.size)).sum();
    let mut number = getrandom::u64().unwrap_or_default().checked_rem(pieces)?;
    for blob in blobs {
        let count = chunk_count(blob.size);
        if number < count {
            return Some((*blob, number));
        }
        number -= count;
    }
    None
}
