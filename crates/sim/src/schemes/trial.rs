//! Trials: a scheme against a threat, run by run, and what the runs have in common.

use std::ops::Range;
use std::sync::Mutex;

use super::scheme::Scheme;
use super::setting::{Adversary, Outcome, Setting, Size};
use super::theory::{Stop, of_so_many};
use crate::Chance;

/// What the adversary's workers are up to, their rate of lying being theirs to choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Threat {
    Silent,
    Open,
    Sleeper,
    Late,
    Withholder,
    Whitewasher,
    Faulty,
    Copier,
}

/// A cell of the table, before it is run.
#[derive(Clone, Copy, Debug)]
pub struct Trial {
    pub scheme: Scheme,
    pub threat: Threat,
    pub size: Size,
    pub percent: u64,
}

/// A mean with its standard error.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Mean {
    pub mean: f64,
    pub error: f64,
}

/// What the runs of a trial come to, at one rate of lying.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sum {
    pub adversary: Adversary,
    pub runs: u64,
    pub executions: Mean,
    pub wrong: Mean,
    pub wrong_first: Mean,
    pub first: Mean,
    pub last: Mean,
    pub open: Mean,
    pub settled_finally: Mean,
    pub wrong_finally: Mean,
    pub anchored: Mean,
    pub wrong_sealed: Mean,
    pub convicted: Mean,
    pub framed: Mean,
}

/// A cell of the table.
#[derive(Clone, Copy, Debug)]
pub struct Cell {
    pub trial: Trial,
    /// At the rate of lying that leaves the most wrong results.
    pub worst: Sum,
    /// The most executions at any rate.
    pub dearest: Mean,
}

/// How much is run.
#[derive(Clone, Debug)]
pub struct Effort {
    pub seed: u64,
    /// Runs of a scheme with a ledger; of others, `QUICK_RUNS` times as many.
    pub runs: u64,
    /// Rates at which a coalition may lie, in parts per million.
    pub rates: Vec<u64>,
    pub threads: usize,
}

/// Schemes without a ledger are quick.
const QUICK_RUNS: u64 = 5;
/// Rates of lying that are looked at closely.
const FINALISTS: usize = 2;

impl Threat {
    fn adversaries(self, rates: &[u64]) -> Vec<Adversary> {
        let each = |of: fn(u64) -> Adversary| rates.iter().map(|ppm| of(*ppm)).collect();
        match self {
            Self::Silent => each(|ppm| Adversary::Silent { ppm }),
            Self::Sleeper => each(|ppm| Adversary::Sleeper { ppm }),
            Self::Late => each(|ppm| Adversary::Late { ppm }),
            Self::Withholder => each(|ppm| Adversary::Withholder { ppm }),
            Self::Whitewasher => each(|ppm| Adversary::Whitewasher { ppm }),
            Self::Open => vec![Adversary::Open],
            Self::Faulty => vec![Adversary::Faulty],
            Self::Copier => vec![Adversary::Copier],
        }
    }
}

impl Mean {
    pub fn of(values: &[f64]) -> Self {
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let spread: f64 = values.iter().map(|value| (value - mean) * (value - mean)).sum();
        let error = if values.len() < 2 { 0.0 } else { (spread / (n - 1.0) / n).sqrt() };
        Self { mean, error }
    }
}

impl Trial {
    /// Runs the trial at every rate of lying, and takes the worst for the one who asks.
    ///
    /// With a ledger each rate is run once, and those that then look worst as often as the others.
    pub fn run(self, effort: &Effort) -> Cell {
        let runs = if self.scheme.has_ledger() { effort.runs } else { effort.runs * QUICK_RUNS };
        let first = if self.scheme.has_ledger() { 1 } else { runs };
        let adversaries = self.threat.adversaries(&self.rates(&effort.rates));
        let mut tries: Vec<(Adversary, Vec<Outcome>)> = adversaries
            .into_iter()
            .map(|adversary| (adversary, self.outcomes(adversary, 0..first, effort.seed)))
            .collect();
        let wrong = |tries: &[Outcome]| tries.iter().map(|o| o.wrong).sum::<u64>();
        tries.sort_by_key(|(_, outcomes)| std::cmp::Reverse(wrong(outcomes)));
        let sums: Vec<Sum> = tries
            .into_iter()
            .enumerate()
            .map(|(place, (adversary, mut outcomes))| {
                if place < FINALISTS {
                    outcomes.extend(self.outcomes(adversary, first..runs, effort.seed));
                }
                Sum::of(adversary, &outcomes)
            })
            .collect();
        let worst = *sums[..FINALISTS.min(sums.len())]
            .iter()
            .max_by(|a, b| a.wrong.mean.total_cmp(&b.wrong.mean))
            .expect("there is at least one rate");
        let dearest = sums
            .iter()
            .map(|sum| sum.executions)
            .max_by(|a, b| a.mean.total_cmp(&b.mean))
            .expect("there is at least one rate");
        Cell { trial: self, worst, dearest }
    }

    /// The highest rate, and those below it that make sense: nobody lies less who risks nothing, nor
    /// so seldom that the job is over before the first lie.
    fn rates(self, all: &[u64]) -> Vec<u64> {
        let Size { workers, units, .. } = self.size;
        let liars = (workers as u64 * self.percent / 100) as usize;
        let highest = all.iter().copied().max().unwrap_or(0);
        let lies = self.scheme.risked_by().map_or(0.0, |held_by| {
            let share = of_so_many(Stop::First(held_by), liars, workers, true);
            share * units as f64 / 1e6
        });
        let makes_sense = |ppm: &u64| *ppm == highest || 1.0 <= lies * *ppm as f64;
        all.iter().copied().filter(makes_sense).collect()
    }

    fn outcomes(self, adversary: Adversary, runs: Range<u64>, seed: u64) -> Vec<Outcome> {
        let Self { size, percent, .. } = self;
        runs.map(|run| {
            let seed = Chance::fork(seed, "run", run).next();
            self.scheme.run(Setting { size, adversary, percent, seed })
        })
        .collect()
    }

    /// Several runs against one adversary.
    pub fn sum(self, adversary: Adversary, runs: u64, seed: u64) -> Sum {
        Sum::of(adversary, &self.outcomes(adversary, 0..runs, seed))
    }
}

impl Sum {
    fn of(adversary: Adversary, outcomes: &[Outcome]) -> Self {
        let mean = |of: fn(&Outcome) -> f64| Mean::of(&outcomes.iter().map(of).collect::<Vec<_>>());
        Self {
            adversary,
            runs: outcomes.len() as u64,
            executions: mean(Outcome::executions_per_unit),
            wrong: mean(Outcome::wrong_share),
            wrong_first: mean(Outcome::wrong_first_share),
            first: mean(Outcome::first_time),
            last: mean(Outcome::last_time),
            open: mean(|outcome| outcome.open as f64 / outcome.units as f64),
            settled_finally: mean(|o| o.settled_finally as f64 / o.units as f64),
            wrong_finally: mean(|o| o.wrong_finally as f64 / o.units as f64),
            anchored: mean(|outcome| outcome.anchored as f64),
            wrong_sealed: mean(|o| o.wrong_sealed as f64 / o.units as f64),
            convicted: mean(|outcome| outcome.convicted as f64),
            framed: mean(|outcome| outcome.framed as f64),
        }
    }
}

/// Runs all trials, in several threads; `told` hears of each that is done.
pub(super) fn run_all(trials: &[Trial], effort: &Effort, told: impl Fn(&Cell) + Sync) -> Vec<Cell> {
    let next = Mutex::new(0..trials.len());
    let cells: Mutex<Vec<Option<Cell>>> = Mutex::new(vec![None; trials.len()]);
    std::thread::scope(|scope| {
        for _ in 0..effort.threads.max(1) {
            scope.spawn(|| {
                while let Some(number) = next.lock().expect("nobody panics with it").next() {
                    let cell = trials[number].run(effort);
                    told(&cell);
                    cells.lock().expect("nobody panics with it")[number] = Some(cell);
                }
            });
        }
    });
    let cells = cells.into_inner().expect("nobody panicked with it");
    cells.into_iter().map(|cell| cell.expect("every trial was run")).collect()
}
