//! A pool's own folders: what it removes, and what it hands over.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::OFlags;

/// Folders of a pool that has not cleaned up after itself begin with this.
const PREFIX: &str = "pool-";

/// Everything that a pool has on disk; removed when the pool and its outputs are gone.
#[derive(Debug)]
pub(super) struct Folders {
    root: PathBuf,
    next: AtomicU64,
}

impl Folders {
    /// Makes the folders, private to this user, and removes those of pools that died.
    pub(super) fn new(parent: &Path) -> io::Result<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let private = |path: &Path| DirBuilder::new().recursive(true).mode(0o700).create(path);
        let parent = std::path::absolute(parent)?;
        private(&parent)?;
        remove_orphans(&parent)?;
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let root = parent.join(format!("{PREFIX}{}-{number}", std::process::id()));
        DirBuilder::new().mode(0o700).create(&root)?;
        let folders = Self { root, next: AtomicU64::new(0) };
        private(&folders.outputs())?;
        private(&folders.inputs())?;
        Ok(folders)
    }

    pub(super) fn outputs(&self) -> PathBuf {
        self.root.join("outputs")
    }

    fn inputs(&self) -> PathBuf {
        self.root.join("inputs")
    }

    /// A scratch folder for one worker.
    pub(super) fn worker(&self, serial: u64) -> io::Result<PathBuf> {
        let folder = self.root.join(format!("worker-{serial}"));
        DirBuilder::new().mode(0o700).create(&folder)?;
        Ok(folder)
    }

    /// Writes an input that is too large for a frame.
    pub(super) fn put_input(&self, bytes: &[u8]) -> io::Result<InputFile> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let path = self.inputs().join(number.to_string());
        let input = InputFile(path);
        fs::write(&input.0, bytes)?;
        Ok(input)
    }
}

impl Drop for Folders {
    fn drop(&mut self) {
        // What cannot be removed now is removed by the next pool.
        let _ = fs::remove_dir_all(&self.root);
    }
}

fn remove_orphans(parent: &Path) -> io::Result<()> {
    for entry in fs::read_dir(parent)? {
        let entry = entry?;
        let name = entry.file_name();
        let pid = name.to_str().and_then(|name| name.strip_prefix(PREFIX)?.split('-').next());
        let Some(pid) = pid.and_then(|pid| pid.parse().ok()) else { continue };
        let Some(pid) = rustix::process::Pid::from_raw(pid) else { continue };
        if rustix::process::test_kill_process(pid) == Err(rustix::io::Errno::SRCH) {
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

/// An input on its way to a worker.
#[derive(Debug)]
pub(super) struct InputFile(pub(super) PathBuf);

impl Drop for InputFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// A file with outputs in it; removed when the last output in it is dropped.
#[derive(Debug)]
pub struct OutputFile {
    path: PathBuf,
    // The folder that it lies in must not go before it.
    _folders: Arc<Folders>,
}

impl OutputFile {
    /// The file of this name among the outputs. A worker chose the name and is not believed.
    pub(super) fn new(folders: &Arc<Folders>, name: &str) -> Option<Self> {
        let is_name = name.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
        let path = folders.outputs().join(name);
        (is_name && !name.is_empty()).then(|| Self { path, _folders: folders.clone() })
    }

    /// Where it lies. It may be renamed away; it is gone when the output is dropped.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Opens the file at a place in it; a link that a worker may have left is not followed.
    pub(super) fn open(&self, offset: u64) -> io::Result<File> {
        let flags = OFlags::NOFOLLOW.bits().cast_signed();
        let mut file = OpenOptions::new().read(true).custom_flags(flags).open(&self.path)?;
        if !file.metadata()?.is_file() {
            return Err(io::Error::other("the output is no file"));
        }
        file.seek(SeekFrom::Start(offset))?;
        Ok(file)
    }

    pub(super) fn read(&self, offset: u64, len: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.open(offset)?.take(len).read_to_end(&mut bytes)?;
        if bytes.len() as u64 == len { Ok(bytes) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }
}

impl Drop for OutputFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}
