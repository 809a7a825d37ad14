//! What the logs say about one slot: votes, the proofs of others' votes, leaves and abstentions.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Deref;

use super::few::{Few, Placed};
use crate::{
    Abstention, Certificate, Hash, Item, Leaves, PeerId, Reason, Signed, Step, Vote, merkle_root,
    seal,
};

/// A vote as the book keeps it: it reads like the [`Vote`], which lies in the step that says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cast {
    step: Signed<Step>,
    item: u8,
    /// Of a ballot: the root that its path leads to.
    pub leads_to: Option<Hash>,
}

/// The proof of somebody's vote, which lies in the step that shows it.
#[derive(Clone, Debug)]
struct Proof {
    step: Signed<Step>,
    item: u8,
    number: u8,
    /// Whether it fits the vote's seal.
    fits: bool,
}

/// One slot.
#[derive(Clone, Debug, Default)]
pub struct Book {
    votes: Few<Cast>,
    shown: Few<Proof>,
    rest: Option<Box<Rest>>,
}

/// What is said about few slots.
#[derive(Clone, Debug, Default)]
struct Rest {
    leaves: BTreeMap<Hash, Posted>,
    /// The root that an anchor has latched, by anchor.
    sealed: Vec<(PeerId, Hash)>,
    abstained: BTreeMap<u64, BTreeMap<PeerId, Reason>>,
}

#[derive(Clone, Debug)]
struct Posted {
    digests: Vec<Hash>,
    by: BTreeSet<PeerId>,
}

static NOBODY: BTreeMap<u64, BTreeMap<PeerId, Reason>> = BTreeMap::new();

impl Cast {
    /// A vote that a step holds as its item of this number.
    pub(super) fn new(step: &Signed<Step>, item: usize, leads_to: Option<Hash>) -> Self {
        Self { step: step.clone(), item: number(item), leads_to }
    }

    /// The author's ballots are counted in this order.
    pub fn seq(&self) -> u64 {
        self.step.value().seq
    }
}

impl Deref for Cast {
    type Target = Vote;

    fn deref(&self) -> &Vote {
        match &self.step.value().items[usize::from(self.item)] {
            Item::Vote(vote) => vote,
            Item::Certificate(_)
            | Item::Leaves(_)
            | Item::Abstention(_)
            | Item::Seal(_)
            | Item::Keepers(_)
            | Item::Cancel => unreachable!("it was made from a vote"),
        }
    }
}

impl Placed for Cast {
    type Place = PeerId;

    fn place(&self) -> PeerId {
        self.step.author()
    }
}

impl Proof {
    fn certificate(&self) -> &Certificate {
        match &self.step.value().items[usize::from(self.item)] {
            Item::Certificate(certificate) => certificate,
            Item::Vote(_)
            | Item::Leaves(_)
            | Item::Abstention(_)
            | Item::Seal(_)
            | Item::Keepers(_)
            | Item::Cancel => unreachable!("it was made from a certificate"),
        }
    }

    fn voter(&self) -> PeerId {
        self.certificate().proofs[usize::from(self.number)].voter
    }

    fn by(&self) -> PeerId {
        self.step.author()
    }

    fn fits(&self, cast: &Cast) -> bool {
        let (root, proof) =
            (self.certificate().root, self.certificate().proofs[usize::from(self.number)].proof);
        self.voter() != self.by() && cast.root == root && seal(proof) == cast.seal
    }
}

/// (voter, who published the proof, root, proof).
impl Placed for Proof {
    type Place = (PeerId, PeerId, Hash, Hash);

    fn place(&self) -> Self::Place {
        let Certificate { root, ref proofs, .. } = *self.certificate();
        let shown = proofs[usize::from(self.number)];
        (shown.voter, self.by(), root, shown.proof)
    }
}

fn number(item: usize) -> u8 {
    u8::try_from(item).expect("limits keep a step's items and proofs few")
}

impl Book {
    /// All votes, by author.
    pub fn votes(&self) -> impl Iterator<Item = (PeerId, &Cast)> {
        self.votes.iter().map(|cast| (cast.place(), cast))
    }

    pub fn vote_of(&self, peer: PeerId) -> Option<&Cast> {
        self.votes.get(&peer)
    }

    /// Whether `by` has published the proof of `voter`'s vote.
    pub fn is_shown(&self, voter: PeerId, by: PeerId) -> bool {
        let from = (voter, by, Hash::ZERO, Hash::ZERO);
        let shown =
            self.shown.beginning_at(from).take_while(|p| (p.voter(), p.by()) == (voter, by));
        shown.into_iter().any(|proof| proof.fits)
    }

    /// The posted digests under a root.
    pub fn leaves_of(&self, root: Hash) -> Option<&[Hash]> {
        self.rest.as_ref()?.leaves.get(&root).map(|posted| posted.digests.as_slice())
    }

    /// The root that anchors have latched; the lowest, should they differ.
    pub fn sealed(&self) -> Option<Hash> {
        self.rest.as_ref()?.sealed.iter().map(|(_, root)| *root).min()
    }

    /// Who gave up on which unit, and why.
    pub fn abstentions(&self) -> &BTreeMap<u64, BTreeMap<PeerId, Reason>> {
        self.rest.as_ref().map_or(&NOBODY, |rest| &rest.abstained)
    }

    /// Whether anybody else has published the proof of this peer's vote.
    pub fn is_vouched_for(&self, voter: PeerId) -> bool {
        self.is_confirmed(voter, &BTreeSet::new())
    }

    /// Whether another peer outside `except` vouches for this ballot.
    pub(super) fn is_confirmed(&self, voter: PeerId, except: &BTreeSet<PeerId>) -> bool {
        self.vouchers(voter).any(|by| !except.contains(&by))
    }

    /// Who has published a proof of this peer's vote that fits; some more than once.
    fn vouchers(&self, voter: PeerId) -> impl Iterator<Item = PeerId> {
        let of = self
            .shown
            .beginning_at(first_of(voter))
            .take_while(move |proof| proof.voter() == voter);
        of.filter(|proof| proof.fits).map(Proof::by)
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
        for (peer, cast) in self.votes() {
            if !except.contains(&peer) {
                by_root.entry(cast.root).or_default().insert(peer);
            }
        }
        let shown = self.shown.iter().filter(|proof| proof.fits);
        let mut shown: Vec<_> = shown.map(|proof| (proof.voter(), proof.by())).collect();
        shown.dedup();
        by_root.retain(|_, voters| {
            *voters = joined(&shown, std::mem::take(voters), quorum);
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
        if self.votes().all(|(peer, _)| !except.contains(&peer)) {
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

    pub(super) fn add_vote(&mut self, cast: Cast) {
        let voter = cast.place();
        let shown = self.shown.change_from(first_of(voter));
        for proof in shown.take_while(|proof| proof.voter() == voter) {
            proof.fits |= proof.fits(&cast);
        }
        self.votes.insert(cast);
    }

    /// Takes the certificate that a step holds as its item of this number.
    pub(super) fn add_certificate(&mut self, step: &Signed<Step>, item: usize) {
        let new = |of: usize| Proof {
            step: step.clone(),
            item: number(item),
            number: number(of),
            fits: false,
        };
        for of in 0..new(0).certificate().proofs.len() {
            let mut proof = new(of);
            if self.shown.get(&proof.place()).is_none() {
                proof.fits = self.vote_of(proof.voter()).is_some_and(|cast| proof.fits(cast));
                self.shown.insert(proof);
            }
        }
    }

    fn rest(&mut self) -> &mut Rest {
        self.rest.get_or_insert_default()
    }

    /// Takes leaves that hash to the root they are posted for; others say nothing.
    pub(super) fn add_leaves(&mut self, author: PeerId, leaves: &Leaves) {
        if merkle_root(&leaves.digests) == leaves.root {
            let new = || Posted { digests: leaves.digests.clone(), by: BTreeSet::new() };
            self.rest().leaves.entry(leaves.root).or_insert_with(new).by.insert(author);
        }
    }

    /// Latches a root; an anchor's first word on a slot is its last.
    pub(super) fn add_seal(&mut self, anchor: PeerId, root: Hash) {
        let sealed = &mut self.rest().sealed;
        if sealed.iter().all(|(by, _)| *by != anchor) {
            sealed.reserve_exact(1);
            sealed.push((anchor, root));
        }
    }

    pub(super) fn add_abstention(&mut self, author: PeerId, abstention: &Abstention) {
        self.rest().abstained.entry(abstention.unit).or_default().insert(author, abstention.reason);
    }

    /// Takes back everything that an author said here.
    pub(super) fn retract(&mut self, author: PeerId) {
        self.votes.retain(|cast| cast.place() != author);
        self.shown.retain(|proof| proof.by() != author);
        let shown = self.shown.change_from(first_of(author));
        shown.take_while(|proof| proof.voter() == author).for_each(|proof| proof.fits = false);
        let Some(rest) = &mut self.rest else { return };
        rest.sealed.retain(|(by, _)| *by != author);
        rest.leaves.retain(|_, posted| {
            posted.by.remove(&author);
            !posted.by.is_empty()
        });
        rest.abstained.values_mut().for_each(|peers| {
            peers.remove(&author);
        });
        rest.abstained.retain(|_, peers| !peers.is_empty());
    }
}

/// Voters that are connected, at least `quorum` together, by proofs that each has shown of the other.
/// `shown` are the pairs (voter, who shows its proof) in order.
fn joined(
    shown: &[(PeerId, PeerId)],
    mut left: BTreeSet<PeerId>,
    quorum: usize,
) -> BTreeSet<PeerId> {
    let mut joined = BTreeSet::new();
    while quorum <= left.len()
        && let Some(start) = left.pop_first()
    {
        let (mut component, mut frontier) = (BTreeSet::from([start]), vec![start]);
        while let Some(at) = frontier.pop() {
            let first = shown.partition_point(|(voter, _)| *voter < at);
            for (_, peer) in shown[first..].iter().take_while(|(voter, _)| *voter == at) {
                if shown.binary_search(&(*peer, at)).is_ok() && left.remove(peer) {
                    component.insert(*peer);
                    frontier.push(*peer);
                }
            }
        }
        if quorum <= component.len() {
            joined.append(&mut component);
        }
    }
    joined
}

/// Where the proofs of a peer's vote begin.
fn first_of(voter: PeerId) -> (PeerId, PeerId, Hash, Hash) {
    (voter, PeerId::new([0; 32]), Hash::ZERO, Hash::ZERO)
}
