//! What this node remembers of other peers, over all jobs and until it stops. It rests on what it has seen for
//! itself, guides whose claims it honours, and is never part of a verdict: jobs can be staged.

use std::collections::BTreeMap;

use protocol::PeerId;

use crate::limits::{CLAIMS_PER_PEER_MAX, STANDINGS_MAX};

/// What one peer has done before our eyes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Standing {
    /// Units that it and we have executed with the same trace, and with proofs to show for it.
    pub shared_units: u64,
    /// Claims that ran out, or ended with its link, without a vote.
    pub lapsed: u64,
    /// Lapses that still weigh: each shared execution takes one away.
    weight: u32,
}

impl Standing {
    /// How many of its claims are honoured at a time: half as many after each lapse, in the end none.
    pub(crate) fn claims_honoured(&self) -> usize {
        CLAIMS_PER_PEER_MAX.checked_shr(self.weight).unwrap_or(0)
    }
}

#[derive(Debug, Default)]
pub(crate) struct Standings {
    of: BTreeMap<PeerId, Standing>,
}

impl Standings {
    pub(crate) fn of(&self, peer: PeerId) -> Standing {
        self.of.get(&peer).copied().unwrap_or_default()
    }

    /// A claim of the peer came to nothing.
    pub(crate) fn lapsed(&mut self, peer: PeerId) {
        let standing = self.entry(peer);
        standing.lapsed += 1;
        standing.weight = (standing.weight + 1).min(CLAIMS_PER_PEER_MAX.ilog2() + 1);
    }

    /// The peer has executed so many units as we have.
    pub(crate) fn shared(&mut self, peer: PeerId, units: u64) {
        let standing = self.entry(peer);
        standing.shared_units += units;
        standing.weight = standing.weight.saturating_sub(1);
    }

    fn entry(&mut self, peer: PeerId) -> &mut Standing {
        if STANDINGS_MAX <= self.of.len() && !self.of.contains_key(&peer) {
            // Whoever has shared least is forgotten.
            let least = self.of.iter().min_by_key(|(_, standing)| **standing);
            if let Some(least) = least.map(|(peer, _)| *peer) {
                self.of.remove(&least);
            }
        }
        self.of.entry(peer).or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_lapse_halves_what_is_honoured_and_each_shared_execution_takes_one_back() {
        let (mut standings, peer) = (Standings::default(), PeerId::new([1; 32]));
        let honoured = |standings: &Standings| standings.of(peer).claims_honoured();
        assert_eq!(honoured(&standings), CLAIMS_PER_PEER_MAX);
        for lapses in 1..=100 {
            standings.lapsed(peer);
            assert_eq!(honoured(&standings), CLAIMS_PER_PEER_MAX >> lapses.min(7));
        }
        assert_eq!((honoured(&standings), standings.of(peer).lapsed), (0, 100));
        standings.shared(peer, 16);
        standings.shared(peer, 16);
        assert_eq!((honoured(&standings), standings.of(peer).shared_units), (2, 32));
    }

    #[test]
    fn a_crowd_of_squatters_does_not_crowd_out_whom_we_know() {
        let mut standings = Standings::default();
        let friend = PeerId::new([255; 32]);
        standings.shared(friend, 1);
        for n in 0..3 * STANDINGS_MAX as u64 {
            let mut name = [0; 32];
            name[..8].copy_from_slice(&n.to_le_bytes());
            standings.lapsed(PeerId::new(name));
        }
        assert_eq!(standings.of.len(), STANDINGS_MAX);
        assert_eq!(standings.of(friend).shared_units, 1);
    }
}
