//! Assignment without negotiation: everybody's place for every batch, computable by everybody.

use std::collections::BTreeMap;

use crate::{Hash, JobId, PeerId, Stamp, hash};

/// A peer's place for a batch: the lowest ranks are expected to take it. Who is eligible at the job's
/// level comes before who needs it relaxed, the less the earlier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rank(pub u8, pub Hash);

/// What ranks hang on within one job.
#[derive(Clone, Copy, Debug)]
pub struct Ranks<'a> {
    pub job: JobId,
    /// The eligibility level at which peers start.
    pub level: u8,
    /// The stamps of those who have shown one, in jobs that ask for stamps.
    pub stamps: &'a BTreeMap<PeerId, Stamp>,
}

impl Ranks<'_> {
    /// The rank of a peer. (Highest random weight hashing, Thaler and Ravishankar 1996.) The stamp's nonce
    /// is part of it: where stamps cost something, so does every try for a better rank.
    pub fn of(&self, stage: u16, batch: u32, peer: PeerId) -> Rank {
        let nonce = self.stamps.get(&peer).map(|stamp| stamp.nonce.to_le_bytes());
        let parts: [&[u8]; 5] = [
            self.job.as_bytes(),
            &stage.to_le_bytes(),
            &batch.to_le_bytes(),
            peer.as_bytes(),
            nonce.as_ref().map_or(&[], |nonce| nonce.as_slice()),
        ];
        Rank(levels_short(self.job, peer, self.level), hash("rank", &parts))
    }
}

/// By how many levels a job has to be relaxed before a peer is eligible.
pub fn levels_short(job: JobId, peer: PeerId, level: u8) -> u8 {
    if level == 0 { 0 } else { level.saturating_sub(level_of(job, 0, peer)) }
}

/// The highest level at which a peer is eligible for a job's shard.
pub fn level_of(job: JobId, shard: u16, peer: PeerId) -> u8 {
    let hash = hash("eligible", &[job.as_bytes(), &shard.to_le_bytes(), peer.as_bytes()]);
    u8::try_from(leading_zeros(&hash)).unwrap_or(u8::MAX)
}

pub(crate) fn leading_zeros(hash: &Hash) -> u32 {
    match hash.as_bytes().iter().position(|byte| *byte != 0) {
        Some(at) => at as u32 * 8 + hash.as_bytes()[at].leading_zeros(),
        None => 256,
    }
}
