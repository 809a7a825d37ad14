//! The ground the tests stand on: a folder, bytes that look random, processes to kill.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use protocol::{BlobId, BlobRef, Subtrees};
use store::{Options, Store};
use tempfile::TempDir;

pub(crate) const MIB: usize = 1 << 20;
/// What a blob is charged beside its bytes.
pub(crate) const BLOB_COST: u64 = 512;

/// Tells a child process which folder it is to work on.
const DIR: &str = "STORE_TEST_DIR";

/// A folder for one store, removed at the end.
pub(crate) struct Ground {
    dir: TempDir,
}

impl Ground {
    pub(crate) fn new() -> Self {
        Self { dir: tempfile::tempdir().expect("there is a folder for temporary files") }
    }

    /// In memory where there is such a folder, for tests that would wait for a thousand fsyncs.
    pub(crate) fn fast() -> Self {
        tempfile::tempdir_in("/dev/shm").map_or_else(|_| Self::new(), |dir| Self { dir })
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn index(&self) -> PathBuf {
        self.path().join("index.redb")
    }

    /// A store with plenty of room.
    pub(crate) fn open(&self) -> Store {
        open(self.path())
    }

    pub(crate) fn open_with_quota(&self, quota_bytes: u64) -> Store {
        let options = Options { quota_bytes, free_bytes_min: 0 };
        Store::open(self.path(), options).expect("the folder is a store").store
    }

    /// Every file below the folder, relative to it.
    pub(crate) fn files(&self, below: &str) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut folders = vec![self.path().join(below)];
        while let Some(folder) = folders.pop() {
            let Ok(entries) = std::fs::read_dir(folder) else { continue };
            for entry in entries {
                let path = entry.expect("the folder can be read").path();
                if path.is_dir() { folders.push(path) } else { found.push(path) }
            }
        }
        found
    }
}

pub(crate) fn open(dir: &Path) -> Store {
    let options = Options { quota_bytes: 8 << 30, free_bytes_min: 0 };
    let opened = Store::open(dir, options).expect("the folder is a store");
    assert_eq!(opened.quarantined, None, "the index is sound");
    opened.store
}

/// Bytes that depend on `seed` only.
pub(crate) fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut bytes);
    bytes
}

/// A number below `end` that depends on `seed` only.
pub(crate) fn pick(seed: u64, end: u64) -> u64 {
    let bytes = noise(seed, 8).try_into().expect("eight bytes were asked for");
    u64::from_le_bytes(bytes) % end
}

/// A blob of several pieces, with its chaining values.
pub(crate) fn subtrees(bytes: &[u8]) -> Subtrees {
    let pieces = (0..).zip(bytes.chunks(MIB));
    let values = pieces.map(|(index, piece)| Subtrees::value_of(index, piece)).collect();
    Subtrees::check(BlobId::of(bytes), bytes.len() as u64, values).expect("they are its own")
}

pub(crate) fn charge(bytes: &[u8]) -> u64 {
    BlobRef::of(bytes).size + BLOB_COST
}

/// This program again, to run the test `name` as a child that works on `dir`.
pub(crate) fn child(name: &str, dir: &Path) -> Command {
    prepared(Command::new(this_program()), name, dir)
}

/// The same with files limited to about `mib` MiB: a disk that is full sooner.
pub(crate) fn child_on_small_disk(name: &str, dir: &Path, mib: u64) -> Command {
    let mut shell = Command::new("sh");
    // The shell counts blocks of 512 or 1024 bytes, and an ignored signal stays ignored.
    let script = format!("trap '' XFSZ; ulimit -f {}; exec \"$0\" \"$@\"", mib * 2048);
    shell.args(["-c", &script]).arg(this_program());
    prepared(shell, name, dir)
}

fn prepared(mut command: Command, name: &str, dir: &Path) -> Command {
    command.args([name, "--exact", "--nocapture", "--test-threads=1"]);
    command.env(DIR, dir).stdin(Stdio::piped()).stdout(Stdio::piped());
    command
}

/// The folder, if this process is such a child.
pub(crate) fn as_child() -> Option<PathBuf> {
    std::env::var_os(DIR).map(PathBuf::from)
}

fn this_program() -> PathBuf {
    std::env::current_exe().expect("a test knows its program")
}
