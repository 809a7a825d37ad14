//! One author's log: a hash chain, cut where its author forked it.

use std::collections::{BTreeMap, BTreeSet};

use crate::limits::{GAP_BYTES_MAX, LOG_GAP_MAX};
use crate::{About, Head, Item, PeerId, Signed, Slot, Step, StepId};

/// What became of a step that was offered to a ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inserted {
    /// It is in, and so may be others that waited for it.
    New,
    /// It was there already, or lies behind the cut of a forked log.
    Known,
    /// Its predecessors are missing: too far ahead to be kept.
    TooFarAhead,
    /// It shows that its author forked the log.
    Fork,
}

/// The steps of one author, by number.
#[derive(Clone, Debug, Default)]
pub(super) struct Log {
    steps: BTreeMap<u64, Signed<Step>>,
    /// The lowest number at which the author contradicts itself, and the other step with it.
    fork: Option<(u64, Signed<Step>)>,
    /// How many steps have been read into the books.
    pub(super) applied: u64,
    /// What those weigh, and what all steps do, in bytes.
    read_bytes: u64,
    held_bytes: u64,
    /// Whether the next step has no room: it is kept, so that a twin of it shows the fork, and nothing after it.
    is_full: bool,
    /// Steps that were read and are cut off, until what they say is taken back.
    void: Vec<Signed<Step>>,
}

impl Log {
    pub(super) fn insert(&mut self, step: Signed<Step>) -> Inserted {
        let seq = step.value().seq;
        if self.fork.as_ref().is_some_and(|(at, _)| *at <= seq) {
            return Inserted::Known;
        }
        if self.applied + LOG_GAP_MAX < seq || (self.applied < seq && self.is_gap_full(&step)) {
            return Inserted::TooFarAhead;
        }
        match self.steps.get(&seq) {
            Some(known) if known.id() == step.id() => return Inserted::Known,
            Some(_) => return self.cut(seq, step),
            None => {}
        }
        let breaks =
            |before: &Signed<Step>, after: &Signed<Step>| after.value().prev != before.id();
        let before = seq.checked_sub(1).and_then(|n| self.steps.get(&n));
        if before.is_some_and(|before| breaks(before, &step)) {
            return self.cut(seq, step);
        }
        if let Some(after) =
            self.steps.get(&(seq + 1)).filter(|after| breaks(&step, after)).cloned()
        {
            self.steps.insert(seq, step);
            return self.cut(seq + 1, after);
        }
        self.held_bytes += weight(&step);
        self.steps.insert(seq, step);
        Inserted::New
    }

    pub(super) fn has(&self, step: &Signed<Step>) -> bool {
        self.steps.get(&step.value().seq).is_some_and(|known| known.id() == step.id())
    }

    /// Whether a step would have to be kept without its predecessors beside too many others.
    fn is_gap_full(&self, step: &Signed<Step>) -> bool {
        GAP_BYTES_MAX < self.held_bytes - self.read_bytes + weight(step)
    }

    /// What all steps weigh that are kept.
    pub(super) fn held_bytes(&self) -> u64 {
        self.held_bytes
    }

    /// Whether a step lies behind one that had no room.
    pub(super) fn is_full_before(&self, step: &Signed<Step>) -> bool {
        self.is_full && self.applied < step.value().seq
    }

    /// Whether the next step has room beside those that were read.
    pub(super) fn has_room(&self, room: u64) -> bool {
        self.next().is_none_or(|next| self.read_bytes + weight(next) <= room)
    }

    /// Ends the log with the next step, which has no room: what lies behind it counts nowhere, be it a fork. Returns
    /// whether there was one.
    pub(super) fn close(&mut self) -> bool {
        self.is_full = true;
        self.steps.split_off(&(self.applied + 1));
        let fork = self.fork.take_if(|(at, _)| self.applied < *at);
        self.weigh();
        fork.is_some()
    }

    /// Notes that the next step was read into the books.
    pub(super) fn read_one(&mut self) {
        self.read_bytes += self.next().map_or(0, weight);
        self.applied += 1;
    }

    fn weigh(&mut self) {
        self.held_bytes = self.all().map(weight).sum();
        self.read_bytes = self.steps.range(..self.applied).map(|(_, step)| weight(step)).sum();
    }

    /// The next step to read into the books, if it is there.
    pub(super) fn next(&self) -> Option<&Signed<Step>> {
        self.steps.get(&self.applied)
    }

    /// Whether steps are kept that wait for others before them.
    pub(super) fn has_gap(&self) -> bool {
        let unread = self.steps.range(self.applied..).map(|(seq, _)| *seq);
        !(self.applied..).zip(unread).all(|(expected, seq)| expected == seq)
    }

    /// Where the author contradicts itself, if it does.
    pub(super) fn forked_at(&self) -> Option<u64> {
        self.fork.as_ref().map(|(at, _)| *at)
    }

    /// What was read: neither steps behind a gap nor what is void after a fork.
    pub(super) fn head(&self, author: PeerId) -> Head {
        let last = self.applied.checked_sub(1).and_then(|seq| self.steps.get(&seq));
        let last = last.map_or(StepId::new([0; 32]), Signed::id);
        Head { author, next: self.applied, last }
    }

    /// A step that was read.
    pub(super) fn at(&self, seq: u64) -> Option<&Signed<Step>> {
        self.steps.get(&seq).filter(|_| seq < self.applied)
    }

    /// What somebody who has read the first `next` steps lacks.
    pub(super) fn after(&self, next: u64) -> impl Iterator<Item = &Signed<Step>> {
        self.steps.range(next.min(self.applied)..self.applied).map(|(_, step)| step)
    }

    /// Steps among the first `next` at doubling distances from their end. To somebody whose log ends
    /// otherwise they halve the way to where the two logs part.
    pub(super) fn probes(&self, next: u64) -> impl Iterator<Item = &Signed<Step>> {
        let distances = (0..u64::BITS).map(|n| 1u64 << n).take_while(move |d| *d <= next);
        distances.filter_map(move |distance| self.at(next - distance))
    }

    /// The two steps that show the fork, or the one that contradicts what was read before it.
    pub(super) fn evidence(&self) -> impl Iterator<Item = &Signed<Step>> {
        self.fork.iter().flat_map(|(at, other)| {
            let twin = self.steps.get(at).filter(|step| step.id() != other.id());
            let first = twin.or_else(|| at.checked_sub(1).and_then(|n| self.steps.get(&n)));
            first.into_iter().chain(std::iter::once(other))
        })
    }

    /// Slots about which something was read.
    pub(super) fn slots(&self) -> BTreeSet<Slot> {
        let read = self.steps.range(..self.applied).map(|(_, step)| step).chain(&self.void);
        read.flat_map(|step| &step.value().items).flat_map(slots).collect()
    }

    /// Nothing of it is in the books any more.
    pub(super) fn start_again(&mut self) {
        (self.applied, self.read_bytes, self.is_full) = (0, 0, false);
        self.void.clear();
    }

    /// Everything that is kept: also what lies behind a gap, and what shows a fork.
    pub(super) fn all(&self) -> impl Iterator<Item = &Signed<Step>> {
        let other = self
            .fork
            .iter()
            .filter(|(at, other)| self.steps.get(at).is_none_or(|step| step.id() != other.id()));
        self.steps.values().chain(other.map(|(_, other)| other))
    }

    /// Keeps nothing behind the fork but what shows it.
    fn cut(&mut self, seq: u64, other: Signed<Step>) -> Inserted {
        let cut = self.steps.split_off(&(seq + 1));
        self.void.extend(cut.into_iter().filter(|(at, _)| *at < self.applied).map(|(_, s)| s));
        self.fork = Some((seq, other));
        self.weigh();
        Inserted::Fork
    }

    /// Notes that the step about to be read contradicts an earlier one of the same log.
    pub(super) fn contradict(&mut self, step: Signed<Step>) {
        let seq = step.value().seq;
        self.cut(seq, step);
    }

    /// Where reading stops: the steps from the fork on are void, and so is what lies behind one without room.
    pub(super) fn end(&self) -> u64 {
        let full = if self.is_full { self.applied + 1 } else { u64::MAX };
        self.forked_at().unwrap_or(u64::MAX).min(full)
    }
}

/// What a step weighs where room for it is counted, in bytes.
pub(super) fn weight(step: &Signed<Step>) -> u64 {
    step.envelope().body_len() as u64
}

/// What an item is about.
fn slots(item: &Item) -> Vec<Slot> {
    match item {
        Item::Vote(vote) => vec![vote.slot],
        Item::Certificate(certificate) => vec![certificate.slot],
        Item::Leaves(leaves) => vec![leaves.slot],
        Item::Abstention(abstention) => vec![abstention.slot],
        Item::Seal(seal) => {
            let batches = (seal.first..).zip(&seal.batches);
            let slot = |(batch, (units, _)): (u32, &(crate::Hash, crate::Hash))| Slot {
                stage: seal.stage,
                about: About::Batch(batch),
                units: *units,
            };
            batches.map(slot).collect()
        }
        Item::Keepers(_) | Item::Cancel => Vec::new(),
    }
}
