//! The blob stream's bytes. Requests have one length; answers come in the order of requests.
//!
//! Request: `u8 flags | blob, 32 | u64 size | u64 first | u32 count`, big-endian. Answer:
//! `u8 status`, then if asked for the chaining values (their number follows from the size), or if
//! asked for it a report (see `report.rs`), then each piece as `u8 status | bytes` (their number follows
//! from the size as well). Before any status may come some of `2`: wait, it is not your turn.

use protocol::limits::{BLOB_BYTES_MAX, CHUNK_BYTES};
use protocol::{BlobId, BlobRef, chunk_count};

use crate::limits::CHUNKS_PER_REQUEST;

pub(super) const REQUEST_BYTES: usize = 1 + 32 + 8 + 8 + 4;
pub(super) const ABSENT: u8 = 0;
pub(super) const HERE: u8 = 1;
pub(super) const WAIT: u8 = 2;
const WITH_TREE: u8 = 1;
const WITH_REPORT: u8 = 2;

/// What a fetcher asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Want {
    pub(super) blob: BlobRef,
    pub(super) also: Also,
    pub(super) first: u64,
    pub(super) count: u32,
}

/// What comes before the pieces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Also {
    Nothing,
    /// The chaining values of the blob's subtrees.
    Tree,
    /// What the provider has, and who else asked it.
    Report,
}

impl Want {
    /// Pieces, or none.
    pub(super) const fn pieces(blob: BlobRef, first: u64, count: u32) -> Self {
        Self { blob, also: Also::Nothing, first, count }
    }

    pub(super) const fn tree(blob: BlobRef) -> Self {
        Self { blob, also: Also::Tree, first: 0, count: 0 }
    }

    pub(super) const fn report(blob: BlobRef) -> Self {
        Self { blob, also: Also::Report, first: 0, count: 0 }
    }

    pub(super) fn to_bytes(self) -> [u8; REQUEST_BYTES] {
        let mut bytes = [0; REQUEST_BYTES];
        bytes[0] = match self.also {
            Also::Nothing => 0,
            Also::Tree => WITH_TREE,
            Also::Report => WITH_REPORT,
        };
        bytes[1..33].copy_from_slice(self.blob.id.as_bytes());
        bytes[33..41].copy_from_slice(&self.blob.size.to_be_bytes());
        bytes[41..49].copy_from_slice(&self.first.to_be_bytes());
        bytes[49..].copy_from_slice(&self.count.to_be_bytes());
        bytes
    }

    /// `None` if no honest fetcher asks so.
    pub(super) fn parse(bytes: &[u8; REQUEST_BYTES]) -> Option<Self> {
        let (flags, rest) = bytes.split_first()?;
        let (id, rest) = rest.split_first_chunk::<32>()?;
        let (size, rest) = rest.split_first_chunk::<8>()?;
        let (first, count) = rest.split_first_chunk::<8>()?;
        let want = Self {
            blob: BlobRef { id: BlobId::new(*id), size: u64::from_be_bytes(*size) },
            also: match *flags {
                0 => Also::Nothing,
                WITH_TREE => Also::Tree,
                WITH_REPORT => Also::Report,
                _ => return None,
            },
            first: u64::from_be_bytes(*first),
            count: u32::from_be_bytes(count.try_into().ok()?),
        };
        let end = want.first.checked_add(u64::from(want.count))?;
        let fits = want.blob.size <= BLOB_BYTES_MAX
            && want.count <= CHUNKS_PER_REQUEST
            && end <= chunk_count(want.blob.size);
        fits.then_some(want)
    }

    /// How many chaining values the answer holds.
    pub(super) fn tree_len(&self) -> usize {
        match self.also {
            Also::Tree if CHUNK_BYTES < self.blob.size => chunk_count(self.blob.size) as usize,
            Also::Nothing | Also::Tree | Also::Report => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dice::Dice;

    fn want(size: u64, first: u64, count: u32) -> Want {
        Want { blob: BlobRef { id: BlobId::new([5; 32]), size }, also: Also::Tree, first, count }
    }

    #[test]
    fn a_request_is_read_as_it_was_written() {
        let want = want(9 << 20, 7, 2);
        assert_eq!(Want::parse(&want.to_bytes()), Some(want));
        assert_eq!(want.tree_len(), 9);
    }

    #[test]
    fn requests_beyond_the_blob_or_the_limits_are_refused() {
        for bad in [
            want(9 << 20, 8, 2),
            want(9 << 20, u64::MAX, 1),
            want(900 << 20, 0, CHUNKS_PER_REQUEST + 1),
            want(BLOB_BYTES_MAX + 1, 0, 1),
            want(0, 1, 1),
        ] {
            assert_eq!(Want::parse(&bad.to_bytes()), None, "{bad:?}");
        }
        let mut flags = want(1, 0, 1).to_bytes();
        flags[0] = 3;
        assert_eq!(Want::parse(&flags), None);
    }

    fn any_want(dice: &mut Dice) -> Want {
        let size = dice.any() % (BLOB_BYTES_MAX + 1);
        let pieces = chunk_count(size);
        let first = dice.any() % (pieces + 1);
        let count = dice.any() % (u64::from(CHUNKS_PER_REQUEST).min(pieces - first) + 1);
        let also = [Also::Nothing, Also::Tree, Also::Report][dice.below(3)];
        let id = BlobId::new(*dice.bytes(32).first_chunk().unwrap());
        Want { blob: BlobRef { id, size }, also, first, count: count as u32 }
    }

    #[test]
    fn whatever_is_read_of_any_bytes_is_within_the_limits_and_written_so() {
        let mut dice = Dice::new("wants");
        let (mut read, mut refused) = (0, 0);
        for _ in 0..4000 {
            let want = any_want(&mut dice);
            let bytes = want.to_bytes();
            assert_eq!(Want::parse(&bytes), Some(want));
            let mut bad = dice.mutate(&bytes);
            bad.resize(REQUEST_BYTES, 0);
            for bytes in [bad, dice.bytes(REQUEST_BYTES)] {
                let bytes = *bytes.first_chunk().unwrap();
                let Some(want) = Want::parse(&bytes) else {
                    refused += 1;
                    continue;
                };
                read += 1;
                assert_eq!(want.to_bytes(), bytes);
                assert!(want.blob.size <= BLOB_BYTES_MAX && want.count <= CHUNKS_PER_REQUEST);
                assert!(want.first + u64::from(want.count) <= chunk_count(want.blob.size));
                assert!(want.tree_len() as u64 <= chunk_count(BLOB_BYTES_MAX));
            }
        }
        assert!(100 < read && 100 < refused, "{read} read and {refused} refused");
    }
}
