//! The fold: from books to the verdict, recomputing only what changed or is in conflict.

use std::collections::{BTreeMap, BTreeSet};

use super::book::Book;
use super::contest::{Case, Evidence};
use super::peel::{self, Decision};
use super::verdict::{BatchVerdict, Standing, UnitVerdict, Verdict};
use crate::{About, Gathered, Hash, JobId, PeerId, Plan, Policy, Slot, hash, rank};

type At = (u16, u32);

/// The state between two folds.
#[derive(Clone, Debug)]
pub(super) struct Fold {
    job: JobId,
    policy: Policy,
    submitter: PeerId,
    /// Roots of the units of batches whose stage reads no other, once somebody asked.
    slots: BTreeMap<At, Hash>,
    dirty: BTreeSet<At>,
    /// Units that somebody cast a ballot on, by batch.
    balloted: BTreeMap<At, BTreeSet<u64>>,
    /// Batches that need to be examined unit by unit: with ballots, or with rival roots.
    hot: BTreeSet<At>,
    /// The verdict on every batch as if nobody was convicted and nothing balloted.
    plain: Vec<Vec<BatchVerdict>>,
    /// Batches without an effective root in `plain`, by stage.
    open: Vec<u64>,
    /// Joined voters in `plain`: where, and how many units in all.
    joined: BTreeMap<PeerId, (BTreeSet<At>, u64)>,
    verdict: Verdict,
}

/// Everything that a pass over the books reads.
struct Pass<'a> {
    plan: &'a Plan,
    books: &'a BTreeMap<Slot, Book>,
    except: BTreeSet<PeerId>,
    /// Lone dissents so far: each halves what else the peer may contest.
    lost: BTreeMap<PeerId, u64>,
    /// Batches whose verdict differs from the plain one.
    changed: BTreeMap<At, BatchVerdict>,
    gathered: Vec<Option<Gathered>>,
    decisions: Vec<Decision>,
    /// Identities that cast a confirmed ballot in this stage or an earlier one.
    confirmed: BTreeSet<PeerId>,
    /// What a peer may still contest or audit.
    used: BTreeMap<PeerId, u64>,
    audited: BTreeMap<PeerId, u64>,
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
            balloted: BTreeMap::new(),
            hot: BTreeSet::new(),
            open: plan.stages().map(|s| open_at_first(plan, s)).collect(),
            joined: BTreeMap::new(),
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
        let at = match slot.about {
            About::Batch(batch) => (slot.stage, batch),
            About::Unit(unit) => {
                let at = (slot.stage, plan.partition(slot.stage).batch_of(unit));
                self.balloted.entry(at).or_default().insert(unit);
                at
            }
        };
        self.dirty.insert(at);
    }

    /// Notes that an author was cut off: everything is looked at again.
    pub(super) fn touch_all(&mut self) {
        let all = (0u16..)
            .zip(&self.plain)
            .flat_map(|(s, batches)| (0u32..).zip(batches).map(move |(b, _)| (s, b)));
        self.dirty.extend(all);
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
        equivocators: &BTreeSet<PeerId>,
    ) {
        let dirty = std::mem::take(&mut self.dirty);
        if dirty.is_empty() {
            return;
        }
        for at in &dirty {
            self.judge_plainly(plan, books, *at);
        }
        let (mut convicted, mut lost) = (BTreeMap::new(), BTreeMap::new());
        let pass = loop {
            let except = convicted.keys().copied().collect();
            let pass = self.pass(plan, books, except, lost.clone());
            let may_lose = |peer| {
                1 + self.joined.get(&peer).map_or(0, |(_, units)| *units)
                    / u64::from(self.policy.loss_div)
            };
            let guilty = peel::next(self.job, &pass.decisions, &self.policy.anchors, may_lose);
            if !guilty.is_empty() {
                convicted.extend(guilty);
                continue;
            }
            let now = lone_losses(&pass.decisions);
            if now.iter().all(|(peer, count)| lost.get(peer).is_some_and(|known| count <= known)) {
                break pass;
            }
            for (peer, count) in now {
                let entry: &mut u64 = lost.entry(peer).or_default();
                *entry = count.max(*entry);
            }
        };
        let (changed, gathered) = (pass.changed, pass.gathered);
        let before: Vec<At> = self.changed_before();
        for at in before.into_iter().chain(dirty).filter(|at| !changed.contains_key(at)) {
            self.verdict.stages[usize::from(at.0)][at.1 as usize] =
                self.plain[usize::from(at.0)][at.1 as usize].clone();
        }
        for (at, verdict) in &changed {
            self.verdict.stages[usize::from(at.0)][at.1 as usize].clone_from(verdict);
        }
        let units = |want: fn(&UnitVerdict) -> bool| {
            let of = move |(at, v): (&At, &BatchVerdict)| {
                let stage = at.0;
                let units: Vec<(u16, u64)> = v
                    .units
                    .iter()
                    .filter(|(_, u)| want(u))
                    .map(|(unit, _)| (stage, *unit))
                    .collect();
                units
            };
            changed.iter().flat_map(of).collect()
        };
        self.verdict.contested = units(|unit| *unit == UnitVerdict::Contested);
        self.verdict.decided = units(|unit| matches!(unit, UnitVerdict::Decided(_)));
        let wanted = changed
            .iter()
            .flat_map(|(at, v)| v.leaves_wanted.iter().map(|root| (at.0, at.1, *root)));
        self.verdict.leaves_wanted = wanted.collect();
        self.verdict.convicted = convicted;
        self.verdict.equivocators.clone_from(equivocators);
        // A stage whose inputs changed has other slots, so what was said about it reads differently.
        self.verdict.gathered = gathered;
    }

    /// Batches of the last verdict that may differ from the plain one.
    fn changed_before(&self) -> Vec<At> {
        let convicted = self.verdict.convicted.keys().filter_map(|peer| self.joined.get(peer));
        let touched = convicted.flat_map(|(batches, _)| batches.iter().copied());
        touched.chain(self.hot.iter().copied()).chain(self.dynamic()).collect()
    }

    /// Batches of stages that read another one: their slots depend on the verdict itself.
    fn dynamic(&self) -> impl Iterator<Item = At> + '_ {
        let stages = (0u16..).zip(&self.plain).filter(|(s, _)| self.is_dynamic(*s));
        stages.flat_map(|(stage, batches)| {
            (0u32..).zip(batches).map(move |(batch, _)| (stage, batch))
        })
    }

    fn is_dynamic(&self, stage: u16) -> bool {
        self.open[usize::from(stage)] == DYNAMIC
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

    /// The verdict on a batch of an independent stage by its votes alone.
    fn judge_plainly(&mut self, plan: &Plan, books: &BTreeMap<Slot, Book>, at: At) {
        let (stage, batch) = (usize::from(at.0), at.1 as usize);
        if self.is_dynamic(at.0) {
            return;
        }
        let Some(units) = self.units_root(plan, at, None) else { return };
        let slot = Slot { stage: at.0, about: About::Batch(at.1), units };
        let nobody = BTreeSet::new();
        let certified =
            books.get(&slot).map_or_else(BTreeMap::new, |b| b.certified(self.quorum(), &nobody));
        if 1 < certified.len() || self.balloted.contains_key(&at) {
            self.hot.insert(at);
        } else {
            self.hot.remove(&at);
        }
        let verdict = self.simple(books.get(&slot), certified);
        let size = plan.partition(at.0).units_of(at.1).count() as u64;
        let before = std::mem::replace(&mut self.plain[stage][batch], verdict);
        for voter in voters_of(&before) {
            let entry = self.joined.entry(voter).or_default();
            entry.0.remove(&at);
            entry.1 -= size;
        }
        for voter in voters_of(&self.plain[stage][batch]) {
            let entry = self.joined.entry(voter).or_default();
            entry.0.insert(at);
            entry.1 += size;
        }
        let (was_open, is_open) =
            (before.effective.is_none(), self.plain[stage][batch].effective.is_none());
        self.open[stage] = self.open[stage] - u64::from(was_open) + u64::from(is_open);
    }

    fn quorum(&self) -> usize {
        usize::from(self.policy.quorum)
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

    /// One pass over all stages with some identities left out.
    fn pass<'a>(
        &self,
        plan: &'a Plan,
        books: &'a BTreeMap<Slot, Book>,
        except: BTreeSet<PeerId>,
        lost: BTreeMap<PeerId, u64>,
    ) -> Pass<'a> {
        let mut pass = Pass {
            plan,
            books,
            except,
            lost,
            changed: BTreeMap::new(),
            gathered: Vec::new(),
            decisions: Vec::new(),
            confirmed: BTreeSet::new(),
            used: BTreeMap::new(),
            audited: BTreeMap::new(),
        };
        for stage in plan.stages() {
            let gathered =
                plan.stage(stage).upstream().and_then(|upstream| self.gather(&pass, upstream));
            pass.gathered.push(gathered);
            self.judge_stage(&mut pass, stage);
        }
        pass
    }

    /// What a stage's outcomes are together, once all its batches have some.
    fn gather(&self, pass: &Pass<'_>, stage: u16) -> Option<Gathered> {
        let plain = &self.plain[usize::from(stage)];
        let touched = pass.changed.range((stage, 0)..=(stage, u32::MAX));
        let still_open =
            touched.filter(|((_, b), _)| plain[*b as usize].effective.is_none()).count() as u64;
        if !self.is_dynamic(stage) && still_open < self.open[usize::from(stage)] {
            return None;
        }
        let effective =
            |(batch, plain): (u32, &BatchVerdict)| match pass.changed.get(&(stage, batch)) {
                Some(changed) => changed.effective,
                None => plain.effective,
            };
        let roots: Option<Vec<Hash>> = (0..).zip(plain).map(effective).collect();
        roots.map(|roots| Gathered::new(&roots, pass.plan.partition(stage).units()))
    }

    fn judge_stage(&self, pass: &mut Pass<'_>, stage: u16) {
        let dynamic = pass.plan.stage(stage).upstream().is_some();
        let all = || (0..pass.plan.partition(stage).batches()).map(|batch| (stage, batch));
        let hot: BTreeSet<At> = if dynamic {
            all().collect()
        } else {
            self.hot.range((stage, 0)..=(stage, u32::MAX)).copied().collect()
        };
        let mut void = BTreeSet::new();
        let cases = loop {
            let (mut used, mut confirmed, mut audited) =
                (pass.used.clone(), pass.confirmed.clone(), pass.audited.clone());
            let mut cases: Vec<Case> =
                hot.iter().filter_map(|at| self.open_case(pass, *at, &void)).collect();
            for case in &cases {
                let cast = case.units.values().flat_map(|unit| &unit.ballots);
                confirmed
                    .extend(cast.filter(|(_, ballot)| ballot.confirmed).map(|(peer, _)| *peer));
                let count = case.audited();
                for voter in case.voters().filter(|_| count != 0) {
                    *audited.entry(voter).or_default() += count;
                }
            }
            self.spend_allowances(pass, &mut cases, &audited, &mut used);
            let overruled = self.decide(pass, &mut cases, &confirmed);
            if overruled.iter().all(|root| void.contains(root)) {
                (pass.used, pass.confirmed, pass.audited) = (used, confirmed, audited);
                break cases;
            }
            void.extend(overruled);
        };
        for case in cases {
            let at = (stage, case.batch);
            pass.decisions
                .extend(case.decisions().map(|(unit, won, claims)| ((stage, unit), won, claims)));
            pass.changed.insert(at, case.close());
        }
        self.judge_without_the_convicted(pass, stage, &hot);
    }

    /// Batches in which a convicted peer voted, and which need no other examination.
    fn judge_without_the_convicted(&self, pass: &mut Pass<'_>, stage: u16, hot: &BTreeSet<At>) {
        let voted = pass.except.iter().filter_map(|peer| self.joined.get(peer));
        let affected: BTreeSet<At> =
            voted.flat_map(|(batches, _)| batches.iter().copied()).collect();
        for at in affected.into_iter().filter(|at| at.0 == stage && !hot.contains(at)) {
            let Some(units) = self.slots.get(&at).copied() else { continue };
            let book = pass.books.get(&Slot { stage, about: About::Batch(at.1), units });
            let certified =
                book.map_or_else(BTreeMap::new, |book| book.certified(self.quorum(), &pass.except));
            pass.changed.insert(at, self.simple(book, certified));
        }
    }

    fn open_case(&self, pass: &Pass<'_>, at: At, void: &BTreeSet<(u32, Hash)>) -> Option<Case> {
        let (stage, batch) = at;
        let gathered = pass.gathered[usize::from(stage)];
        let known = self.slots.get(&at).copied();
        let units = known.or_else(|| pass.plan.units_root(stage, batch, gathered))?;
        let book = pass.books.get(&Slot { stage, about: About::Batch(batch), units });
        let unit_books = self.balloted.get(&at).into_iter().flatten().filter_map(|unit| {
            let units = pass.plan.unit_hash(stage, *unit, gathered)?;
            Some((*unit, pass.books.get(&Slot { stage, about: About::Unit(*unit), units })?))
        });
        let evidence = Evidence {
            book,
            unit_books: unit_books.collect(),
            units: pass.plan.partition(stage).units_of(batch),
            quorum: self.quorum(),
            submitter: self.submitter,
        };
        let order = |voters: &BTreeSet<PeerId>| {
            let mut ranks: Vec<Hash> =
                voters.iter().map(|peer| rank(self.job, stage, batch, *peer)).collect();
            ranks.sort();
            ranks.truncate(self.quorum());
            ranks
        };
        let mut case = Case::open(batch, &evidence, &pass.except, void, order);
        if !case.is_standing() {
            for (unit, book) in &evidence.unit_books {
                let joined = book.certified(self.quorum(), &pass.except);
                let first =
                    joined.into_iter().min_by_key(|(digest, voters)| (order(voters), *digest));
                if let Some(unit) = case.units.get_mut(unit) {
                    unit.judge_alone(first.map(|(digest, _)| digest));
                }
            }
        }
        Some(case)
    }

    /// Lets ballots contest, as far as their authors may: one pass over the identities in the order of
    /// a hash, each one's ballots in the order of its log. A ballot on a unit that is in question
    /// already is free.
    fn spend_allowances(
        &self,
        pass: &Pass<'_>,
        cases: &mut [Case],
        audited: &BTreeMap<PeerId, u64>,
        used: &mut BTreeMap<PeerId, u64>,
    ) {
        let mut ballots: BTreeMap<(Hash, PeerId), BTreeSet<(u64, usize, u64)>> = BTreeMap::new();
        for (number, case) in cases.iter().enumerate().filter(|(_, case)| case.is_standing()) {
            for (unit, unit_case) in &case.units {
                for (peer, ballot) in &unit_case.ballots {
                    let turn = hash("allowance", &[self.job.blob().as_bytes(), peer.as_bytes()]);
                    ballots.entry((turn, *peer)).or_default().insert((ballot.seq, number, *unit));
                }
            }
        }
        for ((_, peer), cast) in ballots {
            let earned = 2 + audited.get(&peer).copied().unwrap_or(0).isqrt();
            let halvings = pass.lost.get(&peer).copied().unwrap_or(0).min(63);
            let allowance =
                if self.policy.anchors.contains(&peer) { u64::MAX } else { earned >> halvings };
            for (_, number, unit) in cast {
                let case = cases[number].units.get_mut(&unit).expect("it was just listed");
                let spent = used.entry(peer).or_default();
                if !case.contested && *spent < allowance {
                    *spent += 1;
                    case.contested = !case.ballots[&peer].agrees;
                }
            }
        }
    }

    fn decide(
        &self,
        pass: &Pass<'_>,
        cases: &mut [Case],
        confirmed: &BTreeSet<PeerId>,
    ) -> Vec<(u32, Hash)> {
        let joined = self
            .joined
            .iter()
            .filter(|(_, (batches, _))| !batches.is_empty())
            .map(|(peer, _)| *peer);
        let identities: BTreeSet<PeerId> = joined
            .chain(confirmed.iter().copied())
            .filter(|peer| !pass.except.contains(peer))
            .collect();
        let outsiders = |seen: &BTreeSet<PeerId>| identities.difference(seen).count();
        let mut overruled = Vec::new();
        for case in cases {
            let root = case.decide(
                self.quorum(),
                usize::from(self.policy.lead),
                &self.policy.anchors,
                outsiders,
            );
            overruled.extend(root.map(|root| (case.batch, root)));
        }
        overruled
    }
}

/// Marks stages that read another one in [`Fold::open`].
const DYNAMIC: u64 = u64::MAX;

fn open_at_first(plan: &Plan, stage: u16) -> u64 {
    if plan.stage(stage).upstream().is_some() {
        DYNAMIC
    } else {
        u64::from(plan.partition(stage).batches())
    }
}

fn voters_of(verdict: &BatchVerdict) -> Vec<PeerId> {
    match &verdict.standing {
        Standing::Quorum { voters, .. } => voters.iter().copied().collect(),
        Standing::Open | Standing::SelfExecuted { .. } => Vec::new(),
    }
}

/// On how many decided units a peer stood alone with another outcome.
fn lone_losses(decisions: &[Decision]) -> BTreeMap<PeerId, u64> {
    let mut losses = BTreeMap::new();
    for (_, winner, claims) in decisions {
        for peer in claims.iter().filter(|(_, claim)| *claim != winner).map(|(peer, _)| *peer) {
            *losses.entry(peer).or_default() += 1;
        }
    }
    losses
}
