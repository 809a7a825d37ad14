//! Assignment without negotiation: everybody's place for every batch, computable by everybody.

use crate::{Hash, JobId, PeerId, hash};

/// A peer's place for a batch: the lowest ranks are expected to take it. (Highest random weight
/// hashing, Thaler and Ravishankar 1996.) Identity stamps, once a network demands them, are hashed in
/// place of the bare key.
pub fn rank(job: JobId, stage: u16, batch: u32, peer: PeerId) -> Hash {
    hash(
        "rank",
        &[job.blob().as_bytes(), &stage.to_le_bytes(), &batch.to_le_bytes(), peer.as_bytes()],
    )
}

/// Whether a peer is eligible for a job at `level`: that many leading bits of its hash are zero.
pub fn is_eligible(job: JobId, shard: u16, peer: PeerId, level: u8) -> bool {
    let hash = hash("eligible", &[job.blob().as_bytes(), &shard.to_le_bytes(), peer.as_bytes()]);
    let zeros: u32 = match hash.as_bytes().iter().position(|byte| *byte != 0) {
        Some(at) => at as u32 * 8 + hash.as_bytes()[at].leading_zeros(),
        None => 256,
    };
    u32::from(level) <= zeros
}
