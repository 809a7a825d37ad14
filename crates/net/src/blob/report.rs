//! A report: what a provider says it has of a blob, and who else has asked it.
//!
//! On the wire: `u8 kind | u32 start | u8 peers | peers × 32`, big-endian, and for kind 1 (a part)
//! a bit per piece. Nothing in it is trusted: it decides whom to ask for what, and in which order.

use protocol::PeerId;

use super::bits::Bits;

/// The bytes before peers and bits.
pub(super) const HEAD_BYTES: usize = 1 + 4 + 1;
/// Peers that one report may name.
pub(super) const NAMED_MAX: usize = 16;
const WHOLE: u8 = 0;
const PART: u8 = 1;

/// What a provider has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Holding {
    Whole,
    Part(Bits),
}

/// What a provider says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Report {
    pub(super) holding: Holding,
    /// The piece to begin with, so that those who ask the same provider ask for different ones.
    pub(super) start: u32,
    /// Others who asked for the blob lately, and so may have some of it.
    pub(super) peers: Vec<PeerId>,
}

/// The fixed part of a report, which tells how long the rest is.
pub(super) struct Head {
    pub(super) is_part: bool,
    pub(super) start: u32,
    pub(super) peers: usize,
}

impl Head {
    pub(super) fn parse(bytes: [u8; HEAD_BYTES]) -> Option<Self> {
        let [kind, a, b, c, d, peers] = bytes;
        let fits = matches!(kind, WHOLE | PART) && usize::from(peers) <= NAMED_MAX;
        let start = u32::from_be_bytes([a, b, c, d]);
        fits.then_some(Self { is_part: kind == PART, start, peers: usize::from(peers) })
    }

    /// How many bytes follow, for a blob of so many pieces.
    pub(super) const fn rest(&self, count: u64) -> usize {
        self.peers * 32 + if self.is_part { Bits::len_of(count) } else { 0 }
    }

    /// `None` if the bits are not those of a blob of `count` pieces.
    pub(super) fn finish(self, rest: &[u8], count: u64) -> Option<Report> {
        let (names, bits) = rest.split_at_checked(self.peers * 32)?;
        let (names, _) = names.as_chunks::<32>();
        let holding = match self.is_part {
            true => Holding::Part(Bits::from_bytes(bits.to_vec(), count)?),
            false => Holding::Whole,
        };
        let peers = names.iter().map(|name| PeerId::new(*name)).collect();
        Some(Report { holding, start: self.start, peers })
    }
}

impl Report {
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let (kind, bits) = match &self.holding {
            Holding::Whole => (WHOLE, &[][..]),
            Holding::Part(bits) => (PART, bits.as_bytes()),
        };
        let named = &self.peers[..self.peers.len().min(NAMED_MAX)];
        let mut bytes = vec![kind];
        bytes.extend(self.start.to_be_bytes());
        bytes.push(named.len() as u8);
        bytes.extend(named.iter().flat_map(|peer| peer.as_bytes()));
        bytes.extend(bits);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dice::Dice;

    fn read(bytes: &[u8], count: u64) -> Option<Report> {
        let (head, rest) = bytes.split_first_chunk()?;
        let head = Head::parse(*head)?;
        (head.rest(count) == rest.len()).then(|| head.finish(rest, count))?
    }

    #[test]
    fn a_report_is_read_as_it_was_written() {
        let peers = vec![PeerId::new([1; 32]), PeerId::new([2; 32])];
        let mut bits = Bits::none(20);
        bits.set(3, true);
        for holding in [Holding::Whole, Holding::Part(bits)] {
            let report = Report { holding, start: 7, peers: peers.clone() };
            assert_eq!(read(&report.to_bytes(), 20), Some(report));
        }
    }

    #[test]
    fn reports_of_no_kind_with_too_many_peers_or_stray_bits_are_refused() {
        let whole = Report { holding: Holding::Whole, start: 0, peers: vec![] }.to_bytes();
        assert!(read(&whole, 20).is_some());
        for (at, byte) in [(0, 2), (5, NAMED_MAX as u8 + 1)] {
            let mut bad = whole.clone();
            bad[at] = byte;
            assert!(Head::parse(*bad.first_chunk().unwrap()).is_none());
        }
        let part = Report { holding: Holding::Part(Bits::all(24)), start: 0, peers: vec![] };
        assert_eq!(read(&part.to_bytes(), 23), None);
    }

    fn any_report(dice: &mut Dice, count: u64) -> Report {
        let mut bits = Bits::none(count);
        (0..count).for_each(|index| bits.set(index, dice.below(2) == 0));
        let holding = if dice.below(2) == 0 { Holding::Whole } else { Holding::Part(bits) };
        let peer = |dice: &mut Dice| PeerId::new(*dice.bytes(32).first_chunk().unwrap());
        let peers = (0..dice.below(NAMED_MAX + 1)).map(|_| peer(dice)).collect();
        Report { holding, start: dice.any() as u32, peers }
    }

    #[test]
    fn whatever_is_read_of_any_bytes_is_within_the_limits_and_written_so() {
        let mut dice = Dice::new("reports");
        let (mut good, mut refused) = (0, 0);
        for _ in 0..4000 {
            let count = 1 + dice.below(40) as u64;
            let report = any_report(&mut dice, count);
            let bytes = report.to_bytes();
            assert_eq!(read(&bytes, count), Some(report));
            let mut noise = dice.bytes(bytes.len());
            noise[0] &= 1;
            noise[5] = bytes[5];
            for bytes in [dice.mutate(&bytes), noise] {
                let Some(report) = read(&bytes, count) else {
                    refused += 1;
                    continue;
                };
                good += 1;
                assert_eq!(report.to_bytes(), bytes);
                assert!(report.peers.len() <= NAMED_MAX);
            }
        }
        assert!(100 < good && 100 < refused, "{good} read and {refused} refused");
    }

    #[test]
    fn any_head_asks_for_little_and_takes_any_rest() {
        let mut dice = Dice::new("heads");
        for _ in 0..4000 {
            let count = dice.any() % (1 << 20);
            let mut head = dice.bytes(HEAD_BYTES);
            (head[0], head[5]) = (head[0] % 3, head[5] % 32);
            let Some(head) = Head::parse(*head.first_chunk().unwrap()) else { continue };
            assert!(head.rest(count) <= NAMED_MAX * 32 + Bits::len_of(count));
            let len = dice.below(600);
            let rest = dice.bytes(len);
            if let Some(report) = head.finish(&rest, count) {
                assert!(report.to_bytes().len() <= HEAD_BYTES + rest.len());
            }
        }
    }
}
