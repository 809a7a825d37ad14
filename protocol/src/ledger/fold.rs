//! The fold: from books to the verdict, looking again only at what changed or is in question.

use std::collections::{BTreeMap, BTreeSet};

use super::assurance::{Audits, Sureness, count_audits};
use super::books::Books;
use super::front::Logs;
use super::layer::{At, Dirty, Ground, Layer, Rules, at, batches};
use super::pass::{Pass, Sums};
use super::peel::{self, Decision};
use super::share::Quiet;
use super::verdict::{BatchVerdict, UnitVerdict, Verdict};
use crate::{About, Hash, PeerId, Plan, Slot, Stamp};

/// Layers that are kept from one fold to the next: one for nobody, and one for each round of
/// convictions, of which there are few.
const LAYERS_KEPT: usize = 8;

/// The state between two folds.
#[derive(Clone, Debug)]
pub(super) struct Fold {
    rules: Rules,
    dirty: Dirty,
    equivocators_changed: bool,
    /// The first leaves nobody out.
    layers: Vec<Layer>,
    /// Whose votes were left out when audits were last counted, if only quiet batches were.
    counted: Option<BTreeSet<PeerId>>,
    /// Batches whose verdict is not the last layer's.
    changed: BTreeSet<At>,
    /// Batches whose slots are others than before, since somebody asked.
    moved: BTreeSet<At>,
    verdict: Verdict,
}

impl Fold {
    pub(super) fn new(plan: &Plan) -> Self {
        let layer = Layer::new(plan);
        Self {
            rules: Rules {
                job: plan.manifest().job(),
                policy: plan.manifest().policy.clone(),
                submitter: plan.manifest().submitter,
            },
            dirty: Dirty::new(),
            equivocators_changed: false,
            counted: None,
            changed: BTreeSet::new(),
            moved: BTreeSet::new(),
            verdict: Verdict {
                stages: layer.verdicts().to_vec(),
                whole: vec![None; layer.verdicts().len()],
                read_as: plan.stages().map(|_| Sureness::default()).collect(),
                ..Verdict::default()
            },
            layers: vec![layer],
        }
    }

    pub(super) fn verdict(&self) -> &Verdict {
        &self.verdict
    }

    /// Whether a peer has a joined vote, or a confirmed ballot that agrees with what stands.
    pub(super) fn is_identity(&self, peer: PeerId) -> bool {
        self.layers[0].is_identity(peer)
    }

    /// Notes that something was said about a slot.
    pub(super) fn touch(&mut self, plan: &Plan, slot: &Slot) {
        let at = at(plan, slot);
        match slot.about {
            About::Unit(unit) => {
                let units = self.dirty.entry(at).or_insert_with(|| Some(BTreeSet::new()));
                if let Some(units) = units {
                    units.insert(unit);
                }
            }
            About::Batch(_) => drop(self.dirty.insert(at, None)),
        }
    }

    /// Notes that somebody has joined the equivocators.
    pub(super) fn touch_equivocators(&mut self) {
        self.equivocators_changed = true;
    }

    /// The slot that a vote has to name now.
    pub(super) fn slot(&self, plan: &Plan, stage: u16, about: About) -> Option<Slot> {
        let gathered = self.verdict.gathered(plan, stage, about);
        let units = match about {
            About::Unit(unit) => plan.unit_root(stage, unit, gathered)?,
            About::Batch(batch) => plan.units_root(stage, batch, gathered)?,
        };
        Some(Slot { stage, about, units })
    }

    /// Batches whose slots are others than before, since the last call.
    pub(super) fn take_moved(&mut self) -> BTreeSet<At> {
        std::mem::take(&mut self.moved)
    }

    pub(super) fn bring_up_to_date(
        &mut self,
        plan: &Plan,
        books: &Books,
        logs: &Logs,
        equivocators: &BTreeSet<PeerId>,
        stamps: &BTreeMap<PeerId, Stamp>,
    ) {
        let dirty = std::mem::take(&mut self.dirty);
        if dirty.is_empty() && !std::mem::take(&mut self.equivocators_changed) {
            return;
        }
        let ground = Ground { rules: &self.rules, plan, books, stamps };
        let mut judged = BTreeSet::new();
        for layer in &mut self.layers {
            judged.append(&mut layer.judge(ground, dirty.clone()));
        }
        let known = self.layers.len();
        let before = self.verdict.convicted.keys().copied().collect::<BTreeSet<PeerId>>();
        let (result, convicted, used) = convict(ground, &mut self.layers, logs);
        let last = used.last().copied().unwrap_or(0);
        let Found { changed, whole, sums, corrected, is_complete } = result;
        self.count_audits(plan, last, is_complete.then_some(&sums.audits), &corrected);
        self.verdict.convicted = convicted;
        self.verdict.equivocators.clone_from(equivocators);
        // One that was just made has judged more than what was said since.
        if self.layers[last].except != before || known <= last {
            judged.extend(plan.stages().flat_map(|stage| batches(plan, stage)));
        }
        self.show(plan, last, changed, judged, whole);
        self.verdict.weigh_stages(plan);
        let mut number = 0..;
        self.layers.retain(|_| number.next().is_some_and(|n| n == 0 || used.contains(&n)));
        self.layers.truncate(LAYERS_KEPT);
    }

    /// Counts audits once everything has an outcome, the layer's and those of the batches that the pass has
    /// examined: all of them, unless it is clear which have changed.
    fn count_audits(
        &mut self,
        plan: &Plan,
        last: usize,
        examined: Option<&Audits>,
        corrected: &BTreeMap<u16, Quiet>,
    ) {
        let layer = &mut self.layers[last];
        let changed = layer.take_audited();
        let Some(own) = examined else {
            self.verdict.audited.clear();
            self.counted = None;
            return;
        };
        let is_plain = own.is_empty() && corrected.is_empty();
        let is_quiet = is_plain && self.counted.as_ref() == Some(&layer.except);
        let of = |stage: u16| corrected.get(&stage).unwrap_or_else(|| layer.quiet(stage));
        let quiet = plan.stages().map(|stage| &of(stage).audits);
        let sums: Vec<&Audits> = quiet.chain([own]).collect();
        let changed = is_quiet.then_some(changed);
        count_audits(&mut self.verdict.audited, &self.rules.policy, &sums, changed);
        self.counted = is_plain.then(|| layer.except.clone());
    }

    /// Enters the outcome of the last pass into the verdict.
    fn show(
        &mut self,
        plan: &Plan,
        layer: usize,
        changed: BTreeMap<At, BatchVerdict>,
        judged: BTreeSet<At>,
        whole: Vec<Option<Hash>>,
    ) {
        let before = std::mem::replace(&mut self.changed, changed.keys().copied().collect());
        let others: BTreeSet<At> =
            before.into_iter().chain(judged).chain(changed.keys().copied()).collect();
        for at in others {
            let new = changed.get(&at).unwrap_or_else(|| self.layers[layer].verdict(at));
            let old = &mut self.verdict.stages[usize::from(at.0)][at.1 as usize];
            if old.effective != new.effective {
                self.moved.extend(plan.readers_of(at.0, at.1));
            }
            if old != new {
                old.clone_from(new);
            }
        }
        for (stage, (old, new)) in (0..).zip(self.verdict.whole.iter().zip(&whole)) {
            if old != new {
                let readers = plan.readers_of_all(stage);
                self.moved.extend(readers.flat_map(|reader| batches(plan, reader)));
            }
        }
        self.verdict.whole = whole;
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
    }
}

type Convicted = BTreeMap<PeerId, super::verdict::Conviction>;

/// What the last pass has found.
struct Found {
    changed: BTreeMap<At, BatchVerdict>,
    whole: Vec<Option<Hash>>,
    sums: Sums,
    corrected: BTreeMap<u16, Quiet>,
    is_complete: bool,
}

/// Convicts from nobody on, until a pass finds nobody else; also returns which layers it took.
fn convict(
    ground: Ground<'_>,
    layers: &mut Vec<Layer>,
    logs: &Logs,
) -> (Found, Convicted, Vec<usize>) {
    let (mut convicted, mut lost) = (Convicted::new(), BTreeMap::new());
    let mut used = Vec::new();
    loop {
        let except: BTreeSet<PeerId> = convicted.keys().copied().collect();
        let at = layers.iter().position(|layer| layer.except == except).unwrap_or_else(|| {
            // One round convicts a few more than the one before it.
            let before = used.last().copied().unwrap_or(0);
            layers.push(layers[before].without(ground, logs, except));
            layers.len() - 1
        });
        used.push(at);
        let pass = Pass::run(ground, &layers[0], &layers[at], &lost);
        let rules = ground.rules;
        // Where one vote is enough, one wrong outcome is too many.
        let may_lose = |peer| match rules.policy.quorum {
            1 => 0,
            _ => 1 + layers[0].confirmed_units(peer) / u64::from(rules.policy.loss_div),
        };
        let guilty = peel::next(rules.job, &pass.decisions, &rules.policy.anchors, may_lose);
        if !guilty.is_empty() {
            convicted.extend(guilty);
            continue;
        }
        let now = losses(&pass.decisions);
        if now.iter().all(|(peer, count)| lost.get(peer).is_some_and(|known| count <= known)) {
            let is_complete = pass.is_complete();
            let Pass { changed, whole, sums, corrected, .. } = pass;
            return (Found { changed, whole, sums, corrected, is_complete }, convicted, used);
        }
        for (peer, count) in now {
            let entry: &mut u64 = lost.entry(peer).or_default();
            *entry = count.max(*entry);
        }
    }
}

/// On how many decided units a peer stated another outcome.
fn losses(decisions: &[Decision]) -> BTreeMap<PeerId, u64> {
    let mut losses = BTreeMap::new();
    for (_, winner, claims, _) in decisions {
        for peer in claims.iter().filter(|(_, claim)| *claim != winner).map(|(peer, _)| *peer) {
            *losses.entry(peer).or_default() += 1;
        }
    }
    losses
}
