//! What people see of a job: numbers that always add up, and names with reasons.

use std::collections::BTreeMap;

use protocol::{About, Assurance, Audited, PeerId, Slot, Standing, Tally};

use crate::active::Active;
use crate::core::Core;
use crate::job::{Job, Phase, why_not};
use crate::{JobState, JobView, StageView, Unaudited};

/// What this node knows of a job.
pub(crate) fn view(core: &Core, job: &Job) -> JobView {
    let announced = job.announced.first();
    let mut view = JobView {
        job: job.id,
        name: String::new(),
        submitter: announced.map_or(PeerId::new([0; 32]), protocol::Signed::author),
        created_ms: announced.map_or(0, |a| a.value().created_ms),
        expires_ms: announced.map_or(0, |a| a.value().expires_ms),
        state: JobState::Seeking,
        assurance: Assurance::Provisional,
        unaudited: Vec::new(),
        anchors: Vec::new(),
        stages: Vec::new(),
        executions: 0,
        audits: 0,
        disputed: 0,
        recalled: 0,
        convicted: Vec::new(),
        outvoted: Vec::new(),
        workers: Vec::new(),
        keepers: Vec::new(),
        keepers_wanted: None,
        safe_to_leave: false,
        idle_reason: announced.and_then(|a| why_not(core, a)),
    };
    match &job.phase {
        Phase::Seeking(_) => {}
        Phase::Noted | Phase::Manifest(_) | Phase::Parts { .. } => view.state = JobState::Fetching,
        Phase::Broken { why } => view.state = JobState::Broken { why: why.clone() },
        Phase::Active(active) => active.describe(core, &mut view),
    }
    view
}

impl Active {
    fn describe(&self, core: &Core, view: &mut JobView) {
        let manifest = self.plan().manifest();
        view.name.clone_from(&manifest.name);
        view.submitter = manifest.submitter;
        view.created_ms = manifest.created_ms;
        view.expires_ms = manifest.expires_ms;
        view.stages = self.plan().stages().map(|stage| self.describe_stage(core, stage)).collect();
        self.describe_votes(view);
        let verdict = self.ledger.last_verdict();
        view.assurance = verdict.weakest(self.plan());
        view.anchors.clone_from(&manifest.policy.anchors);
        if view.assurance == Assurance::Provisional {
            view.unaudited = self.describe_unaudited();
        }
        view.disputed = (verdict.contested.len() + verdict.decided.len()) as u64;
        view.recalled = self.memory.units;
        view.convicted = self.describe_convicted();
        view.keepers =
            if self.submitted { self.confirmed_keepers() } else { self.ledger.keepers().to_vec() };
        if self.submitted {
            let wanted = Self::keepers_wanted(core);
            view.keepers_wanted = Some(wanted);
            view.safe_to_leave = wanted <= view.keepers.len();
        }
        if let Some(why) = self.inputs.why() {
            view.idle_reason = Some(why.to_owned());
        }
        view.state = self.state(core);
    }

    pub(crate) fn state(&self, core: &Core) -> JobState {
        if self.ledger.is_cancelled() {
            return JobState::Cancelled;
        }
        if self.plan().manifest().expires_ms < core.now.unix_ms {
            return JobState::Expired;
        }
        if let Some((stage, failed)) = self.inputs.failed_reading(self) {
            return JobState::Failed { stage, failed };
        }
        if self.is_settled() {
            return self.settled_state();
        }
        let stuck = self.stuck_units(core);
        if stuck.is_empty() {
            return JobState::Running;
        }
        let excused =
            (stuck.len() as u64).max(self.units_given_up_alone(core)) + self.downstream_units();
        if self.unsettled_units() <= excused { JobState::Stuck(stuck) } else { JobState::Running }
    }

    fn settled_state(&self) -> JobState {
        let self_executed = self.has_self_executed();
        match (self.inputs.failed_results(), self.submitted || self.opened) {
            (Some(failed), _) if failed != 0 => {
                JobState::Failed { stage: self.plan().manifest().stages.len() as u16 - 1, failed }
            }
            (None, true) => JobState::Running,
            (Some(_), _) | (None, false) if self_executed => JobState::SelfExecuted,
            (Some(_), _) | (None, false) => JobState::Verified,
        }
    }

    /// Whether every unit of every stage has an uncontested outcome.
    pub(crate) fn is_settled(&self) -> bool {
        self.settled
    }

    /// Whether nothing is left to do here: for an anchor, that is when everything is sealed.
    pub(crate) fn is_over(&self, core: &Core) -> bool {
        let is_done = || {
            let verdict = self.ledger.last_verdict();
            verdict.is_sealed()
                || (!self.is_anchor(core.me) && self.audits.are_done() && self.work.is_idle())
        };
        self.ledger.is_cancelled() || (self.is_settled() && !self.has_self_executed() && is_done())
    }

    /// Whether whoever comes now has nothing to do: every unit has an uncontested outcome by a quorum, and there
    /// are enough others to audit any voter.
    pub(crate) fn has_enough_peers(&self) -> bool {
        let policy = &self.plan().manifest().policy;
        let enough = self.quorum() + usize::from(policy.lead);
        let others = || self.ledger.authors().filter(|peer| !self.is_anchor(*peer)).count();
        self.is_settled()
            && (policy.audit_ppm == 0 || enough <= others())
            && !self.has_self_executed()
    }

    fn has_self_executed(&self) -> bool {
        let verdict = self.ledger.last_verdict();
        let alone = |batch: &protocol::BatchVerdict| {
            !batch.is_sealed && matches!(batch.standing, Standing::SelfExecuted { .. })
        };
        self.plan().stages().any(|stage| verdict.batches(stage).iter().any(alone))
    }

    fn unsettled_units(&self) -> u64 {
        self.plan().stages().map(|stage| self.unsettled_in(stage)).sum()
    }

    fn unsettled_in(&self, stage: u16) -> u64 {
        let (view, _) = self.count(stage);
        self.plan().partition(stage).units() - view.accepted - view.self_executed
    }

    /// Units of batches that cannot start before earlier ones are done.
    fn downstream_units(&self) -> u64 {
        let (plan, verdict) = (self.plan(), self.ledger.last_verdict());
        let waiting = |stage: u16| {
            let partition = plan.partition(stage);
            let is_waiting =
                |batch: &u32| verdict.gathered(plan, stage, About::Batch(*batch)).is_none();
            let waiting = (0..partition.batches()).filter(is_waiting);
            waiting.map(|batch| partition.units_of(batch).count() as u64).sum::<u64>()
        };
        plan.stages().filter(|stage| plan.is_dependent(*stage)).map(waiting).sum()
    }

    /// Units of a stage by verdict alone, and the batches in which some have none.
    fn count(&self, stage: u16) -> (StageView, Vec<(u32, u64)>) {
        let verdict = self.ledger.last_verdict();
        let Tally { units, self_executed, accepted, contested, finals, sealed, .. } =
            verdict.tally(self.plan(), stage);
        let view = StageView {
            units,
            self_executed,
            accepted,
            contested,
            finals,
            sealed,
            ..StageView::default()
        };
        let batches = 0..verdict.batches(stage).len() as u32;
        let open = batches.map(|batch| (batch, verdict.tally_of(self.plan(), stage, batch).open));
        (view, open.filter(|(_, units)| *units != 0).collect())
    }

    fn describe_stage(&self, core: &Core, stage: u16) -> StageView {
        let (mut view, open) = self.count(stage);
        view.name.clone_from(&self.plan().stage(stage).name);
        self.plan().stage(stage).mount().clone_into(&mut view.mount);
        for (batch, units) in open {
            let voted = || {
                let slot = self.slot_now(stage, About::Batch(batch))?;
                self.ledger.book(&slot)?.votes().next().map(|_| ())
            };
            let own = self.work.is_busy_with(stage, About::Batch(batch));
            if own || self.claims.is_claimed(stage, batch, core.now.mono_ms) || voted().is_some() {
                view.running += units;
            } else {
                view.open += units;
            }
        }
        view
    }

    fn describe_votes(&self, view: &mut JobView) {
        let verdict = self.ledger.last_verdict();
        let (mut executed, mut outvoted): (BTreeMap<PeerId, u64>, BTreeMap<PeerId, u64>) =
            Default::default();
        for (slot, book) in self.ledger.books() {
            let (units, standing) = match slot.about {
                About::Batch(batch) => {
                    let units = self.plan().partition(slot.stage).units_of(batch);
                    (units.end - units.start, Some(&verdict.batch(slot.stage, batch).standing))
                }
                About::Unit(_) => (1, None),
            };
            for (peer, cast) in book.votes() {
                // Who voted on the batch repeats in a ballot what it executed with it.
                let is_audit = self.is_audit(slot, peer);
                view.audits += u64::from(is_audit);
                if cast.pack.is_some() || is_audit {
                    *executed.entry(peer).or_default() += units;
                }
                if matches!(standing, Some(Standing::Quorum { root, .. }) if *root != cast.root) {
                    *outvoted.entry(peer).or_default() += units;
                }
            }
        }
        view.executions = executed.values().sum::<u64>().saturating_sub(self.memory.units);
        view.workers = executed.into_iter().collect();
        view.outvoted = outvoted.into_iter().collect();
    }

    /// Whether a vote is a ballot of somebody who did not vote on the unit's batch.
    fn is_audit(&self, slot: &Slot, peer: PeerId) -> bool {
        let About::Unit(unit) = slot.about else { return false };
        let batch = self.plan().partition(slot.stage).batch_of(unit);
        let of_batch = self.slot_now(slot.stage, About::Batch(batch));
        let book = of_batch.and_then(|slot| self.ledger.book(&slot));
        book.is_none_or(|book| book.vote_of(peer).is_none())
    }

    fn describe_unaudited(&self) -> Vec<Unaudited> {
        let open = self.ledger.last_verdict().audited.iter().filter(|(_, of)| !of.is_passed());
        let describe = |(peer, of): (&PeerId, &Audited)| Unaudited {
            peer: *peer,
            audits: of.audits,
            wanted: of.quota,
            auditors: of.auditors,
            auditors_wanted: u64::from(self.plan().manifest().policy.lead),
        };
        open.map(describe).collect()
    }

    fn describe_convicted(&self) -> Vec<(PeerId, String)> {
        let verdict = self.ledger.last_verdict();
        let name =
            |(stage, unit): &(u16, u64)| format!("{} {unit}", self.plan().stage(*stage).name);
        let wrong = verdict.convicted.iter().map(|(peer, conviction)| {
            let count = conviction.units.len();
            let list: Vec<String> = conviction.units.iter().take(4).map(name).collect();
            let more = if list.len() < count { ", …" } else { "" };
            let how = if conviction.colluded {
                "the same wrong outcome as another peer"
            } else {
                "a wrong outcome"
            };
            (*peer, format!("stated {how} on {count} decided units ({}{more})", list.join(", ")))
        });
        let forked = verdict
            .equivocators
            .iter()
            .map(|peer| (*peer, "signed contradicting statements".to_owned()));
        wrong.chain(forked).collect()
    }
}
