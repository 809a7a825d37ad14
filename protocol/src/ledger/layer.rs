//! The verdict on every batch by itself, as if some identities had never voted.
//!
//! What hangs on other batches, because somebody may contest it, is left to a [`super::pass::Pass`].

use std::collections::{BTreeMap, BTreeSet};

use super::book::Book;
use super::books::Books;
use super::contest::{Case, Evidence};
use super::front::Logs;
use super::log::Log;
use super::share::{Part, Quiet, Share};
use super::verdict::{BatchVerdict, Standing};
use crate::{About, Hash, JobId, PeerId, Plan, Policy, Ranks, Roots, Slot, Stamp, merkle_root};

/// A batch: its stage and number.
pub(super) type At = (u16, u32);

/// What to judge anew: all of a batch, or some of its units.
pub(super) type Dirty = BTreeMap<At, Option<BTreeSet<u64>>>;

/// What of the manifest a verdict hangs on.
#[derive(Clone, Debug)]
pub(super) struct Rules {
    pub(super) job: JobId,
    pub(super) policy: Policy,
    pub(super) submitter: PeerId,
}

impl Rules {
    pub(super) fn quorum(&self) -> usize {
        usize::from(self.policy.quorum)
    }
}

/// What there is to judge.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ground<'a> {
    pub(super) rules: &'a Rules,
    pub(super) plan: &'a Plan,
    pub(super) books: &'a Books,
    /// Identity stamps, in jobs that ask for them.
    pub(super) stamps: &'a BTreeMap<PeerId, Stamp>,
}

impl<'a> Ground<'a> {
    /// The slot of a batch where these roots stand; `None` until its units are known.
    pub(super) fn batch_slot(&self, (stage, batch): At, roots: &impl Roots) -> Option<Slot> {
        let range = self.plan.partition(stage).units_of(batch);
        let gathered = self.plan.gathered(stage, range, roots);
        let units = self.plan.units_root(stage, batch, gathered)?;
        Some(Slot { stage, about: About::Batch(batch), units })
    }

    /// The slot of a unit where these roots stand; `None` until it is known.
    pub(super) fn unit_slot(&self, stage: u16, unit: u64, roots: &impl Roots) -> Option<Slot> {
        let gathered = self.plan.gathered(stage, unit..unit + 1, roots);
        let units = self.plan.unit_root(stage, unit, gathered)?;
        Some(Slot { stage, about: About::Unit(unit), units })
    }

    /// What is known of a batch; `None` until its units are known.
    pub(super) fn evidence(&self, at: At, roots: &impl Roots) -> Option<Evidence<'a>> {
        let (stage, batch) = at;
        let own = self.batch_slot(at, roots)?;
        let range = self.plan.partition(stage).units_of(batch);
        let spoken = self.books.of_units(stage, range.clone());
        // Whoever makes up slots of a unit makes us look for its right one once.
        let mut right: Option<(u64, Option<Slot>)> = None;
        let unit_books = spoken.filter_map(|(slot, book)| {
            let About::Unit(unit) = slot.about else { return None };
            let known = right.filter(|(of, _)| *of == unit);
            let (_, own) =
                *right.insert(known.unwrap_or_else(|| (unit, self.unit_slot(stage, unit, roots))));
            (own? == *slot).then_some((unit, book))
        });
        Some(Evidence {
            at,
            book: self.books.get(&own),
            unit_books: unit_books.collect(),
            units: range,
            quorum: self.rules.quorum(),
            submitter: self.rules.submitter,
            ranks: self.ranks(),
        })
    }

    fn ranks(&self) -> Ranks<'a> {
        let Rules { job, ref policy, .. } = *self.rules;
        Ranks { job, level: policy.level, stamps: self.stamps }
    }
}

/// The batches of all stages without the votes of `except`, each by the votes on it alone; what a stage reads
/// is what so stands.
#[derive(Clone, Debug)]
pub(super) struct Layer {
    pub(super) except: BTreeSet<PeerId>,
    /// Of loud batches by their votes alone.
    verdicts: Vec<Vec<BatchVerdict>>,
    /// Batches without an effective root in `verdicts`, by stage.
    open: Vec<u64>,
    /// The roots of stages that are read and have no such batch.
    whole: Vec<Option<Hash>>,
    /// Stages whose root has to be made anew.
    stale: BTreeSet<u16>,
    /// Batches that every pass examines: with rival roots, or ballots that contradict what stands.
    loud: BTreeSet<At>,
    /// What batches add to the sums below.
    shares: BTreeMap<At, Share>,
    /// Joined voters: in how many batches, and how many units they confirmed where no rival is.
    joined: BTreeMap<PeerId, (u64, u64)>,
    /// What the ballots of the batches that are not loud add up to, by stage.
    quiet: Vec<Quiet>,
}

impl Layer {
    /// Nothing said, nobody left out.
    pub(super) fn new(plan: &Plan) -> Self {
        let verdicts: Vec<Vec<BatchVerdict>> = plan
            .stages()
            .map(|s| vec![BatchVerdict::default(); plan.partition(s).batches() as usize])
            .collect();
        Self {
            except: BTreeSet::new(),
            open: plan.stages().map(|s| u64::from(plan.partition(s).batches())).collect(),
            whole: vec![None; verdicts.len()],
            stale: BTreeSet::new(),
            loud: BTreeSet::new(),
            shares: BTreeMap::new(),
            joined: BTreeMap::new(),
            quiet: vec![Quiet::default(); verdicts.len()],
            verdicts,
        }
    }

    /// The same, if all of `except`, and not only those who are left out here, had never voted.
    pub(super) fn without(
        &self,
        ground: Ground<'_>,
        logs: &Logs,
        except: BTreeSet<PeerId>,
    ) -> Self {
        let more = except.iter().filter(|peer| !self.except.contains(peer));
        let spoken = more.filter_map(|peer| logs.get(peer)).flat_map(Log::slots);
        let touched = spoken.map(|slot| (at(ground.plan, &slot), None)).collect();
        let mut layer = Self { except, ..self.clone() };
        layer.judge(ground, touched);
        layer
    }

    /// Judges batches anew of which somebody has spoken, about some of their units only where these are named,
    /// and all that read what has changed. Returns which batches were judged.
    pub(super) fn judge(&mut self, ground: Ground<'_>, dirty: Dirty) -> BTreeSet<At> {
        let mut todo = dirty;
        let mut judged = BTreeSet::new();
        loop {
            let next = todo.first_key_value().map(|((stage, _), _)| *stage);
            let stale = self.stale.first().copied();
            if let Some(stage) = stale.filter(|stale| next.is_none_or(|next| *stale < next)) {
                self.stale.remove(&stage);
                if self.renew_whole(stage) {
                    let all = ground.plan.readers_of_all(stage);
                    todo.extend(
                        all.flat_map(|reader| batches(ground.plan, reader)).map(|at| (at, None)),
                    );
                }
                continue;
            }
            let Some((at, units)) = todo.pop_first() else { return judged };
            let before = self.verdict(at).effective;
            if !units.is_some_and(|units| self.judge_quietly(ground, at, &units)) {
                self.judge_all(ground, at);
            }
            judged.insert(at);
            if self.verdict(at).effective != before && ground.plan.is_read(at.0) {
                self.stale.insert(at.0);
                todo.extend(ground.plan.readers_of(at.0, at.1).map(|reader| (reader, None)));
            }
        }
    }

    /// Makes the root of a stage anew; whether it is another one.
    fn renew_whole(&mut self, stage: u16) -> bool {
        let of = &self.verdicts[usize::from(stage)];
        let roots = || of.iter().map(|batch| batch.effective).collect::<Option<Vec<Hash>>>();
        let is_whole = self.open(stage) == 0;
        let whole = is_whole.then(roots).flatten().map(|roots| merkle_root(&roots));
        std::mem::replace(&mut self.whole[usize::from(stage)], whole) != whole
    }

    fn judge_all(&mut self, ground: Ground<'_>, at: At) {
        let Some(slot) = ground.batch_slot(at, self) else {
            self.loud.remove(&at);
            self.replace(at, BatchVerdict::default(), Share::default());
            return;
        };
        let book = ground.books.get(&slot);
        let (quorum, submitter) = (ground.rules.quorum(), ground.rules.submitter);
        let certified =
            book.map_or_else(BTreeMap::new, |b| b.certified(quorum, submitter, &self.except));
        let except = &self.except;
        let fallen = || book.is_some_and(|b| !b.fallen(quorum, submitter, except).is_empty());
        let has_rivals = 1 < certified.len() || (certified.len() == 1 && fallen());
        let size = ground.plan.partition(at.0).units_of(at.1).count() as u64;
        let mut share = Share {
            joined: certified.values().flatten().copied().collect(),
            units: if has_rivals { 0 } else { size },
            ..Share::default()
        };
        let mut verdict = self.simple(ground.rules, book, certified);
        let mut is_loud = has_rivals;
        if let Some(evidence) =
            ground.evidence(at, self).filter(|e| !has_rivals && !e.unit_books.is_empty())
        {
            let case = Case::open(&evidence, &self.except, &BTreeSet::new());
            is_loud = case.is_loud();
            if !is_loud {
                let quiet = &mut self.quiet[usize::from(at.0)];
                let parts = case.parts().into_iter();
                share.parts = parts.map(|(unit, part)| (unit, quiet.kind(part))).collect();
                verdict = case.close();
            }
        }
        if let Standing::Quorum { voters, .. } = &verdict.standing
            && !is_loud
        {
            share.voters.clone_from(voters);
            share.size = size;
        }
        if is_loud {
            self.loud.insert(at);
        } else {
            self.loud.remove(&at);
        }
        self.replace(at, verdict, share);
    }

    /// Takes in ballots that agree with what stands, each by itself. False if one may not, or if a quorum
    /// does not simply stand: then the whole batch is to be judged.
    fn judge_quietly(&mut self, ground: Ground<'_>, at: At, units: &BTreeSet<u64>) -> bool {
        let Standing::Quorum { root, .. } = self.verdict(at).standing else { return false };
        if self.loud.contains(&at) {
            return false;
        }
        let slot = ground.batch_slot(at, self);
        let Some(batch) = slot.and_then(|slot| ground.books.get(&slot)) else { return false };
        let mut parts = Vec::new();
        for unit in units {
            match self.quiet_part(ground, at, (batch, root), *unit) {
                Some(part) => parts.push((*unit, part)),
                None => return false,
            }
        }
        let quiet = &mut self.quiet[usize::from(at.0)];
        let share = self.shares.entry(at).or_default();
        for (unit, part) in parts {
            if share.parts.get(&unit).is_some_and(|old| **old == part) {
                continue;
            }
            let part = quiet.kind(part);
            quiet.add_part(&share.voters, &part);
            if let Some(old) = share.parts.insert(unit, part) {
                quiet.remove_part(&share.voters, &old);
            }
        }
        true
    }

    /// The confirmed ballots on one unit of a batch that stands with `root`, if every ballot agrees.
    fn quiet_part(
        &self,
        ground: Ground<'_>,
        at: At,
        (batch, root): (&Book, Hash),
        unit: u64,
    ) -> Option<Part> {
        let except = &self.except;
        let book = ground.books.get(&ground.unit_slot(at.0, unit, self)?)?;
        let index = (unit - ground.plan.partition(at.0).units_of(at.1).start) as usize;
        let leaf = batch.leaves_of(root).map(|leaves| leaves[index]);
        let counted = || book.votes().filter(|(peer, _)| !except.contains(peer));
        let shown = || counted().find(|(_, cast)| cast.leads_to == Some(root));
        let stands = leaf.or_else(|| shown().map(|(_, cast)| cast.root));
        if !counted().all(|(_, cast)| Some(cast.root) == stands) {
            return None;
        }
        let confirmed: Vec<PeerId> = counted()
            .map(|(peer, _)| peer)
            .filter(|peer| book.is_confirmed(*peer, except))
            .collect();
        let auditors = confirmed.iter().copied().filter(|peer| batch.vote_of(*peer).is_none());
        Some(Part { auditors: auditors.collect(), confirmed })
    }

    pub(super) fn verdict(&self, at: At) -> &BatchVerdict {
        &self.verdicts[usize::from(at.0)][at.1 as usize]
    }

    /// The verdicts of all stages, batch by batch.
    pub(super) fn verdicts(&self) -> &[Vec<BatchVerdict>] {
        &self.verdicts
    }

    /// How many batches of a stage have no effective root.
    pub(super) fn open(&self, stage: u16) -> u64 {
        self.open[usize::from(stage)]
    }

    pub(super) fn loud(&self, stage: u16) -> impl Iterator<Item = At> + '_ {
        self.loud.range((stage, 0)..=(stage, u32::MAX)).copied()
    }

    /// Sums over the ballots of a stage that are not in loud batches.
    pub(super) fn quiet(&self, stage: u16) -> &Quiet {
        &self.quiet[usize::from(stage)]
    }

    /// Whose audits have changed since the last call.
    pub(super) fn take_audited(&mut self) -> BTreeSet<PeerId> {
        self.quiet.iter_mut().flat_map(|quiet| quiet.audits.take_changed()).collect()
    }

    /// What a batch adds to the sums.
    pub(super) fn share(&self, at: At) -> Option<&Share> {
        self.shares.get(&at)
    }

    /// Identities with a joined vote.
    pub(super) fn joined(&self) -> impl Iterator<Item = PeerId> + '_ {
        self.joined.iter().filter(|(_, (batches, _))| *batches != 0).map(|(peer, _)| *peer)
    }

    /// Whether a peer is joined somewhere, or has a confirmed ballot that agrees.
    pub(super) fn is_identity(&self, peer: PeerId) -> bool {
        self.joined.get(&peer).is_some_and(|(batches, _)| *batches != 0)
            || self.quiet.iter().any(|quiet| quiet.confirmed.get(&peer).is_some_and(|n| *n != 0))
    }

    /// How many units a peer has confirmed in batches without rivals.
    pub(super) fn confirmed_units(&self, peer: PeerId) -> u64 {
        self.joined.get(&peer).map_or(0, |(_, units)| *units)
    }

    /// Puts a verdict in place of another, and corrects the sums.
    fn replace(&mut self, at: At, verdict: BatchVerdict, share: Share) {
        let stage = usize::from(at.0);
        let before = std::mem::replace(&mut self.verdicts[stage][at.1 as usize], verdict);
        self.open[stage] += u64::from(self.verdict(at).effective.is_none());
        self.open[stage] -= u64::from(before.effective.is_none());
        for peer in &share.joined {
            let entry = self.joined.entry(*peer).or_default();
            *entry = (entry.0 + 1, entry.1 + share.units);
        }
        self.quiet[stage].add(&share);
        let Some(old) = self.shares.insert(at, share) else { return };
        self.quiet[stage].remove(&old);
        for peer in old.joined {
            let entry = self.joined.entry(peer).or_default();
            *entry = (entry.0 - 1, entry.1 - old.units);
        }
    }

    /// The verdict on a batch with at most one certified root and no ballots.
    fn simple(
        &self,
        rules: &Rules,
        book: Option<&Book>,
        certified: BTreeMap<Hash, BTreeSet<PeerId>>,
    ) -> BatchVerdict {
        let by = rules.submitter;
        let own = book.filter(|_| !self.except.contains(&by)).and_then(|book| book.vote_of(by));
        let standing = match (certified.into_iter().next(), own) {
            (Some((root, voters)), _) => Standing::Quorum { root, voters },
            (None, Some(cast)) => Standing::SelfExecuted { root: cast.root, by },
            (None, None) => Standing::Open,
        };
        let effective = match &standing {
            Standing::Quorum { root, .. } | Standing::SelfExecuted { root, .. } => Some(*root),
            Standing::Open => None,
        };
        let verdict = BatchVerdict { standing, effective, ..BatchVerdict::default() };
        verdict.latched(book.and_then(Book::sealed))
    }
}

impl Roots for Layer {
    fn of_batch(&self, stage: u16, batch: u32) -> Option<Hash> {
        self.verdict((stage, batch)).effective
    }

    fn of_stage(&self, stage: u16) -> Option<Hash> {
        self.whole[usize::from(stage)]
    }
}

/// All batches of a stage.
pub(super) fn batches(plan: &Plan, stage: u16) -> impl Iterator<Item = At> + use<> {
    (0..plan.partition(stage).batches()).map(move |batch| (stage, batch))
}

/// The batch that a slot is, or is a unit of.
pub(super) fn at(plan: &Plan, slot: &Slot) -> At {
    match slot.about {
        About::Batch(batch) => (slot.stage, batch),
        About::Unit(unit) => (slot.stage, plan.partition(slot.stage).batch_of(unit)),
    }
}
