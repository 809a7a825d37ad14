//! The survey: which trials the table is made of, and where it finds their cells again.

use super::economy;
use super::figure;
use super::report;
use super::scheme::Scheme;
use super::setting::Size;
use super::trial::{Cell, Effort, Threat, Trial, run_all};

/// How far the survey goes.
#[derive(Clone, Debug)]
pub struct Extent {
    pub size: Size,
    /// The adversary's shares, in percent.
    pub percents: Vec<u64>,
    /// The share for the comparisons that are made at one share only.
    pub percent: u64,
    pub schemes: Vec<Scheme>,
    pub(super) small: Vec<Crowd>,
    pub effort: Effort,
    /// Only schemes in whose names this occurs.
    pub only: String,
}

/// A small network: so many peers, of whom so many percent are the adversary's.
pub(super) type Crowd = (usize, u64);

/// What the survey has found.
#[derive(Clone, Debug)]
pub struct Survey {
    pub extent: Extent,
    pub cells: Vec<Cell>,
}

/// Schemes that are tried against every threat.
pub(super) const TRIED_BY_ALL: [Scheme; 8] = [
    Scheme::first(2),
    Scheme::of(2, 3),
    Scheme::Adaptive,
    Scheme::Credibility { one_in: 1000 },
    Scheme::rqa(2, 10),
    Scheme::rqa(3, 10),
    Scheme::plain(20),
    Scheme::record(20),
];

pub(super) const THREATS: [Threat; 7] = [
    Threat::Open,
    Threat::Sleeper,
    Threat::Late,
    Threat::Withholder,
    Threat::Whitewasher,
    Threat::Faulty,
    Threat::Copier,
];

/// Quorums that are tried in small networks.
pub(super) const SMALL: [Scheme; 3] = [Scheme::rqa(2, 10), Scheme::rqa(3, 10), Scheme::rqa(4, 10)];
/// Units of a job in a small network.
const SMALL_UNITS: u64 = 400;

impl Extent {
    /// The size that the figures in the documents have.
    pub fn full(seed: u64, runs: u64, threads: usize) -> Self {
        let mut schemes = counted();
        let quorums = [2, 3, 4];
        let audits = [0, 2, 5, 10, 20];
        schemes.extend(quorums.iter().flat_map(|k| audits.map(|p| Scheme::rqa(*k, p))));
        schemes.extend([10, 15, 20, 30, 40, 80].map(Scheme::plain));
        schemes.extend([10, 20].map(Scheme::record));
        Self {
            size: Size { workers: 200, units: 20_000, batch: 10 },
            percents: vec![1, 5, 10, 20, 30],
            percent: 20,
            schemes,
            small: vec![(3, 34), (5, 20), (5, 40), (8, 13), (8, 25), (8, 38)],
            effort: Effort {
                seed,
                runs,
                rates: vec![1_000_000, 300_000, 100_000, 30_000, 10_000],
                threads,
            },
            only: String::new(),
        }
    }

    /// A tenth of it, to see whether everything still works.
    pub fn quick(seed: u64, runs: u64, threads: usize) -> Self {
        let mut schemes = counted();
        schemes.extend([(2, 0), (2, 10), (3, 10)].map(|(k, p)| Scheme::rqa(k, p)));
        schemes.extend([15, 20, 40].map(Scheme::plain));
        schemes.push(Scheme::record(10));
        schemes.push(Scheme::record(20));
        Self {
            size: Size { workers: 40, units: 2_000, batch: 8 },
            percents: vec![5, 20],
            percent: 20,
            schemes,
            small: vec![(3, 34), (5, 20), (8, 25)],
            effort: Effort { seed, runs, rates: vec![1_000_000, 100_000], threads },
            only: String::new(),
        }
    }

    fn trials(&self) -> Vec<Trial> {
        let size = self.size;
        let mut trials = Vec::new();
        for scheme in self.schemes.iter().copied() {
            for percent in self.percents.iter().copied() {
                trials.push(Trial { scheme, threat: Threat::Silent, size, percent });
                if let Scheme::Counted(_) = scheme {
                    trials.push(Trial { scheme, threat: Threat::Open, size, percent });
                }
            }
        }
        for scheme in TRIED_BY_ALL {
            for threat in THREATS {
                let percent = self.percent;
                let is_there = trials
                    .iter()
                    .any(|t| t.scheme == scheme && t.threat == threat && t.percent == percent);
                if !is_there {
                    trials.push(Trial { scheme, threat, size, percent });
                }
            }
        }
        for scheme in SMALL {
            for (workers, percent) in self.small.iter().copied() {
                let size = Size { workers, units: SMALL_UNITS, batch: self.size.batch };
                trials.push(Trial { scheme, threat: Threat::Silent, size, percent });
            }
        }
        trials.retain(|trial| trial.scheme.name().contains(&self.only));
        trials
    }
}

impl Survey {
    /// Runs everything; `told` hears of each cell that is done.
    pub fn run(extent: Extent, told: impl Fn(&Cell) + Sync) -> Self {
        let cells = run_all(&extent.trials(), &extent.effort, told);
        Self { extent, cells }
    }

    /// The cell of a scheme against a threat.
    pub fn cell(&self, scheme: Scheme, threat: Threat, percent: u64) -> Option<&Cell> {
        self.find(scheme, threat, percent, self.extent.size.workers)
    }

    pub(super) fn find(
        &self,
        scheme: Scheme,
        threat: Threat,
        percent: u64,
        workers: usize,
    ) -> Option<&Cell> {
        self.cells.iter().find(|Cell { trial, .. }| {
            trial.scheme == scheme
                && trial.threat == threat
                && trial.percent == percent
                && trial.size.workers == workers
        })
    }

    /// The tables, for people.
    pub fn to_markdown(&self) -> String {
        report::markdown(self)
    }

    /// What lies a scheme lets through for what it costs, drawn.
    pub fn to_svg(&self) -> String {
        figure::svg(self)
    }

    /// Which form of economy is good enough.
    pub fn economy(&self) -> String {
        economy::advice(self)
    }
}

/// Schemes that need no ledger.
fn counted() -> Vec<Scheme> {
    let mut schemes = vec![Scheme::first(2), Scheme::of(2, 3), Scheme::first(3), Scheme::of(3, 5)];
    schemes.extend([2, 3, 4].map(Scheme::lead));
    schemes.push(Scheme::Adaptive);
    schemes.extend([100, 1000, 10_000].map(|one_in| Scheme::Credibility { one_in }));
    schemes
}
