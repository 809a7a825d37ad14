//! Bytes that a job needs here: inputs before it runs, packs between stages, results at the end.

mod reading;

use std::collections::{BTreeMap, BTreeSet};

use protocol::{About, Hash, PeerId, Plan, Roots, Slot, Source};

use crate::active::Active;
use crate::core::Core;
use crate::job::{Attempt, fetch_when_due, inputs_of, providers};
use crate::limits::LOOKS_MAX;
use crate::{FetchId, FetchLoss, Got};

pub(crate) use reading::Readable;
use reading::Reading;

/// How far the job's bytes have come.
#[derive(Debug, Default)]
pub(crate) struct Inputs {
    /// What is needed whichever units are run.
    base: State<()>,
    /// All parts of the datasets, too, where somebody relies on us for them.
    parts: State<()>,
    /// What batches and units read that are about to run here.
    readings: BTreeMap<(u16, About), Reading>,
    /// Packs of batches that others read, only to see whether outcomes in them have failed.
    looks: BTreeMap<(u16, u32), (Hash, State<u64>)>,
    /// Results of the final stages, for who asked for them.
    results: State<u64>,
    why: Option<String>,
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

    fn hurry(&mut self, now_ms: u64) {
        match self {
            Self::Coming(attempt) => attempt.hurry(now_ms),
            Self::Absent | Self::Here(_) => {}
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
    pub(crate) fn new(plan: &Plan) -> Self {
        let has_parts = |stage: &protocol::Stage| matches!(stage.source, Source::Parts(_));
        let parts = match plan.manifest().stages.iter().any(has_parts) {
            true => State::Absent,
            false => State::Here(()),
        };
        Self { parts, ..Self::default() }
    }

    /// For which batch or unit a fetch is.
    fn reading_of(&self, fetch: FetchId) -> Option<(u16, About)> {
        let is_it = |reading: &Reading| matches!(&reading.state, State::Coming(attempt) if attempt.under_way == Some(fetch));
        self.readings.iter().find(|(_, reading)| is_it(reading)).map(|(place, _)| *place)
    }

    pub(crate) fn are_here(&self) -> bool {
        matches!(self.base, State::Here(()))
    }

    /// Whether everything is here that others may ask a keeper for.
    pub(crate) fn are_all_here(&self) -> bool {
        self.are_here() && matches!(self.parts, State::Here(()))
    }

    /// Results that are here, with the number of outcomes that are not successes.
    pub(crate) fn failed_results(&self) -> Option<u64> {
        match self.results {
            State::Here(failed) => Some(failed),
            State::Absent | State::Coming(_) => None,
        }
    }

    /// Outcomes that are not successes in a stage that another one reads, as things stand now.
    pub(crate) fn failed_reading(&self, active: &Active) -> Option<(u16, u64)> {
        let (plan, verdict) = (active.plan(), active.ledger.last_verdict());
        let looks = self.looks.iter().find_map(|((stage, batch), (root, state))| match state {
            State::Here(failed) if *failed != 0 => {
                (verdict.of_batch(*stage, *batch) == Some(*root)).then_some((*stage, *failed))
            }
            State::Here(_) | State::Absent | State::Coming(_) => None,
        });
        let readings = || {
            let failed = self.readings.iter().filter(|(_, reading)| reading.failed() != 0);
            let now = |place: (u16, About)| verdict.gathered(plan, place.0, place.1);
            let mut stand = failed.filter(|(place, reading)| now(**place) == reading.gathered);
            let ((stage, _), reading) = stand.next()?;
            Some((plan.stage(*stage).upstreams().next().unwrap_or(*stage), reading.failed()))
        };
        looks.or_else(readings)
    }

    /// How many batches have what they read on its way for the first time: those that nobody can deliver wait,
    /// and keep no others from being fetched.
    pub(crate) fn coming(&self) -> usize {
        let is_coming = |(place, reading): &(&(u16, About), &Reading)| match &reading.state {
            State::Coming(attempt) => matches!(place.1, About::Batch(_)) && !attempt.has_failed(),
            State::Absent | State::Here(_) => false,
        };
        self.readings.iter().filter(is_coming).count()
    }

    /// What a batch or unit has read is not needed any more.
    pub(crate) fn done_with(&mut self, place: &(u16, About)) {
        if self.readings.get(place).is_some_and(|reading| reading.failed() == 0) {
            self.readings.remove(place);
        }
    }

    /// What keeps the inputs from being here.
    pub(crate) fn why(&self) -> Option<&str> {
        self.why.as_deref()
    }

    fn is_anything_due(&self, now_ms: u64) -> bool {
        self.base.is_due(now_ms)
            || self.parts.is_due(now_ms)
            || self.results.is_due(now_ms)
            || self.readings.values().any(|reading| reading.state.is_due(now_ms))
            || self.looks.values().any(|(_, state)| state.is_due(now_ms))
    }

    /// Whatever has failed may be tried again now.
    pub(crate) fn hurry(&mut self, now_ms: u64) {
        self.results.hurry(now_ms);
        self.readings.values_mut().for_each(|reading| reading.state.hurry(now_ms));
        self.looks.values_mut().for_each(|(_, state)| state.hurry(now_ms));
    }

    /// A module, file or pack has gone missing under a run: it is fetched again.
    pub(crate) fn refetch(&mut self) {
        if self.are_here() {
            self.base = State::Absent;
        }
        if matches!(self.parts, State::Here(())) {
            self.parts = State::Absent;
        }
        self.readings.retain(|_, reading| !matches!(reading.state, State::Here(_)));
    }
}

impl Active {
    /// Starts to fetch what working or keeping needs.
    pub(crate) fn pursue_inputs(&mut self, core: &mut Core) {
        let is_keeper = self.is_keeper();
        let needed = self.submitted
            || is_keeper
            || (core.config.works && !self.over)
            || !self.lineage.is_idle();
        if needed && matches!(self.inputs.base, State::Absent) {
            self.inputs.base = State::Coming(Attempt::now(core.now.mono_ms));
        }
        let holds_all = self.submitted || is_keeper;
        if holds_all && matches!(self.inputs.parts, State::Absent) {
            self.inputs.parts = State::Coming(Attempt::now(core.now.mono_ms));
        }
        let (id, now, plan) = (self.id, core.now.mono_ms, self.plan().clone());
        let from = if self.inputs.is_anything_due(now) {
            providers(core, Some(self.submitter()), &self.holders())
        } else {
            Vec::new()
        };
        if let State::Coming(attempt) = &mut self.inputs.base {
            fetch_when_due(core, id, attempt, now, from.clone(), || inputs_of(&plan, false));
        }
        if let State::Coming(attempt) = &mut self.inputs.parts {
            fetch_when_due(core, id, attempt, now, from.clone(), || inputs_of(&plan, true));
        }
        let pauses = self.inputs.readings.values().filter_map(|reading| reading.state.pause());
        let looks = self.inputs.looks.values().filter_map(|(_, state)| state.pause());
        let parts = self.inputs.parts.pause();
        let pauses = pauses.chain(parts).chain(looks).chain(self.inputs.results.pause());
        for retry_ms in pauses.filter(|retry_ms| now < *retry_ms) {
            core.wake_at(retry_ms);
        }
        self.pursue_readings(core, &from);
        self.pursue_looks(core, &from);
        self.pursue_holding(core);
        let results = match &self.inputs.results {
            State::Coming(attempt) if attempt.is_due(now) => {
                self.results().map(|all| self.packs(&all, true))
            }
            State::Coming(_) | State::Absent | State::Here(_) => None,
        };
        if let (State::Coming(attempt), Some(want)) = (&mut self.inputs.results, results) {
            fetch_when_due(core, id, attempt, now, from, || want);
        }
    }

    /// Perhaps outcomes failed, so that nobody runs what reads them: only their bytes tell.
    fn look_at_what_is_read(&mut self, core: &Core) {
        let (plan, verdict) = (self.ledger.plan(), self.ledger.last_verdict());
        let coming = |(_, state): &&(Hash, State<u64>)| matches!(state, State::Coming(_));
        let mut room = LOOKS_MAX.saturating_sub(self.inputs.looks.values().filter(coming).count());
        // Many batches may read the same ones.
        let mut seen = BTreeSet::new();
        for stage in plan.stages().filter(|stage| plan.is_dependent(*stage)) {
            for batch in 0..plan.partition(stage).batches() {
                let is_waiting = !verdict.batch(stage, batch).is_settled();
                if !is_waiting || verdict.gathered(plan, stage, About::Batch(batch)).is_none() {
                    continue;
                }
                let mut reads = plan.reads(stage, plan.partition(stage).units_of(batch));
                reads.retain(|r| seen.insert((r.stage, r.batches.start, r.batches.end)));
                let reads = reads.into_iter();
                for at in reads.flat_map(|read| read.batches.map(move |b| (read.stage, b))) {
                    let Some(root) = verdict.of_batch(at.0, at.1) else { continue };
                    if self.inputs.looks.get(&at).is_some_and(|(own, _)| *own == root) {
                        continue;
                    }
                    if room == 0 {
                        return;
                    }
                    room -= 1;
                    let state = State::Coming(Attempt::now(core.now.mono_ms));
                    self.inputs.looks.insert(at, (root, state));
                }
            }
        }
    }

    fn pursue_looks(&mut self, core: &mut Core, from: &[PeerId]) {
        let now = core.now.mono_ms;
        let due = self.inputs.looks.iter().filter(|(_, (_, state))| state.is_due(now));
        let due: Vec<(u16, u32)> = due.map(|(at, _)| *at).collect();
        for (stage, batch) in due {
            let Some(all) = self.outcomes_of_batch(stage, batch) else { continue };
            let want = self.packs(&all, false);
            if let Some((_, State::Coming(attempt))) = self.inputs.looks.get_mut(&(stage, batch)) {
                fetch_when_due(core, self.id, attempt, now, from.to_vec(), || want);
            }
        }
    }

    /// Once everything is verified, who submitted or opened the job gets its results.
    pub(crate) fn pursue_results(&mut self, core: &mut Core) {
        let wanted = self.submitted || self.opened;
        if !self.over && self.sync.is_quiet() {
            self.look_at_what_is_read(core);
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
        if let Err(loss) = got {
            self.miss(core, loss);
        }
        if matches!(got, Err(FetchLoss::NoRoom)) && !self.submitted && !self.opened {
            // Who asked will find another.
            self.kept_for = None;
        }
        let is_it = |attempt: &Attempt| attempt.under_way == Some(fetch);
        let now = core.now.mono_ms;
        self.inputs.why = match &got {
            Ok(_) => None,
            Err(FetchLoss::Missing(blob)) => Some(format!("no peer here has {blob}")),
            Err(FetchLoss::Outcomes { stage, first_unit }) => {
                let name = &self.plan().stage(*stage).name;
                Some(format!("no peer here has the outcomes of `{name}` from unit {first_unit}"))
            }
            Err(FetchLoss::Malformed(blob)) => {
                Some(format!("{blob} is not what the job says it is"))
            }
            Err(FetchLoss::NoRoom) => Some("this node has no room for the job's data".to_owned()),
        };
        if self.take_held(core, fetch, got.is_ok()) {
            return;
        }
        if matches!(&self.inputs.base, State::Coming(attempt) if is_it(attempt)) {
            self.picking.touch_all();
            settle(core, &mut self.inputs.base, got.map(|_| ()).map_err(|_| ()), now);
        } else if matches!(&self.inputs.parts, State::Coming(attempt) if is_it(attempt)) {
            settle(core, &mut self.inputs.parts, got.map(|_| ()).map_err(|_| ()), now);
        } else if matches!(&self.inputs.results, State::Coming(attempt) if is_it(attempt)) {
            if got.is_ok() && !self.lineage.is_clean() {
                let results = self.results().into_iter().flatten();
                let all: BTreeSet<(u16, u32)> = results.map(|of| (of.stage, of.batch)).collect();
                all.into_iter().for_each(|at| self.found(at));
            }
            settle(core, &mut self.inputs.results, got.map(failed_of).map_err(|_| ()), now);
        } else if let Some(place) = self.inputs.reading_of(fetch) {
            self.take_reading(core, place, got);
        } else {
            let state = self.inputs.looks.values_mut().map(|(_, state)| state);
            let mut mine =
                state.filter(|state| matches!(state, State::Coming(attempt) if is_it(attempt)));
            if let Some(state) = mine.next() {
                settle(core, state, got.map(failed_of).map_err(|_| ()), now);
            }
        }
    }

    /// The slot of a batch or unit under the last verdict.
    pub(crate) fn slot_now(&self, stage: u16, about: About) -> Option<Slot> {
        self.ledger.slot(stage, about)
    }
}

fn failed_of(got: Got) -> u64 {
    match got {
        Got::Packs { failed, .. } => failed,
        Got::Manifest(_) | Got::Inputs { .. } | Got::Leaves(_) => 0,
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
