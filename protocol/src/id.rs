//! Names: 32-byte hashes and keys, each with its own type and its own spelling.

use std::fmt;
use std::str::FromStr;

use data_encoding::{BASE32_NOPAD, HEXLOWER};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Why a text is not the name it should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a {what}: {why}")]
pub struct ParseIdError {
    text: String,
    what: &'static str,
    why: &'static str,
}

macro_rules! name32 {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; 32]);

        impl $name {
            /// Wraps 32 bytes as they are.
            pub const fn new(bytes: [u8; 32]) -> Self {
                Self(bytes)
            }

            /// The 32 bytes.
            pub const fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                if to.is_human_readable() { to.collect_str(self) } else { to.serialize_bytes(&self.0) }
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                if from.is_human_readable() {
                    String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
                } else {
                    serde_bytes::ByteArray::<32>::deserialize(from).map(|bytes| Self(bytes.into_array()))
                }
            }
        }
    };
}

macro_rules! hex_text {
    ($name:ident, $what:literal) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&HEXLOWER.encode(&self.0))
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                let bytes = HEXLOWER.decode(text.as_bytes()).ok().and_then(|b| b.try_into().ok());
                bytes
                    .map(Self)
                    .ok_or_else(|| refuse(text, $what, "expected 64 lower-case hex digits"))
            }
        }
    };
}

macro_rules! cid_text {
    ($name:ident, $what:literal) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&to_cid(&self.0))
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                from_cid(text).map(Self).map_err(|why| refuse(text, $what, why))
            }
        }
    };
}

name32!(
    /// A BLAKE3-256 hash of something that is not a blob: a Merkle root, a digest, a seal.
    Hash
);
name32!(
    /// The BLAKE3-256 hash of a blob's bytes; written as CIDv1 (raw, blake3, base32).
    BlobId
);
name32!(
    /// The hash of a manifest's unsigned body, which is also that body's [`BlobId`].
    JobId
);
name32!(
    /// What a unit of work is: the hash of its canonical encoding, independent of any job.
    UnitId
);
name32!(
    /// The hash of a statement's author and body, without the signature.
    StepId
);
name32!(
    /// A feed: the hash of its submitter, name and salt.
    FeedId
);
name32!(
    /// Separates networks: a statement of one is void in another.
    NetworkId
);
name32!(
    /// A peer's ed25519 public key; written as libp2p writes it (`12D3KooW…`).
    PeerId
);

hex_text!(Hash, "hash");
hex_text!(UnitId, "unit id");
hex_text!(StepId, "step id");
hex_text!(FeedId, "feed id");
hex_text!(NetworkId, "network id");
cid_text!(BlobId, "blob id");
cid_text!(JobId, "job id");

impl Hash {
    /// Thirty-two zero bytes: the predecessor of a log's first step.
    pub const ZERO: Self = Self([0; 32]);
}

impl BlobId {
    /// The name of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }
}

impl JobId {
    /// The manifest's body as a blob.
    pub const fn blob(self) -> BlobId {
        BlobId(self.0)
    }
}

impl From<BlobId> for JobId {
    fn from(blob: BlobId) -> Self {
        Self(blob.0)
    }
}

impl NetworkId {
    /// The network of this name; everybody who uses the name is in it.
    pub fn named(name: &str) -> Self {
        Self(*hash("network", &[name.as_bytes()]).as_bytes())
    }
}

/// libp2p's protobuf frame of an ed25519 public key inside an identity multihash.
const PEER_PREFIX: [u8; 6] = [0x00, 0x24, 0x08, 0x01, 0x12, 0x20];

impl fmt::Display for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = PEER_PREFIX.to_vec();
        bytes.extend(self.0);
        f.write_str(&bs58::encode(bytes).into_string())
    }
}

impl FromStr for PeerId {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        let why = "expected an ed25519 peer id such as 12D3KooW…";
        let mut bytes = [0; 38];
        match bs58::decode(text).onto(&mut bytes) {
            Ok(38) if bytes[..6] == PEER_PREFIX => {
                let mut key = [0; 32];
                key.copy_from_slice(&bytes[6..]);
                Ok(Self(key))
            }
            Ok(_) | Err(_) => Err(refuse(text, "peer id", why)),
        }
    }
}

/// BLAKE3 over length-prefixed `parts` under a domain of their own, so that no two uses collide.
pub fn hash(domain: &str, parts: &[&[u8]]) -> Hash {
    let all = || std::iter::once(domain.as_bytes()).chain(parts.iter().copied());
    let len: usize = all().map(|part| 8 + part.len()).sum();
    // Nearly all that is hashed is short, and so costs half.
    let mut short = [0; 256];
    if len <= short.len() {
        let mut end = 0;
        for part in all() {
            short[end..end + 8].copy_from_slice(&(part.len() as u64).to_le_bytes());
            short[end + 8..end + 8 + part.len()].copy_from_slice(part);
            end += 8 + part.len();
        }
        return Hash(*blake3::hash(&short[..len]).as_bytes());
    }
    let mut hasher = blake3::Hasher::new();
    for part in all() {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    Hash(*hasher.finalize().as_bytes())
}

/// CIDv1, codec raw, multihash blake3, 32 bytes.
const CID_PREFIX: [u8; 4] = [0x01, 0x55, 0x1e, 0x20];

fn to_cid(digest: &[u8; 32]) -> String {
    let mut bytes = CID_PREFIX.to_vec();
    bytes.extend(digest);
    format!("b{}", BASE32_NOPAD.encode(&bytes).to_ascii_lowercase())
}

fn from_cid(text: &str) -> Result<[u8; 32], &'static str> {
    let body = text.strip_prefix('b').ok_or("a CID in base32 starts with `b`")?;
    if body.bytes().any(|b| b.is_ascii_uppercase()) {
        return Err("a CID in base32 is lower case");
    }
    let bytes = BASE32_NOPAD
        .decode(body.to_ascii_uppercase().as_bytes())
        .map_err(|_| "it is not base32")?;
    match bytes.strip_prefix(&CID_PREFIX) {
        Some(digest) => digest.try_into().map_err(|_| "its hash is not 32 bytes"),
        None => Err("only CIDv1 with codec raw and a BLAKE3 hash is used here (bafkr4i…)"),
    }
}

fn refuse(text: &str, what: &'static str, why: &'static str) -> ParseIdError {
    ParseIdError { text: text.chars().take(80).collect(), what, why }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blob_is_named_as_other_content_addressed_tools_name_it() {
        let id = BlobId::of(b"hello");
        assert_eq!(id.to_string(), "bafkr4ihkr4ld3m4gqkjf4reryxsy2s5tkbxprqkow6fin2iiyvreuzzab4");
        assert_eq!(id.to_string().parse(), Ok(id));
    }

    #[test]
    fn a_peer_is_named_as_libp2p_names_it() {
        let text = PeerId::new([7; 32]).to_string();
        assert!(text.starts_with("12D3KooW"), "{text}");
        assert_eq!(text.parse(), Ok(PeerId::new([7; 32])));
    }

    #[test]
    fn other_names_are_refused() {
        for text in [
            "",
            "b",
            "bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi",
            "BAFKR4I",
            "12D3KooW",
        ] {
            assert!(text.parse::<BlobId>().is_err(), "{text}");
            assert!(text.parse::<PeerId>().is_err(), "{text}");
            assert!(text.parse::<Hash>().is_err(), "{text}");
        }
    }

    #[test]
    fn parts_cannot_run_into_each_other() {
        assert_ne!(hash("x", &[b"ab", b"c"]), hash("x", &[b"a", b"bc"]));
        assert_ne!(hash("x", &[b"ab"]), hash("xa", &[b"b"]));
    }
}
