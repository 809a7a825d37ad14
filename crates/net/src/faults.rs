//! What peers did wrong to us lately, and who is sent away for it.

use std::collections::BTreeMap;
use std::time::Instant;

use protocol::PeerId;

use crate::limits::{BAN, FAULT_FORGIVEN, FAULT_PEERS_MAX, FAULTS_MAX};

/// Something that an honest and healthy peer never does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Misdeed {
    /// The application rejected its message.
    BadMessage,
    /// A frame that is too long, unknown or cut short.
    BadFrame,
    /// A piece of a blob that does not match its hash.
    WrongBytes,
    /// Fewer bytes than it said it has.
    ShortBytes,
    /// Too slow, or silent in the middle of an answer.
    TooSlow,
    /// More gossip than anybody could read.
    TooMuch,
}

/// Misdeeds per peer, forgiven over time, and bans.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    peers: BTreeMap<PeerId, Record>,
}

#[derive(Debug)]
enum Record {
    Watched { count: u32, since: Instant },
    Banned { until: Instant },
}

impl Faults {
    /// Counts a misdeed; true if the peer must now be sent away.
    pub(crate) fn count(&mut self, peer: PeerId, misdeed: Misdeed, now: Instant) -> bool {
        if self.peers.len() == FAULT_PEERS_MAX && !self.peers.contains_key(&peer) {
            // Whoever is watched only is forgotten first: a flood of new names frees nobody.
            let spare = |r: &Record| matches!(r, Record::Watched { .. });
            let Some(name) = self.peers.iter().find(|(_, r)| spare(r)).map(|(p, _)| *p) else {
                // Every place is taken by a ban: this one gets away, but nothing grows.
                return false;
            };
            self.peers.remove(&name);
        }
        let record = self.peers.entry(peer).or_insert(Record::Watched { count: 0, since: now });
        let Record::Watched { count, since } = record else { return true };
        let forgiven = now.duration_since(*since).as_secs() / FAULT_FORGIVEN.as_secs();
        if 0 < forgiven {
            *count = count.saturating_sub(u32::try_from(forgiven).unwrap_or(u32::MAX));
            *since = now;
        }
        *count += weight(misdeed);
        if *count < FAULTS_MAX {
            return false;
        }
        *record = Record::Banned { until: now + BAN };
        true
    }

    /// Forgets what is over; returns the peers that may come back.
    pub(crate) fn forgive(&mut self, now: Instant) -> Vec<PeerId> {
        let mut back = Vec::new();
        self.peers.retain(|peer, record| match record {
            Record::Watched { count, since } => {
                now.duration_since(*since) < FAULT_FORGIVEN * (*count).max(1)
            }
            Record::Banned { until } if *until <= now => {
                back.push(*peer);
                false
            }
            Record::Banned { .. } => true,
        });
        back
    }
}

/// Slowness has innocent reasons; bytes that do not match have none.
fn weight(misdeed: Misdeed) -> u32 {
    match misdeed {
        Misdeed::TooSlow | Misdeed::ShortBytes => 1,
        Misdeed::BadMessage | Misdeed::BadFrame | Misdeed::TooMuch => 2,
        Misdeed::WrongBytes => 4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn garbage_again_and_again_is_answered_with_a_ban_that_ends() {
        let (mut faults, start) = (Faults::default(), Instant::now());
        let peer = PeerId::new([1; 32]);
        let bad = (0..100).take_while(|_| !faults.count(peer, Misdeed::BadMessage, start)).count();
        assert_eq!(bad, 7);
        assert!(faults.forgive(start).is_empty());
        assert_eq!(faults.forgive(start + BAN), [peer]);
        assert!(!faults.count(peer, Misdeed::BadMessage, start + BAN));
    }

    #[test]
    fn a_rare_misdeed_is_forgiven() {
        let (mut faults, mut now) = (Faults::default(), Instant::now());
        for _ in 0..100 {
            assert!(!faults.count(PeerId::new([1; 32]), Misdeed::TooSlow, now));
            now += FAULT_FORGIVEN;
        }
    }

    #[test]
    fn the_ledger_is_bounded() {
        let (mut faults, now) = (Faults::default(), Instant::now());
        for i in 0..2 * FAULT_PEERS_MAX as u64 {
            let mut name = [0; 32];
            name[..8].copy_from_slice(&i.to_be_bytes());
            faults.count(PeerId::new(name), Misdeed::TooSlow, now);
        }
        assert_eq!(faults.peers.len(), FAULT_PEERS_MAX);
    }
}
