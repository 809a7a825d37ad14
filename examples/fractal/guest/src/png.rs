//! A PNG written band by band: filters, checksums and chunks.

use std::io::{self, Write};

use crate::deflate::Deflate;

const SIGNATURE: &[u8] = b"\x89PNG\r\n\x1a\n";
/// zlib's header: deflate, a window of 32 KiB, no dictionary.
const ZLIB: [u8; 2] = [0x78, 0x9c];
const PIXEL: usize = 3;

/// A picture of 8-bit red, green, blue on its way into `to`.
#[derive(Debug)]
pub struct Png<W> {
    to: W,
    stride: usize,
    above: Vec<u8>,
    deflate: Deflate,
    adler: Adler,
}

impl<W: Write> Png<W> {
    pub fn start(mut to: W, width: u32, height: u32) -> io::Result<Self> {
        to.write_all(SIGNATURE)?;
        let mut header = [width.to_be_bytes(), height.to_be_bytes()].concat();
        // Eight bits, RGB, deflate, adaptive filters, not interlaced.
        header.extend([8, 2, 0, 0, 0]);
        chunk(&mut to, b"IHDR", &header)?;
        let stride = width as usize * PIXEL;
        let mut deflate = Deflate::default();
        deflate.bytes().extend(ZLIB);
        Ok(Self { to, stride, above: vec![0; stride], deflate, adler: Adler::default() })
    }

    /// Adds whole rows below those that are there.
    pub fn rows(&mut self, pixels: &[u8]) -> io::Result<()> {
        let mut filtered = Vec::with_capacity(pixels.len() + pixels.len() / self.stride);
        for row in pixels.chunks_exact(self.stride) {
            filter(row, &self.above, &mut filtered);
            self.above.copy_from_slice(row);
        }
        self.adler.add(&filtered);
        self.deflate.block(&filtered);
        let bytes = std::mem::take(self.deflate.bytes());
        chunk(&mut self.to, b"IDAT", &bytes)
    }

    pub fn finish(mut self) -> io::Result<()> {
        self.deflate.finish();
        self.deflate.bytes().extend(self.adler.sum().to_be_bytes());
        chunk(&mut self.to, b"IDAT", self.deflate.bytes())?;
        chunk(&mut self.to, b"IEND", &[])?;
        self.to.flush()
    }
}

/// Appends `row` by the filter that leaves the smallest differences, with its number in front.
fn filter(row: &[u8], above: &[u8], filtered: &mut Vec<u8>) {
    let mut best: Option<(u64, u8, Vec<u8>)> = None;
    for kind in 0..5u8 {
        let differences: Vec<u8> =
            (0..row.len()).map(|i| row[i].wrapping_sub(guess(kind, row, above, i))).collect();
        let cost = differences.iter().map(|byte| u64::from((*byte as i8).unsigned_abs())).sum();
        if best.as_ref().is_none_or(|(least, _, _)| cost < *least) {
            best = Some((cost, kind, differences));
        }
    }
    let (_, kind, differences) = best.expect("five filters were tried");
    filtered.push(kind);
    filtered.extend(differences);
}

/// What filter `kind` expects at `i`, from the pixel to the left, above, and left above.
fn guess(kind: u8, row: &[u8], above: &[u8], i: usize) -> u8 {
    let before = |line: &[u8]| if i < PIXEL { 0 } else { line[i - PIXEL] };
    let (left, up, corner) = (before(row), above[i], before(above));
    match kind {
        0 => 0,
        1 => left,
        2 => up,
        3 => ((u16::from(left) + u16::from(up)) / 2) as u8,
        _ => paeth(left, up, corner),
    }
}

fn paeth(left: u8, up: u8, corner: u8) -> u8 {
    let (a, b, c) = (i16::from(left), i16::from(up), i16::from(corner));
    let guess = a + b - c;
    let (to_left, to_up, to_corner) = ((guess - a).abs(), (guess - b).abs(), (guess - c).abs());
    if to_left <= to_up && to_left <= to_corner {
        left
    } else if to_up <= to_corner {
        up
    } else {
        corner
    }
}

fn chunk(to: &mut impl Write, kind: &[u8; 4], data: &[u8]) -> io::Result<()> {
    let length = u32::try_from(data.len()).map_err(|_| io::ErrorKind::InvalidData)?;
    to.write_all(&length.to_be_bytes())?;
    to.write_all(kind)?;
    to.write_all(data)?;
    to.write_all(&crc32(kind.iter().chain(data)).to_be_bytes())
}

fn crc32<'a>(bytes: impl Iterator<Item = &'a u8>) -> u32 {
    const TABLE: [u32; 256] = {
        let mut table = [0; 256];
        let mut index = 0;
        while index < 256 {
            let mut sum = index as u32;
            let mut bit = 0;
            while bit < 8 {
                sum = if sum & 1 == 1 { sum >> 1 ^ 0xedb8_8320 } else { sum >> 1 };
                bit += 1;
            }
            table[index] = sum;
            index += 1;
        }
        table
    };
    !bytes.fold(!0, |sum, byte| sum >> 8 ^ TABLE[(sum as u8 ^ byte) as usize])
}

/// zlib's checksum of the bytes before compression.
#[derive(Debug)]
struct Adler {
    a: u32,
    b: u32,
}

impl Default for Adler {
    fn default() -> Self {
        Self { a: 1, b: 0 }
    }
}

impl Adler {
    fn add(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.a = (self.a + u32::from(*byte)) % 65521;
            self.b = (self.b + self.a) % 65521;
        }
    }

    fn sum(&self) -> u32 {
        self.b << 16 | self.a
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksums_are_the_published_ones() {
        assert_eq!(crc32(b"123456789".iter()), 0xcbf4_3926);
        let mut adler = Adler::default();
        adler.add(b"Wikipedia");
        assert_eq!(adler.sum(), 0x11e6_0398);
    }
}
