//! Claims batches and never runs them.

use super::part::Part;

#[derive(Debug)]
pub(super) struct Squatter;

impl Part for Squatter {
    fn runs(&mut self) -> bool {
        false
    }
}
