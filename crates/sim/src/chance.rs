//! Chance: everything random in a world follows from one seed, on every machine alike.

use std::ops::RangeInclusive;

use protocol::hash;

/// A stream of pseudo-random numbers (`SplitMix64`, Steele et al. 2014). Only additions and
/// multiplications of floats are used, so that no platform's mathematics library matters.
#[derive(Clone, Debug)]
pub struct Chance(u64);

impl Chance {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A stream of its own for `label`, whatever else is drawn from this one.
    pub fn fork(seed: u64, label: &str, index: u64) -> Self {
        let digest = hash("chance", &[&seed.to_le_bytes(), label.as_bytes(), &index.to_le_bytes()]);
        let mut word = [0; 8];
        word.copy_from_slice(&digest.as_bytes()[..8]);
        Self(u64::from_le_bytes(word))
    }

    #[expect(clippy::should_implement_trait, reason = "chance has no end, so no `Option`")]
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`, which is not zero.
    pub fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u64
    }

    pub fn within(&mut self, range: RangeInclusive<u64>) -> u64 {
        range.start() + self.below(range.end() - range.start() + 1)
    }

    /// True in `percent` of 100 cases.
    pub fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// One of `items`, which are not empty.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len() as u64) as usize]
    }

    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last as u64 + 1) as usize);
        }
    }

    /// A waiting time with this mean, exponential to within a few percent.
    pub fn wait(&mut self, mean: u64) -> u64 {
        let draw = self.next() | 1;
        let zeros = draw.leading_zeros();
        let rest = (draw << zeros << 1) >> 32;
        let log2 = f64::from(zeros) + 1.0 - rest as f64 / 4_294_967_296.0;
        (mean as f64 * log2 * 0.69) as u64
    }

    /// A positive factor around 1; its logarithm to base 2 spreads by `percent` / 100.
    pub fn factor(&mut self, percent: u64) -> f64 {
        let sum: f64 = (0..6).map(|_| self.below(1 << 32) as f64 / 4_294_967_296.0).sum();
        power_of_two((sum - 3.0) * 1.414 * percent as f64 / 100.0)
    }
}

/// 2^x, with straight lines between the powers.
fn power_of_two(x: f64) -> f64 {
    let whole = x.floor();
    let mut power = 1.0;
    let step = if whole < 0.0 { 0.5 } else { 2.0 };
    for _ in 0..(whole.abs() as u32).min(60) {
        power *= step;
    }
    power * (1.0 + (x - whole))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_stay_in_bounds_and_means_are_roughly_kept() {
        let mut chance = Chance::fork(7, "test", 0);
        assert!((0..1000).all(|_| (3..=5).contains(&chance.within(3..=5))));
        let mean = (0..20_000).map(|_| chance.wait(1000)).sum::<u64>() / 20_000;
        assert!((900..1100).contains(&mean), "{mean}");
        let share = (0..10_000).filter(|_| chance.percent(30)).count();
        assert!((2800..3200).contains(&share), "{share}");
        assert!((0..1000).map(|_| chance.factor(50)).all(|f| 0.05 < f && f < 20.0));
    }

    #[test]
    fn streams_with_different_labels_differ() {
        assert_ne!(Chance::fork(1, "a", 0).next(), Chance::fork(1, "b", 0).next());
        assert_eq!(Chance::fork(1, "a", 3).next(), Chance::fork(1, "a", 3).next());
    }
}
