//! One pass over all stages with some identities left out: who may contest, and what is decided.

use std::collections::{BTreeMap, BTreeSet};

use super::assurance::Audits;
use super::contest::Case;
use super::layer::{At, Ground, Layer, batches};
use super::peel::Decision;
use super::share::Quiet;
use super::verdict::BatchVerdict;
use crate::{Hash, PeerId, Roots, hash, merkle_root};

/// What a pass has found.
pub(super) struct Pass<'a> {
    ground: Ground<'a>,
    layer: &'a Layer,
    /// Batches whose verdict may differ from the layer's.
    pub(super) changed: BTreeMap<At, BatchVerdict>,
    /// The roots of stages that are read and have outcomes throughout.
    pub(super) whole: Vec<Option<Hash>>,
    /// Batches that read something else than in the layer, so that what it says of them is void.
    moved: BTreeSet<At>,
    /// The layer's sums without such batches, where there are any.
    pub(super) corrected: BTreeMap<u16, Quiet>,
    pub(super) decisions: Vec<Decision>,
    /// Sums over the batches that were examined; the layer has those over all others.
    pub(super) sums: Sums,
    /// Ballots that a peer has contested with.
    used: BTreeMap<PeerId, u64>,
}

/// What a pass reads beside the ground.
#[derive(Clone, Copy)]
struct Given<'a> {
    /// With everybody in it: who is an identity of the job does not hang on convictions.
    everybody: &'a Layer,
    /// Lost contests: each halves what else the peer may contest.
    lost: &'a BTreeMap<PeerId, u64>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Sums {
    /// Who is joined or has a confirmed ballot.
    identities: BTreeSet<PeerId>,
    /// How many units for which a peer stands joined were audited by a non-voter.
    audited: BTreeMap<PeerId, u64>,
    /// What finality is counted from.
    pub(super) audits: Audits,
}

/// When a ballot is counted: its number in the log, and which case and unit it is about.
type Turn = (u64, usize, u64);

impl<'a> Pass<'a> {
    pub(super) fn run(
        ground: Ground<'a>,
        everybody: &Layer,
        layer: &'a Layer,
        lost: &BTreeMap<PeerId, u64>,
    ) -> Self {
        let given = Given { everybody, lost };
        let mut pass = Self {
            ground,
            layer,
            changed: BTreeMap::new(),
            whole: Vec::new(),
            moved: BTreeSet::new(),
            corrected: BTreeMap::new(),
            decisions: Vec::new(),
            sums: Sums::default(),
            used: BTreeMap::new(),
        };
        for stage in ground.plan.stages() {
            pass.judge_stage(given, stage);
            pass.note_moved(stage);
        }
        pass
    }

    /// Notes who reads what stands otherwise than in the layer.
    fn note_moved(&mut self, stage: u16) {
        let before = self.layer.of_stage(stage);
        let changed = self.changed.range((stage, 0)..=(stage, u32::MAX));
        let is_other = |(at, verdict): &(&At, &BatchVerdict)| {
            verdict.effective != self.layer.verdict(**at).effective
        };
        let others: Vec<At> = changed.filter(is_other).map(|(at, _)| *at).collect();
        let plan = self.ground.plan;
        if others.is_empty() || !plan.is_read(stage) {
            self.whole.push(before);
            return;
        }
        self.moved.extend(others.into_iter().flat_map(|at| plan.readers_of(at.0, at.1)));
        let roots: Option<Vec<Hash>> =
            batches(plan, stage).map(|(stage, batch)| self.of_batch(stage, batch)).collect();
        let whole = roots.map(|roots| merkle_root(&roots));
        if whole != before {
            self.moved.extend(plan.readers_of_all(stage).flat_map(|stage| batches(plan, stage)));
        }
        self.whole.push(whole);
    }

    /// What the layer's quiet batches of a stage add up to.
    fn quiet(&self, stage: u16) -> &Quiet {
        self.corrected.get(&stage).unwrap_or_else(|| self.layer.quiet(stage))
    }

    /// Whether every batch of every stage has an outcome, and none is in question.
    pub(super) fn is_complete(&self) -> bool {
        let layer = self.layer;
        let were_open = |stage: u16| {
            let changed = self.changed.range((stage, 0)..=(stage, u32::MAX));
            changed.filter(|(at, _)| layer.verdict(**at).effective.is_none()).count() as u64
        };
        self.changed.values().all(BatchVerdict::is_settled)
            && self.ground.plan.stages().all(|stage| layer.open(stage) <= were_open(stage))
    }

    fn judge_stage(&mut self, given: Given<'_>, stage: u16) {
        let moved = self.moved.range((stage, 0)..=(stage, u32::MAX)).copied();
        let moved: Vec<At> = moved.collect();
        for share in moved.iter().filter_map(|at| self.layer.share(*at)) {
            let quiet =
                self.corrected.entry(stage).or_insert_with(|| self.layer.quiet(stage).clone());
            quiet.remove(share);
        }
        // Until their turn comes below, they are as if nobody had spoken.
        self.changed.extend(moved.iter().map(|at| (*at, BatchVerdict::default())));
        let examined: BTreeSet<At> = self.layer.loud(stage).chain(moved).collect();
        let mut void = BTreeSet::new();
        let (cases, sums, used) = loop {
            let (mut sums, mut used) = (self.sums.clone(), self.used.clone());
            let open = |at: &At| {
                let evidence = self.ground.evidence(*at, self)?;
                Some(Case::open(&evidence, &self.layer.except, &void))
            };
            let mut cases: Vec<Case> = examined.iter().filter_map(open).collect();
            for case in &cases {
                sums.add(case);
            }
            self.spend_allowances(given, stage, &mut cases, &sums, &mut used);
            let overruled = self.decide(given, stage, &mut cases, &sums);
            if overruled.iter().all(|root| void.contains(root)) {
                break (cases, sums, used);
            }
            void.extend(overruled);
        };
        (self.sums, self.used) = (sums, used);
        for case in cases {
            let decided = case
                .decisions()
                .map(|(unit, won, claims, echoes)| ((stage, unit), won, claims, echoes));
            self.decisions.extend(decided);
            self.changed.insert(case.at, case.close());
        }
    }

    /// Lets ballots contest, as far as their authors may: one pass over the identities in the order of
    /// a hash, each one's ballots in the order of its log. A ballot that agrees with what stands costs
    /// nothing, nor does one on a unit that is contested already.
    fn spend_allowances(
        &self,
        given: Given<'_>,
        stage: u16,
        cases: &mut [Case],
        sums: &Sums,
        used: &mut BTreeMap<PeerId, u64>,
    ) {
        let job = self.ground.rules.job.blob();
        let mut ballots: BTreeMap<(Hash, PeerId), BTreeSet<Turn>> = BTreeMap::new();
        for (number, case) in cases.iter().enumerate() {
            for (unit, peer, seq) in case.contesting() {
                let turn = hash("allowance", &[job.as_bytes(), peer.as_bytes()]);
                ballots.entry((turn, peer)).or_default().insert((seq, number, unit));
            }
        }
        for ((_, peer), cast) in ballots {
            let allowance = self.allowance(given, stage, peer, sums);
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
    fn allowance(&self, given: Given<'_>, stage: u16, peer: PeerId, sums: &Sums) -> u64 {
        if self.ground.rules.policy.anchors.contains(&peer) {
            return u64::MAX;
        }
        let count = |audited: &BTreeMap<PeerId, u64>| audited.get(&peer).copied().unwrap_or(0);
        let quiet: u64 = (0..=stage).map(|s| count(&self.quiet(s).audited)).sum();
        let earned = 2 + (quiet + count(&sums.audited)).isqrt();
        earned >> given.lost.get(&peer).copied().unwrap_or(0).min(63)
    }

    /// Decides what can be decided, and returns roots that are overruled while their leaves are
    /// withheld.
    fn decide(
        &self,
        given: Given<'_>,
        stage: u16,
        cases: &mut [Case],
        sums: &Sums,
    ) -> Vec<(At, Hash)> {
        if !cases.iter().any(Case::is_contested) {
            return Vec::new();
        }
        let quiet = (0..=stage).flat_map(|s| &self.quiet(s).confirmed);
        let quiet = quiet.filter(|(_, batches)| **batches != 0).map(|(peer, _)| *peer);
        let here = quiet.chain(sums.identities.iter().copied());
        let identities: BTreeSet<PeerId> = given
            .everybody
            .joined()
            .chain(here)
            .filter(|peer| !self.layer.except.contains(peer))
            .collect();
        let rules = self.ground.rules;
        let lead = usize::from(rules.policy.lead);
        let overruled = cases.iter_mut().filter_map(|case| {
            let root = case.decide(rules.quorum(), lead, &rules.policy.anchors, &identities)?;
            Some((case.at, root))
        });
        overruled.collect()
    }
}

impl Roots for Pass<'_> {
    fn of_batch(&self, stage: u16, batch: u32) -> Option<Hash> {
        let at = (stage, batch);
        self.changed.get(&at).unwrap_or_else(|| self.layer.verdict(at)).effective
    }

    fn of_stage(&self, stage: u16) -> Option<Hash> {
        self.whole[usize::from(stage)]
    }
}

impl Sums {
    fn add(&mut self, case: &Case) {
        self.identities.extend(case.joined.iter().copied().chain(case.confirmed()));
        let audited = case.audited();
        for peer in case.voters().filter(|_| audited != 0) {
            *self.audited.entry(peer).or_default() += audited;
        }
        let voters: Vec<PeerId> = case.voters().collect();
        self.audits.add(&voters, case.size(), &case.auditors());
    }
}
