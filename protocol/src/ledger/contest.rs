//! Contests: batches with ballots or rival roots, examined unit by unit.

use std::collections::{BTreeMap, BTreeSet};

use super::book::{Book, Cast};
use super::layer::At;
use super::share::Part;
use super::verdict::{BatchVerdict, Standing, UnitVerdict};
use crate::{Hash, PeerId, Rank, Ranks, merkle_root};

/// One batch under examination.
#[derive(Clone, Debug)]
pub(super) struct Case {
    pub(super) at: At,
    first_unit: u64,
    count: usize,
    standing: Standing,
    /// Voters of all certified roots.
    pub(super) joined: BTreeSet<PeerId>,
    /// Leaves of every voted root whose leaves are posted.
    leaves: BTreeMap<Hash, Vec<Hash>>,
    /// Who voted for which root, of those that count.
    votes: BTreeMap<PeerId, Hash>,
    /// Roots that had a quorum only with votes that do not count.
    echoes: BTreeSet<Hash>,
    leaves_wanted: Vec<Hash>,
    decide_first: BTreeSet<u64>,
    sealed: Option<Hash>,
    pub(super) units: BTreeMap<u64, UnitCase>,
}

/// One unit of it that is spoken about.
#[derive(Clone, Debug, Default)]
pub(super) struct UnitCase {
    ballots: BTreeMap<PeerId, Ballot>,
    /// The outcome that stands, if it is known by digest.
    stands: Option<Hash>,
    pub(super) contested: bool,
    decided: Option<Hash>,
}

/// A ballot that counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Ballot {
    digest: Hash,
    seq: u64,
    /// Whether it contradicts what stands, so far as anybody has shown.
    contests: bool,
    confirmed: bool,
}

/// What a batch is examined with.
#[derive(Debug)]
pub(super) struct Evidence<'a> {
    pub(super) at: At,
    pub(super) book: Option<&'a Book>,
    /// Books of single units that were spoken about.
    pub(super) unit_books: Vec<(u64, &'a Book)>,
    pub(super) units: std::ops::Range<u64>,
    pub(super) quorum: usize,
    pub(super) submitter: PeerId,
    pub(super) ranks: Ranks<'a>,
}

impl Case {
    /// Lays a batch out: what stands, who disagrees, which units are in question by roots alone.
    ///
    /// Votes of `except` do not count, nor do the roots in `void`. Among several certified roots the
    /// one stands whose leaves are posted and whose voters have the lowest ranks.
    pub(super) fn open(
        evidence: &Evidence<'_>,
        except: &BTreeSet<PeerId>,
        void: &BTreeSet<(At, Hash)>,
    ) -> Self {
        let Evidence { at, book, quorum, submitter, ranks, .. } = *evidence;
        let mut certified =
            book.map_or_else(BTreeMap::new, |book| book.certified(quorum, submitter, except));
        let joined = certified.values().flatten().copied().collect();
        // A root that fell because its leaves were withheld stands up again once they are there.
        let fallen =
            certified.keys().filter(|root| void.contains(&(at, **root))).copied().collect();
        certified.retain(|root, _| !void.contains(&(at, *root)));
        let order = |voters: &BTreeSet<PeerId>| {
            let mut ranks: Vec<Rank> =
                voters.iter().map(|peer| ranks.of(at.0, at.1, *peer)).collect();
            ranks.sort();
            ranks.truncate(quorum);
            ranks
        };
        let posted = |root: &Hash| book.and_then(|book| book.leaves_of(*root)).is_some();
        let mut rivals: Vec<(Hash, BTreeSet<PeerId>)> = certified.into_iter().collect();
        rivals.sort_by_cached_key(|(root, voters)| (!posted(root), order(voters), *root));
        // What fell with a convicted voter is judged all the same: who else stands behind it?
        let fallen_with = book.map_or_else(BTreeMap::new, |b| b.fallen(quorum, submitter, except));
        let echoes = fallen_with.keys().copied().collect();
        if !rivals.is_empty() {
            let told = |root: &Hash| !void.contains(&(at, *root));
            rivals.extend(fallen_with.into_iter().filter(|(root, _)| told(root)));
        }
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
            at,
            first_unit: evidence.units.start,
            count: evidence.units.clone().count(),
            standing: standing(&rivals, &votes, evidence.submitter),
            joined,
            leaves,
            votes,
            echoes,
            leaves_wanted: fallen,
            decide_first: BTreeSet::new(),
            sealed: book.and_then(Book::sealed),
            units: BTreeMap::new(),
        };
        for (unit, book) in &evidence.unit_books {
            case.hear_ballots(*unit, book, except);
        }
        case.compare_roots(&rivals);
        if rivals.is_empty() {
            for (unit, book) in &evidence.unit_books {
                let joined = book.certified(quorum, submitter, except);
                let mut joined: Vec<_> = joined.into_iter().collect();
                joined.sort_by_cached_key(|(digest, voters)| (order(voters), *digest));
                if let Some(unit) = case.units.get_mut(unit) {
                    unit.judge_alone(joined.first().map(|(digest, _)| *digest), joined.len());
                }
            }
        }
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

    /// Identities with a confirmed ballot here.
    pub(super) fn confirmed(&self) -> impl Iterator<Item = PeerId> + '_ {
        let ballots = self.units.values().flat_map(|unit| &unit.ballots);
        ballots.filter(|(_, ballot)| ballot.confirmed).map(|(peer, _)| *peer)
    }

    /// How many units a non-voter has audited with a confirmed ballot that agrees.
    pub(super) fn audited(&self) -> u64 {
        let is_audited = |unit: &&UnitCase| self.audits_of(unit).next().is_some();
        self.units.values().filter(is_audited).count() as u64
    }

    /// How many units each non-voter has audited with a confirmed ballot that agrees.
    pub(super) fn auditors(&self) -> BTreeMap<PeerId, u64> {
        let mut auditors = BTreeMap::new();
        for peer in self.units.values().flat_map(|unit| self.audits_of(unit)) {
            *auditors.entry(peer).or_default() += 1;
        }
        auditors
    }

    fn audits_of<'a>(&'a self, unit: &'a UnitCase) -> impl Iterator<Item = PeerId> + 'a {
        let is_audit = |(peer, ballot): &(&PeerId, &Ballot)| {
            ballot.confirmed && !ballot.contests && !self.votes.contains_key(peer)
        };
        unit.ballots.iter().filter(is_audit).map(|(peer, _)| *peer)
    }

    /// The confirmed ballots by unit, where all agree with what stands.
    pub(super) fn parts(&self) -> BTreeMap<u64, Part> {
        let part = |unit: &UnitCase| Part {
            confirmed: unit
                .ballots
                .iter()
                .filter(|(_, ballot)| ballot.confirmed)
                .map(|(peer, _)| *peer)
                .collect(),
            auditors: self.audits_of(unit).collect(),
        };
        self.units.iter().map(|(number, unit)| (*number, part(unit))).collect()
    }

    /// How many units the batch has.
    pub(super) fn size(&self) -> u64 {
        self.count as u64
    }

    /// Ballots that contradict what stands: unit, author and number of the author's step.
    pub(super) fn contesting(&self) -> impl Iterator<Item = (u64, PeerId, u64)> + '_ {
        self.units.iter().flat_map(|(unit, case)| {
            let contesting = case.ballots.iter().filter(|(_, ballot)| ballot.contests);
            contesting.map(|(peer, ballot)| (*unit, *peer, ballot.seq))
        })
    }

    pub(super) fn is_contested(&self) -> bool {
        self.units.values().any(|unit| unit.contested)
    }

    /// Whether anything here may be contested, so that it hangs on other batches what follows.
    pub(super) fn is_loud(&self) -> bool {
        self.is_contested() || !self.leaves_wanted.is_empty() || self.contesting().next().is_some()
    }

    /// Decides what can be decided, where `identities` are those of the job that count.
    /// Returns the standing root if it is overruled while its leaves are withheld.
    pub(super) fn decide(
        &mut self,
        quorum: usize,
        lead: usize,
        anchors: &[PeerId],
        identities: &BTreeSet<PeerId>,
    ) -> Option<Hash> {
        let hidden = self.quorum_root().filter(|root| !self.leaves.contains_key(root));
        let mut overruled = false;
        for unit in self.units.values_mut().filter(|unit| unit.contested) {
            unit.decided = unit.winner(quorum, lead, anchors, identities);
            overruled |= unit.decided.is_some() && unit.decided != unit.stands;
        }
        hidden.filter(|_| overruled)
    }

    /// Decided units with everybody's claim on them.
    pub(super) fn decisions(
        &self,
    ) -> impl Iterator<Item = (u64, Hash, BTreeMap<PeerId, Hash>, BTreeSet<Hash>)> + '_ {
        self.units.iter().filter_map(|(unit, case)| {
            let index = (unit - self.first_unit) as usize;
            let stated = self
                .votes
                .iter()
                .filter_map(|(peer, root)| Some((*peer, *self.leaves.get(root)?.get(index)?)));
            let mut claims: BTreeMap<PeerId, Hash> = stated.collect();
            claims.extend(case.ballots.iter().map(|(peer, ballot)| (*peer, ballot.digest)));
            let echoes = self.echoes.iter().filter_map(|root| self.leaves.get(root)?.get(index));
            Some((*unit, case.decided?, claims, echoes.copied().collect()))
        })
    }

    /// What follows for everybody to see.
    pub(super) fn close(mut self) -> BatchVerdict {
        // An anchor's seal answers every ballot: what stands goes on standing.
        let is_sealed = self.sealed.is_some();
        let units = self.units.iter().filter_map(|(unit, c)| Some((*unit, c.verdict(is_sealed)?)));
        let units: BTreeMap<u64, UnitVerdict> = units.collect();
        // Ballots of independent peers on every unit are worth more than what the submitter says.
        let settled = units.values().filter(|unit| **unit != UnitVerdict::Contested).count();
        if matches!(self.standing, Standing::SelfExecuted { .. }) && settled == self.count {
            self.standing = Standing::Open;
        }
        let effective = self.effective(&units);
        // Under a standing root, what is accepted is that root's own leaf.
        let is_all = matches!(self.standing, Standing::Quorum { .. });
        let mut units = units;
        units.retain(|_, unit| !(is_all && matches!(unit, UnitVerdict::Accepted(_))));
        let verdict = BatchVerdict {
            standing: self.standing,
            leaves_wanted: self.leaves_wanted,
            decide_first: self.decide_first,
            effective,
            units,
            is_sealed: false,
        };
        verdict.latched(self.sealed)
    }

    fn hear_ballots(&mut self, unit: u64, book: &Book, except: &BTreeSet<PeerId>) {
        let index = (unit - self.first_unit) as usize;
        let root = self.quorum_root();
        let known = root.and_then(|root| self.leaves.get(&root)).map(|leaves| leaves[index]);
        let counted = || book.votes().filter(|(peer, _)| !except.contains(peer));
        let stands = known.or_else(|| {
            let shows = |cast: &Cast| root.is_some() && cast.leads_to == root;
            counted().find(|(_, cast)| shows(cast)).map(|(_, cast)| cast.root)
        });
        let ballot = |(peer, cast): (PeerId, &Cast)| {
            let (digest, seq) = (cast.root, cast.seq());
            let contests = root.is_some() && stands != Some(digest);
            let confirmed = book.is_confirmed(peer, except);
            (peer, Ballot { digest, seq, contests, confirmed })
        };
        let ballots: BTreeMap<PeerId, Ballot> = counted().map(ballot).collect();
        // Nothing but proofs, or ballots that count no more: as if nobody had spoken about the unit.
        if !ballots.is_empty() {
            self.units.insert(unit, UnitCase { ballots, stands, ..UnitCase::default() });
        }
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
        self.leaves_wanted.extend(hidden);
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
            Standing::SelfExecuted { root, .. } => (Some(*root), self.leaves.get(root)),
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
    /// Where its batch has no quorum, joined ballots accept a unit; others contest it, and so do
    /// ballots that are joined behind something else.
    fn judge_alone(&mut self, stands: Option<Hash>, joined: usize) {
        self.stands = stands;
        self.contested = 1 < joined;
        for ballot in self.ballots.values_mut() {
            ballot.contests = stands.is_some_and(|digest| digest != ballot.digest);
        }
    }

    fn winner(
        &self,
        quorum: usize,
        lead: usize,
        anchors: &[PeerId],
        identities: &BTreeSet<PeerId>,
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
        let absent = identities.iter().filter(|peer| !self.ballots.contains_key(peer)).count();
        good.iter().find_map(|(digest, votes)| {
            let others = all.iter().filter(|(other, _)| *other != digest);
            let against = others.map(|(_, votes)| *votes).max().unwrap_or(0);
            let ahead = votes.checked_sub(against)?;
            // Who says otherwise and waits for somebody to confirm it is not outvoted yet.
            let waiting = |ballot: &&Ballot| !ballot.confirmed && ballot.digest != *digest;
            let silent = absent + self.ballots.values().filter(waiting).count();
            (quorum <= *votes && (lead <= ahead || silent < ahead)).then_some(*digest)
        })
    }

    fn verdict(&self, is_sealed: bool) -> Option<UnitVerdict> {
        match (self.decided, self.contested && !is_sealed, self.stands) {
            (Some(digest), ..) => Some(UnitVerdict::Decided(digest)),
            (None, true, _) => Some(UnitVerdict::Contested),
            (None, false, Some(digest)) => Some(UnitVerdict::Accepted(digest)),
            (None, false, None) => None,
        }
    }
}
