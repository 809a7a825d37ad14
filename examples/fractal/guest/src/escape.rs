//! The escape-time iteration: how fast a point of the plane runs away under z² + c.

use std::f64::consts::{LOG2_E, SQRT_2};

/// A point that has not escaped by then counts as inside the set.
const ITERATIONS: u32 = 1500;

/// Far beyond the 4 that proves escape: the farther out, the smoother the count becomes.
const FAR: f64 = 1e6;

/// A point of the complex plane.
#[derive(Clone, Copy, Debug)]
pub struct Point {
    pub re: f64,
    pub im: f64,
}

/// How a point escaped.
#[derive(Clone, Copy, Debug)]
pub struct Escape {
    /// The number of steps, with a fraction that has no jumps between neighbouring points.
    pub steps: f64,
    /// The direction, of length one, in which points escape sooner: the slope of the landscape.
    pub slope: Point,
}

/// Iterates z² + c from zero; `None` if the point stays.
///
/// Only + − × ÷ and √ of f64 occur, which IEEE 754 fixes to the last bit, so a native build of this
/// function gives the same answers as a guest.
pub fn escape(c: Point) -> Option<Escape> {
    let (mut re, mut im) = (0.0, 0.0);
    let (mut d_re, mut d_im) = (0.0, 0.0);
    for step in 0..ITERATIONS {
        let (re2, im2) = (re * re, im * im);
        if FAR < re2 + im2 {
            let z = Point { re, im };
            return Some(escaped(step, z, Point { re: d_re, im: d_im }));
        }
        (d_re, d_im) = (2.0 * (re * d_re - im * d_im) + 1.0, 2.0 * (re * d_im + im * d_re));
        (re, im) = (re2 - im2 + c.re, 2.0 * re * im + c.im);
    }
    None
}

/// `z` is where the point was after `step` steps, `dz` how that place moves with c.
fn escaped(step: u32, z: Point, dz: Point) -> Escape {
    let size2 = z.re * z.re + z.im * z.im;
    let steps = f64::from(step) - log2(log2(size2));
    // z / dz points up the slope; only its direction matters.
    let (re, im) = (z.re * dz.re + z.im * dz.im, z.im * dz.re - z.re * dz.im);
    let size = (re * re + im * im).sqrt();
    Escape { steps, slope: Point { re: re / size, im: im / size } }
}

/// The binary logarithm of a positive normal number, to nine digits.
///
/// Our own, because the standard library's may differ between platforms.
pub fn log2(x: f64) -> f64 {
    let bits = x.to_bits();
    let mut exponent = (bits >> 52) as i32 - 1023;
    let mut mantissa = f64::from_bits(bits & ((1 << 52) - 1) | 1023 << 52);
    if SQRT_2 < mantissa {
        mantissa *= 0.5;
        exponent += 1;
    }
    let t = (mantissa - 1.0) / (mantissa + 1.0);
    let t2 = t * t;
    let series =
        1.0 + t2 * (1.0 / 3.0 + t2 * (0.2 + t2 * (1.0 / 7.0 + t2 * (1.0 / 9.0 + t2 / 11.0))));
    f64::from(exponent) + series * t * 2.0 * LOG2_E
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_of_the_set_stay() {
        for (re, im) in [(0.0, 0.0), (-1.0, 0.0), (-2.0, 0.0), (0.0, 1.0)] {
            assert!(escape(Point { re, im }).is_none(), "{re} {im}");
        }
        assert!(escape(Point { re: 0.3, im: 0.6 }).is_some());
    }

    #[test]
    fn the_logarithm_agrees_with_the_standard_library() {
        for x in [1.0, 1.4, 1.5, 2.0, 19.9, 1e6, 1e12] {
            assert!((log2(x) - x.log2()).abs() < 1e-9, "{x}");
        }
    }

    #[test]
    fn the_count_of_steps_has_no_jumps() {
        let at = |im| escape(Point { re: 0.5, im }).expect("escapes").steps;
        let largest = (0..1000)
            .map(|i| (at(f64::from(i + 1) / 4000.0) - at(f64::from(i) / 4000.0)).abs())
            .fold(0.0, f64::max);
        assert!(largest < 0.1, "{largest}");
    }
}
