//! The terms of a job: what its submitter's node fills in for the network that it goes to.

use std::sync::atomic::Ordering::Relaxed;

use client::DraftPolicy;
use protocol::{JobId, Manifest, Partition, Stamp, Stamped, job_stamp_bits};
use tracing::info;

use crate::Node;
use crate::node::submit::SubmitError;
use crate::shell::mint;

/// Peers that are woken for a job at least, and at most: enough to find partners for every vote, and no
/// more than can hear one another.
const WOKEN_MIN: u64 = 8;
const WOKEN_MAX: u64 = 4096;
/// Votes that one peer casts in a job, if all that are woken take part.
const VOTES_EACH: u64 = 4;
/// Stamps that take longer than two core-days are not begun.
const STAMP_BITS_MAX: u8 = 24;

/// The eligibility level at which a job of `batches` starts in a network of `peers`, so that a small job
/// does not wake a large network.
pub(crate) fn level(peers: u64, quorum: u8, batches: u64) -> u8 {
    let woken = (u64::from(quorum) * batches / VOTES_EACH).clamp(WOKEN_MIN, WOKEN_MAX);
    (peers / woken).checked_ilog2().map_or(0, |level| level.min(32) as u8)
}

impl Node {
    /// Fills in what the author has left to the node.
    pub(crate) fn settle(&self, mut manifest: Manifest, wanted: &DraftPolicy) -> Manifest {
        if wanted.stamp_bits.is_none() {
            manifest.policy.stamp_bits = self.config().stamp_bits;
        }
        if wanted.level.is_none() {
            let sized = manifest.stages.iter().zip(manifest.unit_counts());
            let partitions = sized.map(|(stage, units)| Partition::new(units, stage.batch));
            let batches = partitions.map(|partition| u64::from(partition.batches())).sum();
            manifest.policy.level = level(self.network_size(), manifest.policy.quorum, batches);
        }
        manifest
    }

    /// How many other peers the network has, as far as this node can tell.
    pub fn network_size(&self) -> u64 {
        self.shared().net.network_size()
    }

    /// Whether this node's own stamp is made, where the network asks for one.
    pub fn is_stamped(&self) -> bool {
        self.shared().is_stamped.load(Relaxed)
    }

    /// The stamp that strangers ask of this job; made until it is there, or nobody waits for it.
    pub(crate) async fn stamp_job(
        &self,
        job: JobId,
        manifest: &Manifest,
    ) -> Result<Option<Stamp>, SubmitError> {
        let Some(base) = self.config().job_stamp else { return Ok(None) };
        let bits = job_stamp_bits(manifest.work_ms(), base);
        if STAMP_BITS_MAX < bits {
            return Err(SubmitError::StampTooDear { bits });
        }
        let epoch = Stamp::epoch_of(manifest.created_ms);
        info!(%job, bits, "making the job's stamp");
        let (of, threads) = (Stamped::Job(job), self.config().cores);
        let stamp = mint(self.shared(), of, epoch, bits, threads).await;
        stamp.map(Some).ok_or(SubmitError::Stopped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_job_wakes_a_part_of_a_large_network_and_all_of_a_small_one() {
        // Peers, quorum, batches; level.
        for (peers, quorum, batches, want) in [
            (0, 2, 100, 0),
            (8, 2, 100, 0),
            (15, 2, 1, 0),
            (16, 2, 1, 1),
            // A hundred batches are for fifty peers.
            (99, 2, 100, 0),
            (100, 2, 100, 1),
            (1_000_000, 2, 100, 14),
            (1_000_000, 4, 100, 13),
            (1_000_000, 2, 1_000_000, 7),
            (u64::MAX, 1, 1, 32),
        ] {
            assert_eq!(level(peers, quorum, batches), want, "{peers} {quorum} {batches}");
        }
    }
}
