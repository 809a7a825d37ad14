//! What the logs say about one slot: votes, the proofs of others' votes, leaves and abstentions.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    Abstention, BlobRef, Certificate, Hash, Leaves, PeerId, Reason, Vote, merkle_root, seal,
};

/// A vote as the book keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cast {
    pub root: Hash,
    pub seal: Hash,
    pub pack: Option<BlobRef>,
    pub path: Vec<Hash>,
    /// Of a ballot: the root that its path leads to.
    pub leads_to: Option<Hash>,
    /// The author's ballots are counted in this order.
    pub seq: u64,
}

/// One slot.
#[derive(Clone, Debug, Default)]
pub struct Book {
    votes: BTreeMap<PeerId, Cast>,
    /// (voter, who published the proof, root, proof), whether or not it fits the vote's seal.
    shown: BTreeSet<(PeerId, PeerId, Hash, Hash)>,
    /// (voter, who published a proof that fits).
    edges: BTreeSet<(PeerId, PeerId)>,
    leaves: BTreeMap<Hash, Posted>,
    /// The root that an anchor has latched, by anchor.
    sealed: BTreeMap<PeerId, Hash>,
    abstained: BTreeMap<u64, BTreeMap<PeerId, Reason>>,
}

#[derive(Clone, Debug)]
struct Posted {
    digests: Vec<Hash>,
    by: BTreeSet<PeerId>,
}

impl Book {
    /// All votes, by author.
    pub fn votes(&self) -> impl Iterator<Item = (PeerId, &Cast)> {
        self.votes.iter().map(|(peer, cast)| (*peer, cast))
    }

    pub fn vote_of(&self, peer: PeerId) -> Option<&Cast> {
        self.votes.get(&peer)
    }

    /// Whether `by` has published the proof of `voter`'s vote.
    pub fn is_shown(&self, voter: PeerId, by: PeerId) -> bool {
        self.edges.contains(&(voter, by))
    }

    /// The posted digests under a root.
    pub fn leaves_of(&self, root: Hash) -> Option<&[Hash]> {
        self.leaves.get(&root).map(|posted| posted.digests.as_slice())
    }

    /// The root that anchors have latched; the lowest, should they differ.
    pub fn sealed(&self) -> Option<Hash> {
        self.sealed.values().min().copied()
    }

    /// Who gave up on which unit, and why.
    pub fn abstentions(&self) -> &BTreeMap<u64, BTreeMap<PeerId, Reason>> {
        &self.abstained
    }

    /// Whether anybody else has published the proof of this peer's vote.
    pub fn is_vouched_for(&self, voter: PeerId) -> bool {
        self.is_confirmed(voter, &BTreeSet::new())
    }

    /// Whether another peer outside `except` vouches for this ballot.
    pub(super) fn is_confirmed(&self, voter: PeerId, except: &BTreeSet<PeerId>) -> bool {
        let from = (voter, PeerId::new([0; 32]));
        let shown = self.edges.range(from..).take_while(|(v, _)| *v == voter);
        shown.into_iter().any(|(_, by)| *by != voter && !except.contains(by))
    }

    /// Each root with the voters that stand joined behind it: connected by proofs that each has
    /// published of the other, at least `quorum` together. What the submitter says alone is no such root,
    /// also where one vote is enough.
    pub(super) fn certified(
        &self,
        quorum: usize,
        submitter: PeerId,
        except: &BTreeSet<PeerId>,
    ) -> BTreeMap<Hash, BTreeSet<PeerId>> {
        let mut by_root: BTreeMap<Hash, BTreeSet<PeerId>> = BTreeMap::new();
        for (peer, cast) in &self.votes {
            if !except.contains(peer) {
                by_root.entry(cast.root).or_default().insert(*peer);
            }
        }
        by_root.retain(|_, voters| {
            *voters = self.joined(voters, quorum);
            voters.iter().any(|voter| *voter != submitter)
        });
        by_root
    }

    /// Roots that had a quorum only with the votes of `except`, and who else stands behind them.
    pub(super) fn fallen(
        &self,
        quorum: usize,
        submitter: PeerId,
        except: &BTreeSet<PeerId>,
    ) -> BTreeMap<Hash, BTreeSet<PeerId>> {
        if self.votes.keys().all(|peer| !except.contains(peer)) {
            return BTreeMap::new();
        }
        let now = self.certified(quorum, submitter, except);
        let mut once = self.certified(quorum, submitter, &BTreeSet::new());
        once.retain(|root, voters| {
            voters.retain(|peer| !except.contains(peer));
            !voters.is_empty() && !now.contains_key(root)
        });
        once
    }

    fn joined(&self, voters: &BTreeSet<PeerId>, quorum: usize) -> BTreeSet<PeerId> {
        let (mut left, mut certified) = (voters.clone(), BTreeSet::new());
        while let Some(start) = left.pop_first() {
            let (mut component, mut frontier) = (BTreeSet::from([start]), vec![start]);
            while let Some(at) = frontier.pop() {
                let next: Vec<PeerId> =
                    left.iter().copied().filter(|q| self.are_mutual(at, *q)).collect();
                for peer in next {
                    left.remove(&peer);
                    component.insert(peer);
                    frontier.push(peer);
                }
            }
            if quorum <= component.len() {
                certified.append(&mut component);
            }
        }
        certified
    }

    fn are_mutual(&self, a: PeerId, b: PeerId) -> bool {
        self.edges.contains(&(a, b)) && self.edges.contains(&(b, a))
    }

    pub(super) fn add_vote(
        &mut self,
        author: PeerId,
        seq: u64,
        vote: &Vote,
        leads_to: Option<Hash>,
    ) {
        let Vote { root, seal, pack, ref path, .. } = *vote;
        let cast = Cast { root, seal, pack, path: path.clone(), leads_to, seq };
        self.votes.insert(author, cast);
        let from = (author, PeerId::new([0; 32]), Hash::ZERO, Hash::ZERO);
        let waiting: Vec<_> =
            self.shown.range(from..).take_while(|(voter, ..)| *voter == author).copied().collect();
        for entry in waiting {
            self.add_edge(entry);
        }
    }

    pub(super) fn add_certificate(&mut self, author: PeerId, certificate: &Certificate) {
        for shown in &certificate.proofs {
            let entry = (shown.voter, author, certificate.root, shown.proof);
            self.shown.insert(entry);
            self.add_edge(entry);
        }
    }

    fn add_edge(&mut self, (voter, by, root, proof): (PeerId, PeerId, Hash, Hash)) {
        let fits = |cast: &Cast| cast.root == root && seal(proof) == cast.seal;
        if voter != by && self.votes.get(&voter).is_some_and(fits) {
            self.edges.insert((voter, by));
        }
    }

    /// Takes leaves that hash to the root they are posted for; others say nothing.
    pub(super) fn add_leaves(&mut self, author: PeerId, leaves: &Leaves) {
        if merkle_root(&leaves.digests) == leaves.root {
            let new = || Posted { digests: leaves.digests.clone(), by: BTreeSet::new() };
            self.leaves.entry(leaves.root).or_insert_with(new).by.insert(author);
        }
    }

    /// Latches a root; an anchor's first word on a slot is its last.
    pub(super) fn add_seal(&mut self, anchor: PeerId, root: Hash) {
        self.sealed.entry(anchor).or_insert(root);
    }

    pub(super) fn add_abstention(&mut self, author: PeerId, abstention: &Abstention) {
        self.abstained.entry(abstention.unit).or_default().insert(author, abstention.reason);
    }

    /// Takes back everything that an author said here.
    pub(super) fn retract(&mut self, author: PeerId) {
        self.votes.remove(&author);
        self.sealed.remove(&author);
        self.shown.retain(|(_, by, ..)| *by != author);
        self.edges.retain(|(voter, by)| *voter != author && *by != author);
        self.leaves.retain(|_, posted| {
            posted.by.remove(&author);
            !posted.by.is_empty()
        });
        self.abstained.values_mut().for_each(|peers| {
            peers.remove(&author);
        });
        self.abstained.retain(|_, peers| !peers.is_empty());
    }
}
