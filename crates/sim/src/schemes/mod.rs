//! Verification schemes side by side: what each costs, and what lies it lets through.

mod rqa;
mod setting;

pub use rqa::{Form, Rqa};
pub use setting::{Adversary, Outcome, Setting, Size};
