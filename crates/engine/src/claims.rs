//! Claims that are alive: who says that it runs which batch. They save work, and decide nothing.

use std::collections::{BTreeMap, BTreeSet};

use protocol::PeerId;

/// Live claims of other peers on the batches of one job.
#[derive(Debug, Default)]
pub(crate) struct Claims {
    live: BTreeMap<(u16, u32), BTreeMap<PeerId, u64>>,
    /// When they run out; those that have come true are among them until then.
    ends: BTreeSet<(u64, (u16, u32), PeerId)>,
    count: BTreeMap<PeerId, usize>,
    /// Batches that a peer has claimed before: a second claim is not honoured.
    spent: BTreeSet<(u16, u32, PeerId)>,
    /// When a batch last got a vote.
    voted_ms: BTreeMap<(u16, u32), u64>,
}

impl Claims {
    /// Takes in a peer's claims, of which so many are `honoured` at a time.
    pub(crate) fn add(
        &mut self,
        peer: PeerId,
        honoured: usize,
        (stage, batches): (u16, &[u32]),
        until_ms: u64,
    ) {
        for batch in batches {
            let count = self.count.entry(peer).or_default();
            if *count < honoured && self.spent.insert((stage, *batch, peer)) {
                *count += 1;
                self.live.entry((stage, *batch)).or_default().insert(peer, until_ms);
                self.ends.insert((until_ms, (stage, *batch), peer));
            }
        }
    }

    /// Claims on a batch that are alive.
    pub(crate) fn on(
        &self,
        stage: u16,
        batch: u32,
        now_ms: u64,
    ) -> impl Iterator<Item = (PeerId, u64)> + '_ {
        let claims = self.live.get(&(stage, batch)).into_iter().flatten();
        claims.filter(move |(_, until)| now_ms < **until).map(|(peer, until)| (*peer, *until))
    }

    /// The batch has got votes: the claims of these peers have come true.
    pub(crate) fn voted(
        &mut self,
        stage: u16,
        batch: u32,
        voters: impl Iterator<Item = PeerId>,
        now_ms: u64,
    ) {
        self.voted_ms.insert((stage, batch), now_ms);
        let Some(claims) = self.live.get_mut(&(stage, batch)) else { return };
        for peer in voters {
            if claims.remove(&peer).is_some()
                && let Some(count) = self.count.get_mut(&peer)
            {
                *count -= 1;
            }
        }
    }

    /// Forgets claims that have run out, and tells whose they were.
    pub(crate) fn expire(&mut self, now_ms: u64) -> Vec<PeerId> {
        let mut lapsed = Vec::new();
        while let Some((until, at, peer)) =
            self.ends.first().copied().filter(|(until, ..)| *until <= now_ms)
        {
            self.ends.pop_first();
            let Some(claims) = self.live.get_mut(&at) else { continue };
            if claims.get(&peer) == Some(&until) {
                claims.remove(&peer);
                lapsed.push(peer);
                if let Some(count) = self.count.get_mut(&peer) {
                    *count -= 1;
                }
            }
            if claims.is_empty() {
                self.live.remove(&at);
            }
        }
        lapsed
    }

    /// When the last claim runs out that anybody has made and that has not run out yet.
    pub(crate) fn last_end_ms(&self) -> Option<u64> {
        self.ends.last().map(|(until, ..)| *until)
    }

    /// When the batch last got a vote.
    pub(crate) fn last_vote_ms(&self, stage: u16, batch: u32) -> Option<u64> {
        self.voted_ms.get(&(stage, batch)).copied()
    }

    /// A peer is gone, and its claims with it; whether it had any. If it comes back, it may claim again.
    pub(crate) fn drop_peer(&mut self, peer: PeerId) -> bool {
        let mut had = false;
        self.live.values_mut().for_each(|claims| had |= claims.remove(&peer).is_some());
        self.count.remove(&peer);
        self.spent.retain(|(_, _, claimer)| *claimer != peer);
        had
    }

    /// Whether anybody claims the batch.
    pub(crate) fn is_claimed(&self, stage: u16, batch: u32, now_ms: u64) -> bool {
        self.on(stage, batch, now_ms).next().is_some()
    }
}
