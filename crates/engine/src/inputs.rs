//! Bytes that a job needs here: inputs before it runs, packs between stages, results at the end.

use std::collections::BTreeMap;

use protocol::{About, Assurance, BlobRef, Gathered, Hash, PeerId, Slot, Standing, UnitVerdict};

use crate::active::Active;
use crate::core::Core;
use crate::job::{Attempt, fetch_when_due, inputs_of, providers};
use crate::limits::HOLDERS_MAX;
use crate::{BatchResult, FetchId, FetchLoss, Got, PackWant, Want};

/// How far the job's bytes have come.
#[derive(Debug, Default)]
pub(crate) struct Inputs {
    base: State<()>,
    /// Packs that a stage reads, for what it gathers.
    packs: BTreeMap<u16, (Gathered, State<Reading>)>,
    /// Results of the final stages, for who asked for them.
    results: State<u64>,
    why: Option<String>,
}

/// What a gathering stage runs on.
#[derive(Clone, Debug)]
pub(crate) struct Reading {
    pub(crate) packs: Vec<BlobRef>,
    /// Outcomes that are not successes: then the stage is not run.
    pub(crate) failed: u64,
}

#[derive(Debug, Default)]
enum State<T> {
    #[default]
    Absent,
    Coming(Attempt),
    Here(T),
}

impl<T> State<T> {
    fn is_due(&self, now_ms: u64) -> bool {
        match self {
            Self::Coming(attempt) => attempt.is_due(now_ms),
            Self::Absent | Self::Here(_) => false,
        }
    }

    /// When to try again, if nothing is under way.
    fn pause(&self) -> Option<u64> {
        match self {
            Self::Coming(attempt) => attempt.under_way.is_none().then_some(attempt.retry_ms),
            Self::Absent | Self::Here(_) => None,
        }
    }
}

impl Inputs {
    pub(crate) fn are_here(&self) -> bool {
        matches!(self.base, State::Here(()))
    }

    /// What a stage reads, if it is here and still what stands.
    pub(crate) fn reading(&self, stage: u16, gathered: Gathered) -> Option<&Reading> {
        match self.packs.get(&stage) {
            Some((own, State::Here(reading))) if *own == gathered => Some(reading),
            Some(_) | None => None,
        }
    }

    /// Results that are here, with the number of outcomes that are not successes.
    pub(crate) fn failed_results(&self) -> Option<u64> {
        match self.results {
            State::Here(failed) => Some(failed),
            State::Absent | State::Coming(_) => None,
        }
    }

    /// Outcomes that are not successes in a stage that another one reads.
    pub(crate) fn failed_reading(&self) -> Option<(u16, u64)> {
        self.packs.iter().find_map(|(stage, (_, state))| match state {
            State::Here(reading) if reading.failed != 0 => Some((*stage, reading.failed)),
            State::Here(_) | State::Absent | State::Coming(_) => None,
        })
    }

    /// What keeps the inputs from being here.
    pub(crate) fn why(&self) -> Option<&str> {
        self.why.as_deref()
    }

    fn is_anything_due(&self, now_ms: u64) -> bool {
        self.base.is_due(now_ms)
            || self.results.is_due(now_ms)
            || self.packs.values().any(|(_, state)| state.is_due(now_ms))
    }

    /// A module, file or pack has gone missing under a run: it is fetched again.
    pub(crate) fn refetch(&mut self) {
        if self.are_here() {
            self.base = State::Absent;
        }
        self.packs.retain(|_, (_, state)| !matches!(state, State::Here(_)));
    }
}

impl Active {
    /// Starts to fetch what working or keeping needs.
    pub(crate) fn pursue_inputs(&mut self, core: &mut Core) {
        let needed = self.submitted || self.kept_for.is_some() || (core.config.works && !self.over);
        if needed && matches!(self.inputs.base, State::Absent) {
            self.inputs.base = State::Coming(Attempt::now(core.now.mono_ms));
        }
        let (id, now, plan) = (self.id, core.now.mono_ms, self.plan().clone());
        let from = if self.inputs.is_anything_due(now) {
            providers(core, Some(self.submitter()), &self.holders())
        } else {
            Vec::new()
        };
        if let State::Coming(attempt) = &mut self.inputs.base {
            fetch_when_due(core, id, attempt, now, from.clone(), || inputs_of(&plan));
        }
        let packs = self.inputs.packs.values().filter_map(|(_, state)| state.pause());
        for retry_ms in packs.chain(self.inputs.results.pause()).filter(|retry_ms| now < *retry_ms)
        {
            core.wake_at(retry_ms);
        }
        let wants: BTreeMap<u16, Want> = self
            .inputs
            .packs
            .iter()
            .filter_map(|(stage, (_, state))| match state {
                State::Coming(attempt) if attempt.is_due(now) => {
                    Some((*stage, self.packs_read_by(*stage)?))
                }
                State::Coming(_) | State::Absent | State::Here(_) => None,
            })
            .collect();
        for (stage, want) in wants {
            if let Some((_, State::Coming(attempt))) = self.inputs.packs.get_mut(&stage) {
                fetch_when_due(core, id, attempt, now, from.clone(), || want);
            }
        }
        let results = match &self.inputs.results {
            State::Coming(attempt) if attempt.is_due(now) => {
                self.results().map(|all| Want::Packs(all.iter().map(want).collect()))
            }
            State::Coming(_) | State::Absent | State::Here(_) => None,
        };
        if let (State::Coming(attempt), Some(want)) = (&mut self.inputs.results, results) {
            fetch_when_due(core, id, attempt, now, from, || want);
        }
    }

    /// Asks for what a stage reads, unless it is on its way.
    pub(crate) fn want_reading(&mut self, core: &mut Core, stage: u16, gathered: Gathered) {
        let current = self.inputs.packs.get(&stage).is_some_and(|(own, _)| *own == gathered);
        if !current {
            self.inputs
                .packs
                .insert(stage, (gathered, State::Coming(Attempt::now(core.now.mono_ms))));
        }
    }

    /// Once everything is verified, who submitted or opened the job gets its results.
    pub(crate) fn pursue_results(&mut self, core: &mut Core) {
        let wanted = self.submitted || self.opened;
        if !self.over && self.sync.is_quiet() {
            // Perhaps outcomes failed, so that nobody runs what reads them: only their bytes tell, also those
            // who take part and will not work any more.
            for stage in self.plan().stages() {
                let gathered = self.ledger.last_verdict().gathered(stage);
                if let Some(gathered) = gathered {
                    self.want_reading(core, stage, gathered);
                }
            }
        }
        if wanted && self.is_settled() && matches!(self.inputs.results, State::Absent) {
            self.inputs.results = State::Coming(Attempt::now(core.now.mono_ms));
        }
        if !self.is_settled() {
            self.inputs.results = State::Absent;
        }
    }

    pub(crate) fn fetched(&mut self, core: &mut Core, fetch: FetchId, got: Result<Got, FetchLoss>) {
        if self.take_leaves(core, fetch, &got) || self.take_wanted_leaves(core, fetch, &got) {
            return;
        }
        self.picking.touch_all();
        let is_it = |attempt: &Attempt| attempt.under_way == Some(fetch);
        let now = core.now.mono_ms;
        self.inputs.why = match &got {
            Ok(_) => None,
            Err(FetchLoss::Missing(blob)) => Some(format!("no peer here has {blob}")),
            Err(FetchLoss::Malformed(blob)) => {
                Some(format!("{blob} is not what the job says it is"))
            }
            Err(FetchLoss::NoRoom) => Some("this node has no room for the job's data".to_owned()),
        };
        if matches!(&self.inputs.base, State::Coming(attempt) if is_it(attempt)) {
            settle(core, &mut self.inputs.base, got.map(|_| ()).map_err(|_| ()), now);
        } else if matches!(&self.inputs.results, State::Coming(attempt) if is_it(attempt)) {
            settle(core, &mut self.inputs.results, got.map(failed_of).map_err(|_| ()), now);
        } else {
            let state = self.inputs.packs.values_mut().map(|(_, state)| state);
            let mut mine =
                state.filter(|state| matches!(state, State::Coming(attempt) if is_it(attempt)));
            if let Some(state) = mine.next() {
                settle(core, state, got.map(reading_of).map_err(|_| ()), now);
            }
        }
    }

    /// The outcomes of the stages that no other stage reads, once all of them exist.
    pub(crate) fn results(&self) -> Option<Vec<BatchResult>> {
        let stages = &self.plan().manifest().stages;
        let read = |stage: u16| stages.iter().any(|other| other.upstream() == Some(stage));
        let mut results = Vec::new();
        for stage in self.plan().stages().filter(|stage| !read(*stage)) {
            results.extend(self.outcomes_of(stage)?);
        }
        Some(results)
    }

    fn packs_read_by(&self, stage: u16) -> Option<Want> {
        let upstream = self.plan().stage(stage).upstream()?;
        Some(Want::Packs(self.outcomes_of(upstream)?.iter().map(want).collect()))
    }

    /// Where the outcomes of a whole stage are, by batch, or by unit where ballots accepted them.
    fn outcomes_of(&self, stage: u16) -> Option<Vec<BatchResult>> {
        let mut results = Vec::new();
        for batch in 0..self.plan().partition(stage).batches() {
            let verdict = self.ledger.last_verdict().batch(stage, batch);
            let root = verdict.effective?;
            let assurance = self.ledger.last_verdict().assurance(self.plan(), stage, batch);
            let units = self.plan().partition(stage).units_of(batch);
            // Where ballots alone have accepted every unit, somebody may have packed the batch, too; but
            // that one may be alone with it and keep it.
            let (packs, holders) = self.packs_of(stage, About::Batch(batch), root);
            let stands = match &verdict.standing {
                Standing::Quorum { root: standing, .. } => *standing == root,
                Standing::SelfExecuted { .. } => true,
                Standing::Open => false,
            };
            let by_units = self.outcomes_by_unit(stage, batch, assurance);
            if let Some(of_units) = by_units.filter(|units| {
                let all = units.iter().all(|unit| !unit.packs.is_empty());
                !stands && (all || packs.is_empty())
            }) {
                results.extend(of_units);
                continue;
            }
            if !stands && packs.is_empty() {
                return None;
            }
            let alone = matches!(verdict.standing, Standing::SelfExecuted { .. });
            let verified = verdict.is_sealed || !alone;
            let (first_unit, units) = (units.start, units.end - units.start);
            results.push(BatchResult {
                stage,
                batch,
                first_unit,
                units,
                root,
                packs,
                holders,
                verified,
                assurance,
            });
        }
        Some(results)
    }

    /// The outcomes of a batch that ballots have accepted unit by unit.
    fn outcomes_by_unit(
        &self,
        stage: u16,
        batch: u32,
        assurance: Assurance,
    ) -> Option<Vec<BatchResult>> {
        let verdict = self.ledger.last_verdict().batch(stage, batch);
        let of_unit = |unit: u64| {
            let digest = match verdict.units.get(&unit)? {
                UnitVerdict::Accepted(digest) | UnitVerdict::Decided(digest) => *digest,
                UnitVerdict::Contested => return None,
            };
            let (packs, holders) = self.packs_of(stage, About::Unit(unit), digest);
            let root = protocol::merkle_root(&[digest]);
            let (first_unit, units, verified) = (unit, 1, true);
            let result = BatchResult {
                stage,
                batch,
                first_unit,
                units,
                root,
                packs,
                holders,
                verified,
                assurance,
            };
            Some(result)
        };
        self.plan().partition(stage).units_of(batch).map(of_unit).collect()
    }

    /// The packs that voters of a root name, and those voters.
    pub(crate) fn packs_of(
        &self,
        stage: u16,
        about: About,
        root: Hash,
    ) -> (Vec<BlobRef>, Vec<PeerId>) {
        let Some(slot) = self.slot_now(stage, about) else { return (vec![], vec![]) };
        let votes = self.ledger.book(&slot).into_iter().flat_map(|book| book.votes());
        let (mut packs, mut holders) = (Vec::new(), Vec::new());
        for (peer, cast) in votes.filter(|(_, cast)| cast.root == root) {
            packs.extend(cast.pack.filter(|pack| !packs.contains(pack)));
            holders.push(peer);
        }
        (packs, holders)
    }

    /// The slot of a batch or unit under the last verdict.
    pub(crate) fn slot_now(&self, stage: u16, about: About) -> Option<Slot> {
        self.ledger.slot(stage, about)
    }
}

fn want(result: &BatchResult) -> PackWant {
    let BatchResult { stage, batch, units, root, ref packs, ref holders, .. } = *result;
    PackWant { stage, batch, units, root, packs: packs.clone(), holders: few(holders) }
}

/// Some of a pack's voters are enough to ask.
pub(crate) fn few(holders: &[PeerId]) -> Vec<PeerId> {
    holders.iter().copied().take(HOLDERS_MAX).collect()
}

fn failed_of(got: Got) -> u64 {
    match got {
        Got::Packs { failed, .. } => failed,
        Got::Manifest(_) | Got::Inputs { .. } | Got::Leaves(_) => 0,
    }
}

fn reading_of(got: Got) -> Reading {
    match got {
        Got::Packs { packs, failed } => Reading { packs, failed },
        Got::Manifest(_) | Got::Inputs { .. } | Got::Leaves(_) => {
            Reading { packs: vec![], failed: 0 }
        }
    }
}

fn settle<T>(core: &mut Core, state: &mut State<T>, got: Result<T, ()>, now_ms: u64) {
    match (got, state) {
        (Ok(value), state) => *state = State::Here(value),
        (Err(()), State::Coming(attempt)) => {
            attempt.failed(now_ms);
            core.wake_at(attempt.retry_ms);
        }
        (Err(()), State::Absent | State::Here(_)) => {}
    }
}
