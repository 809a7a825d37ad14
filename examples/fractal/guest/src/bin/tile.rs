//! The guest `tile`: renders one tile of the picture and writes it to stdout as PPM.

use std::{env, io, process::ExitCode};

use fractal::{Point, Ppm, escape, linear, to_byte};

const USAGE: &str = "usage: tile INDEX TILES-PER-SIDE PIXELS-PER-SIDE CENTRE-RE CENTRE-IM WIDTH";

/// Each pixel is the mean of this many points, squared.
const SAMPLES: u32 = 3;

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    let Some(tile) = Tile::parse(&args) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    match tile.render().write(&mut io::stdout().lock()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("writing the tile: {error}");
            ExitCode::FAILURE
        }
    }
}

/// One tile of a square picture; all lengths in pixels are of the whole picture.
struct Tile {
    left: usize,
    top: usize,
    side: usize,
    picture: usize,
    centre: Point,
    /// The width of the whole picture on the plane.
    width: f64,
}

impl Tile {
    fn parse(args: &[String]) -> Option<Self> {
        let [index, tiles, picture, re, im, width] = args else { return None };
        let (index, tiles): (usize, usize) = (index.parse().ok()?, tiles.parse().ok()?);
        let picture = picture.parse().ok().filter(|pixels| (1..=1 << 14).contains(pixels))?;
        if tiles == 0 || picture % tiles != 0 || tiles * tiles <= index {
            return None;
        }
        let side = picture / tiles;
        let centre = Point { re: re.parse().ok()?, im: im.parse().ok()? };
        let (left, top) = (index % tiles * side, index / tiles * side);
        Some(Self { left, top, side, picture, centre, width: width.parse().ok()? })
    }

    fn render(&self) -> Ppm {
        let mut pixels = Vec::with_capacity(self.side * self.side * 3);
        for y in self.top..self.top + self.side {
            for x in self.left..self.left + self.side {
                pixels.extend(self.pixel(x, y));
            }
        }
        Ppm { width: self.side, height: self.side, pixels }
    }

    fn pixel(&self, x: usize, y: usize) -> [u8; 3] {
        let mut sum = [0.0; 3];
        let offset = |i: u32| (f64::from(i) + 0.5) / f64::from(SAMPLES);
        for i in 0..SAMPLES * SAMPLES {
            let (dx, dy) = (offset(i % SAMPLES), offset(i / SAMPLES));
            let colour = linear(escape(self.point(x as f64 + dx, y as f64 + dy)));
            (0..3).for_each(|i| sum[i] += colour[i]);
        }
        sum.map(|part| to_byte(part / f64::from(SAMPLES * SAMPLES)))
    }

    fn point(&self, x: f64, y: f64) -> Point {
        let (pixel, half) = (self.width / self.picture as f64, self.picture as f64 / 2.0);
        Point { re: self.centre.re + (x - half) * pixel, im: self.centre.im - (y - half) * pixel }
    }
}
