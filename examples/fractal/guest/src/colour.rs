//! Colours in linear light, and the gradient that the picture is painted with.

use std::f64::consts::FRAC_1_SQRT_2;

use crate::escape::{Escape, log2};

/// Red, green and blue in linear light, 0 to 1.
pub type Colour = [f64; 3];

/// The gradient, as a person would pick it on a screen: one turn, evenly spaced, then again.
const GRADIENT: [[u8; 3]; 8] = [
    [4, 10, 48],
    [18, 62, 140],
    [70, 150, 215],
    [226, 244, 252],
    [255, 214, 110],
    [236, 128, 24],
    [128, 34, 28],
    [28, 8, 44],
];

const INSIDE: Colour = [0.0, 0.0, 0.002];

/// Where the light comes from: length one, from the upper left.
const LIGHT: (f64, f64) = (-FRAC_1_SQRT_2, FRAC_1_SQRT_2);
/// How high the light stands above the landscape.
const LIGHT_HEIGHT: f64 = 1.4;

/// The colour of a point that escaped so, or stayed.
pub fn linear(escape: Option<Escape>) -> Colour {
    let Some(escape) = escape else { return INSIDE };
    // By powers: the first steps, where the picture is calm, get most of the gradient.
    let turns = log2(escape.steps.max(1.0)) * 0.55;
    let towards = escape.slope.re * LIGHT.0 + escape.slope.im * LIGHT.1;
    let lit = (towards + LIGHT_HEIGHT) / (1.0 + LIGHT_HEIGHT);
    gradient(turns).map(|part| part * (0.25 + 0.75 * lit * lit))
}

/// The byte on a screen for one part of a colour.
pub fn to_byte(part: f64) -> u8 {
    // Gamma 2 rather than sRGB's 2.2: the square root is exact everywhere, a power is not.
    (part.sqrt() * 255.0 + 0.5) as u8
}

fn gradient(turns: f64) -> Colour {
    let count = GRADIENT.len();
    let place = (turns - turns.floor()) * count as f64;
    let index = place as usize % count;
    let along = place - place.floor();
    // Flat at both ends, so that no band shows where two parts of the gradient meet.
    let weight = along * along * (3.0 - 2.0 * along);
    let (from, to) = (GRADIENT[index], GRADIENT[(index + 1) % count]);
    [0, 1, 2].map(|i| {
        let (a, b) = (f64::from(from[i]) / 255.0, f64::from(to[i]) / 255.0);
        let mixed = a + (b - a) * weight;
        mixed * mixed
    })
}
