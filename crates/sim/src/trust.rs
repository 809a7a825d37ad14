//! Promises of trust: what may be wrong, how sure it may be called, and who may be blamed.

use std::collections::BTreeMap;

use engine::{BatchResult, JobState, JobView};
use protocol::limits::{HEADS_MAX, LOG_STEPS_MAX};
use protocol::{About, Assurance, Heads, JobId, Seal, Slot, Vote};

use crate::liars::Liars;
use crate::promise::Promise;
use crate::world::World;

/// What was seen of sureness so far.
#[derive(Debug, Default)]
pub(crate) struct Trust {
    /// Sealed roots by job, stage, first unit and number of units.
    sealed: BTreeMap<(JobId, u16, u64, u64), protocol::Hash>,
    /// Sealed units by node, its life, job and stage.
    counts: BTreeMap<(usize, u64, JobId, usize), u64>,
    /// Ballots that honest nodes have cast on units that they executed for nothing else.
    pub(crate) audits: BTreeMap<JobId, u64>,
    /// Which unit of a batch each auditor has drawn, in batches of several units.
    drawn: BTreeMap<(JobId, u16, u32), BTreeMap<usize, u64>>,
}

/// So many expected audits cannot all fail to happen by chance.
const AUDITS_SURE: u64 = 20;

impl World {
    /// Looks at a job with its owner's eyes.
    pub(crate) fn inspect_trust(&mut self, index: usize, view: &JobView) {
        if self.number(view.job).is_none_or(|job| self.scenario.is_staged(job)) {
            return;
        }
        self.seals_stay(index, view);
        let engine = self.nodes[index].engine.as_ref();
        let results = engine.and_then(|engine| engine.results(view.job)).unwrap_or_default();
        for result in results {
            self.inspect_result(index, view.job, &result);
        }
    }

    /// **No wrong result is accepted below the bound.** While fewer than a quorum of identities share a lie,
    /// no honest node holds a wrong outcome for verified; and the less **nothing wrong becomes final** or is
    /// sealed. Above the bound it is counted.
    fn inspect_result(&mut self, index: usize, job: JobId, result: &BatchResult) {
        let &BatchResult { stage, batch, first_unit, units, root, .. } = result;
        if result.assurance == Assurance::Sealed {
            self.sealed_root_stays(index, job, result);
        }
        let right = self.truth(job).and_then(|t| t.root(stage, first_unit..first_unit + units));
        if !result.verified || right.is_none_or(|right| right == root) {
            return;
        }
        let what = format!("result of stage {stage} batch {batch}");
        self.wrong_root(index, job, &what);
        let (promise, mark) = match result.assurance {
            Assurance::Provisional => return,
            Assurance::Final => (Promise::NoWrongFinal, "wrong finals above the bound"),
            Assurance::Sealed => (Promise::NoWrongSeal, "wrong seals above the bound"),
        };
        if self.is_below_bound(job) {
            self.broken(promise, format!("n{index}: a wrong {what}"));
        } else {
            self.watch.mark(mark);
        }
    }

    /// A wrong outcome was accepted: a broken promise below the bound, to be counted above it.
    pub(crate) fn wrong_root(&mut self, index: usize, job: JobId, what: &str) {
        if self.number(job).is_some_and(|job| self.scenario.is_staged(job)) {
        } else if self.is_below_bound(job) {
            self.broken(Promise::NoWrongResult, format!("n{index} accepted a wrong {what}"));
        } else {
            self.watch.mark("wrong acceptances above the bound");
        }
    }

    /// Whether too few identities share a lie to be a quorum of this job.
    pub(crate) fn is_below_bound(&self, job: JobId) -> bool {
        let quorum = self.truth(job).map_or(1, |truth| usize::from(truth.spec.quorum));
        self.scenario.voices() < quorum
    }

    pub(crate) fn number(&self, job: JobId) -> Option<usize> {
        self.names.jobs.get(&job).copied()
    }

    /// **Sealed outcomes never change**: the number of sealed units never falls while a node lives.
    fn seals_stay(&mut self, index: usize, view: &JobView) {
        let life = self.nodes[index].life;
        for (stage, of) in view.stages.iter().enumerate() {
            let key = (index, life, view.job, stage);
            let before = self.watch.trust.counts.insert(key, of.sealed).unwrap_or(0);
            if of.sealed < before && self.seals_agree(view.job) {
                let what = format!("n{index}: {before} units were sealed and now {}", of.sealed);
                self.broken(Promise::SealsStay, what);
            }
        }
    }

    /// **Sealed outcomes never change**, and are the same wherever anybody looks.
    fn sealed_root_stays(&mut self, index: usize, job: JobId, result: &BatchResult) {
        let key = (job, result.stage, result.first_unit, result.units);
        let before = *self.watch.trust.sealed.entry(key).or_insert(result.root);
        if before != result.root && self.seals_agree(job) {
            let what = format!("n{index} holds another root sealed for batch {}", result.batch);
            self.broken(Promise::SealsStay, what);
        }
    }

    /// Two anchors may seal differently what was wrong when one of them looked.
    fn seals_agree(&self, job: JobId) -> bool {
        let alone = self.truth(job).is_some_and(|truth| truth.spec.co_anchors.is_empty());
        alone || self.is_below_bound(job)
    }

    /// **Nothing wrong is sealed below the bound**, looked at where the seal is written.
    pub(crate) fn watch_seal(&mut self, index: usize, job: JobId, seal: &Seal) {
        let Some(truth) = self.truth(job) else { return };
        let stage = seal.stage;
        let wrong = (seal.first..).zip(&seal.batches).find(|(batch, (_, root))| {
            let units = truth.plan.partition(stage).units_of(*batch);
            truth.root(stage, units).is_some_and(|right| right != *root)
        });
        let Some((batch, _)) = wrong else { return };
        if self.is_below_bound(job) {
            let what = format!("n{index} seals a wrong root of stage {stage} batch {batch}");
            self.broken(Promise::NoWrongSeal, what);
        } else {
            self.watch.mark("wrong seals above the bound");
        }
    }

    /// **No honest peer is convicted** where fewer than two liars collude, and **a conviction has no effect
    /// outside its job**: whoever is framed in a staged job stays as good as before in others.
    pub(crate) fn convicts_honest(&mut self, view: &JobView) -> Option<(Promise, String)> {
        let honest: Vec<_> = view
            .convicted
            .iter()
            .filter(|(peer, _)| {
                let index = self.names.peers.get(peer);
                index.is_some_and(|index| self.nodes[*index].is_honest())
            })
            .collect();
        let (peer, why) = honest.first()?;
        let what = format!("{} is convicted: {why}", self.names.peer(*peer));
        let is_staged = self.number(view.job).is_none_or(|job| self.scenario.is_staged(job));
        if is_staged {
            self.watch.mark("honest peers framed in a staged job");
            return None;
        }
        let has_staged = (0..self.scenario.jobs.len()).any(|job| self.scenario.is_staged(job));
        match (self.scenario.colluders() < 2, has_staged) {
            (true, true) => Some((Promise::ConvictionsStay, what)),
            (true, false) => Some((Promise::NoHonestConvicted, what)),
            (false, _) => {
                self.watch.mark("honest peers convicted above the bound");
                None
            }
        }
    }

    /// **Audits happen where the policy wants them**: in a job with enough units and enough peers beside the
    /// voters, some peers have executed units again.
    pub(crate) fn audits_happen(&mut self, job: usize) {
        let (id, spec) = (self.truths[job].job, &self.truths[job].spec);
        let named = |index: usize| spec.submitter == index || spec.co_anchors.contains(&index);
        let able = |node: &&crate::node::Node| {
            node.is_honest() && node.is_up() && !node.is_gone && !named(node.index)
        };
        let able = self.nodes.iter().filter(able).count() as u64;
        let puppets: usize = self.scenario.liars.iter().map(Liars::puppets).sum();
        let all = (self.scenario.nodes + puppets) as u64;
        let beside = able.saturating_sub(u64::from(spec.quorum) + 1);
        let expected = spec.units * u64::from(spec.audit_ppm) * beside / all / 1_000_000;
        let submitter = self.nodes[spec.submitter].engine.as_ref();
        let is_done = submitter
            .and_then(|engine| engine.job(id))
            .is_some_and(|view| matches!(view.state, JobState::Verified));
        let audits = self.watch.trust.audits.get(&id).copied().unwrap_or(0);
        if AUDITS_SURE <= expected && is_done && audits == 0 {
            let what = format!("j{job}: about {expected} audits were due and none was made");
            self.broken(Promise::AuditsHappen, what);
        }
    }

    /// **Nobody can foresee what others audit**: where nobody lies and nothing was contested, two auditors of one batch do not
    /// always draw the same unit.
    pub(crate) fn coins_differ(&mut self, job: usize) {
        let id = self.truths[job].job;
        let submitter = self.nodes[self.truths[job].spec.submitter].engine.as_ref();
        let view = submitter.and_then(|engine| engine.job(id));
        // Liars' ballots may put a unit in question for a while; who answers them draws nothing.
        if self.scenario.liar_count() != 0 || view.is_none_or(|view| view.disputed != 0) {
            return;
        }
        let of_job = self.watch.trust.drawn.range((id, 0, 0)..=(id, u16::MAX, u32::MAX));
        let (mut pairs, mut same) = (0u64, 0u64);
        for by in of_job.map(|(_, by)| by) {
            let mut units = by.values();
            let Some(first) = units.next() else { continue };
            pairs += units.len() as u64;
            same += units.filter(|unit| *unit == first).count() as u64;
        }
        if 8 <= pairs && pairs == same {
            let what = format!("j{job}: {pairs} times another auditor drew the same unit");
            self.broken(Promise::CoinsDiffer, what);
        }
    }

    /// **Nobody makes a node keep more than its bounds**: authors of a job, and steps of an author.
    pub(crate) fn keeps_bounds(&mut self, index: usize, heads: &Heads) {
        if heads.heads.len() == HEADS_MAX {
            self.watch.mark("logs full of authors");
        }
        let longest = heads.heads.iter().map(|head| head.next).max().unwrap_or(0);
        if HEADS_MAX < heads.heads.len() || LOG_STEPS_MAX < longest {
            let what = format!("n{index} has {} logs, one of {longest}", heads.heads.len());
            self.broken(Promise::BoundedMemory, what);
        }
    }

    /// Counts an honest node's ballot if it is an audit: on a batch that it did not vote on.
    pub(crate) fn note_audit(&mut self, index: usize, job: JobId, vote: &Vote) {
        let slot = &vote.slot;
        let Some(truth) = self.truth(job) else { return };
        let About::Unit(unit) = slot.about else { return };
        let batch = truth.plan.partition(slot.stage).batch_of(unit);
        let is_anchor = truth.spec.submitter == index || truth.spec.co_anchors.contains(&index);
        if !is_anchor && !self.watch.has_voted(index, job, slot.stage, batch) {
            *self.watch.trust.audits.entry(job).or_default() += 1;
            // Ballots on a batch that was given up show no path: there is no root that it could lead to.
            if !vote.path.is_empty() {
                self.note_draw(index, job, slot);
            }
            self.watch.mark("audits");
        }
    }

    fn note_draw(&mut self, index: usize, job: JobId, slot: &Slot) {
        let About::Unit(unit) = slot.about else { return };
        let Some(truth) = self.truth(job) else { return };
        let partition = truth.plan.partition(slot.stage);
        let batch = partition.batch_of(unit);
        let units = partition.units_of(batch);
        if 3 <= units.end - units.start {
            let by = self.watch.trust.drawn.entry((job, slot.stage, batch)).or_default();
            by.entry(index).or_insert(unit);
        }
    }
}
