//! One pass over all stages with some identities left out: who may contest, and what is decided.

use std::collections::{BTreeMap, BTreeSet};

use super::book::Book;
use super::contest::Case;
use super::fold::{At, Fold, at};
use super::front::Said;
use super::peel::Decision;
use super::verdict::BatchVerdict;
use crate::{Gathered, Hash, PeerId, Plan, Slot, hash};

/// Everything that a pass reads, and what it has found so far.
pub(super) struct Pass<'a> {
    fold: &'a Fold,
    plan: &'a Plan,
    books: &'a BTreeMap<Slot, Book>,
    except: BTreeSet<PeerId>,
    /// Lost contests: each halves what else the peer may contest.
    lost: &'a BTreeMap<PeerId, u64>,
    /// Batches that one of the excepted spoke about.
    touched: BTreeSet<At>,
    /// Batches whose verdict may differ from the plain one.
    pub(super) changed: BTreeMap<At, BatchVerdict>,
    pub(super) gathered: Vec<Option<Gathered>>,
    pub(super) decisions: Vec<Decision>,
    /// Sums over the batches that were examined; what the fold has summed over the others is added.
    sums: Sums,
    /// Ballots that a peer has contested with.
    used: BTreeMap<PeerId, u64>,
}

#[derive(Clone, Debug, Default)]
struct Sums {
    /// In how many batches a peer is joined or has a confirmed ballot.
    identities: BTreeMap<PeerId, i64>,
    /// How many units for which a peer stands joined were audited by a non-voter.
    audited: BTreeMap<PeerId, i64>,
}

impl<'a> Pass<'a> {
    pub(super) fn run(
        fold: &'a Fold,
        plan: &'a Plan,
        books: &'a BTreeMap<Slot, Book>,
        said: &Said,
        except: BTreeSet<PeerId>,
        lost: &'a BTreeMap<PeerId, u64>,
    ) -> Self {
        let spoken = except.iter().filter_map(|peer| said.get(peer));
        let touched = spoken.flat_map(|slots| slots.keys()).map(|slot| at(plan, slot)).collect();
        let mut pass = Self {
            fold,
            plan,
            books,
            except,
            lost,
            touched,
            changed: BTreeMap::new(),
            gathered: Vec::new(),
            decisions: Vec::new(),
            sums: Sums::default(),
            used: BTreeMap::new(),
        };
        for stage in plan.stages() {
            let gathered = plan.stage(stage).upstream().and_then(|upstream| pass.gather(upstream));
            pass.gathered.push(gathered);
            pass.judge_stage(stage);
        }
        pass
    }

    /// What a stage's outcomes are together, once all its batches have some.
    fn gather(&self, stage: u16) -> Option<Gathered> {
        let (plain, open) = self.fold.plain_stage(stage);
        let changed = self.changed.range((stage, 0)..=(stage, u32::MAX));
        let were_open =
            changed.filter(|((_, b), _)| plain[*b as usize].effective.is_none()).count() as u64;
        if were_open < open {
            return None;
        }
        let effective =
            |(batch, plain): (u32, &BatchVerdict)| match self.changed.get(&(stage, batch)) {
                Some(changed) => changed.effective,
                None => plain.effective,
            };
        let roots: Option<Vec<Hash>> = (0..).zip(plain).map(effective).collect();
        roots.map(|roots| Gathered::new(&roots, self.plan.partition(stage).units()))
    }

    fn judge_stage(&mut self, stage: u16) {
        let examined = self.examined(stage);
        let mut void = BTreeSet::new();
        let (cases, sums, used) = loop {
            let (mut sums, mut used) = (self.sums.clone(), self.used.clone());
            let mut cases: Vec<Case> =
                examined.iter().filter_map(|at| self.open_case(*at, &void)).collect();
            for case in &cases {
                sums.add(case);
            }
            self.spend_allowances(stage, &mut cases, &sums, &mut used);
            let overruled = self.decide(stage, &mut cases, &sums);
            if overruled.iter().all(|root| void.contains(root)) {
                break (cases, sums, used);
            }
            void.extend(overruled);
        };
        (self.sums, self.used) = (sums, used);
        for case in cases {
            let decided = case.decisions().map(|(unit, won, claims)| ((stage, unit), won, claims));
            self.decisions.extend(decided);
            self.changed.insert(case.at, case.close());
        }
    }

    /// Batches to examine: all of a stage that reads another one, loud ones, and those in which one of
    /// the excepted spoke.
    fn examined(&mut self, stage: u16) -> BTreeSet<At> {
        if self.plan.stage(stage).upstream().is_some() {
            return (0..self.plan.partition(stage).batches()).map(|batch| (stage, batch)).collect();
        }
        let touched = self.touched.range((stage, 0)..=(stage, u32::MAX)).copied();
        let quiet: Vec<At> = touched.filter(|at| !self.fold.is_loud(*at)).collect();
        // What these added to the fold's sums is found anew with the excepted left out.
        for share in quiet.iter().filter_map(|at| self.fold.quiet_share(*at)) {
            let sums = &mut self.sums;
            share.confirmed.iter().for_each(|p| *sums.identities.entry(*p).or_default() -= 1);
            let audited = share.audited.cast_signed();
            share.voters.iter().for_each(|p| *sums.audited.entry(*p).or_default() -= audited);
        }
        self.fold.loud(stage).chain(quiet).collect()
    }

    fn open_case(&self, at: At, void: &BTreeSet<(At, Hash)>) -> Option<Case> {
        let gathered = self.gathered[usize::from(at.0)];
        let known = self.fold.known_units_root(at.0, at.1);
        let units = known.or_else(|| self.plan.units_root(at.0, at.1, gathered))?;
        let evidence = self.fold.evidence(self.plan, self.books, at, gathered, units);
        Some(Case::open(self.fold.job, &evidence, &self.except, void))
    }

    /// Lets ballots contest, as far as their authors may: one pass over the identities in the order of
    /// a hash, each one's ballots in the order of its log. A ballot that agrees with what stands costs
    /// nothing, nor does one on a unit that is contested already.
    fn spend_allowances(
        &self,
        stage: u16,
        cases: &mut [Case],
        sums: &Sums,
        used: &mut BTreeMap<PeerId, u64>,
    ) {
        let mut ballots: BTreeMap<(Hash, PeerId), BTreeSet<(u64, usize, u64)>> = BTreeMap::new();
        for (number, case) in cases.iter().enumerate() {
            for (unit, peer, seq) in case.contesting() {
                let turn = hash("allowance", &[self.fold.job.blob().as_bytes(), peer.as_bytes()]);
                ballots.entry((turn, peer)).or_default().insert((seq, number, unit));
            }
        }
        for ((_, peer), cast) in ballots {
            let allowance = self.allowance(stage, peer, sums);
            for (_, number, unit) in cast {
                let case = cases[number].units.get_mut(&unit).expect("it was just listed");
                let spent = used.entry(peer).or_default();
                if !case.contested && *spent < allowance {
                    *spent += 1;
                    case.contested = true;
                }
            }
        }
    }

    /// How many ballots of a peer may contest a unit.
    fn allowance(&self, stage: u16, peer: PeerId, sums: &Sums) -> u64 {
        if self.fold.policy.anchors.contains(&peer) {
            return u64::MAX;
        }
        let quiet = (0..=stage).map(|s| self.fold.quiet(s).audited.get(&peer).copied());
        let quiet: u64 = quiet.map(Option::unwrap_or_default).sum();
        let here = sums.audited.get(&peer).copied().unwrap_or(0);
        let earned = 2 + quiet.saturating_add_signed(here).isqrt();
        let halvings = self.lost.get(&peer).copied().unwrap_or(0).min(63);
        earned >> halvings
    }

    /// Decides what can be decided, and returns roots that are overruled while their leaves are
    /// withheld.
    fn decide(&self, stage: u16, cases: &mut [Case], sums: &Sums) -> Vec<(At, Hash)> {
        if !cases.iter().any(Case::is_contested) {
            return Vec::new();
        }
        let mut here = sums.identities.clone();
        for confirmed in (0..=stage).map(|s| &self.fold.quiet(s).confirmed) {
            for (peer, count) in confirmed {
                *here.entry(*peer).or_default() += count.cast_signed();
            }
        }
        let here = here.into_iter().filter(|(_, count)| 0 < *count).map(|(peer, _)| peer);
        let identities: BTreeSet<PeerId> =
            self.fold.joined().chain(here).filter(|peer| !self.except.contains(peer)).collect();
        let lead = usize::from(self.fold.policy.lead);
        let overruled = cases.iter_mut().filter_map(|case| {
            let root =
                case.decide(self.fold.quorum(), lead, &self.fold.policy.anchors, &identities)?;
            Some((case.at, root))
        });
        overruled.collect()
    }
}

impl Sums {
    fn add(&mut self, case: &Case) {
        for peer in case.joined.iter().copied().chain(case.confirmed()) {
            *self.identities.entry(peer).or_default() += 1;
        }
        let audited = case.audited().cast_signed();
        for peer in case.voters().filter(|_| audited != 0) {
            *self.audited.entry(peer).or_default() += audited;
        }
    }
}
