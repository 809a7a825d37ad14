//! The chronicle: after a world has ended, all its steps are read once more in the order in which they were
//! said, to see which rare things came to pass on the way.

use std::collections::{BTreeMap, BTreeSet};

use protocol::{
    About, Assurance, BatchVerdict, Cast, Hash, Inserted, Ledger, Message, PeerId, Signed, Slot,
    Standing, Step, StepId, UnitVerdict, Verdict,
};

use crate::promise::Promise;
use crate::rules::{fork_voids_little, unit_book};
use crate::world::World;

/// Every step that was ever sent, in the order of their first sending.
#[derive(Debug, Default)]
pub(crate) struct Record {
    known: BTreeSet<StepId>,
    pub(crate) steps: Vec<Signed<Step>>,
}

impl Record {
    pub(crate) fn keep(&mut self, message: &Message) {
        let Message::Steps(steps) = message else { return };
        for step in steps {
            if self.known.insert(step.id()) {
                self.steps.push(step.clone());
            }
        }
    }
}

/// What was seen of one job so far.
#[derive(Debug, Default)]
struct Seen {
    last: Verdict,
    /// Roots that ever stood, by batch.
    stood: BTreeSet<(u16, u32, Hash)>,
    /// Batches for which something wrong ever stood.
    wrong: BTreeSet<(u16, u32)>,
}

impl World {
    /// Reads everything once more and sets the marks.
    pub(crate) fn read_chronicle(&mut self) {
        for number in 0..self.truths.len() {
            let job = self.truths[number].job;
            let mut ledger = Ledger::new(self.truths[number].plan.clone());
            let mut seen = Seen { last: ledger.verdict().clone(), ..Seen::default() };
            let steps = self.record.steps.iter().filter(|step| step.value().job == job);
            for step in steps.cloned().collect::<Vec<_>>() {
                match ledger.insert(step) {
                    Ok(Inserted::New) => {}
                    Ok(Inserted::Fork) => {
                        if let Some(what) = fork_voids_little(&ledger, &self.record.steps) {
                            self.broken(Promise::ForkVoidsLittle, format!("j{number}: {what}"));
                        }
                    }
                    Ok(Inserted::Known) | Err(_) => continue,
                    Ok(Inserted::TooFarAhead) => {
                        self.watch.mark("steps too far ahead");
                        continue;
                    }
                }
                if *ledger.verdict() != seen.last {
                    if let Some((promise, what)) = self.check_rules(&ledger) {
                        self.broken(promise, format!("j{number}: {what}"));
                    }
                    self.compare(number, &mut seen, &ledger);
                    seen.last = ledger.last_verdict().clone();
                }
            }
            self.conclude(number, &seen, &ledger);
            if !self.scenario.is_staged(number)
                && let Some(what) = self.honest_prevail(number, &ledger)
            {
                self.broken(Promise::HonestPrevail, format!("j{number}: {what}"));
            }
        }
    }

    /// What has changed with one step.
    fn compare(&mut self, number: usize, seen: &mut Seen, ledger: &Ledger) {
        let (new, truth) = (ledger.last_verdict(), &self.truths[number]);
        if new.weakest(&truth.plan) == Assurance::Final {
            if let Some(what) = unearned(ledger) {
                self.broken(Promise::FinalIsEarned, format!("j{number}: {what}"));
                return;
            }
            self.watch.mark("finals");
        }
        let (truth, watch) = (&self.truths[number], &mut self.watch);
        for at in new.contested.difference(&seen.last.contested) {
            let has_rivals = has_rivals(ledger, *at);
            watch.mark(if has_rivals { "contests by rival roots" } else { "contests by ballots" });
        }
        for at in new.decided.difference(&seen.last.decided) {
            watch.mark(decided_by(ledger, *at));
        }
        for (_, conviction) in
            new.convicted.iter().filter(|(peer, _)| !seen.last.convicted.contains_key(peer))
        {
            watch.mark(if conviction.colluded { "shared convictions" } else { "lone convictions" });
        }
        if !new.leaves_wanted.is_empty() && seen.last.leaves_wanted.is_empty() {
            watch.mark("leaves wanted");
        }
        for stage in truth.plan.stages() {
            for (batch, (new, old)) in
                (0..).zip(new.batches(stage).iter().zip(seen.last.batches(stage)))
            {
                if new == old {
                    continue;
                }
                if old.effective.is_some() && new.effective.is_none() {
                    watch.mark("batches re-opened");
                }
                let (now, before) = (standing_root(new), standing_root(old));
                if now == before {
                    continue;
                }
                let Some(root) = now else { continue };
                let units = truth.plan.partition(stage).units_of(batch);
                if truth.root(stage, units).is_some_and(|right| right != root) {
                    seen.wrong.insert((stage, batch));
                }
                if !seen.stood.insert((stage, batch, root)) {
                    watch.mark("fallen roots that stand again");
                }
            }
        }
    }

    /// What is true at the end.
    fn conclude(&mut self, number: usize, seen: &Seen, ledger: &Ledger) {
        let (verdict, truth) = (ledger.last_verdict(), &self.truths[number]);
        let watch = &mut self.watch;
        verdict.equivocators.iter().for_each(|_| watch.mark("forks seen"));
        for stage in truth.plan.stages() {
            for (batch, of) in (0..).zip(verdict.batches(stage)) {
                if of.is_sealed && standing_root(of) != of.effective {
                    watch.mark("seals that hold what votes no longer carry");
                }
                let alone = of.units.values().any(|unit| matches!(unit, UnitVerdict::Accepted(_)));
                if of.standing == Standing::Open && alone {
                    watch.mark("units accepted by ballots alone");
                }
                let units = truth.plan.partition(stage).units_of(batch);
                let right = truth.root(stage, units);
                if seen.wrong.contains(&(stage, batch)) && right.is_some() && of.effective == right
                {
                    watch.mark("wrong outcomes that were decided away");
                }
            }
        }
        for (slot, book) in ledger.books() {
            let is_audit = |(peer, cast): &(PeerId, &Cast)| {
                !cast.path.is_empty()
                    && book.is_vouched_for(*peer)
                    && is_hidden(ledger, slot, *peer)
            };
            if matches!(slot.about, About::Unit(_)) {
                book.votes().filter(is_audit).for_each(|_| watch.mark("audits confirmed"));
            }
        }
    }
}

/// **Nothing is final before enough others have audited it**: as many as the lead, each of whom has a ballot
/// that somebody else confirms on a unit of a batch that it did not vote on and that the voter stands for.
fn unearned(ledger: &Ledger) -> Option<String> {
    let (plan, verdict) = (ledger.plan(), ledger.last_verdict());
    let mut auditors: BTreeMap<PeerId, BTreeSet<PeerId>> = BTreeMap::new();
    for (slot, book) in ledger.books() {
        let About::Unit(unit) = slot.about else { continue };
        let batch = plan.partition(slot.stage).batch_of(unit);
        let Standing::Quorum { voters, .. } = &verdict.batch(slot.stage, batch).standing else {
            continue;
        };
        let audits = book.votes().filter(|(peer, _)| book.is_vouched_for(*peer));
        for (peer, _) in audits.filter(|(peer, _)| is_hidden(ledger, slot, *peer)) {
            voters.iter().for_each(|voter| {
                auditors.entry(*voter).or_default().insert(peer);
            });
        }
    }
    let lead = usize::from(plan.manifest().policy.lead);
    let voter = verdict.audited.keys().find(|voter| {
        let by = auditors.get(voter).map_or(0, BTreeSet::len);
        by < lead
    })?;
    Some(format!("{voter} has no {lead} auditors and its outcomes are final"))
}

fn standing_root(of: &BatchVerdict) -> Option<Hash> {
    match &of.standing {
        Standing::Quorum { root, .. } => Some(*root),
        Standing::Open | Standing::SelfExecuted { .. } => None,
    }
}

fn has_rivals(ledger: &Ledger, (stage, unit): (u16, u64)) -> bool {
    let batch = ledger.plan().partition(stage).batch_of(unit);
    let of = ledger.last_verdict().batch(stage, batch);
    !of.decide_first.is_empty()
}

/// Whether who has cast a ballot did not vote on its batch.
fn is_hidden(ledger: &Ledger, slot: &Slot, peer: PeerId) -> bool {
    let About::Unit(unit) = slot.about else { return false };
    let batch = ledger.plan().partition(slot.stage).batch_of(unit);
    let of_batch = ledger.slot(slot.stage, About::Batch(batch));
    of_batch.and_then(|slot| ledger.book(&slot)?.vote_of(peer)).is_none()
}

/// What has decided a contest.
fn decided_by(ledger: &Ledger, (stage, unit): (u16, u64)) -> &'static str {
    let policy = &ledger.plan().manifest().policy;
    let Some((_, book)) = unit_book(ledger, stage, unit) else { return "contests decided" };
    if policy.anchors.iter().any(|anchor| book.vote_of(*anchor).is_some()) {
        return "contests decided by an anchor";
    }
    let mut ballots: BTreeMap<Hash, usize> = BTreeMap::new();
    for (_, cast) in book.votes() {
        *ballots.entry(cast.root).or_default() += 1;
    }
    let mut counts: Vec<usize> = ballots.into_values().collect();
    counts.sort_unstable_by(|a, b| b.cmp(a));
    let lead = counts.first().unwrap_or(&0) - counts.get(1).unwrap_or(&0);
    if usize::from(policy.lead) <= lead {
        "contests decided by lead"
    } else {
        "contests decided by silence"
    }
}
