//! Sampling: units drawn at random are executed again here, which needs nobody's word.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use client::{Client, show_duration_ms};
use engine::Reads;
use protocol::{About, Execution, Hash, Loss, Opened, PeerId};
use sandbox::{Pool, PoolConfig, Ran, RunRequest};
use serde::Serialize;
use tokio::runtime::Runtime;

use crate::cli::args::SampleArgs;
use crate::cli::entry::Context;
use crate::cli::failure::{End, Failure, Outcome};
use crate::cli::job::larder::Larder;
use crate::cli::job::leaves::Leaves;
use crate::cli::show;
use crate::cli::terminal::{data, talk};
use crate::cli::trial::lost;
use crate::shell::{Order, Prepared, prepare};

/// What was executed again, and what that shows.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Sampled {
    /// Units of all stages that have an outcome: what was drawn from.
    pub(crate) population: u64,
    /// How many were to be drawn.
    pub(crate) asked: u64,
    /// How many were executed and gave what the verdict says.
    pub(crate) agreeing: u64,
    /// CPU time of all executions, in milliseconds.
    pub(crate) cpu_ms: u64,
    pub(crate) mismatches: Vec<Mismatch>,
    /// Units that gave no outcome here.
    pub(crate) lost: Vec<Unanswered>,
    /// The share of wrong outcomes that is not exceeded, at 95 %, if all agree.
    pub(crate) wrong_at_most: Option<f64>,
}

/// A unit whose outcome here is another one.
#[derive(Debug, Serialize)]
pub(crate) struct Mismatch {
    pub(crate) stage: String,
    pub(crate) unit: u64,
    pub(crate) verdict: Hash,
    pub(crate) here: Hash,
    /// Who has stated what the verdict says.
    pub(crate) voters: BTreeSet<PeerId>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Unanswered {
    pub(crate) stage: String,
    pub(crate) unit: u64,
    pub(crate) why: String,
}

/// Executes units of the whole ancestry of the results again, in random order, until enough are done
/// or the budget is used up.
pub(crate) fn sample(
    context: &Context,
    client: &Client,
    opened: &Opened,
    args: &SampleArgs,
) -> Outcome<Sampled> {
    let config = context.settings(&[], true)?.config;
    let bench = Bench::new(PoolConfig {
        program: config.worker.path.clone(),
        args: config.worker.args.clone(),
        workers: 1,
        cache_dir: config.data_dir.join("modules"),
        scratch_dir: config.data_dir.join("scratch"),
    })?;
    let job = opened.ledger.plan().manifest().job();
    let larder = Larder::new(client, job, &bench.config)?;
    let mut work = Work {
        opened,
        bench,
        larder: &larder,
        leaves: Leaves::new(&opened.ledger, &larder),
        brought: BTreeMap::new(),
        sampled: Sampled { asked: args.sample.unwrap_or(0), ..Sampled::default() },
    };
    let population = work.population();
    work.sampled.population = population.iter().map(|(.., units)| units).sum();
    let budget_ms = args.budget.unwrap_or(u64::MAX);
    let mut draw = Draw::new(work.sampled.population);
    for _ in 0..work.sampled.asked.min(work.sampled.population) {
        if budget_ms <= work.sampled.cpu_ms {
            talk("the budget is used up");
            break;
        }
        let (stage, unit) = place(&population, draw.next()?);
        work.check(stage, unit)?;
    }
    let mut sampled = work.sampled;
    if sampled.mismatches.is_empty() && 0 < sampled.agreeing {
        sampled.wrong_at_most = Some(if sampled.agreeing == sampled.population {
            0.0
        } else {
            bound(sampled.agreeing)
        });
    }
    Ok(sampled)
}

/// After so many draws without a wrong outcome: the share of wrong ones is below, or this was luck of
/// one in twenty.
fn bound(agreeing: u64) -> f64 {
    1.0 - 0.05_f64.powf(1.0 / agreeing as f64)
}

/// A sandbox, and the runtime that it lives in.
#[derive(Debug)]
struct Bench {
    config: PoolConfig,
    pool: Pool,
    runtime: Runtime,
}

impl Bench {
    fn new(config: PoolConfig) -> Outcome<Self> {
        let runtime = Runtime::new()?;
        let pool = runtime.block_on(Pool::start(config.clone()));
        let pool = pool.map_err(|error| Failure::of(End::NoNode, &error))?;
        Ok(Self { config, pool, runtime })
    }

    fn run(&self, request: RunRequest) -> Outcome<Result<Ran, Loss>> {
        self.runtime.block_on(async {
            let running = self.pool.run(request);
            let mut running = running.map_err(|error| Failure::of(End::NoNode, &error))?;
            let result = running.next().await;
            Ok(result.map_or(Err(Loss::WorkerCrash), |(_, result)| result))
        })
    }
}

/// How a unit gets its outcome.
enum Prepares {
    Run(RunRequest),
    /// It passes on what it reads.
    Passed(Execution),
}

/// A sample under way.
struct Work<'a> {
    opened: &'a Opened,
    bench: Bench,
    larder: &'a Larder<'a>,
    leaves: Leaves<'a>,
    /// Packs of batches that units read, once they were brought, each with its first unit.
    brought: BTreeMap<(u16, u32), Vec<(u64, protocol::BlobRef)>>,
    sampled: Sampled,
}

impl Work<'_> {
    /// Ranges of units that have an outcome: stage, first unit, and how many.
    fn population(&self) -> Vec<(u16, u64, u64)> {
        let (plan, verdict) = (self.opened.ledger.plan(), self.opened.ledger.last_verdict());
        let mut ranges = Vec::new();
        for stage in plan.stages() {
            for (batch, of) in (0..).zip(verdict.batches(stage)) {
                let units = plan.partition(stage).units_of(batch);
                if of.effective.is_some() {
                    ranges.push((stage, units.start, units.end - units.start));
                }
            }
        }
        ranges
    }

    fn check(&mut self, stage: u16, unit: u64) -> Outcome<()> {
        let name = self.opened.ledger.plan().stage(stage).name.clone();
        let verdict = self.leaves.of(stage, unit)?;
        let ran = match self.request(stage, unit)? {
            Prepares::Run(request) => self.bench.run(request)?.map(|ran| ran.execution),
            Prepares::Passed(execution) => Ok(execution),
        };
        match ran {
            Ok(execution) => {
                self.sampled.cpu_ms += execution.cost.cpu_us.div_ceil(1000);
                let here = execution.outcome.digest();
                if here == verdict {
                    self.sampled.agreeing += 1;
                } else {
                    let voters = self.leaves.voters(stage, unit, verdict);
                    self.sampled.mismatches.push(Mismatch {
                        stage: name,
                        unit,
                        verdict,
                        here,
                        voters,
                    });
                }
            }
            Err(loss) => {
                let plan = self.opened.ledger.plan();
                if loss == Loss::Timeout {
                    self.sampled.cpu_ms += plan.stage(stage).limits.cpu_ms;
                }
                let why = lost(&loss).error;
                self.sampled.lost.push(Unanswered { stage: name, unit, why });
            }
        }
        Ok(())
    }

    /// The unit with everything that it reads, put together as every worker does it.
    fn request(&mut self, stage: u16, unit: u64) -> Outcome<Prepares> {
        let plan = Arc::clone(self.opened.ledger.plan());
        let gathered = self.opened.ledger.last_verdict().gathered(&plan, stage, About::Unit(unit));
        let derived = plan.unit(stage, unit, gathered).ok_or_else(|| missing(stage, unit))?;
        self.larder.inputs(&derived, plan.stage(stage).module)?;
        let reads = Arc::new(self.reads(stage, unit)?);
        let job = plan.manifest().job();
        let order = Order { job, plan, stage, units: vec![unit], reads };
        let Prepared { request, lost: losses, passed, .. } =
            prepare(self.larder.store(), &order, 0);
        match (request, passed.into_iter().next(), losses.first()) {
            (Some(request), ..) => Ok(Prepares::Run(request)),
            (None, Some((_, kept)), _) => Ok(Prepares::Passed(kept.execution)),
            (None, None, Some((_, loss))) => Err(lost(loss)),
            (None, None, None) => Err(missing(stage, unit)),
        }
    }

    /// Brings what a unit reads of earlier stages, every batch once.
    fn reads(&mut self, stage: u16, unit: u64) -> Outcome<Reads> {
        let plan = Arc::clone(self.opened.ledger.plan());
        let mut reads = Reads::default();
        let all = plan.reads(stage, unit..unit + 1).into_iter();
        for at in all.flat_map(|read| read.batches.map(move |batch| (read.stage, batch))) {
            if !self.brought.contains_key(&at) {
                let mut packs = Vec::new();
                for (first, blob, pack) in self.leaves.packs(at.0, at.1)? {
                    self.larder.outputs(&pack)?;
                    packs.push((first, blob));
                }
                self.brought.insert(at, packs);
            }
            let root = self.opened.ledger.last_verdict().batch(at.0, at.1).effective;
            let root = root.ok_or_else(|| missing(stage, unit))?;
            for pack in &self.brought[&at] {
                reads.insert(at.0, at.1, root, *pack);
            }
        }
        Ok(reads)
    }
}

fn missing(stage: u16, unit: u64) -> Failure {
    let error = format!("unit {unit} of stage number {stage} cannot be derived");
    Failure::new(End::Undecided, error, "wait until what it reads has outcomes")
}

/// Which unit a number of the population is.
fn place(population: &[(u16, u64, u64)], mut number: u64) -> (u16, u64) {
    for (stage, first, units) in population {
        if number < *units {
            return (*stage, first + number);
        }
        number -= units;
    }
    unreachable!("numbers are drawn below the sum of all ranges")
}

/// Numbers below an end in an order that nobody can foresee, none of them twice.
#[derive(Debug)]
struct Draw {
    left: u64,
    /// Where the numbers that were drawn have others in their place.
    moved: BTreeMap<u64, u64>,
}

impl Draw {
    fn new(end: u64) -> Self {
        Self { left: end, moved: BTreeMap::new() }
    }

    fn next(&mut self) -> Outcome<u64> {
        let at = below(self.left)?;
        self.left -= 1;
        let last = self.moved.get(&self.left).copied().unwrap_or(self.left);
        let drawn = self.moved.insert(at, last).unwrap_or(at);
        Ok(drawn)
    }
}

/// A number below `end`, each as likely, from the system's randomness.
fn below(end: u64) -> Outcome<u64> {
    assert!(end != 0, "there is no number below zero");
    let fair = u64::MAX - u64::MAX % end;
    loop {
        let mut bytes = [0; 8];
        getrandom::fill(&mut bytes).map_err(|error| {
            Failure::of(End::BadInput, &format!("the system gives no random bytes: {error}"))
        })?;
        let number = u64::from_le_bytes(bytes);
        if number < fair {
            return Ok(number % end);
        }
    }
}

impl Sampled {
    /// The exit code that it amounts to.
    pub(crate) fn end(&self) -> End {
        match (self.mismatches.is_empty(), self.lost.is_empty() && 0 < self.agreeing) {
            (false, _) => End::Failed,
            (true, false) => End::Undecided,
            (true, true) => End::Done,
        }
    }

    pub(crate) fn print(&self) -> Outcome<()> {
        self.lines().iter().try_for_each(data)
    }

    /// For people who get the results on stdout.
    pub(crate) fn tell(&self) {
        self.lines().iter().for_each(talk);
    }

    fn lines(&self) -> Vec<String> {
        let run = self.agreeing + self.mismatches.len() as u64;
        let mut lines = vec![format!(
            "sample     {} of {} executed again here: {} agree ({} of CPU)",
            run,
            show::units(self.population),
            self.agreeing,
            show_duration_ms(self.cpu_ms)
        )];
        for one in &self.mismatches {
            let voters: Vec<String> = one.voters.iter().map(ToString::to_string).collect();
            lines.push(format!("WRONG      stage `{}` unit {}", one.stage, one.unit));
            lines.push(format!("  verdict  {}", one.verdict));
            lines.push(format!("  here     {}", one.here));
            lines.push(format!("  behind   {}", voters.join(" ")));
        }
        for one in &self.lost {
            lines.push(format!("no outcome stage `{}` unit {}: {}", one.stage, one.unit, one.why));
        }
        if let Some(share) = self.wrong_at_most {
            let units =
                if self.lost.is_empty() { "outcomes" } else { "outcomes that can be had here" };
            let percent = share * 100.0;
            lines.push(format!(
                "bound      at most {percent:.2} % of the {units} are wrong, at 95 % confidence, whoever lied"
            ));
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_is_drawn_once_and_in_another_order_each_time() {
        let all = |end: u64| -> Vec<u64> {
            let mut draw = Draw::new(end);
            (0..end).map(|_| draw.next().unwrap()).collect()
        };
        let (one, other) = (all(1000), all(1000));
        assert_ne!(one, other);
        assert_eq!(one.into_iter().collect::<BTreeSet<u64>>(), (0..1000).collect());
    }

    #[test]
    fn numbers_below_three_are_equally_likely() {
        let mut counts = [0u32; 3];
        (0..3000).for_each(|_| counts[below(3).unwrap() as usize] += 1);
        // Ten standard deviations.
        assert!(counts.iter().all(|count| count.abs_diff(1000) < 260), "{counts:?}");
    }

    #[test]
    fn a_number_of_the_population_is_a_unit_of_a_stage() {
        let population = [(0, 0, 4), (0, 8, 2), (1, 0, 1)];
        let places: Vec<(u16, u64)> = (0..7).map(|n| place(&population, n)).collect();
        assert_eq!(places, [(0, 0), (0, 1), (0, 2), (0, 3), (0, 8), (0, 9), (1, 0)]);
    }

    #[test]
    fn the_bound_is_exact_and_near_three_in_n() {
        assert!((bound(1) - 0.95).abs() < 1e-12);
        assert!((bound(100) - 0.029_513).abs() < 1e-6);
        assert!(bound(1000) < 3.0 / 1000.0);
    }
}
