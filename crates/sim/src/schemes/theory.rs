//! What theory says of schemes that stop by counting: the chance that a unit ends wrong.

/// When counting stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// As soon as one result has been stated this often.
    First(usize),
    /// After so many statements for the majority, or when a result has that majority.
    Of { majority: usize, issued: usize },
    /// As soon as one result is this far ahead.
    Lead(usize),
}

impl Stop {
    /// Executions that are sure to be needed, so that they are issued at once.
    pub fn at_once(self) -> usize {
        match self {
            Self::First(count) | Self::Lead(count) => count,
            Self::Of { issued, .. } => issued,
        }
    }

    /// How many of the first statements decide alone if they agree.
    pub fn deciding(self) -> usize {
        match self {
            Self::First(count) | Self::Lead(count) => count,
            Self::Of { majority, .. } => majority,
        }
    }

    /// Whether a result with `votes` stands against one with `against`.
    pub fn stands(self, votes: usize, against: usize) -> bool {
        match self {
            Self::First(count) => count <= votes,
            Self::Of { majority, .. } => majority <= votes,
            Self::Lead(lead) => against + lead <= votes,
        }
    }
}

/// Wrong results if the adversary always lies with one voice, among so many workers that drawing one
/// changes nothing. (m-first: the sum over j < m of C(m−1+j, j) f^m (1−f)^j; lead k: gambler's ruin.)
pub fn open_lying(stop: Stop, f: f64) -> f64 {
    let first = |m: usize| {
        let term = |j: usize| choose(m - 1 + j, j) * power(f, m) * power(1.0 - f, j);
        (0..m).map(term).sum()
    };
    match stop {
        Stop::First(m) | Stop::Of { majority: m, .. } => first(m),
        Stop::Lead(k) => 1.0 / (1.0 + power((1.0 - f) / f, k)),
    }
}

/// Wrong results if the adversary lies only where it holds the whole deciding set.
pub fn silent_lying(stop: Stop, f: f64) -> f64 {
    match stop {
        Stop::First(m) | Stop::Lead(m) => power(f, m),
        Stop::Of { majority, issued } => (majority..=issued)
            .map(|liars| choose(issued, liars) * power(f, liars) * power(1.0 - f, issued - liars))
            .sum(),
    }
}

/// As [`open_lying`] or [`silent_lying`], for exactly `liars` of `workers`, each asked at most once
/// about a unit.
pub fn of_so_many(stop: Stop, liars: usize, workers: usize, is_silent: bool) -> f64 {
    match (stop, is_silent) {
        (Stop::First(m) | Stop::Lead(m), true) => {
            (0..m).map(|i| (liars.saturating_sub(i)) as f64 / (workers - i) as f64).product()
        }
        (Stop::Of { majority, issued }, true) => (majority..=issued)
            .map(|bad| {
                let good = issued - bad;
                let ways = |n: usize, k: usize| if n < k { 0.0 } else { choose(n, k) };
                ways(liars, bad) * ways(workers - liars, good) / choose(workers, issued)
            })
            .sum(),
        (Stop::First(_) | Stop::Of { .. } | Stop::Lead(_), false) => walk(stop, liars, workers),
    }
}

/// Walks over all numbers of wrong and right statements.
fn walk(stop: Stop, liars: usize, workers: usize) -> f64 {
    let mut wrong_end = 0.0;
    let mut level = vec![(0usize, 1.0f64)];
    for asked in 0..workers {
        let mut next: Vec<(usize, f64)> = Vec::new();
        for (wrong, chance) in level {
            let right = asked - wrong;
            let left = (workers - asked) as f64;
            let steps = [
                (wrong + 1, liars.saturating_sub(wrong) as f64 / left),
                (wrong, (workers - liars).saturating_sub(right) as f64 / left),
            ];
            for (wrong, share) in steps {
                let right = asked + 1 - wrong;
                let chance = chance * share;
                if stop.stands(wrong, right) {
                    wrong_end += chance;
                } else if !stop.stands(right, wrong) && 1e-15 < chance {
                    match next.iter_mut().find(|(w, _)| *w == wrong) {
                        Some((_, sum)) => *sum += chance,
                        None => next.push((wrong, chance)),
                    }
                }
            }
        }
        level = next;
    }
    wrong_end
}

fn choose(n: usize, k: usize) -> f64 {
    (0..k).map(|i| (n - i) as f64 / (i + 1) as f64).product()
}

fn power(x: f64, n: usize) -> f64 {
    (0..n).map(|_| x).product()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(a: f64, b: f64, within: f64) {
        assert!((a - b).abs() <= within * b, "{a} is not {b}");
    }

    #[test]
    fn the_closed_forms_give_the_figures_of_the_literature() {
        near(open_lying(Stop::First(15), 0.35), 0.05, 0.2);
        near(open_lying(Stop::Lead(6), 0.2), 2.4e-4, 0.02);
        near(silent_lying(Stop::First(2), 0.1), 0.01, 1e-9);
    }

    #[test]
    fn a_large_crowd_is_as_good_as_an_endless_one() {
        for stop in [
            Stop::First(2),
            Stop::First(3),
            Stop::Of { majority: 3, issued: 5 },
            Stop::Lead(2),
            Stop::Lead(4),
        ] {
            for is_silent in [false, true] {
                let endless =
                    if is_silent { silent_lying(stop, 0.2) } else { open_lying(stop, 0.2) };
                near(of_so_many(stop, 20_000, 100_000, is_silent), endless, 0.01);
            }
        }
    }
}
