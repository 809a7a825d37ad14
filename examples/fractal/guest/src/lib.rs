//! What the guests `tile` and `assemble` are made of: an escape-time fractal, and pictures as bytes.

mod colour;
mod deflate;
mod escape;
mod png;
mod ppm;

pub use colour::{Colour, linear, to_byte};
pub use escape::{Point, escape};
pub use png::Png;
pub use ppm::Ppm;
