//! Deflate (RFC 1951): each block by earlier matches and its own Huffman codes.

/// Shorter matches cost more than the bytes they replace in filtered pictures.
const MATCH_MIN: usize = 4;
const MATCH_MAX: usize = 258;
const WINDOW: usize = 32 << 10;
const SEEN_BITS: u32 = 15;

const END: usize = 256;
const LITERALS: usize = 286;
const DISTANCES: usize = 30;
const CODE_BITS_MAX: u8 = 15;
/// In which order the lengths of the code for code lengths are written.
const ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];

const LENGTH_BASE: [u16; 29] = [
    3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131,
    163, 195, 227, 258,
];
const LENGTH_EXTRA: [u8; 29] =
    [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0];
const DISTANCE_BASE: [u16; 30] = [
    1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537,
    2049, 3073, 4097, 6145, 8193, 12289, 16385, 24577,
];
const DISTANCE_EXTRA: [u8; 30] = [
    0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13,
    13,
];

/// A deflate stream that grows block by block.
#[derive(Debug, Default)]
pub struct Deflate {
    bytes: Vec<u8>,
    bits: u64,
    bit_count: u32,
}

#[derive(Clone, Copy)]
enum Token {
    Literal(u8),
    Match { length: u16, distance: u16 },
}

impl Deflate {
    /// The finished bytes so far; a caller may add its own or take them away.
    pub fn bytes(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// Adds `data` as one block; matches do not reach back into earlier blocks.
    pub fn block(&mut self, data: &[u8]) {
        let tokens = tokens(data);
        let (mut literals, mut distances) = ([0u32; LITERALS], [0u32; DISTANCES]);
        literals[END] = 1;
        for token in &tokens {
            match token {
                Token::Literal(byte) => literals[usize::from(*byte)] += 1,
                Token::Match { length, distance } => {
                    literals[257 + place(&LENGTH_BASE, *length)] += 1;
                    distances[place(&DISTANCE_BASE, *distance)] += 1;
                }
            }
        }
        let literals = Code::new(&literals, CODE_BITS_MAX);
        let distances = Code::new(&distances, CODE_BITS_MAX);
        self.put(0b10 << 1, 3);
        self.codes(&literals, &distances);
        for token in &tokens {
            self.token(*token, &literals, &distances);
        }
        self.symbol(&literals, END);
    }

    /// Adds an empty last block and fills the last byte.
    pub fn finish(&mut self) {
        self.put(0b01 << 1 | 1, 3);
        self.put(0, 7);
        self.put(0, (8 - self.bit_count % 8) % 8);
    }

    fn token(&mut self, token: Token, literals: &Code, distances: &Code) {
        match token {
            Token::Literal(byte) => self.symbol(literals, usize::from(byte)),
            Token::Match { length, distance } => {
                let at = place(&LENGTH_BASE, length);
                self.symbol(literals, 257 + at);
                self.put(u32::from(length - LENGTH_BASE[at]), u32::from(LENGTH_EXTRA[at]));
                let at = place(&DISTANCE_BASE, distance);
                self.symbol(distances, at);
                self.put(u32::from(distance - DISTANCE_BASE[at]), u32::from(DISTANCE_EXTRA[at]));
            }
        }
    }

    /// Writes both codes as the lengths of their words; runs of lengths are not worth folding here.
    fn codes(&mut self, literals: &Code, distances: &Code) {
        let lengths = || literals.lengths.iter().chain(&distances.lengths);
        let mut counts = [0u32; ORDER.len()];
        lengths().for_each(|length| counts[usize::from(*length)] += 1);
        let code = Code::new(&counts, 7);
        self.put(LITERALS as u32 - 257, 5);
        self.put(DISTANCES as u32 - 1, 5);
        self.put(ORDER.len() as u32 - 4, 4);
        for at in ORDER {
            self.put(u32::from(code.lengths[at]), 3);
        }
        for length in lengths() {
            self.symbol(&code, usize::from(*length));
        }
    }

    fn symbol(&mut self, code: &Code, symbol: usize) {
        self.put(u32::from(code.words[symbol]), u32::from(code.lengths[symbol]));
    }

    fn put(&mut self, value: u32, count: u32) {
        self.bits |= u64::from(value) << self.bit_count;
        self.bit_count += count;
        while 8 <= self.bit_count {
            self.bytes.push(self.bits as u8);
            self.bits >>= 8;
            self.bit_count -= 8;
        }
    }
}

/// A Huffman code: for each symbol the length of its word and the word, first bit lowest.
struct Code {
    lengths: Vec<u8>,
    words: Vec<u16>,
}

impl Code {
    fn new(counts: &[u32], bits_max: u8) -> Self {
        let mut counts = counts.to_vec();
        let mut lengths = lengths(&counts);
        while lengths.iter().any(|length| bits_max < *length) {
            // Flatter counts give shorter longest words, at a small price for the common ones.
            counts
                .iter_mut()
                .filter(|count| **count != 0)
                .for_each(|count| *count = *count / 2 + 1);
            lengths = self::lengths(&counts);
        }
        let mut words = vec![0; lengths.len()];
        let mut next = 0u16;
        for length in 1..=bits_max {
            for symbol in (0..lengths.len()).filter(|symbol| lengths[*symbol] == length) {
                words[symbol] = next.reverse_bits() >> (16 - length);
                next = next.wrapping_add(1);
            }
            next <<= 1;
        }
        Self { lengths, words }
    }
}

/// The depth of each symbol in Huffman's tree; zero for symbols that do not occur.
fn lengths(counts: &[u32]) -> Vec<u8> {
    let mut lengths = vec![0; counts.len()];
    let mut groups: Vec<(u64, Vec<usize>)> = counts
        .iter()
        .enumerate()
        .filter(|(_, count)| **count != 0)
        .map(|(symbol, count)| (u64::from(*count), vec![symbol]))
        .collect();
    if let [(_, only)] = groups.as_slice() {
        lengths[only[0]] = 1;
    }
    while 2 <= groups.len() {
        groups.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
        let (least, joined) = groups.pop().expect("there are two");
        let (second, symbols) = groups.last_mut().expect("there are two");
        *second += least;
        symbols.extend(joined);
        symbols.iter().for_each(|symbol| lengths[*symbol] += 1);
    }
    lengths
}

fn tokens(data: &[u8]) -> Vec<Token> {
    let mut seen = vec![usize::MAX; 1 << SEEN_BITS];
    let mut tokens = Vec::with_capacity(data.len());
    let mut at = 0;
    while at < data.len() {
        let length = match data.get(at..at + MATCH_MIN) {
            Some(start) => {
                let earlier = std::mem::replace(&mut seen[slot(start)], at);
                if earlier != usize::MAX && at - earlier <= WINDOW {
                    common(data, earlier, at).map(|length| (length, at - earlier))
                } else {
                    None
                }
            }
            None => None,
        };
        match length {
            Some((length, distance)) => {
                // At most 258 and 32,768, by `common` and the window.
                tokens.push(Token::Match { length: length as u16, distance: distance as u16 });
                at += length;
            }
            None => {
                tokens.push(Token::Literal(data[at]));
                at += 1;
            }
        }
    }
    tokens
}

fn common(data: &[u8], earlier: usize, at: usize) -> Option<usize> {
    let pairs = data[earlier..].iter().zip(&data[at..]).take(MATCH_MAX);
    let length = pairs.take_while(|(a, b)| a == b).count();
    (MATCH_MIN <= length).then_some(length)
}

fn slot(start: &[u8]) -> usize {
    let word = start.iter().fold(0u32, |word, byte| word << 8 | u32::from(*byte));
    (word.wrapping_mul(0x9e37_79b1) >> (32 - SEEN_BITS)) as usize
}

/// The last entry of `bases` that is not beyond `value`.
fn place(bases: &[u16], value: u16) -> usize {
    bases.partition_point(|base| *base <= value) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_complete_and_within_its_limit() {
        let steep: Vec<u32> = (0..30).map(|i| 1 << i).collect();
        for bits_max in [7, 15] {
            let code = Code::new(&steep, bits_max);
            let used: u32 = code.lengths.iter().map(|l| 1 << (bits_max - l)).sum();
            assert_eq!(used, 1 << bits_max);
        }
    }

    #[test]
    fn runs_become_matches() {
        assert!(tokens(&[7; 1000]).len() < 10);
    }
}
