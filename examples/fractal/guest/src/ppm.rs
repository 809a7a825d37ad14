//! The simplest picture format there is (PPM, `P6`): what tiles travel as.

use std::io::{self, Write};

/// A side of a picture that is read; larger ones are refused before memory is taken.
const SIDE_MAX: usize = 1 << 14;

/// A picture of 8-bit red, green, blue.
#[derive(Debug)]
pub struct Ppm {
    pub width: usize,
    pub height: usize,
    pub pixels: Vec<u8>,
}

impl Ppm {
    pub fn write(&self, to: &mut impl Write) -> io::Result<()> {
        write!(to, "P6\n{} {}\n255\n", self.width, self.height)?;
        to.write_all(&self.pixels)?;
        to.flush()
    }

    /// Reads what [`Ppm::write`] wrote; `None` for anything else.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let mut lines = bytes.splitn(4, |byte| *byte == b'\n');
        let (magic, size, depth) = (lines.next()?, lines.next()?, lines.next()?);
        let pixels = lines.next()?;
        let (width, height) = std::str::from_utf8(size).ok()?.split_once(' ')?;
        let (width, height) = (width.parse().ok()?, height.parse().ok()?);
        let sound = magic == b"P6"
            && depth == b"255"
            && (1..=SIDE_MAX).contains(&width)
            && (1..=SIDE_MAX).contains(&height)
            && pixels.len() == width * height * 3;
        sound.then(|| Self { width, height, pixels: pixels.to_vec() })
    }
}
