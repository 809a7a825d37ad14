//! Who this node is: the data folder, its lock, and the secret key in it.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use protocol::Keypair;
use rustix::fs::OFlags;

/// A key file is 64 hex digits and a line's end.
const KEY_FILE_BYTES_MAX: u64 = 256;

/// The data folder, as long as this process may use it.
#[derive(Debug)]
pub struct Home {
    dir: PathBuf,
    /// Held as long as the folder is in use.
    _lock: File,
}

/// This node's key.
#[derive(Clone)]
pub struct Identity {
    secret: [u8; 32],
}

/// Why the data folder or the key in it cannot be used. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum HomeError {
    #[error("{} is in use by another node{}\nhint: stop that one, or choose another folder with --data-dir", dir.display(), by(holder))]
    InUse { dir: PathBuf, holder: Option<String> },
    #[error("{} belongs to another user\nhint: run as that user, or choose another folder with --data-dir", path.display())]
    Foreign { path: PathBuf },
    #[error("{} can be read by others\nhint: chmod {} {}", path.display(), want, path.display())]
    Open { path: PathBuf, want: &'static str },
    #[error("{} holds no key\nhint: restore it from a copy; without one, remove it, and the node becomes a new peer", path.display())]
    NoKey { path: PathBuf },
    #[error("{}: {source}\nhint: make it a place where this user can read and write, without symbolic links", path.display())]
    Io { path: PathBuf, source: io::Error },
}

impl Home {
    /// Makes the folder if it is not there, and takes it for this process.
    ///
    /// # Errors
    /// [`HomeError::InUse`] names the process that has it; the others say what to put right.
    pub fn open(dir: &Path) -> Result<Self, HomeError> {
        let at = |source| HomeError::Io { path: dir.to_owned(), source };
        DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(at)?;
        let meta = std::fs::metadata(dir).map_err(at)?;
        check_owner(dir, &meta)?;
        if meta.permissions().mode() & 0o077 != 0 {
            // A folder that was there before may hold nothing secret yet: close it.
            std::fs::set_permissions(dir, PermissionsExt::from_mode(0o700)).map_err(at)?;
        }
        let lock = lock(dir)?;
        Ok(Self { dir: dir.to_owned(), _lock: lock })
    }

    /// A place in the folder.
    pub fn join(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// The key of this folder; a new one if there is none yet. An existing file is never overwritten.
    ///
    /// # Errors
    /// [`HomeError`] if the file is not a key that only this user can read.
    pub fn identity(&self) -> Result<Identity, HomeError> {
        let path = self.join("key");
        match read_key(&path) {
            Err(HomeError::Io { source, .. }) if source.kind() == ErrorKind::NotFound => {
                let secret = secret(&path)?;
                self.write_key(&path, &secret)?;
                read_key(&path)
            }
            known => known,
        }
    }

    /// The bytes are on disk before the name is, so that a crash leaves a whole key or none.
    fn write_key(&self, path: &Path, secret: &[u8; 32]) -> Result<(), HomeError> {
        let new = self.join("key.new");
        let write = || {
            match std::fs::remove_file(&new) {
                Err(e) if e.kind() != ErrorKind::NotFound => return Err(e),
                Ok(()) | Err(_) => {}
            }
            let mut file = nofollow().write(true).create_new(true).mode(0o600).open(&new)?;
            writeln!(file, "{}", hex(secret))?;
            file.sync_all()?;
            std::fs::hard_link(&new, path)?;
            std::fs::remove_file(&new)?;
            File::open(&self.dir)?.sync_all()
        };
        write().map_err(|source| HomeError::Io { path: path.to_owned(), source })
    }
}

impl Identity {
    pub fn keypair(&self) -> Keypair {
        Keypair::from_secret(&self.secret)
    }

    /// The secret itself, for what has to prove it on the wire.
    pub const fn secret(&self) -> &[u8; 32] {
        &self.secret
    }
}

/// The secret is never printed.
impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Identity({})", self.keypair().peer())
    }
}

fn lock(dir: &Path) -> Result<File, HomeError> {
    let path = dir.join("lock");
    let at = |source| HomeError::Io { path: path.clone(), source };
    let mut file = nofollow()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(at)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut text = String::new();
            // Who holds it is a help only: it may be writing its number right now.
            let read = Read::by_ref(&mut file).take(20).read_to_string(&mut text);
            let holder = read.ok().map(|_| text.trim().to_owned()).filter(|pid| !pid.is_empty());
            return Err(HomeError::InUse { dir: dir.to_owned(), holder });
        }
        Err(TryLockError::Error(e)) => return Err(at(e)),
    }
    let write = |file: &mut File| {
        file.set_len(0)?;
        file.rewind()?;
        writeln!(file, "{}", std::process::id())
    };
    write(&mut file).map_err(at)?;
    Ok(file)
}

fn read_key(path: &Path) -> Result<Identity, HomeError> {
    let at = |source| HomeError::Io { path: path.to_owned(), source };
    let file = nofollow().read(true).open(path).map_err(at)?;
    let meta = file.metadata().map_err(at)?;
    check_owner(path, &meta)?;
    if meta.permissions().mode() & 0o077 != 0 {
        return Err(HomeError::Open { path: path.to_owned(), want: "600" });
    }
    let mut text = String::new();
    file.take(KEY_FILE_BYTES_MAX).read_to_string(&mut text).map_err(at)?;
    let secret = unhex(text.trim()).ok_or(HomeError::NoKey { path: path.to_owned() })?;
    Ok(Identity { secret })
}

fn check_owner(path: &Path, meta: &std::fs::Metadata) -> Result<(), HomeError> {
    if meta.uid() == rustix::process::geteuid().as_raw() {
        Ok(())
    } else {
        Err(HomeError::Foreign { path: path.to_owned() })
    }
}

fn nofollow() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.custom_flags(OFlags::NOFOLLOW.bits().cast_signed());
    options
}

fn secret(path: &Path) -> Result<[u8; 32], HomeError> {
    let mut secret = [0; 32];
    getrandom::fill(&mut secret)
        .map_err(|e| HomeError::Io { path: path.to_owned(), source: e.into() })?;
    Ok(secret)
}

fn hex(bytes: &[u8; 32]) -> String {
    protocol::Hash::new(*bytes).to_string()
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    text.parse::<protocol::Hash>().ok().map(|hash| *hash.as_bytes())
}

fn by(holder: &Option<String>) -> String {
    holder.as_ref().map_or_else(String::new, |pid| format!(" (process {pid})"))
}
