//! Unrolling: loops, reducing trees and long units become plain stages, each reading earlier ones.

use std::collections::BTreeMap;

use protocol::limits::STAGES_MAX;

use super::{PrepareError, default_batch};
use crate::{DraftSource, DraftStage, RepeatSpec, SourceSpec, StageSpec};

/// Stages as a manifest lists them, and which of them a name in the job file means by now.
#[derive(Debug, Default)]
pub(super) struct Unrolled {
    pub(super) stages: Vec<DraftStage>,
    /// The first that each stage of the job file became, by its name there.
    pub(super) firsts: BTreeMap<String, String>,
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

/// The stages of a job file in the order in which they run, each of which reads what is there by then.
pub(super) fn turns<'a>(
    stages: &[StageSpec],
    repeats: &'a [RepeatSpec],
) -> Result<Vec<Turn<'a>>, PrepareError> {
    let mut starts: BTreeMap<usize, &RepeatSpec> = BTreeMap::new();
    let mut loops: Vec<Option<&RepeatSpec>> = vec![None; stages.len()];
    for repeat in repeats {
        let names = || repeat.stages.iter().map(String::as_str);
        let mut places = stages.windows(repeat.stages.len().max(1));
        let at = places.position(|window| window.iter().map(|s| s.name.as_str()).eq(names()));
        let own = at.map(|at| at..at + repeat.stages.len());
        let Some(own) = own.filter(|own| loops[own.clone()].iter().all(Option::is_none)) else {
            return Err(PrepareError::Repeat { stages: repeat.stages.clone() });
        };
        loops[own.clone()].fill(Some(repeat));
        starts.insert(own.start, repeat);
    }
    check_names(stages, &loops)?;
    let mut turns = Vec::new();
    let mut number = 0;
    while number < stages.len() {
        match starts.get(&number).copied() {
            None => {
                turns.push(Turn { number, round: None });
                number += 1;
            }
            Some(repeat) => {
                for round in 1..=repeat.times {
                    let own = number..number + repeat.stages.len();
                    turns.extend(own.map(|number| Turn { number, round: Some((repeat, round)) }));
                }
                number += repeat.stages.len();
            }
        }
        if STAGES_MAX < turns.len() {
            return Err(PrepareError::TooManyStages);
        }
    }
    Ok(turns)
}

/// Names differ, and mean earlier stages; what a stage `reads` may also be a later one of its own loop.
fn check_names(stages: &[StageSpec], loops: &[Option<&RepeatSpec>]) -> Result<(), PrepareError> {
    for (number, stage) in stages.iter().enumerate() {
        let earlier = &stages[..number];
        if earlier.iter().any(|other| other.name == stage.name) {
            return Err(PrepareError::TwoStages { stage: stage.name.clone() });
        }
        if !stage.first_files.is_empty() && loops[number].is_none() {
            return Err(PrepareError::NoLoop { stage: stage.name.clone() });
        }
        let source = match &stage.source {
            SourceSpec::Each { stage }
            | SourceSpec::Gather { stage, .. }
            | SourceSpec::ByName { stage, .. } => Some(stage),
            SourceSpec::Range { .. } | SourceSpec::Grid { .. } | SourceSpec::Parts { .. } => None,
        };
        let is_earlier = |wanted: &String| earlier.iter().any(|other| other.name == *wanted);
        let in_loop = |wanted: &String| loops[number].is_some_and(|of| of.stages.contains(wanted));
        let unknown = source
            .into_iter()
            .find(|wanted| !is_earlier(wanted))
            .or_else(|| stage.reads.iter().find(|wanted| !is_earlier(wanted) && !in_loop(wanted)));
        if let Some(wanted) = unknown {
            return Err(PrepareError::NoSuchStage {
                stage: stage.name.clone(),
                wanted: wanted.clone(),
                earlier: earlier.iter().map(|stage| stage.name.clone()).collect(),
            });
        }
    }
    Ok(())
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
        stage.links.mount.clone_from(&spec.name);
        let name = match turn.round {
            Some((_, round)) => format!("{}.{round}", spec.name),
            None => spec.name.clone(),
        };
        // What only a later stage of the loop makes is there from the second round on.
        stage.links.reads =
            spec.reads.iter().filter_map(|name| self.current.get(name)).copied().collect();
        stage.links.converges = !turn.is_first();
        stage.source = match &spec.source {
            SourceSpec::Each { stage: wanted } => DraftSource::Each { stage: self.current[wanted] },
            SourceSpec::ByName { stage: wanted, buckets } => {
                DraftSource::ByName { stage: self.current[wanted], buckets: *buckets }
            }
            SourceSpec::Gather { stage: wanted, fan_in: None } => {
                DraftSource::Gather { stage: self.current[wanted], fan_in: None }
            }
            SourceSpec::Gather { stage: wanted, fan_in: Some(n) } => {
                return self.tree(spec, stage, name, (self.current[wanted], *n));
            }
            SourceSpec::Range { .. } | SourceSpec::Grid { .. } | SourceSpec::Parts { .. } => {
                stage.source
            }
        };
        let last = self.segments(spec, stage, name)?;
        self.current.insert(spec.name.clone(), last);
        Ok(())
    }

    /// A reducing tree, level by level; all but the last are seen by the next one as what they read.
    fn tree(
        &mut self,
        spec: &StageSpec,
        stage: DraftStage,
        name: String,
        (mut below, fan_in): (u16, u32),
    ) -> Result<(), PrepareError> {
        let mount = self.mount(below);
        let is_last = |units: u64| units <= u64::from(fan_in);
        let has_levels = !is_last(self.counts[usize::from(below)]);
        let mut level = 1;
        loop {
            let ends = is_last(self.counts[usize::from(below)]);
            let mut own = stage.clone();
            own.source = DraftSource::Gather { stage: below, fan_in: Some(fan_in) };
            own.links.mount = if ends { spec.name.clone() } else { mount.clone() };
            let called = if has_levels { format!("{name}.{level}") } else { name.clone() };
            below = self.segments(spec, own, called)?;
            if ends {
                self.current.insert(spec.name.clone(), below);
                return Ok(());
            }
            level += 1;
        }
    }

    /// The stage, and those that go on with its units; returns the last one.
    fn segments(
        &mut self,
        spec: &StageSpec,
        mut stage: DraftStage,
        name: String,
    ) -> Result<u16, PrepareError> {
        if spec.segments == 1 {
            stage.name = name;
            return self.push(spec, stage);
        }
        let mut last = 0;
        for segment in 1..=spec.segments {
            let own = DraftStage { name: format!("{name}.{segment}"), ..stage.clone() };
            last = self.push(spec, own)?;
            stage.links.continues = Some(last);
        }
        Ok(last)
    }

    fn push(&mut self, spec: &StageSpec, mut stage: DraftStage) -> Result<u16, PrepareError> {
        if STAGES_MAX <= self.stages.len() {
            return Err(PrepareError::TooManyStages);
        }
        if stage.links.mount == stage.name {
            stage.links.mount.clear();
        }
        self.firsts.entry(spec.name.clone()).or_insert_with(|| stage.name.clone());
        let units = stage.unit_count(&self.counts);
        stage.batch = spec.batch.unwrap_or_else(|| default_batch(units, None));
        self.counts.push(units);
        self.stages.push(stage);
        Ok(u16::try_from(self.stages.len() - 1).expect("limits keep stages few"))
    }

    fn mount(&self, stage: u16) -> String {
        let DraftStage { name, links, .. } = &self.stages[usize::from(stage)];
        if links.mount.is_empty() { name.clone() } else { links.mount.clone() }
    }
}
