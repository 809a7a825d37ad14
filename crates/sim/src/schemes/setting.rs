//! What a scheme is tried under, and what one try of it came to.

use crate::Chance;

/// Time is counted in thousandths of a median execution.
pub(super) const EXECUTION: u64 = 1000;
/// A claim whose execution was lost is given up after this many executions.
pub(super) const LEASE: u64 = 3;
/// Honest executions that go wrong, each in its own way: one in this many.
pub(super) const SLIP_ONE_IN: u64 = 10_000;
/// Executions that never come back, in percent.
pub(super) const LOST_PERCENT: u64 = 2;
/// How far workers' speeds spread: a logarithm to base 2 of 0.72, which is 0.5 to base e.
const SPEEDS_PERCENT: u64 = 72;
/// Units that faulty machines get wrong, in percent.
pub(super) const FAULT_PERCENT: u64 = 10;
/// Results that a sleeper gives honestly before it starts to lie.
pub(super) const ASLEEP: u64 = 20;
/// From when on latecomers lie: the share of the job that is done, in percent.
pub(super) const LATE_PERCENT: u64 = 80;

/// How large the job and its crowd are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    pub workers: usize,
    pub units: u64,
    /// Units of a full batch, where a scheme has batches.
    pub batch: u32,
}

/// What the adversary's part of the workers does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Adversary {
    /// Sees every assignment, and lies only where it holds the whole deciding set: there about each
    /// unit in `ppm` of a million cases.
    Silent { ppm: u64 },
    /// Always lies, all with the same lie.
    Open,
    /// As [`Adversary::Silent`], after `ASLEEP` honest results of each.
    Sleeper { ppm: u64 },
    /// As [`Adversary::Silent`], when most of the job is done.
    Late { ppm: u64 },
    /// As [`Adversary::Silent`], and shows nobody what is under its roots.
    Withholder { ppm: u64 },
    /// As [`Adversary::Silent`], and whoever is convicted comes back under a new name.
    Whitewasher { ppm: u64 },
    /// Broken machines, each wrong in its own way.
    Faulty,
    /// Lazy: they repeat what they see, or say anything.
    Copier,
}

impl Adversary {
    /// How often it lies where it may, if that is its choice.
    pub(super) fn ppm(self) -> Option<u64> {
        match self {
            Self::Silent { ppm }
            | Self::Sleeper { ppm }
            | Self::Late { ppm }
            | Self::Withholder { ppm }
            | Self::Whitewasher { ppm } => Some(ppm),
            Self::Open | Self::Faulty | Self::Copier => None,
        }
    }
}

/// One try: a scheme's rule under this meets this adversary.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    pub size: Size,
    pub adversary: Adversary,
    /// The adversary's share of the workers, in percent.
    pub percent: u64,
    pub seed: u64,
}

impl Setting {
    /// How many workers are the adversary's.
    pub fn liars(&self) -> usize {
        (self.size.workers as u64 * self.percent / 100) as usize
    }

    pub(super) fn chance(&self, label: &str) -> Chance {
        Chance::fork(self.seed, label, 0)
    }

    /// How long each worker's executions take.
    pub(super) fn paces(&self, chance: &mut Chance) -> Vec<u64> {
        (0..self.size.workers).map(|_| pace(chance)).collect()
    }
}

/// How long one worker's executions take.
pub(super) fn pace(chance: &mut Chance) -> u64 {
    (EXECUTION as f64 * chance.factor(SPEEDS_PERCENT)) as u64 + 1
}

/// What one try came to.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Outcome {
    pub units: u64,
    /// Units executed, by anybody and for any reason.
    pub executions: u64,
    /// Of these, in audits, and in contests.
    pub in_audits: u64,
    pub in_contests: u64,
    /// Units whose first accepted result was wrong.
    pub wrong_first: u64,
    /// Units whose result was wrong in the end.
    pub wrong: u64,
    /// Units without an accepted result in the end.
    pub open: u64,
    /// Units whose result had become final, and those of them that were wrong.
    pub settled_finally: u64,
    pub wrong_finally: u64,
    /// Units that an anchor executed before it sealed, and those it then sealed that were wrong.
    pub anchored: u64,
    pub wrong_sealed: u64,
    /// Sums over the units of the time to the first and to the last verdict.
    pub first: u64,
    pub last: u64,
    /// Of the adversary, and of the others.
    pub convicted: u64,
    pub framed: u64,
}

impl Outcome {
    pub fn executions_per_unit(&self) -> f64 {
        self.executions as f64 / self.units as f64
    }

    pub fn wrong_share(&self) -> f64 {
        self.wrong as f64 / self.units as f64
    }

    pub fn wrong_first_share(&self) -> f64 {
        self.wrong_first as f64 / self.units as f64
    }

    /// In executions of median length.
    pub fn first_time(&self) -> f64 {
        self.first as f64 / self.units as f64 / EXECUTION as f64
    }

    pub fn last_time(&self) -> f64 {
        self.last as f64 / self.units as f64 / EXECUTION as f64
    }
}
