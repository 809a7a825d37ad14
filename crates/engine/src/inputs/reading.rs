//! Readings: what batches and units read of other stages, brought here before they run.

use std::sync::Arc;

use protocol::{About, Gathered, Hash, PeerId, Roots, Source};

use super::{State, settle};
use crate::active::Active;
use crate::core::Core;
use crate::job::{Attempt, fetch_when_due, providers};
use crate::limits::READINGS_KEPT;
use crate::{BatchResult, FetchLoss, Got, Reads, Want};

/// What one batch or unit runs on.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) gathered: Option<Gathered>,
    pub(super) state: State<Read>,
    /// Where the packs are from that are on their way.
    wanted: Vec<BatchResult>,
}

/// Everything that a batch or unit reads.
#[derive(Clone, Debug)]
pub(super) struct Read {
    reads: Arc<Reads>,
    /// Outcomes that are not successes: then it is not run.
    failed: u64,
}

/// How far what a batch or unit reads has come.
#[derive(Clone, Debug)]
pub(crate) enum Readable {
    Yes(Arc<Reads>),
    Coming,
    /// Some of it has no outcome yet, or has failed.
    No,
}

impl Reading {
    /// How many outcomes that are read are not successes, as far as they are here.
    pub(super) fn failed(&self) -> u64 {
        match &self.state {
            State::Here(read) => read.failed,
            State::Absent | State::Coming(_) => 0,
        }
    }
}

impl Active {
    /// What a batch or unit needs to run, if it is here; asks for it if not.
    pub(crate) fn readable(&mut self, core: &mut Core, place: (u16, About)) -> Readable {
        let (stage, about) = place;
        let plan = self.plan().clone();
        let is_dependent = plan.is_dependent(stage);
        if !is_dependent && !matches!(plan.stage(stage).source, Source::Parts(_)) {
            return Readable::Yes(Arc::default());
        }
        let gathered = self.ledger.last_verdict().gathered(&plan, stage, about);
        if is_dependent && gathered.is_none() {
            return Readable::No;
        }
        match self.inputs.readings.get(&place).filter(|own| own.gathered == gathered) {
            Some(Reading { state: State::Here(read), .. }) if read.failed == 0 => {
                Readable::Yes(Arc::clone(&read.reads))
            }
            Some(Reading { state: State::Here(_), .. }) => Readable::No,
            Some(Reading { state: State::Coming(_) | State::Absent, .. }) => Readable::Coming,
            None => {
                self.forget_readings();
                let state = State::Coming(Attempt::now(core.now.mono_ms));
                let reading = Reading { gathered, state, wanted: Vec::new() };
                self.inputs.readings.insert(place, reading);
                let from = providers(core, Some(self.submitter()), &self.holders());
                self.pursue_readings(core, &from);
                Readable::Coming
            }
        }
    }

    /// What a batch or unit reads is here, or is something else by now: it may be its turn.
    fn look_again(&mut self, place: (u16, About)) {
        self.touch(place);
        self.work.wanted_units.extend(match place.1 {
            About::Unit(unit) if self.work.waiting.remove(&(place.0, unit)) => {
                Some((place.0, unit))
            }
            About::Unit(_) | About::Batch(_) => None,
        });
    }

    /// Lets go of what was here for batches that others have settled.
    fn forget_readings(&mut self) {
        if self.inputs.readings.len() < READINGS_KEPT {
            return;
        }
        let (verdict, plan) = (self.ledger.last_verdict(), self.ledger.plan());
        self.inputs.readings.retain(|(stage, about), reading| {
            let batch = match about {
                About::Batch(batch) => *batch,
                About::Unit(unit) => plan.partition(*stage).batch_of(*unit),
            };
            let is_remade = self.lineage.wants(&(*stage, *about));
            reading.failed() != 0 || is_remade || !verdict.batch(*stage, batch).is_settled()
        });
    }

    /// Starts to fetch what batches and units read that are about to run.
    pub(super) fn pursue_readings(&mut self, core: &mut Core, from: &[PeerId]) {
        let now = core.now.mono_ms;
        let due: Vec<(u16, About)> = self
            .inputs
            .readings
            .iter()
            .filter(|(_, reading)| reading.state.is_due(now))
            .map(|(place, _)| *place)
            .collect();
        for (stage, about) in due {
            let plan = self.plan().clone();
            let stands = self.ledger.last_verdict().gathered(&plan, stage, about);
            if self.inputs.readings.get(&(stage, about)).is_some_and(|own| own.gathered != stands) {
                // It is asked for anew when it is its turn.
                self.inputs.readings.remove(&(stage, about));
                self.look_again((stage, about));
                continue;
            }
            let units = self.units_of(stage, about);
            let reads = plan.reads(stage, units.clone()).into_iter();
            let batches = reads.flat_map(|read| read.batches.map(move |batch| (read.stage, batch)));
            let all: Option<Vec<Vec<BatchResult>>> =
                batches.map(|(stage, batch)| self.outcomes_of_batch(stage, batch)).collect();
            // Without its packs anywhere, what it reads may have changed: then it is asked for anew.
            let Some(all) = all else { continue };
            let wanted: Vec<BatchResult> = all.into_iter().flatten().collect();
            let wants = wanted.iter().map(|result| self.want(result)).collect();
            let Some(reading) = self.inputs.readings.get_mut(&(stage, about)) else { continue };
            reading.wanted = wanted;
            let State::Coming(attempt) = &mut reading.state else { continue };
            let want = || Want::Reads { plan, stage, units, packs: wants };
            fetch_when_due(core, self.id, attempt, now, from.to_vec(), want);
        }
    }

    /// Takes in what a fetch for a batch or unit has brought.
    pub(super) fn take_reading(
        &mut self,
        core: &mut Core,
        place: (u16, About),
        got: Result<Got, FetchLoss>,
    ) {
        let Some(reading) = self.inputs.readings.get_mut(&place) else { return };
        let verdict = self.ledger.last_verdict();
        let root = |at: &BatchResult| verdict.of_batch(at.stage, at.batch);
        let wanted = std::mem::take(&mut reading.wanted);
        let found: Vec<(u16, u32)> = if got.is_ok() && !self.lineage.is_clean() {
            wanted.iter().map(|of| (of.stage, of.batch)).collect()
        } else {
            Vec::new()
        };
        let got = got.map(|got| read_of(got, &wanted, root)).map_err(|_| ());
        let units = match place.1 {
            About::Batch(batch) => self.ledger.plan().partition(place.0).units_of(batch),
            About::Unit(unit) => unit..unit + 1,
        };
        let is_stale = |read: &Read| {
            let plan = self.ledger.plan();
            plan.gathered(place.0, units.clone(), &*read.reads) != reading.gathered
        };
        if got.as_ref().is_ok_and(is_stale) {
            // What it reads was revoked meanwhile, and perhaps stands otherwise by now.
            self.inputs.readings.remove(&place);
        } else {
            settle(core, &mut reading.state, got, core.now.mono_ms);
        }
        found.into_iter().for_each(|at| self.found(at));
        self.look_again(place);
    }
}

/// What a fetch has brought of these batches, whose roots stand.
fn read_of(got: Got, wanted: &[BatchResult], root: impl Fn(&BatchResult) -> Option<Hash>) -> Read {
    let mut reads = Reads::default();
    let (packs, failed) = match got {
        Got::Packs { packs, failed } => (packs, failed),
        Got::Manifest(_) | Got::Inputs { .. } | Got::Leaves(_) => (Vec::new(), 0),
    };
    for (result, pack) in wanted.iter().zip(packs) {
        if let Some(root) = root(result) {
            reads.insert(result.stage, result.batch, root, (result.first_unit, pack));
        }
    }
    Read { reads: Arc::new(reads), failed }
}
