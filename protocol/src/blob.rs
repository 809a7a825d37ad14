//! How a blob is checked piece by piece: BLAKE3's own tree, cut at 1 MiB.
//!
//! A blob's subtrees of 1 MiB have chaining values that merge to its hash; once they do, every
//! mebibyte can be checked alone. Source: the BLAKE3 paper, §2.1 and §6; `blake3::hazmat`.

use blake3::hazmat::{self, HasherExt, Mode};

use crate::limits::{BLOB_BYTES_MAX, CHUNK_BYTES};
use crate::{BlobId, Hash};

/// How many pieces a blob of `size` bytes has; an empty blob has one empty piece.
pub const fn chunk_count(size: u64) -> u64 {
    if size == 0 { 1 } else { size.div_ceil(CHUNK_BYTES) }
}

/// How long piece `index` of a blob of `size` bytes is.
pub const fn chunk_len(size: u64, index: u64) -> u64 {
    let start = index * CHUNK_BYTES;
    let rest = size.saturating_sub(start);
    if rest < CHUNK_BYTES { rest } else { CHUNK_BYTES }
}

/// The chaining values of a blob's 1 MiB subtrees, checked against its name.
///
/// A blob of one piece has none: its piece is checked against the name itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subtrees {
    blob: BlobId,
    size: u64,
    values: Vec<Hash>,
}

impl Subtrees {
    /// Accepts chaining values that merge to the blob's name, and nothing else.
    pub fn check(blob: BlobId, size: u64, values: Vec<Hash>) -> Option<Self> {
        let want = if size <= CHUNK_BYTES { 0 } else { chunk_count(size) };
        if BLOB_BYTES_MAX < size || values.len() as u64 != want {
            return None;
        }
        (values.is_empty() || root(&values) == blob).then_some(Self { blob, size, values })
    }

    /// The chaining value of one piece of a blob that has several.
    ///
    /// # Panics
    /// If `bytes` is empty or longer than a piece.
    pub fn value_of(index: u64, bytes: &[u8]) -> Hash {
        assert!(!bytes.is_empty() && bytes.len() as u64 <= CHUNK_BYTES, "not a piece");
        let mut hasher = blake3::Hasher::new();
        hasher.set_input_offset(index * CHUNK_BYTES).update(bytes);
        Hash::new(hasher.finalize_non_root())
    }

    /// The name of a blob from the chaining values of its pieces, of which there are at least two.
    pub fn name(values: &[Hash]) -> BlobId {
        root(values)
    }

    /// Whether `bytes` is piece `index` of the blob.
    pub fn holds(&self, index: u64, bytes: &[u8]) -> bool {
        if chunk_count(self.size) <= index || bytes.len() as u64 != chunk_len(self.size, index) {
            return false;
        }
        match self.values.get(index as usize) {
            Some(value) => Self::value_of(index, bytes) == *value,
            None => BlobId::of(bytes) == self.blob,
        }
    }

    /// The values, in order; empty for a blob of one piece.
    pub fn values(&self) -> &[Hash] {
        &self.values
    }
}

fn root(values: &[Hash]) -> BlobId {
    let (left, right) = halves(values);
    BlobId::new(*hazmat::merge_subtrees_root(&merged(left), &merged(right), Mode::Hash).as_bytes())
}

fn merged(values: &[Hash]) -> [u8; 32] {
    if let [one] = values {
        return *one.as_bytes();
    }
    let (left, right) = halves(values);
    hazmat::merge_subtrees_non_root(&merged(left), &merged(right), Mode::Hash)
}

/// The left side is the largest power of two that leaves something on the right.
fn halves(values: &[Hash]) -> (&[Hash], &[Hash]) {
    values.split_at(values.len().next_power_of_two() / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        blake3::Hasher::new().finalize_xof().fill(&mut bytes);
        bytes
    }

    #[test]
    fn pieces_are_checked_alone_for_every_shape_of_tree() {
        for len in [0, 1, 1023, 1 << 20, (1 << 20) + 1, 3 << 20, (5 << 20) - 7, (8 << 20) + 1000] {
            let bytes = noise(len);
            let blob = BlobId::of(&bytes);
            let pieces: Vec<&[u8]> =
                if len == 0 { vec![&[]] } else { bytes.chunks(1 << 20).collect() };
            assert_eq!(pieces.len() as u64, chunk_count(len as u64));
            let values = match pieces.len() {
                1 => vec![],
                _ => pieces
                    .iter()
                    .enumerate()
                    .map(|(i, p)| Subtrees::value_of(i as u64, p))
                    .collect(),
            };
            let trees = Subtrees::check(blob, len as u64, values.clone())
                .expect("the values merge to the name");
            for (i, piece) in pieces.iter().enumerate() {
                assert!(trees.holds(i as u64, piece), "piece {i} of {len}");
                let mut wrong = piece.to_vec();
                wrong.push(0);
                assert!(!trees.holds(i as u64, &wrong));
                if let Some(byte) = wrong.first_mut() {
                    *byte ^= 1;
                    assert!(!trees.holds(i as u64, &wrong[..piece.len()]) || piece.is_empty());
                }
            }
            if let Some(last) = values.last() {
                assert_eq!(Subtrees::check(blob, len as u64, values[1..].to_vec()), None);
                let swapped: Vec<Hash> =
                    std::iter::once(*last).chain(values[1..].to_vec()).collect();
                assert_eq!(Subtrees::check(blob, len as u64, swapped), None);
            }
        }
    }
}
