//! Deterministic CBOR (RFC 8949 §4.2.1): one byte string for one value, and nothing else is accepted.
//!
//! Structures are arrays and never maps, so that there is no order of keys to argue about.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::limits::CBOR_DEPTH_MAX;

/// Why bytes were refused. From a peer, each of these is a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// More bytes than this kind of value may have.
    #[error("{len} bytes where at most {max} are allowed")]
    TooLong { len: usize, max: usize },
    /// Not CBOR, cut short, or nested too deep.
    #[error("malformed CBOR at byte {at}")]
    Malformed { at: usize },
    /// CBOR, but not the shape that was expected.
    #[error("not a value of the expected type")]
    WrongType,
    /// A value that has a shorter or differently ordered encoding.
    #[error("not the canonical encoding of its value")]
    NotCanonical,
}

/// The canonical bytes of `value`.
///
/// # Panics
/// If a type cannot be encoded at all, which is a mistake in its definition.
pub fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    let mut bytes = Vec::new();
    ciborium::into_writer(value, &mut bytes).expect("a type of the protocol can always be encoded");
    bytes
}

/// Reads a value of at most `max` bytes; trailing bytes and every other encoding of it are refused.
///
/// Lengths inside are checked against the bytes present before anything is allocated.
///
/// # Errors
/// [`DecodeError`] says which rule the bytes broke.
pub fn decode<T: Serialize + DeserializeOwned>(bytes: &[u8], max: usize) -> Result<T, DecodeError> {
    if max < bytes.len() {
        return Err(DecodeError::TooLong { len: bytes.len(), max });
    }
    let end = scan(bytes)?;
    if end != bytes.len() {
        return Err(DecodeError::Malformed { at: end });
    }
    let value = ciborium::from_reader(bytes).map_err(|_| DecodeError::WrongType)?;
    // The scan has bounded lengths and depth; comparing with our own encoding settles everything else.
    if encode(&value) == bytes { Ok(value) } else { Err(DecodeError::NotCanonical) }
}

/// Reads the first of several values that follow each other; also returns what is behind it.
///
/// # Errors
/// [`DecodeError`] says which rule the bytes broke.
pub(crate) fn decode_first<T: Serialize + DeserializeOwned>(
    bytes: &[u8],
    max: usize,
) -> Result<(T, &[u8]), DecodeError> {
    let (first, rest) = bytes.split_at(scan(bytes)?);
    Ok((decode(first, max)?, rest))
}

/// Walks one item without recursion and returns where it ends.
fn scan(bytes: &[u8]) -> Result<usize, DecodeError> {
    let mut at = 0;
    let mut open: Vec<u64> = vec![1];
    while let Some(left) = open.last_mut() {
        if *left == 0 {
            open.pop();
            continue;
        }
        *left -= 1;
        let start = at;
        let bad = DecodeError::Malformed { at: start };
        let (major, argument, next) = head(bytes, at).ok_or(bad)?;
        at = next;
        let rest = (bytes.len() - at) as u64;
        let inside = match major {
            0 | 1 | 7 => 0,
            2 | 3 => {
                if rest < argument {
                    return Err(bad);
                }
                at += argument as usize;
                0
            }
            4 => argument,
            5 => argument.checked_mul(2).ok_or(bad)?,
            _ => return Err(bad),
        };
        if rest < inside || CBOR_DEPTH_MAX < open.len() {
            return Err(bad);
        }
        open.push(inside);
    }
    Ok(at)
}

/// Major type, argument and the place after them; `None` for what deterministic CBOR has not.
fn head(bytes: &[u8], at: usize) -> Option<(u8, u64, usize)> {
    let first = *bytes.get(at)?;
    let (major, info) = (first >> 5, first & 31);
    let width = match info {
        0..=23 => return Some((major, u64::from(info), at + 1)),
        24 => 1,
        25 => 2,
        26 => 4,
        27 => 8,
        _ => return None,
    };
    let argument = bytes.get(at + 1..at + 1 + width)?;
    let value = argument.iter().fold(0, |value, byte| value << 8 | u64::from(*byte));
    Some((major, value, at + 1 + width))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_canonical_encoding_is_read() {
        let value = (7u64, "abc".to_owned(), vec![1u8, 2]);
        let bytes = encode(&value);
        assert_eq!(decode(&bytes, 100), Ok(value));
        let long_seven = [&[0x83, 0x18, 0x07][..], &bytes[2..]].concat();
        assert_eq!(
            decode::<(u64, String, Vec<u8>)>(&long_seven, 100),
            Err(DecodeError::NotCanonical)
        );
    }

    #[test]
    fn bytes_that_lie_are_refused_before_anything_is_allocated() {
        for (bytes, what) in [
            (&[0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff][..], "an array of 2^64 items"),
            (&[0x5a, 0x7f, 0xff, 0xff, 0xff, 0x00], "a byte string of 2 GiB"),
            (&[0xbb, 0x80, 0, 0, 0, 0, 0, 0, 0], "a map whose size overflows"),
            (&[0x9f, 0x01, 0xff], "an indefinite array"),
            (&[0x01, 0x01], "trailing bytes"),
            (&[], "nothing"),
            (&[0x81; 5000], "5,000 nested arrays"),
        ] {
            assert!(
                matches!(decode::<Vec<u64>>(bytes, 1 << 20), Err(DecodeError::Malformed { .. })),
                "{what}"
            );
        }
        assert_eq!(decode::<u64>(&[0; 9], 8), Err(DecodeError::TooLong { len: 9, max: 8 }));
    }
}
