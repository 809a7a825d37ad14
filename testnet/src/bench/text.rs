//! The text whose words are counted: made by a seeded rule, so that everybody has the same one.
//!
//! Words of random syllables, a word's frequency falling with its rank; `examples/words/text.py` is the
//! same rule in Python.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

/// Bytes of a chunk.
pub(super) const CHUNK_BYTES: usize = 4 << 20;
const WORDS: u64 = 8192;
const SEED: u64 = 0x5EED_0001;
const SEED_OF_WORDS: u64 = 0xC0_FFEE;
const CONSONANTS: &[u8; 17] = b"bcdfghjklmnprstvz";
const VOWELS: &[u8; 5] = b"aeiou";

/// Writes so many chunks into a folder; returns the SHA-256 of all, one after another.
pub(super) fn write(folder: &Path, chunks: u64) -> io::Result<String> {
    let words: Vec<Vec<u8>> = (0..WORDS).map(word).collect();
    std::fs::create_dir_all(folder)?;
    let mut hasher = Sha256::new();
    for chunk in 0..chunks {
        let text = self::chunk(chunk, &words);
        hasher.update(&text);
        std::fs::File::create(path(folder, chunk))?.write_all(&text)?;
    }
    Ok(hex(&hasher.finalize()))
}

/// Bytes as people write digests.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn path(folder: &Path, chunk: u64) -> PathBuf {
    folder.join(format!("chunk-{chunk:03}.txt"))
}

/// Whole words by lines of twelve; what is left at the end is spaces.
fn chunk(chunk: u64, words: &[Vec<u8>]) -> Vec<u8> {
    let mut text = Vec::with_capacity(CHUNK_BYTES + 16);
    for at in 0.. {
        let dice = chance(SEED + (chunk << 40) + at);
        // One of the first 1, 2, 4, … 8192 words: the word of rank r comes about 1/r as often as the first.
        let word = &words[((dice >> 16) % (1 << ((dice & 0xffff) % 14))) as usize];
        if CHUNK_BYTES - 1 < text.len() + word.len() + 1 {
            break;
        }
        text.extend_from_slice(word);
        text.push(if at % 12 == 11 { b'\n' } else { b' ' });
    }
    text.resize(CHUNK_BYTES - 1, b' ');
    text.push(b'\n');
    text
}

/// Two to five syllables, and the word's number in letters, so that all differ.
fn word(number: u64) -> Vec<u8> {
    let dice = chance(SEED_OF_WORDS + number);
    let mut letters = Vec::new();
    for syllable in 0..2 + dice % 4 {
        let byte = (dice >> (8 + 8 * syllable)) as u8;
        letters.push(CONSONANTS[usize::from(byte % 17)]);
        letters.push(VOWELS[usize::from(byte / 17 % 5)]);
    }
    let mut rest = number;
    loop {
        letters.push(b'a' + (rest % 26) as u8);
        rest /= 26;
        if rest == 0 {
            return letters;
        }
    }
}

/// What `SplitMix64` gives for a state.
fn chance(state: u64) -> u64 {
    let mut z = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_the_one_of_the_example() {
        let words: Vec<Vec<u8>> = (0..WORDS).map(word).collect();
        let text = chunk(0, &words);
        assert_eq!(text.len(), CHUNK_BYTES);
        let example = include_bytes!("../../../examples/words/data/text.txt");
        let own = example.len() - 1;
        assert_eq!(text[..own], example[..own]);
    }
}
