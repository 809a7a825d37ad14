//! The ledger: what is here, who needs it, what goes first when room is needed.
//!
//! It is the index's blobs and pins in memory. Use is counted, not timed: whoever was touched last
//! has the highest count.

use std::collections::{BTreeMap, BTreeSet};

use protocol::{BlobId, BlobRef};

use crate::batch::Op;
use crate::{Pin, StoreError, Usage};

/// What a blob is charged beside its bytes, for its rows, its file and its entry here: it makes the
/// quota bound the number of blobs, too.
const BLOB_COST: u64 = 512;

/// Where a blob's bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Small,
    File,
}

/// One blob.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    pub(crate) size: u64,
    pub(crate) place: Place,
    /// The count at its last use.
    pub(crate) used: u64,
    /// The count at its arrival, which tells it from an earlier blob of the same name.
    pub(crate) born: u64,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// On its way into the index: not to be read before it is durable.
    Arriving,
    Here,
    /// On its way out: not to be read, and replaced if it comes again.
    Damaged,
}

/// What had to leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gone {
    Blob(BlobId),
    /// The pieces of a blob that nobody is receiving any more.
    Partial(BlobId),
}

#[derive(Debug)]
pub(crate) struct Ledger {
    quota: u64,
    count: u64,
    used: u64,
    pinned: u64,
    blobs: BTreeMap<BlobId, Entry>,
    /// Unpinned blobs, least recently used first.
    idle: BTreeSet<(u64, BlobId)>,
    pins: BTreeMap<BlobId, BTreeSet<Pin>>,
    /// Blobs whose last use is newer than the index says.
    touched: BTreeSet<BlobId>,
    /// Blobs that are here in part, with what they will be charged.
    partials: BTreeMap<BlobId, u64>,
    receiving: BTreeSet<BlobId>,
}

impl Ledger {
    pub(crate) const fn new(quota: u64) -> Self {
        Self {
            quota,
            count: 0,
            used: 0,
            pinned: 0,
            blobs: BTreeMap::new(),
            idle: BTreeSet::new(),
            pins: BTreeMap::new(),
            touched: BTreeSet::new(),
            partials: BTreeMap::new(),
            receiving: BTreeSet::new(),
        }
    }

    /// A blob that the index has.
    pub(crate) fn restore(&mut self, blob: BlobRef, place: Place, used: u64) {
        self.count = self.count.max(used);
        self.insert(blob, place, used, State::Here);
    }

    /// A blob that a reader may see, used now.
    pub(crate) fn find(&mut self, id: BlobId) -> Option<Entry> {
        let entry = self.peek(id)?;
        self.touch(id);
        Some(entry)
    }

    /// A blob that a reader may see, without using it.
    pub(crate) fn peek(&self, id: BlobId) -> Option<Entry> {
        self.blobs.get(&id).filter(|entry| entry.state == State::Here).copied()
    }

    /// Whether it is here, or will be when the writer is done.
    pub(crate) fn knows(&self, id: BlobId) -> bool {
        self.blobs.get(&id).is_some_and(|entry| entry.state != State::Damaged)
    }

    pub(crate) fn each(&self) -> impl Iterator<Item = (BlobId, &Entry)> {
        let here = self.blobs.iter().filter(|(_, entry)| entry.state == State::Here);
        here.map(|(id, entry)| (*id, entry))
    }

    pub(crate) fn owners(&self, id: BlobId) -> Vec<Pin> {
        self.pins.get(&id).into_iter().flatten().copied().collect()
    }

    pub(crate) fn is_pinned(&self, id: BlobId) -> bool {
        self.pins.contains_key(&id)
    }

    pub(crate) fn usage(&self) -> Usage {
        Usage {
            quota: self.quota,
            used: self.used + self.partials.values().sum::<u64>(),
            pinned: self.pinned,
            blobs: self.blobs.len() as u64,
        }
    }

    /// Makes room for what `ops` bring, or says that there is none and changes nothing.
    pub(crate) fn admit(&mut self, ops: &[Op]) -> Result<Vec<Gone>, StoreError> {
        let (arriving, kept) = self.wishes(ops);
        if arriving.is_empty() {
            return Ok(Vec::new());
        }
        let need: u64 = arriving.values().sum();
        let kept_idle = kept.iter().filter(|id| !self.pins.contains_key(id));
        let firm = self.pinned
            + kept_idle.filter_map(|id| self.blobs.get(id)).map(charge).sum::<u64>()
            + self.partials_beside(&arriving, |id| self.receiving.contains(id));
        if self.quota < firm + need {
            return Err(StoreError::QuotaExceeded { need, quota: self.quota, pinned: firm });
        }
        let mut gone = Vec::new();
        while self.quota < self.used + self.partials_beside(&arriving, |_| true) + need {
            let left = self.oldest(&arriving, &kept).expect("what is firm and needed fits");
            match left {
                Gone::Blob(id) => drop(self.remove(id)),
                Gone::Partial(id) => drop(self.partials.remove(&id)),
            }
            gone.push(left);
        }
        Ok(gone)
    }

    /// A blob comes in; the entry is to be noted. None if it is here already.
    pub(crate) fn arrive(&mut self, blob: BlobRef, place: Place) -> Option<Entry> {
        self.partials.remove(&blob.id);
        if self.knows(blob.id) {
            self.touch(blob.id);
            return None;
        }
        self.remove(blob.id);
        self.count += 1;
        Some(self.insert(blob, place, self.count, State::Arriving))
    }

    /// A blob is durable: from now on readers see it, if it is still the same.
    pub(crate) fn show(&mut self, id: BlobId, born: u64) {
        self.set_state(id, born, State::Here);
    }

    /// A blob is damaged: from now on readers do not see it, if it is still the same.
    pub(crate) fn hide(&mut self, id: BlobId, born: u64) {
        self.set_state(id, born, State::Damaged);
    }

    pub(crate) fn remove(&mut self, id: BlobId) -> Option<Entry> {
        let entry = self.blobs.remove(&id)?;
        self.touched.remove(&id);
        self.used -= charge(&entry);
        if !self.idle.remove(&(entry.used, id)) {
            self.pinned -= charge(&entry);
        }
        Some(entry)
    }

    /// Removes it if it is the one that was `born` then.
    pub(crate) fn remove_born(&mut self, id: BlobId, born: u64) -> Option<Entry> {
        self.blobs.get(&id).filter(|entry| entry.born == born)?;
        self.remove(id)
    }

    pub(crate) fn pin(&mut self, id: BlobId, owner: Pin) {
        self.pins.entry(id).or_default().insert(owner);
        if let Some(entry) = self.blobs.get(&id)
            && self.idle.remove(&(entry.used, id))
        {
            self.pinned += charge(entry);
        }
    }

    pub(crate) fn unpin(&mut self, id: BlobId, owner: Pin) {
        let Some(owners) = self.pins.get_mut(&id) else { return };
        owners.remove(&owner);
        if !owners.is_empty() {
            return;
        }
        self.pins.remove(&id);
        if let Some(entry) = self.blobs.get(&id)
            && self.idle.insert((entry.used, id))
        {
            self.pinned -= charge(entry);
        }
    }

    /// Takes a blob for one receiver; `false` if another has it.
    pub(crate) fn start_receiving(&mut self, id: BlobId) -> bool {
        self.receiving.insert(id)
    }

    pub(crate) fn stop_receiving(&mut self, id: BlobId) {
        self.receiving.remove(&id);
    }

    /// Counts a blob that is here in part, or is going to be.
    pub(crate) fn reserve(&mut self, blob: BlobRef) {
        if !self.knows(blob.id) {
            self.partials.insert(blob.id, blob.size + BLOB_COST);
        }
    }

    pub(crate) fn is_partial(&self, id: BlobId) -> bool {
        self.partials.contains_key(&id)
    }

    pub(crate) fn drop_partial(&mut self, id: BlobId) {
        self.partials.remove(&id);
    }

    pub(crate) fn touched(&self) -> usize {
        self.touched.len()
    }

    /// The entries whose last use the index does not know yet.
    pub(crate) fn take_touched(&mut self) -> Vec<(BlobId, Entry)> {
        let touched = std::mem::take(&mut self.touched);
        touched.into_iter().filter_map(|id| Some((id, *self.blobs.get(&id)?))).collect()
    }

    /// New blobs with their charges, and those that must not leave in exchange.
    fn wishes(&self, ops: &[Op]) -> (BTreeMap<BlobId, u64>, BTreeSet<BlobId>) {
        let mut arriving = BTreeMap::new();
        let mut kept = BTreeSet::new();
        for op in ops {
            match op {
                Op::Blob { blob, .. } | Op::File { blob, .. } | Op::Reserve { blob } => {
                    if self.knows(blob.id) {
                        kept.insert(blob.id);
                    } else {
                        arriving.insert(blob.id, blob.size + BLOB_COST);
                    }
                }
                Op::Pin { id, .. } => drop(kept.insert(*id)),
                Op::Write { .. }
                | Op::Erase { .. }
                | Op::ErasePrefix { .. }
                | Op::Unpin { .. }
                | Op::UnpinAll { .. }
                | Op::Remove { .. }
                | Op::SetAside { .. } => {}
            }
        }
        (arriving, kept)
    }

    fn partials_beside(
        &self,
        arriving: &BTreeMap<BlobId, u64>,
        counts: impl Fn(&BlobId) -> bool,
    ) -> u64 {
        let beside = self.partials.iter().filter(|(id, _)| !arriving.contains_key(id));
        beside.filter(|(id, _)| counts(id)).map(|(_, charge)| charge).sum()
    }

    fn oldest(&self, arriving: &BTreeMap<BlobId, u64>, kept: &BTreeSet<BlobId>) -> Option<Gone> {
        let partial = self
            .partials
            .keys()
            .find(|id| !arriving.contains_key(id) && !self.receiving.contains(id));
        let idle = || self.idle.iter().map(|(_, id)| id).find(|id| !kept.contains(id));
        partial.copied().map(Gone::Partial).or_else(|| idle().copied().map(Gone::Blob))
    }

    fn insert(&mut self, blob: BlobRef, place: Place, used: u64, state: State) -> Entry {
        let entry = Entry { size: blob.size, place, used, born: used, state };
        self.used += charge(&entry);
        if self.pins.contains_key(&blob.id) {
            self.pinned += charge(&entry);
        } else {
            self.idle.insert((used, blob.id));
        }
        self.blobs.insert(blob.id, entry);
        entry
    }

    fn touch(&mut self, id: BlobId) {
        let Some(entry) = self.blobs.get_mut(&id) else { return };
        self.count += 1;
        if self.idle.remove(&(entry.used, id)) {
            self.idle.insert((self.count, id));
        }
        entry.used = self.count;
        self.touched.insert(id);
    }

    fn set_state(&mut self, id: BlobId, born: u64, state: State) {
        if let Some(entry) = self.blobs.get_mut(&id)
            && entry.born == born
        {
            entry.state = state;
        }
    }
}

const fn charge(entry: &Entry) -> u64 {
    entry.size + BLOB_COST
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_blob_that_came_again_is_not_taken_for_the_damaged_one() {
        let mut ledger = Ledger::new(1 << 20);
        let blob = BlobRef::of(b"bytes");
        let old = ledger.arrive(blob, Place::Small).unwrap();
        ledger.show(blob.id, old.born);
        ledger.hide(blob.id, old.born);
        assert!(ledger.peek(blob.id).is_none() && !ledger.knows(blob.id));
        let new = ledger.arrive(blob, Place::Small).unwrap();
        ledger.show(blob.id, old.born);
        assert!(ledger.peek(blob.id).is_none(), "the new one is not durable yet");
        ledger.show(blob.id, new.born);
        ledger.hide(blob.id, old.born);
        assert!(ledger.remove_born(blob.id, old.born).is_none());
        assert!(ledger.peek(blob.id).is_some());
        assert_eq!(ledger.usage().used, 5 + BLOB_COST);
    }
}
