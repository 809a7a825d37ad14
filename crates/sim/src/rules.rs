//! Promises about the verdict itself, checked on the chronicle by other means than the ledger's own.

use std::collections::{BTreeMap, BTreeSet};

use protocol::{
    About, Book, Item, Ledger, PeerId, Signed, Slot, Standing, Step, UnitVerdict, merkle_root_by,
};

use crate::liars::LiarKind;
use crate::promise::Promise;
use crate::recount::{one_unit_first, silence_counts};
use crate::world::World;

/// A rule that is broken, and how.
pub(crate) type Broken = Option<(Promise, String)>;

impl World {
    /// Checks a job's verdict after one more step.
    pub(crate) fn check_rules(&self, ledger: &Ledger) -> Broken {
        self.copiers_joined(ledger)
            .or_else(|| few_contests(ledger).map(|what| (Promise::FewContests, what)))
            .or_else(|| paths_answer(ledger).map(|what| (Promise::PathsAnswer, what)))
            .or_else(|| together(ledger).map(|what| (Promise::ConvictedTogether, what)))
            .or_else(|| silence_counts(ledger).map(|what| (Promise::SilenceCounts, what)))
            .or_else(|| one_unit_first(ledger).map(|what| (Promise::OneUnitFirst, what)))
            .or_else(|| decisions_hold(ledger).map(|what| (Promise::DecisionsHold, what)))
    }

    /// **Who has not executed is joined with nobody**: a copier's seal hides nothing that others could prove,
    /// unless somebody leaks.
    fn copiers_joined(&self, ledger: &Ledger) -> Broken {
        let is_leaky = self.scenario.liars.iter().any(|liars| liars.kind == LiarKind::Leaker);
        let is_copier = |peer: &PeerId| {
            let index = self.names.peers.get(peer);
            index.is_some_and(|index| self.scenario.liar(*index) == Some(LiarKind::Copier))
        };
        // With a quorum of one nobody has to be joined.
        if is_leaky || ledger.plan().manifest().policy.quorum < 2 {
            return None;
        }
        let verdict = ledger.last_verdict();
        let batches = ledger.plan().stages().flat_map(|stage| verdict.batches(stage));
        let copier = batches.into_iter().find_map(|of| match &of.standing {
            Standing::Quorum { voters, .. } => voters.iter().find(|peer| is_copier(peer)),
            Standing::Open | Standing::SelfExecuted { .. } => None,
        })?;
        let what = format!("{} stands joined", self.names.peer(*copier));
        Some((Promise::NoCopierJoined, what))
    }

    /// **In the end the honest prevail**, where they outnumber those who lie together two to one: nobody honest
    /// is convicted, and no unit is decided wrongly.
    pub(crate) fn honest_prevail(&self, number: usize, ledger: &Ledger) -> Option<String> {
        let spec = &self.truths[number].spec;
        let named = |index: usize| spec.submitter == index || spec.co_anchors.contains(&index);
        let honest = self.nodes.iter().filter(|node| node.is_honest() && !named(node.index));
        if honest.count() <= self.scenario.colluders() * 2 || spec.quorum < 2 {
            return None;
        }
        let verdict = ledger.last_verdict();
        let is_honest = |peer: &&PeerId| {
            let index = self.names.peers.get(*peer);
            index.is_some_and(|index| self.nodes[*index].is_honest())
        };
        if let Some(peer) = verdict.convicted.keys().find(is_honest) {
            return Some(format!("{} is convicted at the end", self.names.peer(*peer)));
        }
        let truth = &self.truths[number];
        for stage in truth.plan.stages() {
            for of in verdict.batches(stage) {
                for (unit, verdict) in &of.units {
                    let right = truth.root(stage, *unit..*unit + 1);
                    let UnitVerdict::Decided(digest) = verdict else { continue };
                    if right.is_some_and(|right| right != protocol::merkle_root(&[*digest])) {
                        return Some(format!("stage {stage} unit {unit} is decided wrongly"));
                    }
                }
            }
        }
        None
    }
}

/// **Nobody alone puts more in question than it may**: two units, and the root of how many units of its work
/// others may have audited at most.
fn few_contests(ledger: &Ledger) -> Option<String> {
    let (plan, verdict) = (ledger.plan(), ledger.last_verdict());
    let anchors = &plan.manifest().policy.anchors;
    let mut alone: BTreeMap<PeerId, u64> = BTreeMap::new();
    for (stage, unit) in &verdict.contested {
        let batch = plan.partition(*stage).batch_of(*unit);
        if !verdict.batch(*stage, batch).decide_first.is_empty() {
            continue;
        }
        let Some((_, book)) = unit_book(ledger, *stage, *unit) else { continue };
        let mut by = book.votes().map(|(peer, _)| peer);
        if let (Some(peer), None) = (by.next(), by.next())
            && !anchors.contains(&peer)
        {
            *alone.entry(peer).or_default() += 1;
        }
    }
    let may = |peer| 2 + audited_units(ledger, peer).isqrt();
    let (peer, count) = alone.into_iter().find(|(peer, count)| may(*peer) < *count)?;
    Some(format!("{peer} alone contests {count} units"))
}

/// On how many units of batches that a peer voted on somebody who did not has a ballot that is vouched for.
fn audited_units(ledger: &Ledger, peer: PeerId) -> u64 {
    let audited = ledger.books().filter(|(slot, book)| {
        let About::Unit(unit) = slot.about else { return false };
        let batch = ledger.plan().partition(slot.stage).batch_of(unit);
        let slot = ledger.slot(slot.stage, About::Batch(batch));
        let voted = slot.and_then(|slot| ledger.book(&slot));
        voted.is_some_and(|voted| {
            let is_audit = |by: PeerId| voted.vote_of(by).is_none() && book.is_vouched_for(by);
            voted.vote_of(peer).is_some() && book.votes().any(|(by, _)| is_audit(by))
        })
    });
    audited.count() as u64
}

/// **What is decided takes effect**: no batch keeps a root against which a unit of it was decided, unless an
/// anchor has sealed it; least of all one whose leaves are withheld.
fn decisions_hold(ledger: &Ledger) -> Option<String> {
    let (plan, verdict) = (ledger.plan(), ledger.last_verdict());
    for (stage, unit) in &verdict.decided {
        let partition = plan.partition(*stage);
        let (batch, units) =
            (partition.batch_of(*unit), partition.units_of(partition.batch_of(*unit)));
        let of = verdict.batch(*stage, batch);
        let Some(UnitVerdict::Decided(digest)) = of.units.get(unit) else { continue };
        let Standing::Quorum { root, .. } = &of.standing else { continue };
        if of.is_sealed || of.effective != Some(*root) {
            continue;
        }
        let at = (*unit - units.start) as usize;
        let count = (units.end - units.start) as usize;
        let slot = ledger.slot(*stage, About::Batch(batch));
        let leaves = slot.and_then(|slot| ledger.book(&slot)?.leaves_of(*root));
        let is_leaf = leaves.is_some_and(|leaves| leaves[at] == *digest);
        let leads_there = |cast: &protocol::Cast| {
            cast.root == *digest && merkle_root_by(&cast.path, cast.root, at, count) == Some(*root)
        };
        let book = unit_book(ledger, *stage, *unit).map(|(_, book)| book);
        let mut ballots = book.into_iter().flat_map(Book::votes);
        if !is_leaf && !ballots.any(|(_, cast)| leads_there(cast)) {
            return Some(format!("stage {stage} batch {batch} keeps its root against unit {unit}"));
        }
    }
    None
}

/// **A ballot with a path to the standing root contests nothing**.
fn paths_answer(ledger: &Ledger) -> Option<String> {
    let (plan, verdict) = (ledger.plan(), ledger.last_verdict());
    let (stage, unit) = verdict.contested.iter().copied().find(|(stage, unit)| {
        let partition = plan.partition(*stage);
        let batch = partition.batch_of(*unit);
        let of = verdict.batch(*stage, batch);
        let Standing::Quorum { root, .. } = &of.standing else { return false };
        let units = partition.units_of(batch);
        let at = (*unit - units.start) as usize;
        let count = (units.end - units.start) as usize;
        let Some((_, book)) = unit_book(ledger, *stage, *unit) else { return false };
        let agrees =
            |cast: &protocol::Cast| merkle_root_by(&cast.path, cast.root, at, count) == Some(*root);
        of.decide_first.is_empty()
            && book.votes().next().is_some()
            && book.votes().all(|(_, cast)| agrees(cast))
    })?;
    Some(format!("stage {stage} unit {unit} is contested by agreeing ballots"))
}

/// **Who state one wrong thing are convicted together**.
fn together(ledger: &Ledger) -> Option<String> {
    let verdict = ledger.last_verdict();
    let anchors = &ledger.plan().manifest().policy.anchors;
    for (peer, conviction) in &verdict.convicted {
        for (stage, unit) in &conviction.units {
            let Some((_, book)) = unit_book(ledger, *stage, *unit) else { continue };
            let Some(own) = book.vote_of(*peer).map(|cast| cast.root) else { continue };
            let free = book.votes().find(|(other, cast)| {
                cast.root == own
                    && !verdict.convicted.contains_key(other)
                    && !anchors.contains(other)
            });
            if let Some((other, _)) = free {
                return Some(format!("{peer} is convicted without {other}"));
            }
        }
    }
    None
}

/// **A fork voids no vote before it**: votes on batches in steps before an author's first contradiction stand.
pub(crate) fn fork_voids_little(ledger: &Ledger, steps: &[Signed<Step>]) -> Option<String> {
    let heads = ledger.heads(false);
    let next: BTreeMap<PeerId, u64> = heads.heads.iter().map(|h| (h.author, h.next)).collect();
    let forked: BTreeSet<PeerId> = heads.forked.iter().map(|fork| fork.author).collect();
    for step in steps {
        let (author, value) = (step.author(), step.value());
        let read = next.get(&author).copied().unwrap_or(0);
        // Of two steps with one number only one was read; those before the last are not in doubt.
        if value.job != ledger.plan().manifest().job()
            || !forked.contains(&author)
            || read <= value.seq + 1
        {
            continue;
        }
        for item in &value.items {
            let Item::Vote(vote) = item else { continue };
            let stands = ledger.book(&vote.slot).is_some_and(|book| book.vote_of(author).is_some());
            if matches!(vote.slot.about, About::Batch(_)) && !stands {
                return Some(format!("the vote in step {} of {author} is void", value.seq));
            }
        }
    }
    None
}

/// What was said about a unit in the slot that counts now.
pub(crate) fn unit_book(ledger: &Ledger, stage: u16, unit: u64) -> Option<(Slot, &Book)> {
    let slot = ledger.slot(stage, About::Unit(unit))?;
    Some((slot, ledger.book(&slot)?))
}
