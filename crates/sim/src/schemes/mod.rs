//! Verification schemes side by side: what each costs, and what lies it lets through.
//!
//! Assignment is ideally random here and there is no network. The schemes of others are counted unit
//! by unit; RQA writes real steps into a real ledger and is judged by the production verdict.

mod adaptive;
mod credibility;
mod economy;
mod figure;
mod fixed;
mod report;
mod rqa;
mod scheme;
mod setting;
mod survey;
mod theory;
mod trial;

pub use rqa::{Form, Rqa};
pub use scheme::Scheme;
pub use setting::{Adversary, Outcome, Setting, Size};
pub use survey::{Extent, Survey};
pub use theory::{Stop, of_so_many, open_lying, silent_lying};
pub use trial::{Cell, Effort, Mean, Sum, Threat, Trial};
