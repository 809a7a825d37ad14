//! Stamps: what an identity or a job has cost its owner, dear to make and cheap to check.
//!
//! Two hashes in a row: BLAKE3, so that junk is turned away in a microsecond, then Argon2id (RFC 9106;
//! 16 MiB, one pass, one lane), whose memory takes away the advantage of special hardware. Where no
//! stamp is asked for, none is made.

use argon2::{Algorithm, Argon2, Params, Version};
use serde_tuple::{Deserialize_tuple, Serialize_tuple};

use crate::limits::{STAMP_BITS_MAX, STAMP_CHEAP_BITS, STAMP_EPOCH_MS, STAMP_MEMORY_KIB};
use crate::rank::leading_zeros;
use crate::{Hash, JobId, NetworkId, PeerId, hash};

/// A proof of about 2^`bits` tries of Argon2id for one subject in one epoch of one network.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize_tuple, Deserialize_tuple,
)]
pub struct Stamp {
    /// Thirty-day periods since 1970: an identity's stamp is good for jobs of this and the next one.
    pub epoch: u32,
    /// Leading zero bits of the Argon2id hash that the maker claims.
    pub bits: u8,
    pub nonce: u64,
}

/// What a stamp is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stamped {
    /// A peer that votes.
    Peer(PeerId),
    /// A job of a stranger, in proportion to the work that it asks for.
    Job(JobId),
}

impl Stamp {
    /// The epoch of a moment, in milliseconds since 1970.
    pub fn epoch_of(unix_ms: u64) -> u32 {
        u32::try_from(unix_ms / STAMP_EPOCH_MS).unwrap_or(u32::MAX)
    }

    /// Looks for a stamp among `tries` nonces from `nonce` on: about 2^(bits + STAMP_CHEAP_BITS) nonces
    /// are needed, and 2^bits Argon2id hashes of some ten milliseconds.
    pub fn mint(
        network: NetworkId,
        of: Stamped,
        epoch: u32,
        bits: u8,
        nonces: std::ops::Range<u64>,
    ) -> Option<Self> {
        nonces.map(|nonce| Self { epoch, bits, nonce }).find(|stamp| stamp.is_sound(network, of))
    }

    /// Whether the claimed work was done. Costs microseconds if not even the cheap part was.
    pub fn is_sound(&self, network: NetworkId, of: Stamped) -> bool {
        if STAMP_BITS_MAX < self.bits {
            return false;
        }
        let cheap = self.cheap_hash(network, of);
        u32::from(STAMP_CHEAP_BITS) <= leading_zeros(&cheap)
            && u32::from(self.bits) <= leading_zeros(&dear_hash(&cheap))
    }

    /// Whether an identity's stamp is what a job asks for that was created at `created_ms`.
    pub fn is_enough(&self, bits: u8, created_ms: u64) -> bool {
        let now = Self::epoch_of(created_ms);
        bits <= self.bits && (self.epoch == now || self.epoch.checked_add(1) == Some(now))
    }

    fn cheap_hash(&self, network: NetworkId, of: Stamped) -> Hash {
        let (kind, subject) = match &of {
            Stamped::Peer(peer) => (0u8, peer.as_bytes()),
            Stamped::Job(job) => (1u8, job.as_bytes()),
        };
        let (epoch, nonce) = (self.epoch.to_le_bytes(), self.nonce.to_le_bytes());
        hash("stamp", &[network.as_bytes(), &[kind, self.bits], subject, &epoch, &nonce])
    }
}

/// Bits of a job's stamp that `work_ms` of CPU time cost: 0.1 % of it in tries of ten milliseconds,
/// as a power of two, and `base` more.
pub fn job_stamp_bits(work_ms: u64, base: u8) -> u8 {
    let tries = (work_ms / 10_000).max(1);
    (tries.ilog2() as u8).saturating_add(base).min(STAMP_BITS_MAX)
}

fn dear_hash(cheap: &Hash) -> Hash {
    let params = Params::new(STAMP_MEMORY_KIB, 1, 1, Some(32)).expect("the numbers are fixed");
    let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let mut out = [0; 32];
    argon
        .hash_password_into(cheap.as_bytes(), b"dugnad stamp", &mut out)
        .expect("password and salt have lengths that Argon2 takes");
    Hash::new(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn minted() -> (NetworkId, Stamped, Stamp) {
        let (network, of) = (NetworkId::named("test"), Stamped::Peer(PeerId::new([3; 32])));
        let stamp = Stamp::mint(network, of, 680, 1, 0..1 << 20);
        (network, of, stamp.expect("a million nonces are enough for 15 bits"))
    }

    #[test]
    fn a_stamp_is_good_for_its_own_subject_network_epoch_and_claim_only() {
        let (network, of, stamp) = minted();
        assert!(stamp.is_sound(network, of));
        assert!(!stamp.is_sound(NetworkId::named("other"), of));
        assert!(!stamp.is_sound(network, Stamped::Peer(PeerId::new([4; 32]))));
        assert!(!stamp.is_sound(network, Stamped::Job(JobId::new([3; 32]))));
        for other in [
            Stamp { epoch: 681, ..stamp },
            Stamp { bits: 0, ..stamp },
            Stamp { bits: 255, ..stamp },
            Stamp { nonce: stamp.nonce ^ 1, ..stamp },
        ] {
            assert!(!other.is_sound(network, of), "{other:?}");
        }
    }

    #[test]
    fn a_stamp_of_this_or_the_last_epoch_is_enough_if_it_has_the_bits() {
        let stamp = Stamp { epoch: 10, bits: 4, nonce: 0 };
        let at = |epoch: u64| epoch * STAMP_EPOCH_MS + 1;
        let told = [(4, 10), (4, 11), (3, 10), (5, 10), (4, 9), (4, 12)];
        let enough = told.map(|(bits, epoch)| stamp.is_enough(bits, at(epoch)));
        assert_eq!(enough, [true, true, true, false, false, false]);
    }

    #[test]
    fn a_jobs_stamp_costs_a_thousandth_of_its_work() {
        assert_eq!(job_stamp_bits(0, 0), 0);
        // 1,000 core-hours are 360,000 tries of ten milliseconds.
        assert_eq!(job_stamp_bits(1000 * 3_600_000, 0), 18);
        assert_eq!(job_stamp_bits(u64::MAX, 200), STAMP_BITS_MAX);
    }
}
