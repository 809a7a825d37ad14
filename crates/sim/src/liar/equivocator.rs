//! Signs two different steps with one number, now and then, and spreads both.

use protocol::{Item, Vote, hash};

use super::part::Part;
use crate::chance::Chance;

#[derive(Debug)]
pub(super) struct Equivocator {
    chance: Chance,
}

impl Equivocator {
    pub(super) fn new(chance: Chance) -> Self {
        Self { chance }
    }
}

impl Part for Equivocator {
    fn writes(&self) -> bool {
        true
    }

    fn twin(&mut self, items: &[Item]) -> Option<Vec<Item>> {
        if !self.chance.percent(30) {
            return None;
        }
        let other = items.iter().map(|item| match item {
            Item::Vote(vote) => {
                let root = hash("another", &[vote.root.as_bytes()]);
                Item::Vote(Vote { root, ..vote.clone() })
            }
            Item::Certificate(_)
            | Item::Leaves(_)
            | Item::Abstention(_)
            | Item::Seal(_)
            | Item::Keepers(_)
            | Item::Cancel => item.clone(),
        });
        let other: Vec<Item> = other.collect();
        (other != items).then_some(other)
    }
}
