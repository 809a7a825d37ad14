//! Which units form a batch: a pure function of how many there are and how many go together.

use std::ops::Range;

/// A stage's units cut into batches: full ones, and ever smaller ones for the last tenth, which
/// workers take last so that nobody waits long for the slowest.
///
/// With b units a batch: the first ⌊9·⌊n/10⌋/b⌋ batches have b units. Of what remains, batches of b/2
/// take half, batches of b/4 half of the rest, and batches of b/8 everything else (never below 1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    units: u64,
    runs: Vec<Run>,
}

/// `batches` batches of `size` units each; the very last batch of a partition may be shorter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Run {
    first_unit: u64,
    first_batch: u64,
    size: u64,
    batches: u64,
}

impl Partition {
    /// Cuts `units` units into batches of at most `batch`.
    ///
    /// # Panics
    /// If either is zero, which a checked manifest excludes.
    pub fn new(units: u64, batch: u32) -> Self {
        assert!(units != 0 && batch != 0, "an empty stage or batch");
        let batch = u64::from(batch);
        let mut partition = Self { units, runs: Vec::new() };
        partition.push(batch, units / 10 * 9 / batch);
        for halvings in 1..=3 {
            let size = (batch >> halvings).max(1);
            let left = units - partition.covered();
            let take = if halvings == 3 || size == 1 {
                left.div_ceil(size)
            } else {
                left.div_ceil(2) / size
            };
            partition.push(size, take);
        }
        partition
    }

    /// How many batches there are.
    pub fn batches(&self) -> u32 {
        let last = self.runs.last().expect("a partition is never empty");
        u32::try_from(last.first_batch + last.batches).expect("limits keep batches within u32")
    }

    /// The units of a batch.
    ///
    /// # Panics
    /// If there is no such batch.
    pub fn units_of(&self, batch: u32) -> Range<u64> {
        let batch = u64::from(batch);
        let run =
            self.runs.iter().rfind(|run| run.first_batch <= batch).expect("runs start at batch 0");
        let first = run.first_unit + (batch - run.first_batch) * run.size;
        assert!(batch < run.first_batch + run.batches, "no batch {batch}");
        first..(first + run.size).min(self.units)
    }

    /// The batch of a unit.
    ///
    /// # Panics
    /// If there is no such unit.
    pub fn batch_of(&self, unit: u64) -> u32 {
        assert!(unit < self.units, "no unit {unit}");
        let run =
            self.runs.iter().rfind(|run| run.first_unit <= unit).expect("runs start at unit 0");
        u32::try_from(run.first_batch + (unit - run.first_unit) / run.size)
            .expect("limits keep batches within u32")
    }

    /// How many units there are.
    pub fn units(&self) -> u64 {
        self.units
    }

    fn covered(&self) -> u64 {
        self.runs.last().map_or(0, |run| (run.first_unit + run.batches * run.size).min(self.units))
    }

    fn push(&mut self, size: u64, batches: u64) {
        if batches != 0 {
            let first_batch = self.runs.last().map_or(0, |run| run.first_batch + run.batches);
            self.runs.push(Run { first_unit: self.covered(), first_batch, size, batches });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sizes(units: u64, batch: u32) -> Vec<u64> {
        let partition = Partition::new(units, batch);
        (0..partition.batches()).map(|b| partition.units_of(b).count() as u64).collect()
    }

    #[test]
    fn batches_shrink_towards_the_end() {
        assert_eq!(sizes(64, 8), [8, 8, 8, 8, 8, 8, 4, 4, 2, 2, 1, 1, 1, 1]);
        assert_eq!(sizes(1, 1), [1]);
        assert_eq!(sizes(1, 1024), [1]);
        assert_eq!(sizes(10, 1), [1; 10]);
        assert_eq!(sizes(5, 4), [2, 1, 1, 1]);
    }

    #[test]
    fn every_unit_is_in_exactly_one_batch() {
        for (units, batch) in
            [(1, 1), (2, 3), (35, 4), (64, 8), (999, 7), (20_000, 512), (1 << 24, 1024), (17, 1024)]
        {
            let partition = Partition::new(units, batch);
            let mut next = 0;
            for b in 0..partition.batches() {
                let range = partition.units_of(b);
                assert_eq!(range.start, next, "{units} units, batch {b} of {batch}");
                assert!(!range.is_empty() && range.end - range.start <= u64::from(batch));
                assert_eq!(
                    (partition.batch_of(range.start), partition.batch_of(range.end - 1)),
                    (b, b)
                );
                next = range.end;
            }
            assert_eq!(next, units);
        }
    }
}
