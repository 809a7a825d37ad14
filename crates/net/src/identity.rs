//! Names of peers: our 32 raw bytes on one side, libp2p's multihash on the other.

use libp2p::identity::{self, ed25519};
use protocol::PeerId;

/// libp2p's frame around an ed25519 key: identity multihash of 36 bytes, protobuf of type and key.
const PREFIX: [u8; 6] = [0x00, 0x24, 0x08, 0x01, 0x12, 0x20];

/// Our name for a peer; `None` if its key is not ed25519.
pub(crate) fn ours(peer: &libp2p::PeerId) -> Option<PeerId> {
    let bytes = peer.to_bytes();
    let key = bytes.strip_prefix(&PREFIX)?;
    key.try_into().ok().map(PeerId::new)
}

/// libp2p's name for a peer; `None` if the 32 bytes are not a point of the curve.
pub(crate) fn theirs(peer: &PeerId) -> Option<libp2p::PeerId> {
    let key = ed25519::PublicKey::try_from_bytes(peer.as_bytes()).ok()?;
    Some(identity::PublicKey::from(key).to_peer_id())
}

/// libp2p's form of a 32-byte secret.
pub(crate) fn keypair(secret: &[u8; 32]) -> identity::Keypair {
    identity::Keypair::ed25519_from_bytes(*secret).expect("any 32 bytes are an ed25519 secret")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_names_of_a_peer_mean_the_same() {
        let pair = keypair(&[7; 32]);
        let peer = pair.public().to_peer_id();
        let name = ours(&peer).unwrap();
        assert_eq!(name, protocol::Keypair::from_secret(&[7; 32]).peer());
        assert_eq!(name.to_string(), peer.to_string());
        assert_eq!(theirs(&name), Some(peer));
    }

    #[test]
    fn a_peer_without_an_ed25519_key_has_no_name_here() {
        assert_eq!(ours(&libp2p::PeerId::from_multihash(sha256_multihash()).unwrap()), None);
    }

    fn sha256_multihash() -> libp2p::multihash::Multihash<64> {
        libp2p::multihash::Multihash::wrap(0x12, &[1; 32]).unwrap()
    }
}
