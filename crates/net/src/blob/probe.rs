//! Probing: one piece from one peer, to see whether it really holds a blob.

use std::sync::Arc;

use protocol::limits::BLOB_BYTES_MAX;
use protocol::{BlobRef, PeerId, Subtrees, chunk_count};
use tokio::time::timeout;

use super::link::{Links, Part};
use super::outcome::ProbeError;
use super::wire::{Also, Want};
use crate::Misdeed;
use crate::limits::PROBE_WITHIN;
use crate::shared::Shared;

/// See [`Net::probe`](crate::Net::probe).
pub(crate) async fn probe(
    shared: &Arc<Shared>,
    peer: PeerId,
    blob: BlobRef,
    index: u64,
) -> Result<Vec<u8>, ProbeError> {
    if BLOB_BYTES_MAX < blob.size || chunk_count(blob.size) <= index {
        return Err(ProbeError::NoSuchPiece);
    }
    let shown = timeout(PROBE_WITHIN, shown(shared, peer, blob, index)).await;
    let result = shown.unwrap_or_else(|_| Err(ProbeError::Lost("no piece in time".to_owned())));
    if let Err(ProbeError::Fault(misdeed)) = result {
        shared.blame(peer, misdeed);
    }
    result
}

async fn shown(
    shared: &Arc<Shared>,
    peer: PeerId,
    blob: BlobRef,
    index: u64,
) -> Result<Vec<u8>, ProbeError> {
    let _permit = shared.chunks.take(1).await;
    let want = Want { blob, also: Also::Tree, first: index, count: 1 };
    let mut parts = Links::ask(shared, peer, want).await;
    let mut trees = None;
    loop {
        match parts.recv().await {
            Some(Part::Tree(values)) => {
                let checked = Subtrees::check(blob.id, blob.size, values);
                trees = Some(checked.ok_or(ProbeError::Fault(Misdeed::WrongBytes))?);
            }
            Some(Part::Chunk { index, bytes }) => {
                let is_right = trees.is_some_and(|trees| trees.holds(index, &bytes));
                return if is_right {
                    Ok(bytes)
                } else {
                    Err(ProbeError::Fault(Misdeed::WrongBytes))
                };
            }
            Some(Part::Report(_)) => return Err(ProbeError::Fault(Misdeed::BadFrame)),
            Some(Part::Absent) => return Err(ProbeError::Absent),
            Some(Part::Fault(misdeed)) => return Err(ProbeError::Fault(misdeed)),
            Some(Part::Lost(reason)) => return Err(ProbeError::Lost(reason)),
            None => return Err(ProbeError::Lost("the stream broke".to_owned())),
        }
    }
}
