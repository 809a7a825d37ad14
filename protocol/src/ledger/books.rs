//! A ledger's books, by slot. Very many of them are about single units, and hold a vote and a proof or two.

use std::collections::BTreeMap;
use std::ops::Range;

use super::book::Book;
use super::few::{Few, Placed};
use crate::{About, Hash, Slot};

/// Books about so many units that follow each other lie side by side: a tree of them all would be a third empty.
const SHELF_UNITS: u64 = 256;

/// All books.
#[derive(Clone, Debug, Default)]
pub(super) struct Books {
    batches: BTreeMap<Slot, Book>,
    /// By stage and shelf.
    units: BTreeMap<(u16, u64), Few<OfUnit>>,
}

#[derive(Clone, Debug)]
struct OfUnit {
    slot: Slot,
    book: Book,
}

impl Placed for OfUnit {
    type Place = Slot;

    fn place(&self) -> Slot {
        self.slot
    }
}

impl Books {
    pub(super) fn get(&self, slot: &Slot) -> Option<&Book> {
        match slot.about {
            About::Batch(_) => self.batches.get(slot),
            About::Unit(unit) => {
                let shelf = self.units.get(&(slot.stage, unit / SHELF_UNITS))?;
                shelf.get(slot).map(|of| &of.book)
            }
        }
    }

    pub(super) fn get_mut(&mut self, slot: &Slot) -> Option<&mut Book> {
        match slot.about {
            About::Batch(_) => self.batches.get_mut(slot),
            About::Unit(unit) => {
                let shelf = self.units.get_mut(&(slot.stage, unit / SHELF_UNITS))?;
                let of = shelf.change_from(*slot).next().filter(|of| of.slot == *slot);
                of.map(|of| &mut of.book)
            }
        }
    }

    /// The book of a slot, an empty one if nothing was said about it before.
    pub(super) fn open(&mut self, slot: Slot) -> &mut Book {
        let About::Unit(unit) = slot.about else { return self.batches.entry(slot).or_default() };
        let shelf = self.units.entry((slot.stage, unit / SHELF_UNITS)).or_default();
        if shelf.get(&slot).is_none() {
            shelf.insert(OfUnit { slot, book: Book::default() });
        }
        let of = shelf.change_from(slot).next();
        &mut of.expect("it was just put there").book
    }

    /// Books about some units of a stage, in order.
    pub(super) fn of_units(
        &self,
        stage: u16,
        units: Range<u64>,
    ) -> impl Iterator<Item = (&Slot, &Book)> {
        let first = Slot { stage, about: About::Unit(units.start), units: Hash::ZERO };
        let end = About::Unit(units.end);
        let shelves = (stage, units.start / SHELF_UNITS)..=(stage, units.end / SHELF_UNITS);
        let shelves = self.units.range(shelves).map(|(_, shelf)| shelf);
        let all = shelves.flat_map(move |shelf| shelf.beginning_at(first));
        all.take_while(move |of| of.slot.about < end).map(|of| (&of.slot, &of.book))
    }

    /// All of them: about batches first.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Slot, &Book)> {
        let units = self.units.values().flat_map(Few::iter).map(|of| (&of.slot, &of.book));
        self.batches.iter().chain(units)
    }
}
