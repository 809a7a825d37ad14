//! Unrolling: loops, reducing trees and long units become plain stages, each reading earlier ones.

use std::collections::BTreeMap;

use super::{PrepareError, default_batch};
use crate::{DraftSource, DraftStage, RepeatSpec, SourceSpec, StageSpec};

/// Stages as a manifest lists them, and which of them a name in the job file means by now.
#[derive(Debug, Default)]
pub(super) struct Unrolled {
    pub(super) stages: Vec<DraftStage>,
    counts: Vec<u64>,
    current: BTreeMap<String, u16>,
}

/// One stage of the job file in one round.
#[derive(Clone, Copy, Debug)]
pub(super) struct Turn<'a> {
    /// Its place in the job file.
    pub(super) number: usize,
    /// The loop that it is part of, and the round, from 1 on.
    round: Option<(&'a RepeatSpec, u32)>,
}

impl Turn<'_> {
    /// Whether there is no round before it.
    pub(super) fn is_first(&self) -> bool {
        self.round.is_none_or(|(_, round)| round == 1)
    }
}

/// The stages of a job file in the order in which they run.
pub(super) fn turns<'a>(
    stages: &[StageSpec],
    repeats: &'a [RepeatSpec],
) -> Result<Vec<Turn<'a>>, PrepareError> {
    let mut starts: BTreeMap<usize, &RepeatSpec> = BTreeMap::new();
    let mut taken = vec![false; stages.len()];
    for repeat in repeats {
        let names: Vec<&str> = repeat.stages.iter().map(String::as_str).collect();
        let mut places = stages.windows(names.len().max(1));
        let at = places
            .position(|window| window.iter().map(|s| s.name.as_str()).eq(names.iter().copied()));
        let Some(at) = at.filter(|at| !taken[*at..*at + names.len()].contains(&true)) else {
            return Err(PrepareError::Repeat { stages: repeat.stages.clone() });
        };
        taken[at..at + names.len()].fill(true);
        starts.insert(at, repeat);
    }
    let mut turns = Vec::new();
    let mut number = 0;
    while number < stages.len() {
        let Some(repeat) = starts.get(&number).copied() else {
            turns.push(Turn { number, round: None });
            number += 1;
            continue;
        };
        for round in 1..=repeat.times {
            let own = number..number + repeat.stages.len();
            turns.extend(own.map(|number| Turn { number, round: Some((repeat, round)) }));
        }
        number += repeat.stages.len();
    }
    Ok(turns)
}

impl Unrolled {
    /// Adds a stage of the job file: `base` has everything but what follows from other stages.
    pub(super) fn add(
        &mut self,
        turn: Turn<'_>,
        spec: &StageSpec,
        base: DraftStage,
    ) -> Result<(), PrepareError> {
        let mut stage = base;
        let name = match turn.round {
            Some((_, round)) => format!("{}.{round}", spec.name),
            None => spec.name.clone(),
        };
        for wanted in &spec.reads {
            match self.current.get(wanted) {
                Some(number) => stage.links.reads.push(*number),
                // What only a later stage of the loop makes is there from the second round on.
                None if turn.is_first() && is_in_loop(&turn, wanted) => {}
                None => return Err(self.no_such(spec, wanted)),
            }
        }
        stage.links.converges = !turn.is_first();
        stage.source = match &spec.source {
            SourceSpec::Each { stage: wanted } => {
                DraftSource::Each { stage: self.find(spec, wanted)? }
            }
            SourceSpec::ByName { stage: wanted, buckets } => {
                DraftSource::ByName { stage: self.find(spec, wanted)?, buckets: *buckets }
            }
            SourceSpec::Gather { stage: wanted, fan_in: None } => {
                DraftSource::Gather { stage: self.find(spec, wanted)?, fan_in: None }
            }
            SourceSpec::Gather { stage: wanted, fan_in: Some(n) } => {
                let source = self.find(spec, wanted)?;
                self.tree(spec, &stage, &name, (source, *n))
            }
            SourceSpec::Range { .. } | SourceSpec::Grid { .. } | SourceSpec::Parts { .. } => {
                stage.source
            }
        };
        let last = self.segments(spec, stage, name);
        self.current.insert(spec.name.clone(), last);
        Ok(())
    }

    /// All levels of a reducing tree but the last, whose source is returned.
    fn tree(
        &mut self,
        spec: &StageSpec,
        stage: &DraftStage,
        name: &str,
        (mut below, fan_in): (u16, u32),
    ) -> DraftSource {
        let mount = self.mount(below);
        let mut level = 1;
        loop {
            let source = DraftSource::Gather { stage: below, fan_in: Some(fan_in) };
            if self.counts[usize::from(below)] <= u64::from(fan_in) {
                return source;
            }
            let mut own = DraftStage { source, name: format!("{name}.{level}"), ..stage.clone() };
            own.links.mount.clone_from(&mount);
            below = self.push(spec, own);
            level += 1;
        }
    }

    /// The stage, and those that go on with its units; returns the last one.
    fn segments(&mut self, spec: &StageSpec, mut stage: DraftStage, name: String) -> u16 {
        stage.links.mount.clone_from(&spec.name);
        if spec.segments == 1 {
            stage.name = name;
            return self.push(spec, stage);
        }
        for segment in 1..=spec.segments {
            let own = DraftStage { name: format!("{name}.{segment}"), ..stage.clone() };
            stage.links.continues = Some(self.push(spec, own));
        }
        (self.stages.len() - 1) as u16
    }

    fn push(&mut self, spec: &StageSpec, mut stage: DraftStage) -> u16 {
        if stage.links.mount == stage.name {
            stage.links.mount.clear();
        }
        let units = stage.unit_count(&self.counts);
        stage.batch = spec.batch.unwrap_or_else(|| default_batch(units, None));
        self.counts.push(units);
        self.stages.push(stage);
        (self.stages.len() - 1) as u16
    }

    fn mount(&self, stage: u16) -> String {
        let DraftStage { name, links, .. } = &self.stages[usize::from(stage)];
        if links.mount.is_empty() { name.clone() } else { links.mount.clone() }
    }

    fn find(&self, spec: &StageSpec, wanted: &str) -> Result<u16, PrepareError> {
        self.current.get(wanted).copied().ok_or_else(|| self.no_such(spec, wanted))
    }

    fn no_such(&self, spec: &StageSpec, wanted: &str) -> PrepareError {
        PrepareError::NoSuchStage {
            stage: spec.name.clone(),
            wanted: wanted.to_owned(),
            earlier: self.current.keys().cloned().collect(),
        }
    }
}

fn is_in_loop(turn: &Turn<'_>, wanted: &str) -> bool {
    turn.round.is_some_and(|(repeat, _)| repeat.stages.iter().any(|name| name == wanted))
}
