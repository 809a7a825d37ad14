//! The fold: from books to the verdict, looking again only at what changed or is in question.

use std::collections::{BTreeMap, BTreeSet};

use super::book::Book;
use super::contest::{Case, Evidence};
use super::front::Said;
use super::pass::Pass;
use super::peel::{self, Decision};
use super::verdict::{BatchVerdict, Standing, UnitVerdict, Verdict};
use crate::{About, Gathered, Hash, JobId, PeerId, Plan, Policy, Slot};

/// A batch: its stage and number.
pub(super) type At = (u16, u32);

/// The state between two folds.
#[derive(Clone, Debug)]
pub(super) struct Fold {
    pub(super) job: JobId,
    pub(super) policy: Policy,
    pub(super) submitter: PeerId,
    /// Roots of the units of batches whose stage reads no other, once somebody asked.
    slots: BTreeMap<At, Hash>,
    dirty: BTreeSet<At>,
    equivocators_changed: bool,
    /// Units that somebody spoke about one by one, by batch.
    balloted: BTreeMap<At, BTreeSet<u64>>,
    /// The verdict on every batch of the independent stages as if nobody was convicted; of loud ones
    /// by their votes alone.
    plain: Vec<Vec<BatchVerdict>>,
    /// Batches without an effective root in `plain`, by stage.
    open: Vec<u64>,
    /// Batches that every pass examines: with rival roots, or ballots that contradict what stands.
    loud: BTreeSet<At>,
    /// What batches add to the sums below.
    shares: BTreeMap<At, Share>,
    /// Joined voters of the independent stages: in how many batches, and how many units they
    /// confirmed where no rival quorum is.
    joined: BTreeMap<PeerId, (u64, u64)>,
    /// What the ballots of the batches that are not loud add up to, by stage.
    quiet: Vec<Quiet>,
    /// Batches of the last verdict that may differ from the plain one.
    changed: BTreeSet<At>,
    verdict: Verdict,
}

/// One batch's share in the sums.
#[derive(Clone, Debug, Default)]
struct Share {
    joined: BTreeSet<PeerId>,
    units: u64,
    quiet: Option<QuietShare>,
}

#[derive(Clone, Debug)]
pub(super) struct QuietShare {
    pub(super) confirmed: BTreeSet<PeerId>,
    pub(super) voters: BTreeSet<PeerId>,
    pub(super) audited: u64,
}

/// Sums over the batches of one stage whose ballots all agree with what stands.
#[derive(Clone, Debug, Default)]
pub(super) struct Quiet {
    /// In how many batches a peer has a confirmed ballot.
    pub(super) confirmed: BTreeMap<PeerId, u64>,
    /// How many units for which a peer stands joined were audited by a non-voter.
    pub(super) audited: BTreeMap<PeerId, u64>,
}

impl Fold {
    pub(super) fn new(plan: &Plan) -> Self {
        let plain: Vec<Vec<BatchVerdict>> = plan
            .stages()
            .map(|s| vec![BatchVerdict::default(); plan.partition(s).batches() as usize])
            .collect();
        Self {
            job: plan.manifest().job(),
            policy: plan.manifest().policy.clone(),
            submitter: plan.manifest().submitter,
            slots: BTreeMap::new(),
            dirty: BTreeSet::new(),
            equivocators_changed: false,
            balloted: BTreeMap::new(),
            open: plan.stages().map(|s| u64::from(plan.partition(s).batches())).collect(),
            loud: BTreeSet::new(),
            shares: BTreeMap::new(),
            joined: BTreeMap::new(),
            quiet: vec![Quiet::default(); plain.len()],
            changed: BTreeSet::new(),
            verdict: Verdict {
                stages: plain.clone(),
                gathered: vec![None; plain.len()],
                ..Verdict::default()
            },
            plain,
        }
    }

    pub(super) fn verdict(&self) -> &Verdict {
        &self.verdict
    }

    /// Notes that something was said about a slot.
    pub(super) fn touch(&mut self, plan: &Plan, slot: &Slot) {
        let at = at(plan, slot);
        if let About::Unit(unit) = slot.about {
            self.balloted.entry(at).or_default().insert(unit);
        }
        self.dirty.insert(at);
    }

    /// Notes that somebody has joined the equivocators.
    pub(super) fn touch_equivocators(&mut self) {
        self.equivocators_changed = true;
    }

    /// The slot that a vote has to name now.
    pub(super) fn slot(&mut self, plan: &Plan, stage: u16, about: About) -> Option<Slot> {
        let gathered = self.verdict.gathered[usize::from(stage)];
        let units = match about {
            About::Unit(unit) => plan.unit_hash(stage, unit, gathered)?,
            About::Batch(batch) => self.units_root(plan, (stage, batch), gathered)?,
        };
        Some(Slot { stage, about, units })
    }

    /// The root of a batch's units, if its stage reads no other and somebody asked before.
    pub(super) fn known_units_root(&self, stage: u16, batch: u32) -> Option<Hash> {
        self.slots.get(&(stage, batch)).copied()
    }

    pub(super) fn bring_up_to_date(
        &mut self,
        plan: &Plan,
        books: &BTreeMap<Slot, Book>,
        said: &Said,
        equivocators: &BTreeSet<PeerId>,
    ) {
        let dirty = std::mem::take(&mut self.dirty);
        if dirty.is_empty() && !std::mem::take(&mut self.equivocators_changed) {
            return;
        }
        for at in &dirty {
            self.judge_plainly(plan, books, *at);
        }
        let (mut convicted, mut lost) = (BTreeMap::new(), BTreeMap::new());
        let pass = loop {
            let except: BTreeSet<PeerId> = convicted.keys().copied().collect();
            let pass = Pass::run(self, plan, books, said, except, &lost);
            let may_lose = |peer| 1 + self.confirmed_units(peer) / u64::from(self.policy.loss_div);
            let guilty = peel::next(self.job, &pass.decisions, &self.policy.anchors, may_lose);
            if !guilty.is_empty() {
                convicted.extend(guilty);
                continue;
            }
            let now = losses(&pass.decisions);
            if now.iter().all(|(peer, count)| lost.get(peer).is_some_and(|known| count <= known)) {
                break pass;
            }
            for (peer, count) in now {
                let entry: &mut u64 = lost.entry(peer).or_default();
                *entry = count.max(*entry);
            }
        };
        let (changed, gathered) = (pass.changed, pass.gathered);
        self.verdict.convicted = convicted;
        self.verdict.equivocators.clone_from(equivocators);
        // A stage whose inputs changed has other slots, so what was said about it reads differently.
        self.verdict.gathered = gathered;
        self.show(changed, dirty);
    }

    /// Enters the outcome of the last pass into the verdict.
    fn show(&mut self, changed: BTreeMap<At, BatchVerdict>, dirty: BTreeSet<At>) {
        let before = std::mem::replace(&mut self.changed, changed.keys().copied().collect());
        for at in before.into_iter().chain(dirty).filter(|at| !changed.contains_key(at)) {
            let (stage, batch) = (usize::from(at.0), at.1 as usize);
            self.verdict.stages[stage][batch].clone_from(&self.plain[stage][batch]);
        }
        let units = |want: fn(&UnitVerdict) -> bool| {
            let of = move |(at, v): (&At, &BatchVerdict)| {
                let wanted = v.units.iter().filter(|(_, unit)| want(unit));
                wanted.map(|(unit, _)| (at.0, *unit)).collect::<Vec<(u16, u64)>>()
            };
            changed.iter().flat_map(of).collect()
        };
        self.verdict.contested = units(|unit| *unit == UnitVerdict::Contested);
        self.verdict.decided = units(|unit| matches!(unit, UnitVerdict::Decided(_)));
        let wanted = changed
            .iter()
            .flat_map(|(at, v)| v.leaves_wanted.iter().map(|root| (at.0, at.1, *root)));
        self.verdict.leaves_wanted = wanted.collect();
        for (at, verdict) in changed {
            self.verdict.stages[usize::from(at.0)][at.1 as usize] = verdict;
        }
    }

    pub(super) fn quorum(&self) -> usize {
        usize::from(self.policy.quorum)
    }

    pub(super) fn plain(&self, at: At) -> &BatchVerdict {
        &self.plain[usize::from(at.0)][at.1 as usize]
    }

    /// The plain verdicts of a stage, and how many of them have no effective root.
    pub(super) fn plain_stage(&self, stage: u16) -> (&[BatchVerdict], u64) {
        (&self.plain[usize::from(stage)], self.open[usize::from(stage)])
    }

    pub(super) fn loud(&self, stage: u16) -> impl Iterator<Item = At> + '_ {
        self.loud.range((stage, 0)..=(stage, u32::MAX)).copied()
    }

    pub(super) fn is_loud(&self, at: At) -> bool {
        self.loud.contains(&at)
    }

    /// Sums over the ballots of a stage that are not in loud batches.
    pub(super) fn quiet(&self, stage: u16) -> &Quiet {
        &self.quiet[usize::from(stage)]
    }

    /// What one batch adds to [`Fold::quiet`].
    pub(super) fn quiet_share(&self, at: At) -> Option<&QuietShare> {
        self.shares.get(&at)?.quiet.as_ref()
    }

    /// Identities with a joined vote in an independent stage.
    pub(super) fn joined(&self) -> impl Iterator<Item = PeerId> + '_ {
        self.joined.iter().filter(|(_, (batches, _))| *batches != 0).map(|(peer, _)| *peer)
    }

    pub(super) fn balloted(&self, at: At) -> impl Iterator<Item = u64> + '_ {
        self.balloted.get(&at).into_iter().flatten().copied()
    }

    fn confirmed_units(&self, peer: PeerId) -> u64 {
        self.joined.get(&peer).map_or(0, |(_, units)| *units)
    }

    fn units_root(&mut self, plan: &Plan, at: At, gathered: Option<Gathered>) -> Option<Hash> {
        if plan.stage(at.0).upstream().is_some() {
            return plan.units_root(at.0, at.1, gathered);
        }
        if let Some(root) = self.slots.get(&at) {
            return Some(*root);
        }
        let root = plan.units_root(at.0, at.1, None)?;
        self.slots.insert(at, root);
        Some(root)
    }

    /// The verdict on a batch of an independent stage as if nobody was convicted.
    fn judge_plainly(&mut self, plan: &Plan, books: &BTreeMap<Slot, Book>, at: At) {
        if plan.stage(at.0).upstream().is_some() {
            return;
        }
        let Some(units) = self.units_root(plan, at, None) else { return };
        let book = books.get(&Slot { stage: at.0, about: About::Batch(at.1), units });
        let nobody = BTreeSet::new();
        let certified = book.map_or_else(BTreeMap::new, |b| b.certified(self.quorum(), &nobody));
        let mut share = Share {
            joined: certified.values().flatten().copied().collect(),
            units: 0,
            quiet: None,
        };
        let size = plan.partition(at.0).units_of(at.1).count() as u64;
        let (rivals, balloted) = (1 < certified.len(), self.balloted.contains_key(&at));
        share.units = if rivals { 0 } else { size };
        let mut verdict = self.simple(book, certified);
        let mut is_loud = rivals;
        if balloted && !rivals {
            let evidence = self.evidence(plan, books, at, None, units);
            let case = Case::open(self.job, &evidence, &nobody, &BTreeSet::new());
            is_loud = case.is_loud();
            if !is_loud {
                share.quiet = Some(QuietShare {
                    confirmed: case.confirmed().collect(),
                    voters: case.voters().collect(),
                    audited: case.audited(),
                });
                verdict = case.close();
            }
        }
        if is_loud {
            self.loud.insert(at);
        } else {
            self.loud.remove(&at);
        }
        self.replace(at, verdict, share);
    }

    /// Puts a plain verdict in place of another, and corrects the sums.
    fn replace(&mut self, at: At, verdict: BatchVerdict, share: Share) {
        let stage = usize::from(at.0);
        let before = std::mem::replace(&mut self.plain[stage][at.1 as usize], verdict);
        self.open[stage] += u64::from(self.plain(at).effective.is_none());
        self.open[stage] -= u64::from(before.effective.is_none());
        for peer in &share.joined {
            let entry = self.joined.entry(*peer).or_default();
            *entry = (entry.0 + 1, entry.1 + share.units);
        }
        let quiet = &mut self.quiet[stage];
        if let Some(share) = &share.quiet {
            share.confirmed.iter().for_each(|p| *quiet.confirmed.entry(*p).or_default() += 1);
            let audited = &mut quiet.audited;
            share.voters.iter().for_each(|p| *audited.entry(*p).or_default() += share.audited);
        }
        let Some(old) = self.shares.insert(at, share) else { return };
        for peer in old.joined {
            let entry = self.joined.entry(peer).or_default();
            *entry = (entry.0 - 1, entry.1 - old.units);
        }
        if let Some(old) = old.quiet {
            old.confirmed.iter().for_each(|p| *quiet.confirmed.entry(*p).or_default() -= 1);
            let audited = &mut quiet.audited;
            old.voters.iter().for_each(|p| *audited.entry(*p).or_default() -= old.audited);
        }
    }

    /// What is known of a batch whose slot has these `units`.
    pub(super) fn evidence<'a>(
        &self,
        plan: &Plan,
        books: &'a BTreeMap<Slot, Book>,
        at: At,
        gathered: Option<Gathered>,
        units: Hash,
    ) -> Evidence<'a> {
        let (stage, batch) = at;
        let unit_books = self.balloted(at).filter_map(|unit| {
            let units = plan.unit_hash(stage, unit, gathered)?;
            Some((unit, books.get(&Slot { stage, about: About::Unit(unit), units })?))
        });
        Evidence {
            at,
            book: books.get(&Slot { stage, about: About::Batch(batch), units }),
            unit_books: unit_books.collect(),
            units: plan.partition(stage).units_of(batch),
            quorum: self.quorum(),
            submitter: self.submitter,
        }
    }

    /// The verdict on a batch with at most one certified root and no ballots.
    fn simple(
        &self,
        book: Option<&Book>,
        certified: BTreeMap<Hash, BTreeSet<PeerId>>,
    ) -> BatchVerdict {
        let own = book.and_then(|book| book.vote_of(self.submitter));
        let standing = match (certified.into_iter().next(), own) {
            (Some((root, voters)), _) => Standing::Quorum { root, voters },
            (None, Some(cast)) => Standing::SelfExecuted { root: cast.root, by: self.submitter },
            (None, None) => Standing::Open,
        };
        let effective = match &standing {
            Standing::Quorum { root, .. } | Standing::SelfExecuted { root, .. } => Some(*root),
            Standing::Open => None,
        };
        BatchVerdict { standing, effective, ..BatchVerdict::default() }
    }
}

/// The batch that a slot is, or is a unit of.
pub(super) fn at(plan: &Plan, slot: &Slot) -> At {
    match slot.about {
        About::Batch(batch) => (slot.stage, batch),
        About::Unit(unit) => (slot.stage, plan.partition(slot.stage).batch_of(unit)),
    }
}

/// On how many decided units a peer stated another outcome.
fn losses(decisions: &[Decision]) -> BTreeMap<PeerId, u64> {
    let mut losses = BTreeMap::new();
    for (_, winner, claims) in decisions {
        for peer in claims.iter().filter(|(_, claim)| *claim != winner).map(|(peer, _)| *peer) {
            *losses.entry(peer).or_default() += 1;
        }
    }
    losses
}
