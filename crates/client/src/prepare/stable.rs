//! Boundaries that records choose themselves, so that an edit moves few of them.
//!
//! A record ends a part if its hash is small enough. As with FastCDC, no part ends before a quarter of
//! its size, few end before half of it, and many after: parts have two thirds of what they may have, and
//! few of them end because they are full, which is where an edit moves the next one, too. Whoever changes
//! a constant here makes every dataset's parts new.

use crate::Amount;

/// Decides where parts end.
#[derive(Debug)]
pub(super) struct Chooser {
    least: u64,
    middle: u64,
    /// One in so many records or bytes ends a part, before the middle and after it.
    before: u64,
    after: u64,
    counts_bytes: bool,
    mix: Mix,
}

impl Chooser {
    pub(super) fn new(size: Amount) -> Self {
        let (size, counts_bytes) = match size {
            Amount::Records(records) => (records, false),
            Amount::Bytes(bytes) => (bytes, true),
        };
        Self {
            least: size.div_ceil(4),
            middle: size.div_ceil(2),
            before: size,
            after: size.div_ceil(4),
            counts_bytes,
            mix: Mix::default(),
        }
    }

    /// Takes more of the record that is being read.
    pub(super) fn take(&mut self, bytes: &[u8]) {
        self.mix.add(bytes);
    }

    /// The record is whole; whether the part ends with it, which has so many records and bytes.
    pub(super) fn ends(&mut self, record: u64, records: u64, bytes: u64) -> bool {
        let hash = self.mix.end();
        let (step, size) = if self.counts_bytes { (record, bytes) } else { (1, records) };
        let rarity = if size < self.middle { self.before } else { self.after };
        self.least <= size && u128::from(hash) * u128::from(rarity) < u128::from(step) << 64
    }
}

/// A hash of a record and the one before it, which nobody has to trust.
#[derive(Debug, Default)]
struct Mix {
    state: u64,
    word: u64,
    filled: u32,
    /// Of the record before: records that are common are told apart by it.
    before: u64,
}

impl Mix {
    fn add(&mut self, mut bytes: &[u8]) {
        while self.filled != 0
            && let Some((byte, rest)) = bytes.split_first()
        {
            self.push(*byte);
            bytes = rest;
        }
        let (words, rest) = bytes.as_chunks();
        for word in words {
            self.state = stir(self.state ^ u64::from_le_bytes(*word));
        }
        rest.iter().for_each(|byte| self.push(*byte));
    }

    fn push(&mut self, byte: u8) {
        self.word |= u64::from(byte) << (8 * self.filled);
        self.filled += 1;
        if self.filled == 8 {
            self.state = stir(self.state ^ self.word);
            (self.word, self.filled) = (0, 0);
        }
    }

    fn end(&mut self) -> u64 {
        let Self { state, word, filled, before } = std::mem::take(self);
        let record = stir(stir(state ^ word) ^ u64::from(filled));
        self.before = record;
        stir(record ^ before.rotate_left(1))
    }
}

/// Both halves of a product with a constant that has no pattern (the fraction of the golden ratio).
fn stir(word: u64) -> u64 {
    let product = u128::from(word ^ 0x243f_6a88_85a3_08d3) * 0x9e37_79b9_7f4a_7c15;
    (product as u64) ^ (product >> 64) as u64
}
