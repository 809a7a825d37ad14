//! A network of processes: started together, watched, killed one by one, and taken down together.

mod member;
mod network;
mod process;

pub use member::Member;
pub use network::{Fleet, Recipe};
