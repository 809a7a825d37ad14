//! Which pieces of a blob somebody has, a bit each.

/// As many bits as the blob has pieces; on the wire the first is the lowest of the first byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Bits {
    bytes: Vec<u8>,
    count: u64,
}

impl Bits {
    pub(super) fn none(count: u64) -> Self {
        Self { bytes: vec![0; Self::len_of(count)], count }
    }

    pub(super) fn all(count: u64) -> Self {
        let mut bits = Self::none(count);
        (0..count).for_each(|index| bits.set(index, true));
        bits
    }

    /// Bytes that so many bits take.
    pub(super) const fn len_of(count: u64) -> usize {
        count.div_ceil(8) as usize
    }

    /// `None` if there are too few or too many bytes, or bits beyond the last piece.
    pub(super) fn from_bytes(bytes: Vec<u8>, count: u64) -> Option<Self> {
        let stray = bytes.last().copied().unwrap_or(0) >> ((count + 7) % 8) >> 1;
        let fits = bytes.len() == Self::len_of(count) && stray == 0;
        fits.then_some(Self { bytes, count })
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn has(&self, index: u64) -> bool {
        let byte = self.bytes.get((index / 8) as usize).copied().unwrap_or(0);
        byte >> (index % 8) & 1 == 1
    }

    pub(super) fn set(&mut self, index: u64, is_there: bool) {
        assert!(index < self.count, "the blob has this piece");
        let bit = 1 << (index % 8);
        match is_there {
            true => self.bytes[(index / 8) as usize] |= bit,
            false => self.bytes[(index / 8) as usize] &= !bit,
        }
    }

    /// The pieces, ascending.
    pub(super) fn each(&self) -> impl Iterator<Item = u64> {
        let within = |byte: u8| (0..8u64).filter(move |bit| byte >> bit & 1 == 1);
        let bytes = (0u64..).zip(&self.bytes).filter(|(_, byte)| **byte != 0);
        bytes.flat_map(move |(at, byte)| within(*byte).map(move |bit| at * 8 + bit))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dice::Dice;

    #[test]
    fn bits_survive_the_wire_and_strays_are_refused() {
        for count in [1, 7, 8, 9, 16, 1000] {
            let mut bits = Bits::all(count);
            assert_eq!(bits.each().count() as u64, count);
            bits.set(count / 2, false);
            assert!(!bits.has(count / 2) && !bits.has(count));
            let bytes = bits.as_bytes().to_vec();
            assert_eq!(Bits::from_bytes(bytes.clone(), count), Some(bits));
            assert_eq!(Bits::from_bytes([&bytes[..], &[0]].concat(), count), None);
            assert_eq!(Bits::from_bytes(vec![255; bytes.len()], count).is_some(), count % 8 == 0);
        }
    }

    #[test]
    fn whatever_is_read_of_any_bytes_names_pieces_of_the_blob_only() {
        let mut dice = Dice::new("bits");
        let (mut read, mut refused) = (0, 0);
        for _ in 0..4000 {
            let count = dice.below(200) as u64;
            let len = [Bits::len_of(count), dice.below(30)][usize::from(dice.below(4) == 0)];
            let bytes = dice.bytes(len);
            let Some(bits) = Bits::from_bytes(bytes.clone(), count) else {
                refused += 1;
                continue;
            };
            read += 1;
            assert_eq!(bits.as_bytes(), bytes);
            let pieces: Vec<u64> = bits.each().collect();
            assert!(pieces.iter().all(|piece| *piece < count));
            let ones: u32 = bytes.iter().map(|byte| byte.count_ones()).sum();
            assert_eq!(pieces.len(), ones as usize);
            assert!((0..count + 9).all(|at| bits.has(at) == pieces.contains(&at)));
            let mut copy = Bits::none(count);
            pieces.iter().for_each(|piece| copy.set(*piece, true));
            assert_eq!(copy, bits);
        }
        assert!(100 < read && 100 < refused, "{read} read and {refused} refused");
    }
}
