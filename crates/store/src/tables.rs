//! The tables of the index, and how they are read and changed.

use std::ops::Bound;

use protocol::limits::CHUNK_BYTES;
use protocol::{BlobId, BlobRef, Hash, JobId};
use redb::{ReadTransaction, ReadableTable, Table, TableDefinition, WriteTransaction};

use crate::Pin;
use crate::ledger::{Entry, Place};

/// Blob → size, time of last use, place.
const BLOBS: TableDefinition<&[u8; 32], (u64, u64, u8)> = TableDefinition::new("blobs");
/// Blob → its bytes, of small ones.
const SMALL: TableDefinition<&[u8; 32], &[u8]> = TableDefinition::new("small");
/// Blob, page → its chaining values, of those with several pieces; in pages, so that reading one
/// piece of a huge blob does not read 32 MiB of values.
const SUBTREES: TableDefinition<(&[u8; 32], u32), &[u8]> = TableDefinition::new("subtrees");
/// Owner, blob.
const PINS: TableDefinition<(&[u8; 33], &[u8; 32]), ()> = TableDefinition::new("pins");
/// The engine's records.
const JOURNAL: TableDefinition<&[u8], &[u8]> = TableDefinition::new("journal");

/// Chaining values of one page.
const PAGE_VALUES: usize = 1024;

const PLACE_SMALL: u8 = 0;
const PLACE_FILE: u8 = 1;

/// All tables, open for writing.
pub(crate) struct Tables<'txn> {
    blobs: Table<'txn, &'static [u8; 32], (u64, u64, u8)>,
    small: Table<'txn, &'static [u8; 32], &'static [u8]>,
    subtrees: Table<'txn, (&'static [u8; 32], u32), &'static [u8]>,
    pins: Table<'txn, (&'static [u8; 33], &'static [u8; 32]), ()>,
    journal: Table<'txn, &'static [u8], &'static [u8]>,
}

impl<'txn> Tables<'txn> {
    pub(crate) fn open(txn: &'txn WriteTransaction) -> Result<Self, redb::Error> {
        Ok(Self {
            blobs: txn.open_table(BLOBS)?,
            small: txn.open_table(SMALL)?,
            subtrees: txn.open_table(SUBTREES)?,
            pins: txn.open_table(PINS)?,
            journal: txn.open_table(JOURNAL)?,
        })
    }

    pub(crate) fn write(&mut self, key: &[u8], value: &[u8]) -> Result<(), redb::Error> {
        self.journal.insert(key, value)?;
        Ok(())
    }

    pub(crate) fn erase(&mut self, key: &[u8]) -> Result<(), redb::Error> {
        self.journal.remove(key)?;
        Ok(())
    }

    pub(crate) fn erase_prefix(&mut self, prefix: &[u8]) -> Result<(), redb::Error> {
        match after(prefix) {
            Some(end) => self.journal.retain_in(prefix..end.as_slice(), |_, _| false)?,
            None => self.journal.retain_in(prefix.., |_, _| false)?,
        }
        Ok(())
    }

    /// Notes a blob's size, place and last use.
    pub(crate) fn note(&mut self, id: BlobId, entry: &Entry) -> Result<(), redb::Error> {
        let place = match entry.place {
            Place::Small => PLACE_SMALL,
            Place::File => PLACE_FILE,
        };
        self.blobs.insert(id.as_bytes(), (entry.size, entry.used, place))?;
        Ok(())
    }

    pub(crate) fn keep_small(&mut self, id: BlobId, bytes: &[u8]) -> Result<(), redb::Error> {
        self.small.insert(id.as_bytes(), bytes)?;
        Ok(())
    }

    pub(crate) fn keep_values(&mut self, id: BlobId, values: &[Hash]) -> Result<(), redb::Error> {
        for (page, values) in (0..).zip(values.chunks(PAGE_VALUES)) {
            let bytes: Vec<u8> = values.iter().flat_map(|value| *value.as_bytes()).collect();
            self.subtrees.insert((id.as_bytes(), page), bytes.as_slice())?;
        }
        Ok(())
    }

    pub(crate) fn forget(&mut self, id: BlobId) -> Result<(), redb::Error> {
        self.blobs.remove(id.as_bytes())?;
        self.small.remove(id.as_bytes())?;
        let pages = (id.as_bytes(), 0)..=(id.as_bytes(), u32::MAX);
        self.subtrees.retain_in(pages, |_, _| false)?;
        Ok(())
    }

    pub(crate) fn pin(&mut self, id: BlobId, owner: Pin) -> Result<(), redb::Error> {
        self.pins.insert((&owner_key(owner), id.as_bytes()), ())?;
        Ok(())
    }

    pub(crate) fn unpin(&mut self, id: BlobId, owner: Pin) -> Result<(), redb::Error> {
        self.pins.remove((&owner_key(owner), id.as_bytes()))?;
        Ok(())
    }

    /// The blobs that `owner` had pinned.
    pub(crate) fn unpin_all(&mut self, owner: Pin) -> Result<Vec<BlobId>, redb::Error> {
        let mut ids = Vec::new();
        let key = owner_key(owner);
        self.pins.retain_in((&key, &[0; 32])..=(&key, &[0xff; 32]), |(_, id), ()| {
            ids.push(BlobId::new(*id));
            false
        })?;
        Ok(ids)
    }
}

/// Calls `see` with every blob, its place and its last use.
pub(crate) fn blobs(
    txn: &ReadTransaction,
    mut see: impl FnMut(BlobRef, Place, u64),
) -> Result<(), redb::Error> {
    for row in txn.open_table(BLOBS)?.iter()? {
        let (id, note) = row?;
        let (size, used, place) = note.value();
        let place = if place == PLACE_FILE { Place::File } else { Place::Small };
        see(BlobRef { id: BlobId::new(*id.value()), size }, place, used);
    }
    Ok(())
}

/// Calls `see` with every pin.
pub(crate) fn pins(
    txn: &ReadTransaction,
    mut see: impl FnMut(BlobId, Pin),
) -> Result<(), redb::Error> {
    for row in txn.open_table(PINS)?.iter()? {
        let (key, _) = row?;
        let (owner, id) = key.value();
        if let Some(owner) = owner_of(owner) {
            see(BlobId::new(*id), owner);
        }
    }
    Ok(())
}

/// The bytes of a small blob.
pub(crate) fn small(txn: &ReadTransaction, id: BlobId) -> Result<Option<Vec<u8>>, redb::Error> {
    Ok(txn.open_table(SMALL)?.get(id.as_bytes())?.map(|bytes| bytes.value().to_vec()))
}

/// The chaining value of one piece.
pub(crate) fn value(
    txn: &ReadTransaction,
    id: BlobId,
    index: u64,
) -> Result<Option<Hash>, redb::Error> {
    let page = (index / PAGE_VALUES as u64) as u32;
    let at = (index % PAGE_VALUES as u64) as usize;
    let found = txn.open_table(SUBTREES)?.get((id.as_bytes(), page))?;
    Ok(found.and_then(|page| hashes(page.value()).nth(at)))
}

/// All chaining values of a blob of `size` bytes; none for one of a single piece.
pub(crate) fn values(
    txn: &ReadTransaction,
    id: BlobId,
    size: u64,
) -> Result<Vec<Hash>, redb::Error> {
    let mut values = Vec::new();
    if size <= CHUNK_BYTES {
        return Ok(values);
    }
    for row in txn.open_table(SUBTREES)?.range((id.as_bytes(), 0)..=(id.as_bytes(), u32::MAX))? {
        values.extend(hashes(row?.1.value()));
    }
    Ok(values)
}

/// One record.
pub(crate) fn record(txn: &ReadTransaction, key: &[u8]) -> Result<Option<Vec<u8>>, redb::Error> {
    Ok(txn.open_table(JOURNAL)?.get(key)?.map(|value| value.value().to_vec()))
}

/// Calls `see` with every record under `prefix`, in the order of keys, until it says `false`.
pub(crate) fn records(
    txn: &ReadTransaction,
    prefix: &[u8],
    mut see: impl FnMut(&[u8], &[u8]) -> bool,
) -> Result<(), redb::Error> {
    let end = after(prefix);
    let end = end.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
    for row in txn.open_table(JOURNAL)?.range::<&[u8]>((Bound::Included(prefix), end))? {
        let (key, value) = row?;
        if !see(key.value(), value.value()) {
            break;
        }
    }
    Ok(())
}

fn hashes(bytes: &[u8]) -> impl Iterator<Item = Hash> {
    bytes.as_chunks::<32>().0.iter().map(|value| Hash::new(*value))
}

/// The first key after all that start with `prefix`; none if there is no such key.
fn after(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|byte| *byte != u8::MAX)?;
    let mut end = prefix[..=last].to_vec();
    end[last] += 1;
    Some(end)
}

fn owner_key(owner: Pin) -> [u8; 33] {
    let mut key = [0; 33];
    match owner {
        Pin::User => {}
        Pin::Job(job) => {
            key[0] = 1;
            key[1..].copy_from_slice(job.as_bytes());
        }
    }
    key
}

fn owner_of(key: &[u8; 33]) -> Option<Pin> {
    let job: [u8; 32] = key[1..].try_into().expect("33 bytes less one are 32");
    match key[0] {
        0 => Some(Pin::User),
        1 => Some(Pin::Job(JobId::new(job))),
        _ => None,
    }
}
