//! Figures: one command each, a small table for people and a line of JSON for programs.

mod blob;
mod disk;
mod dispatch;
mod figure;
mod flood;
mod ground;
mod hostile;
mod idle;
mod latency;
mod meter;
mod million;
mod peers;
mod segments;
mod spread;
mod text;
mod tree;
mod wire;
mod words;

pub(crate) use figure::{Figure, run};
