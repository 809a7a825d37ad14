//! Contests counted once more, from what the logs say and not from how the ledger counts.

use std::collections::{BTreeMap, BTreeSet};

use protocol::{About, Book, Hash, Ledger, PeerId, Standing, UnitVerdict};

use crate::rules::unit_book;

/// **A contest waits for whoever has a say and is silent, and for nobody else.** Who has a say is bounded from
/// both sides: whoever stands joined with others has one, and nobody of whose votes no proof was ever shown.
pub(crate) fn silence_counts(ledger: &Ledger) -> Option<String> {
    let verdict = ledger.last_verdict();
    let decided = verdict.decided.iter().find_map(|at| {
        let silent = |count: &Count| with_a_say(ledger, at.0).difference(&count.spoken).count();
        let count = Count::of(ledger, *at)?;
        let winner = winner(ledger, *at)?;
        let ahead = count.all(winner).checked_sub(count.against(winner));
        let may_be = ahead.is_some_and(|ahead| count.lead <= ahead || silent(&count) < ahead);
        let what = format!("stage {} unit {} is decided while others may speak", at.0, at.1);
        (!may_be).then_some(what)
    });
    decided.or_else(|| {
        let others = || perhaps_with_a_say(ledger);
        verdict.contested.iter().find_map(|at| {
            let count = Count::of(ledger, *at)?;
            let is_due = count.all.keys().any(|digest| {
                let good = count.confirmed(*digest);
                let ahead = good.checked_sub(count.against(*digest));
                let unconfirmed = count.spoken.len() - count.confirmed.values().sum::<usize>();
                let silent = || others().difference(&count.spoken).count() + unconfirmed;
                count.quorum <= good
                    && ahead.is_some_and(|ahead| count.lead <= ahead || silent() < ahead)
            });
            let what = format!("stage {} unit {} waits for people who have no say", at.0, at.1);
            is_due.then_some(what)
        })
    })
}

/// **Rival roots are told apart by one unit each**: no more units of a batch are put first than there are
/// other roots.
pub(crate) fn one_unit_first(ledger: &Ledger) -> Option<String> {
    let verdict = ledger.last_verdict();
    let at = verdict.contested.iter().find(|(stage, unit)| {
        let batch = ledger.plan().partition(*stage).batch_of(*unit);
        let first = verdict.batch(*stage, batch).decide_first.len();
        let slot = ledger.slot(*stage, About::Batch(batch));
        let book = slot.and_then(|slot| ledger.book(&slot));
        let roots: BTreeSet<Hash> =
            book.into_iter().flat_map(Book::votes).map(|(_, cast)| cast.root).collect();
        1 < roots.len() && roots.len() <= first
    });
    at.map(|(stage, unit)| format!("the units about stage {stage} unit {unit} are all put first"))
}

/// The ballots on one unit that no anchor has spoken about.
struct Count {
    quorum: usize,
    lead: usize,
    spoken: BTreeSet<PeerId>,
    all: BTreeMap<Hash, usize>,
    confirmed: BTreeMap<Hash, usize>,
}

impl Count {
    fn of(ledger: &Ledger, (stage, unit): (u16, u64)) -> Option<Self> {
        let policy = &ledger.plan().manifest().policy;
        let (quorum, lead) = (usize::from(policy.quorum), usize::from(policy.lead));
        let mut count = Self {
            quorum,
            lead,
            spoken: BTreeSet::new(),
            all: BTreeMap::new(),
            confirmed: BTreeMap::new(),
        };
        let Some((_, book)) = unit_book(ledger, stage, unit) else { return Some(count) };
        if policy.anchors.iter().any(|anchor| book.vote_of(*anchor).is_some()) {
            return None;
        }
        let convicted = &ledger.last_verdict().convicted;
        for (peer, cast) in book.votes().filter(|(peer, _)| !convicted.contains_key(peer)) {
            let mut others = ledger.authors().filter(|by| !convicted.contains_key(by));
            let is_confirmed = others.any(|by| by != peer && book.is_shown(peer, by));
            count.spoken.insert(peer);
            *count.all.entry(cast.root).or_default() += 1;
            *count.confirmed.entry(cast.root).or_default() += usize::from(is_confirmed);
        }
        Some(count)
    }

    fn all(&self, digest: Hash) -> usize {
        self.all.get(&digest).copied().unwrap_or(0)
    }

    fn confirmed(&self, digest: Hash) -> usize {
        self.confirmed.get(&digest).copied().unwrap_or(0)
    }

    fn against(&self, digest: Hash) -> usize {
        let others = self.all.iter().filter(|(other, _)| **other != digest);
        others.map(|(_, count)| *count).max().unwrap_or(0)
    }
}

fn winner(ledger: &Ledger, (stage, unit): (u16, u64)) -> Option<Hash> {
    let batch = ledger.plan().partition(stage).batch_of(unit);
    match ledger.last_verdict().batch(stage, batch).units.get(&unit)? {
        UnitVerdict::Decided(digest) => Some(*digest),
        UnitVerdict::Accepted(_) | UnitVerdict::Contested => None,
    }
}

/// Who surely has a say: a voter for an outcome that stands, up to this stage.
fn with_a_say(ledger: &Ledger, stage: u16) -> BTreeSet<PeerId> {
    let verdict = ledger.last_verdict();
    let batches = (0..=stage).flat_map(|stage| verdict.batches(stage));
    let voters = batches.filter_map(|of| match &of.standing {
        Standing::Quorum { voters, .. } => Some(voters),
        Standing::Open | Standing::SelfExecuted { .. } => None,
    });
    voters.flatten().copied().filter(|peer| !verdict.is_faulty(*peer)).collect()
}

/// Everybody who may have a say: a proof of some vote of theirs was published by somebody else.
fn perhaps_with_a_say(ledger: &Ledger) -> BTreeSet<PeerId> {
    let (verdict, quorum) = (ledger.last_verdict(), ledger.plan().manifest().policy.quorum);
    let of_book = |book: &Book| -> Vec<PeerId> {
        let voters = book.votes().map(|(peer, _)| peer);
        voters.filter(|peer| quorum < 2 || book.is_vouched_for(*peer)).collect()
    };
    let all = ledger.books().flat_map(|(_, book)| of_book(book));
    all.filter(|peer| !verdict.convicted.contains_key(peer)).collect()
}
