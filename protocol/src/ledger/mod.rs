//! The ledger of a job: every participant's log, and the verdict that follows from them.
//!
//! Merging is set union; the verdict is a pure function of the manifest and the set of steps. The
//! rules are DESIGN §5's; `docs/PROTOCOL.md` states them for a second implementer.

mod assurance;
mod book;
mod books;
mod contest;
mod credit;
mod few;
mod fold;
mod front;
mod layer;
mod log;
mod pass;
mod peel;
mod share;
mod tally;
mod verdict;

pub use assurance::{Assurance, Audited};
pub use book::{Book, Cast};
pub use credit::Credit;
pub use front::{Ledger, Refusal};
pub use log::Inserted;
pub use tally::Tally;
pub use verdict::{BatchVerdict, Conviction, Standing, UnitVerdict, Verdict};
