//! Opening: a folder becomes a store, and what a crash left behind is put right.

use std::any::Any;
use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::io::{self, ErrorKind, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use protocol::BlobId;
use redb::{Database, DatabaseError, ReadableDatabase};
use tracing::{error, info, warn};

use crate::batch::Op;
use crate::folder::{Folder, Lock, make_dir, remove_quietly, sync_dir};
use crate::ledger::{Ledger, Place};
use crate::store::Shared;
use crate::tables::{self, Tables};
use crate::{Batch, OpenError, Store, partial, strays};

/// The format of the folder that this program writes.
const FORMAT: u32 = 1;
/// Pages of the index kept in memory.
const CACHE_BYTES: usize = 64 << 20;

/// The owner's limits.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// What blobs may take.
    pub quota_bytes: u64,
    /// Blobs are refused when they would leave less than this free on the disk; records are not.
    pub free_bytes_min: u64,
}

impl Options {
    /// A quota, and 256 MiB that stay free.
    pub const fn new(quota_bytes: u64) -> Self {
        Self { quota_bytes, free_bytes_min: 256 << 20 }
    }
}

/// An open store, and what had to be done for it.
#[derive(Debug)]
pub struct Opened {
    pub store: Store,
    /// Where the old index is, if it was corrupt: its records, pins and small blobs are lost to this
    /// store, and the person should be told. Larger blobs come back by [`Store::adopt_strays`].
    pub quarantined: Option<PathBuf>,
    /// Files that the index does not know; more than a few only after it was corrupt.
    pub strays: u64,
}

impl Store {
    /// Opens the store in `dir`, and makes it if there is none.
    ///
    /// The whole index is read and its checksums are compared, which takes seconds per GiB.
    ///
    /// # Errors
    /// [`OpenError`] names the path and what to do. A corrupt index is no error: it is renamed to
    /// `index.redb.corrupt-N`, never overwritten, and [`Opened`] says so.
    pub fn open(dir: &Path, options: Options) -> Result<Opened, OpenError> {
        let folder = Folder::new(dir.to_owned());
        make_dir(dir).map_err(|e| OpenError::io(dir, e))?;
        let lock = lock(&folder)?;
        check_format(&folder)?;
        for part in [folder.blobs(), folder.scratch(), folder.partials()] {
            make_dir(&part).map_err(|e| OpenError::io(&part, e))?;
        }
        let (db, mut ledger, quarantined) = open_or_quarantine(&folder, options.quota_bytes)?;
        sweep(&folder).map_err(|e| OpenError::io(dir, e))?;
        let Differences { lost, strays } =
            compare(&folder, &mut ledger).map_err(|e| OpenError::io(&folder.blobs(), e))?;
        partial::restore(&folder, &mut ledger).map_err(|e| OpenError::io(&folder.partials(), e))?;
        for made in [folder.blobs(), dir.to_owned()] {
            sync_dir(&made).map_err(|e| OpenError::io(&made, e))?;
        }
        let usage = ledger.usage();
        info!(dir = %dir.display(), blobs = usage.blobs, used = usage.used, strays, "store open");
        let store = Self::new(Shared::new(folder, db, ledger, options, lock))
            .map_err(|e| OpenError::io(dir, e))?;
        for (id, born) in lost {
            drop(store.shared.submit_soon(Batch::of(Op::SetAside { id, born })));
        }
        Ok(Opened { store, quarantined, strays })
    }
}

fn lock(folder: &Folder) -> Result<Lock, OpenError> {
    let path = folder.lock();
    match Lock::take(&path) {
        Ok(lock) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse { dir: folder.dir().to_owned() }),
        Err(TryLockError::Error(e)) => Err(OpenError::io(&path, e)),
    }
}

/// The format stands in a file of its own, so that no release takes a later one's index for corrupt.
fn check_format(folder: &Folder) -> Result<(), OpenError> {
    let path = folder.format();
    let text = match fs::read(&path) {
        // Empty: a crash came between its creation and its bytes.
        Ok(text) if !text.is_empty() => text,
        Ok(_) => return write_format(&path),
        Err(e) if e.kind() == ErrorKind::NotFound => return write_format(&path),
        Err(e) => return Err(OpenError::io(&path, e)),
    };
    let text = std::str::from_utf8(&text).ok().map(str::trim);
    match text.and_then(|text| text.parse::<u32>().ok()) {
        Some(FORMAT) => Ok(()),
        Some(found) if FORMAT < found => Err(OpenError::Newer { path, found, known: FORMAT }),
        Some(_) | None => Err(OpenError::NoFormat { path }),
    }
}

fn write_format(path: &Path) -> Result<(), OpenError> {
    let write = || {
        let mut file = File::create(path)?;
        file.write_all(format!("{FORMAT}\n").as_bytes())?;
        file.sync_all()
    };
    write().map_err(|e| OpenError::io(path, e))
}

fn open_or_quarantine(
    folder: &Folder,
    quota: u64,
) -> Result<(Database, Ledger, Option<PathBuf>), OpenError> {
    let path = folder.index();
    let why = match open_index(&path, quota) {
        Ok((db, ledger)) => return Ok((db, ledger, None)),
        Err(IndexError::Io(e)) => return Err(OpenError::io(&path, e)),
        Err(IndexError::InUse) => return Err(OpenError::InUse { dir: folder.dir().to_owned() }),
        Err(IndexError::Corrupt(why)) => why,
    };
    let kept = (1..)
        .map(|n: u32| folder.dir().join(format!("index.redb.corrupt-{n}")))
        .find(|kept| !kept.exists())
        .expect("fewer than four billion files are in a folder");
    fs::rename(&path, &kept).map_err(|e| OpenError::io(&path, e))?;
    error!(why, kept = %kept.display(), "the index is corrupt: it was renamed, and a new one begun");
    match open_index(&path, quota) {
        Ok((db, ledger)) => Ok((db, ledger, Some(kept))),
        Err(IndexError::Io(e)) => Err(OpenError::io(&path, e)),
        Err(IndexError::InUse) => Err(OpenError::InUse { dir: folder.dir().to_owned() }),
        Err(IndexError::Corrupt(why)) => Err(OpenError::io(&path, io::Error::other(why))),
    }
}

enum IndexError {
    Corrupt(String),
    InUse,
    Io(io::Error),
}

/// Opens and reads the index; a panic of redb's on bytes it did not write means they are corrupt.
fn open_index(path: &Path, quota: u64) -> Result<(Database, Ledger), IndexError> {
    let attempt = AssertUnwindSafe(|| {
        let db = Database::builder()
            .set_cache_size(CACHE_BYTES)
            .set_check_integrity_on_open(true)
            .create(path)
            .map_err(classify_open)?;
        let ledger = load(&db, quota).map_err(classify)?;
        Ok((db, ledger))
    });
    catch_unwind(attempt).unwrap_or_else(|panic| Err(IndexError::Corrupt(panic_text(&*panic))))
}

fn load(db: &Database, quota: u64) -> Result<Ledger, redb::Error> {
    if db.begin_read()?.list_tables()?.next().is_none() {
        let txn = db.begin_write()?;
        drop(Tables::open(&txn)?);
        txn.commit()?;
    }
    let txn = db.begin_read()?;
    let mut ledger = Ledger::new(quota);
    tables::blobs(&txn, |blob, place, used| ledger.restore(blob, place, used))?;
    tables::pins(&txn, |id, owner| ledger.pin(id, owner))?;
    Ok(ledger)
}

fn classify_open(error: DatabaseError) -> IndexError {
    match error {
        DatabaseError::DatabaseAlreadyOpen | DatabaseError::LockProtocolMismatch => {
            IndexError::InUse
        }
        other => classify(other.into()),
    }
}

fn classify(error: redb::Error) -> IndexError {
    match error {
        // A file that ends early was cut; everything else is the disk's or the system's word.
        redb::Error::Io(e)
            if e.kind() != ErrorKind::UnexpectedEof && e.kind() != ErrorKind::InvalidData =>
        {
            IndexError::Io(e)
        }
        other => IndexError::Corrupt(other.to_string()),
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("panic").to_owned()
}

/// Removes what was being written when the last process ended.
fn sweep(folder: &Folder) -> io::Result<()> {
    for entry in fs::read_dir(folder.scratch())? {
        remove_quietly(&entry?.path());
    }
    Ok(())
}

/// What the files say beside the index.
struct Differences {
    /// Blobs whose file is gone or was cut, and when they were born.
    lost: Vec<(BlobId, u64)>,
    /// Files that the index does not know.
    strays: u64,
}

fn compare(folder: &Folder, ledger: &mut Ledger) -> io::Result<Differences> {
    let mut found: BTreeMap<BlobId, u64> = BTreeMap::new();
    strays::each_file(folder, |file| {
        found.insert(file.id, file.size);
    })?;
    let mut lost = Vec::new();
    for (id, entry) in ledger.each().filter(|(_, entry)| entry.place == Place::File) {
        if found.remove(&id) != Some(entry.size) {
            warn!(%id, size = entry.size, "the file of a blob is gone or was cut");
            lost.push((id, entry.born));
        }
    }
    for (id, born) in &lost {
        ledger.hide(*id, *born);
    }
    Ok(Differences { lost, strays: found.len() as u64 })
}
