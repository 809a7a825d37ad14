//! The verdict, attacked: every known attack and a few hundred random worlds of liars.

mod attacks;
mod bounds;
mod dice;
mod logs;
mod random;
mod reconcile;
mod stages;
mod world;
