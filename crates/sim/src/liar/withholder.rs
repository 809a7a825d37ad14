//! Votes and then keeps silent: neither certificates nor leaves.

use protocol::{Item, JobId};

use super::part::Part;

#[derive(Debug)]
pub(super) struct Withholder;

impl Part for Withholder {
    fn writes(&self) -> bool {
        true
    }

    fn write(&mut self, _job: JobId, mut items: Vec<Item>) -> Vec<Item> {
        items.retain(|item| !matches!(item, Item::Certificate(_) | Item::Leaves(_)));
        items
    }
}
