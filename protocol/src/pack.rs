//! A pack: the outcomes of one batch in one blob, small outputs inside.
//!
//! Its bytes are a pure function of the outcomes and their outputs, so every honest executor of a
//! batch makes the same blob and all of them provide it.

use std::collections::BTreeMap;

use serde_bytes::ByteBuf;
use serde_tuple::{Deserialize_tuple, Serialize_tuple};

use crate::limits::{INLINE_BYTES_MAX, PACK_BYTES_MAX, PACK_INLINE_BYTES_MAX};
use crate::{BlobId, BlobRef, DecodeError, Exit, Hash, Outcome, decode, encode};

/// Outcomes in order of their units, and the outputs that are small enough to travel along.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize_tuple, Deserialize_tuple)]
pub struct Pack {
    outcomes: Vec<Outcome>,
    inline: BTreeMap<BlobId, ByteBuf>,
}

/// Why bytes are no pack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PackError {
    #[error(transparent)]
    Decode(#[from] DecodeError),
    #[error("an inline output does not have the hash it is listed under")]
    WrongHash,
    #[error("outputs are inline that should not be, or missing that should be there")]
    WrongInline,
}

impl Pack {
    /// Packs outcomes; `small` gives the bytes of every output of at most [`INLINE_BYTES_MAX`].
    ///
    /// # Panics
    /// If `small` lacks an output that must be inline.
    pub fn new(outcomes: Vec<Outcome>, mut small: impl FnMut(BlobId) -> Vec<u8>) -> Self {
        let inline = inlined(&outcomes)
            .map(|blob| {
                let bytes = small(blob.id);
                assert!(BlobRef::of(&bytes) == blob, "not the bytes of {}", blob.id);
                (blob.id, ByteBuf::from(bytes))
            })
            .collect();
        Self { outcomes, inline }
    }

    /// Reads and checks a pack: canonical, every inline output what it says it is, none too many.
    ///
    /// # Errors
    /// [`PackError`] says what is wrong with it.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, PackError> {
        let pack: Self = decode(bytes, PACK_BYTES_MAX)?;
        let want: BTreeMap<BlobId, u64> = inlined(&pack.outcomes).map(|b| (b.id, b.size)).collect();
        if !want.keys().eq(pack.inline.keys()) {
            return Err(PackError::WrongInline);
        }
        let honest = |(id, bytes): (&BlobId, &ByteBuf)| {
            BlobId::of(bytes) == *id && want[id] == bytes.len() as u64
        };
        if pack.inline.iter().all(honest) { Ok(pack) } else { Err(PackError::WrongHash) }
    }

    pub fn to_bytes(&self) -> Vec<u8> {
        encode(self)
    }

    pub fn outcomes(&self) -> &[Outcome] {
        &self.outcomes
    }

    /// The bytes of an output that travels inside.
    pub fn inline(&self, blob: BlobId) -> Option<&[u8]> {
        self.inline.get(&blob).map(|bytes| bytes.as_slice())
    }

    /// What the batch's vote is about: the outcomes' digests, in order.
    pub fn digests(&self) -> Vec<Hash> {
        self.outcomes.iter().map(Outcome::digest).collect()
    }

    /// Outputs that have to be fetched on their own, each once.
    pub fn outside(&self) -> Vec<BlobRef> {
        let mut outside: Vec<BlobRef> = self
            .outcomes
            .iter()
            .flat_map(outputs)
            .filter(|blob| !self.inline.contains_key(&blob.id))
            .collect();
        outside.sort();
        outside.dedup();
        outside
    }
}

fn outputs(outcome: &Outcome) -> impl Iterator<Item = BlobRef> + use<> {
    let exit = match outcome {
        Outcome::Exit(Exit { stdout, out, .. }) => Some([*stdout, *out]),
        Outcome::Trap(_) | Outcome::OutOfFuel | Outcome::OutputTooLarge => None,
    };
    exit.into_iter().flatten()
}

/// Which outputs are inline: the small ones in order, each once, until the pack has its fill.
fn inlined(outcomes: &[Outcome]) -> impl Iterator<Item = BlobRef> {
    let mut room = PACK_INLINE_BYTES_MAX;
    let mut seen = std::collections::BTreeSet::new();
    outcomes.iter().flat_map(outputs).filter(move |blob| {
        let fits = blob.size <= INLINE_BYTES_MAX.min(room) && seen.insert(blob.id);
        if fits {
            room -= blob.size;
        }
        fits
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exit(stdout: &[u8], out: &[u8]) -> Outcome {
        Outcome::Exit(Exit { code: 0, stdout: BlobRef::of(stdout), out: BlobRef::of(out) })
    }

    #[test]
    fn small_outputs_travel_inside_and_large_ones_do_not() {
        let large = vec![7; 20_000];
        let pack =
            Pack::new(vec![exit(b"one", b""), exit(b"one", &large), Outcome::OutOfFuel], |id| {
                [&b"one"[..], b""].into_iter().find(|b| BlobId::of(b) == id).unwrap().to_vec()
            });
        assert_eq!(pack.inline(BlobId::of(b"one")), Some(&b"one"[..]));
        assert_eq!(pack.outside(), [BlobRef::of(&large)]);
        assert_eq!(Pack::from_bytes(&pack.to_bytes()), Ok(pack));
    }

    #[test]
    fn a_pack_with_foreign_bytes_is_refused() {
        let pack = Pack::new(vec![exit(b"one", b"one")], |_| b"one".to_vec());
        let mut wrong = pack.clone();
        wrong.inline.insert(BlobId::of(b"two"), ByteBuf::from(*b"two"));
        assert_eq!(Pack::from_bytes(&wrong.to_bytes()), Err(PackError::WrongInline));
        let mut wrong = pack;
        wrong.inline.insert(BlobId::of(b"one"), ByteBuf::from(*b"six"));
        assert_eq!(Pack::from_bytes(&wrong.to_bytes()), Err(PackError::WrongHash));
    }
}
