//! Chance for tests of what strangers may send: the same purpose, the same bytes.

pub(crate) struct Dice(blake3::OutputReader);

impl Dice {
    pub(crate) fn new(purpose: &str) -> Self {
        Self(blake3::Hasher::new().update(purpose.as_bytes()).finalize_xof())
    }

    pub(crate) fn bytes(&mut self, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.0.fill(&mut bytes);
        bytes
    }

    pub(crate) fn number(&mut self) -> u64 {
        let mut bytes = [0; 8];
        self.0.fill(&mut bytes);
        u64::from_le_bytes(bytes)
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.number() % end as u64) as usize
    }

    /// A number of any size: as many small ones as large ones.
    pub(crate) fn any(&mut self) -> u64 {
        self.number() >> self.below(64)
    }

    /// The bytes with one thing wrong.
    pub(crate) fn mutate(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut bytes = bytes.to_vec();
        let at = self.below(bytes.len());
        match self.below(5) {
            0 => bytes.truncate(at),
            1 => bytes[at] ^= 1 << self.below(8),
            2 => bytes[at] = self.below(256) as u8,
            3 => bytes.insert(at, self.below(256) as u8),
            _ => drop(bytes.remove(at)),
        }
        bytes
    }
}
