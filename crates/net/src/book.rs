//! The address book: where peers were met, to find them again.

use std::collections::{BTreeMap, VecDeque};

use libp2p::Multiaddr;
use protocol::PeerId;

use crate::limits::{BOOK_ADDRESSES_MAX, BOOK_PEERS_MAX};

/// Addresses per peer; whoever was heard of longest ago is forgotten first.
#[derive(Debug, Default)]
pub(crate) struct Book {
    peers: BTreeMap<PeerId, Vec<Multiaddr>>,
    /// Oldest first; each peer once.
    order: VecDeque<PeerId>,
}

impl Book {
    /// Puts addresses, without `/p2p/…`, before those known already.
    pub(crate) fn learn(&mut self, peer: PeerId, addresses: impl IntoIterator<Item = Multiaddr>) {
        let mut known: Vec<Multiaddr> = addresses.into_iter().collect();
        if known.is_empty() {
            return;
        }
        match self.peers.remove(&peer) {
            Some(old) => {
                known.extend(old);
                self.order.retain(|p| *p != peer);
            }
            None if self.peers.len() == BOOK_PEERS_MAX => {
                if let Some(oldest) = self.order.pop_front() {
                    self.peers.remove(&oldest);
                }
            }
            None => {}
        }
        let mut kept: Vec<Multiaddr> = Vec::new();
        for address in known {
            if !kept.contains(&address) && kept.len() < BOOK_ADDRESSES_MAX {
                kept.push(address);
            }
        }
        self.peers.insert(peer, kept);
        self.order.push_back(peer);
    }

    pub(crate) fn addresses(&self, peer: &PeerId) -> Vec<Multiaddr> {
        self.peers.get(peer).cloned().unwrap_or_default()
    }

    /// The peers heard of most recently, with their addresses.
    pub(crate) fn recent(&self) -> impl Iterator<Item = (&PeerId, &Vec<Multiaddr>)> {
        self.order.iter().rev().filter_map(|peer| self.peers.get_key_value(peer))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_book_is_bounded_and_forgets_the_oldest() {
        let mut book = Book::default();
        let name = |i: usize| {
            let mut bytes = [0; 32];
            bytes[..8].copy_from_slice(&i.to_be_bytes());
            PeerId::new(bytes)
        };
        for i in 0..=BOOK_PEERS_MAX {
            for port in 0..20 {
                book.learn(name(i), [format!("/ip4/1.2.3.4/tcp/{port}").parse().unwrap()]);
            }
        }
        assert_eq!(book.recent().count(), BOOK_PEERS_MAX);
        assert!(book.addresses(&name(0)).is_empty());
        assert_eq!(book.addresses(&name(1)).len(), BOOK_ADDRESSES_MAX);
        assert_eq!(book.addresses(&name(1))[0].to_string(), "/ip4/1.2.3.4/tcp/19");
    }
}
