//! Contests: batches with ballots or rival roots, examined unit by unit.

use std::collections::{BTreeMap, BTreeSet};

use super::book::Book;
use super::verdict::{BatchVerdict, Standing, UnitVerdict};
use crate::{Hash, PeerId, merkle_root, merkle_root_by};

/// One batch under examination.
#[derive(Clone, Debug)]
pub(super) struct Case {
    pub(super) batch: u32,
    first_unit: u64,
    count: usize,
    standing: Standing,
    /// Leaves of every voted root whose leaves are posted.
    leaves: BTreeMap<Hash, Vec<Hash>>,
    /// Who voted for which root, of those that count.
    votes: BTreeMap<PeerId, Hash>,
    leaves_wanted: Vec<Hash>,
    decide_first: BTreeSet<u64>,
    pub(super) units: BTreeMap<u64, UnitCase>,
}

/// One unit of it that is spoken about.
#[derive(Clone, Debug, Default)]
pub(super) struct UnitCase {
    pub(super) ballots: BTreeMap<PeerId, Ballot>,
    /// The outcome that stands, if it is known by digest.
    stands: Option<Hash>,
    pub(super) contested: bool,
    decided: Option<Hash>,
}

/// A ballot that counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ballot {
    pub(super) digest: Hash,
    pub(super) seq: u64,
    /// Whether it agrees with the root that stands.
    pub(super) agrees: bool,
    pub(super) confirmed: bool,
}

/// What a batch is examined with.
#[derive(Debug)]
pub(super) struct Evidence<'a> {
    pub(super) book: Option<&'a Book>,
    /// Books of single units, with what stands in them by joined ballots alone.
    pub(super) unit_books: Vec<(u64, &'a Book)>,
    pub(super) units: std::ops::Range<u64>,
    pub(super) quorum: usize,
    pub(super) submitter: PeerId,
}

impl Case {
    /// Lays a batch out: what stands, who disagrees, which units are in question by roots alone.
    ///
    /// `void` are roots that count for nothing; `order` sorts certified roots, the first stands.
    pub(super) fn open(
        batch: u32,
        evidence: &Evidence<'_>,
        except: &BTreeSet<PeerId>,
        void: &BTreeSet<(u32, Hash)>,
        order: impl Fn(&BTreeSet<PeerId>) -> Vec<Hash>,
    ) -> Self {
        let book = evidence.book;
        let mut certified =
            book.map_or_else(BTreeMap::new, |book| book.certified(evidence.quorum, except));
        certified.retain(|root, _| !void.contains(&(batch, *root)));
        let posted = |root: &Hash| book.and_then(|book| book.leaves_of(*root)).is_some();
        let mut rivals: Vec<(Hash, BTreeSet<PeerId>)> = certified.into_iter().collect();
        rivals.sort_by_cached_key(|(root, voters)| (!posted(root), order(voters), *root));
        let all_votes = book.into_iter().flat_map(Book::votes);
        let votes: BTreeMap<PeerId, Hash> = all_votes
            .filter(|(peer, _)| !except.contains(peer))
            .map(|(peer, cast)| (peer, cast.root))
            .collect();
        let leaves = votes
            .values()
            .filter_map(|root| Some((*root, book?.leaves_of(*root)?.to_vec())))
            .collect();
        let mut case = Self {
            batch,
            first_unit: evidence.units.start,
            count: evidence.units.clone().count(),
            standing: standing(&rivals, &votes, evidence.submitter),
            leaves,
            votes,
            leaves_wanted: Vec::new(),
            decide_first: BTreeSet::new(),
            units: BTreeMap::new(),
        };
        for (unit, book) in &evidence.unit_books {
            case.hear_ballots(*unit, book, except);
        }
        case.compare_roots(&rivals);
        case
    }

    /// The standing root, if a quorum stands behind it.
    pub(super) fn quorum_root(&self) -> Option<Hash> {
        match &self.standing {
            Standing::Quorum { root, .. } => Some(*root),
            Standing::Open | Standing::SelfExecuted { .. } => None,
        }
    }

    /// Joined voters behind the standing root.
    pub(super) fn voters(&self) -> impl Iterator<Item = PeerId> + '_ {
        let voters = match &self.standing {
            Standing::Quorum { voters, .. } => Some(voters),
            Standing::Open | Standing::SelfExecuted { .. } => None,
        };
        voters.into_iter().flatten().copied()
    }

    /// How many units a non-voter has audited with a confirmed ballot that agrees.
    pub(super) fn audited(&self) -> u64 {
        let by_other = |(peer, ballot): (&PeerId, &Ballot)| {
            ballot.confirmed && ballot.agrees && !self.votes.contains_key(peer)
        };
        self.units.values().filter(|unit| unit.ballots.iter().any(by_other)).count() as u64
    }

    /// Whether a unit stands by a quorum, so that disputing it takes an allowance.
    pub(super) fn is_standing(&self) -> bool {
        self.quorum_root().is_some()
    }

    /// Decides what can be decided. `outsiders(seen)` counts identities of the job outside `seen`.
    /// Returns the standing root if it is overruled while its leaves are withheld.
    pub(super) fn decide(
        &mut self,
        quorum: usize,
        lead: usize,
        anchors: &[PeerId],
        outsiders: impl Fn(&BTreeSet<PeerId>) -> usize,
    ) -> Option<Hash> {
        let mut overruled = None;
        let root = self.quorum_root();
        for unit in self.units.values_mut().filter(|unit| unit.contested) {
            unit.decided = unit.winner(quorum, lead, anchors, &outsiders);
            let hidden = unit.decided.is_some() && unit.stands.is_none();
            overruled = overruled.or(root.filter(|_| hidden));
        }
        overruled
    }

    /// Decided units with everybody's claim on them.
    pub(super) fn decisions(
        &self,
    ) -> impl Iterator<Item = (u64, Hash, BTreeMap<PeerId, Hash>)> + '_ {
        self.units.iter().filter_map(|(unit, case)| {
            let index = (unit - self.first_unit) as usize;
            let stated = self
                .votes
                .iter()
                .filter_map(|(peer, root)| Some((*peer, *self.leaves.get(root)?.get(index)?)));
            let mut claims: BTreeMap<PeerId, Hash> = stated.collect();
            claims.extend(case.ballots.iter().map(|(peer, ballot)| (*peer, ballot.digest)));
            Some((*unit, case.decided?, claims))
        })
    }

    /// What follows for everybody to see.
    pub(super) fn close(self) -> BatchVerdict {
        let units: BTreeMap<u64, UnitVerdict> =
            self.units.iter().filter_map(|(unit, c)| Some((*unit, c.verdict()?))).collect();
        let effective = self.effective(&units);
        BatchVerdict {
            standing: self.standing,
            leaves_wanted: self.leaves_wanted,
            decide_first: self.decide_first,
            effective,
            units,
        }
    }

    fn hear_ballots(&mut self, unit: u64, book: &Book, except: &BTreeSet<PeerId>) {
        let index = (unit - self.first_unit) as usize;
        let (root, count) = (self.quorum_root(), self.count);
        let known = root.and_then(|root| self.leaves.get(&root)).map(|leaves| leaves[index]);
        let shows = |digest: Hash, path: &[Hash]| {
            root.is_some() && merkle_root_by(path, digest, index, count) == root
        };
        let counted = || book.votes().filter(|(peer, _)| !except.contains(peer));
        let stands = known.or_else(|| {
            counted().find(|(_, cast)| shows(cast.root, &cast.path)).map(|(_, cast)| cast.root)
        });
        let ballot = |(peer, cast): (PeerId, &super::Cast)| {
            let agrees = stands == Some(cast.root);
            (
                peer,
                Ballot {
                    digest: cast.root,
                    seq: cast.seq,
                    agrees,
                    confirmed: book.is_confirmed(peer, except),
                },
            )
        };
        let case = self.units.entry(unit).or_default();
        case.ballots = counted().map(ballot).collect();
        case.stands = stands;
    }

    /// Two quorums of one slot: every unit in which they differ is in question, one of them first.
    fn compare_roots(&mut self, rivals: &[(Hash, BTreeSet<PeerId>)]) {
        let Some(((root, _), others)) =
            rivals.split_first().filter(|(_, others)| !others.is_empty())
        else {
            return;
        };
        let hidden =
            rivals.iter().map(|(root, _)| *root).filter(|root| !self.leaves.contains_key(root));
        self.leaves_wanted = hidden.collect();
        let Some(standing) = self.leaves.get(root).cloned() else { return };
        for other in others.iter().filter_map(|(other, _)| self.leaves.get(other)) {
            let differ: Vec<u64> = (0..)
                .zip(standing.iter().zip(other))
                .filter(|(_, (a, b))| a != b)
                .map(|(i, _)| i)
                .collect();
            self.decide_first.extend(differ.first().map(|i| self.first_unit + i));
            for index in differ {
                let case = self.units.entry(self.first_unit + index).or_default();
                case.contested = true;
                case.stands = Some(standing[index as usize]);
            }
        }
    }

    fn effective(&self, units: &BTreeMap<u64, UnitVerdict>) -> Option<Hash> {
        let (root, leaves) = match &self.standing {
            Standing::Quorum { root, .. } => (Some(*root), self.leaves.get(root)),
            Standing::SelfExecuted { root, .. } => (Some(*root), None),
            Standing::Open => (None, None),
        };
        let overrides = |unit: u64| match units.get(&unit) {
            Some(UnitVerdict::Accepted(digest) | UnitVerdict::Decided(digest)) => Some(*digest),
            Some(UnitVerdict::Contested) | None => None,
        };
        let range = self.first_unit..self.first_unit + self.count as u64;
        match leaves {
            Some(leaves) => {
                let digests: Vec<Hash> = range
                    .zip(leaves)
                    .map(|(unit, leaf)| overrides(unit).unwrap_or(*leaf))
                    .collect();
                Some(merkle_root(&digests))
            }
            None => range
                .map(overrides)
                .collect::<Option<Vec<Hash>>>()
                .map(|all| merkle_root(&all))
                .or(root),
        }
    }
}

/// The first certified root stands; without one, what the submitter executed itself.
fn standing(
    rivals: &[(Hash, BTreeSet<PeerId>)],
    votes: &BTreeMap<PeerId, Hash>,
    submitter: PeerId,
) -> Standing {
    match (rivals.first(), votes.get(&submitter)) {
        (Some((root, voters)), _) => Standing::Quorum { root: *root, voters: voters.clone() },
        (None, Some(root)) => Standing::SelfExecuted { root: *root, by: submitter },
        (None, None) => Standing::Open,
    }
}

impl UnitCase {
    /// Where its batch has no quorum, joined ballots accept a unit, and different ones contest it.
    pub(super) fn judge_alone(&mut self, joined: Option<Hash>) {
        let mut digests: Vec<Hash> = self.ballots.values().map(|ballot| ballot.digest).collect();
        digests.sort();
        digests.dedup();
        self.stands = joined;
        self.contested = 1 < digests.len();
    }

    fn winner(
        &self,
        quorum: usize,
        lead: usize,
        anchors: &[PeerId],
        outsiders: &impl Fn(&BTreeSet<PeerId>) -> usize,
    ) -> Option<Hash> {
        if let Some(ballot) =
            anchors.iter().filter_map(|anchor| self.ballots.get(anchor)).min_by_key(|b| b.digest)
        {
            return Some(ballot.digest);
        }
        let (mut all, mut good): (BTreeMap<Hash, usize>, BTreeMap<Hash, usize>) =
            Default::default();
        for ballot in self.ballots.values() {
            *all.entry(ballot.digest).or_default() += 1;
            *good.entry(ballot.digest).or_default() += usize::from(ballot.confirmed);
        }
        let confirmed = self.ballots.iter().filter(|(_, ballot)| ballot.confirmed);
        let silent = outsiders(&confirmed.map(|(peer, _)| *peer).collect());
        good.iter().find_map(|(digest, votes)| {
            let against = all
                .iter()
                .filter(|(other, _)| *other != digest)
                .map(|(_, votes)| *votes)
                .max()
                .unwrap_or(0);
            let ahead =
                votes.checked_sub(against).filter(|ahead| lead <= *ahead || silent < *ahead);
            (quorum <= *votes && ahead.is_some()).then_some(*digest)
        })
    }

    fn verdict(&self) -> Option<UnitVerdict> {
        match (self.decided, self.contested, self.stands) {
            (Some(digest), ..) => Some(UnitVerdict::Decided(digest)),
            (None, true, _) => Some(UnitVerdict::Contested),
            (None, false, Some(digest)) => Some(UnitVerdict::Accepted(digest)),
            (None, false, None) => None,
        }
    }
}
