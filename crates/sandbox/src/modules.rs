//! Compiled modules: a few ready in memory, the others on disk, and compiling what is in neither.

use std::collections::{BTreeMap, VecDeque};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use protocol::BlobId;
use wasmtime::{InstancePre, Module};

use crate::determinism;
use crate::engine::{Host, Variant};
use crate::inspect::inspect;
use crate::limits::{CACHE_BYTES_MAX, READY_MODULES_MAX};
use crate::wasi::Guest;

/// The layout of a cached file: to be raised whenever it changes.
const LAYOUT: u32 = 1;
const MAGIC: &[u8; 8] = b"dugnad\0c";
/// Magic, image bytes, memory bytes, BLAKE3 of what follows the hash.
const HEADER_BYTES: usize = 8 + 8 + 8 + 32;

/// A module that is ready to run.
pub(crate) struct Ready {
    pub(crate) instance: InstancePre<Guest>,
    pub(crate) image_bytes: u64,
    pub(crate) memory_bytes: u64,
}

impl std::fmt::Debug for Ready {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ready").field("memory_bytes", &self.memory_bytes).finish_non_exhaustive()
    }
}

/// The modules and engines of one worker.
#[derive(Debug)]
pub(crate) struct Modules {
    folder: Option<PathBuf>,
    hosts: BTreeMap<Variant, Host>,
    /// Most recently used last.
    ready: VecDeque<((BlobId, bool), Arc<Ready>)>,
}

impl Modules {
    /// Compiled modules are kept in `folder`, which nobody but this user may have access to; if it
    /// cannot be made so, nothing is kept.
    pub(crate) fn new(folder: &Path) -> Self {
        let folder = private_folder(folder).ok().map(|()| folder.to_owned());
        Self { folder, hosts: BTreeMap::new(), ready: VecDeque::new() }
    }

    /// Starts the engine that most units need, to find out early if it cannot be.
    pub(crate) fn warm_up(&mut self) -> Result<(), String> {
        let prepared = determinism::prepare(&[]);
        let canonicalise = prepared.canonicalise_in_engine;
        self.host(Variant { metered: false, canonicalise }).map(|_| ())
    }

    /// The module of this name, compiled for units that pay with fuel or for those that do not.
    ///
    /// # Errors
    /// A sentence for people: why this machine cannot run it.
    pub(crate) fn get(
        &mut self,
        id: BlobId,
        metered: bool,
        bytes: impl FnOnce() -> Result<Vec<u8>, String>,
    ) -> Result<Arc<Ready>, String> {
        let key = (id, metered);
        if let Some(at) = self.ready.iter().position(|(ready, _)| *ready == key) {
            let found = self.ready.remove(at).expect("it was found there");
            let ready = found.1.clone();
            self.ready.push_back(found);
            return Ok(ready);
        }
        let ready = Arc::new(self.load(id, metered, bytes)?);
        if READY_MODULES_MAX <= self.ready.len() {
            self.ready.pop_front();
        }
        self.ready.push_back((key, ready.clone()));
        Ok(ready)
    }

    fn load(
        &mut self,
        id: BlobId,
        metered: bool,
        bytes: impl FnOnce() -> Result<Vec<u8>, String>,
    ) -> Result<Ready, String> {
        // Either preparation may have been needed; only one of the two files can be there.
        for canonicalise in [true, false] {
            let variant = Variant { metered, canonicalise };
            if let Some(ready) = self.read_back(id, variant)? {
                return Ok(ready);
            }
        }
        let bytes = bytes()?;
        if BlobId::of(&bytes) != id {
            return Err(format!("the bytes given for the module are not those of {id}"));
        }
        let info = inspect(&bytes).map_err(|refusal| refusal.to_string())?;
        let prepared = determinism::prepare(&bytes);
        let variant = Variant { metered, canonicalise: prepared.canonicalise_in_engine };
        let host = self.host(variant)?;
        let module = Module::new(&host.engine, &prepared.bytes)
            .map_err(|error| format!("the module cannot be compiled here: {error:#}"))?;
        let sizes = [info.image_bytes, info.memory_bytes];
        let ready = ready(host, &module, sizes)?;
        if let Some(path) = self.path(id, variant)?
            && let Ok(compiled) = module.serialize()
        {
            // A cache that cannot be written makes the next start slower and nothing else.
            let _ = write_file(&path, sizes, &compiled);
        }
        Ok(ready)
    }

    fn read_back(&mut self, id: BlobId, variant: Variant) -> Result<Option<Ready>, String> {
        let Some(path) = self.path(id, variant)? else { return Ok(None) };
        let Some((sizes, compiled)) = read_file(&path) else { return Ok(None) };
        let host = self.host(variant)?;
        #[expect(
            unsafe_code,
            reason = "the file lies in a folder that only this user can write to, its checksum is \
                      right, and its name holds the engine's version and configuration"
        )]
        let module = unsafe { Module::deserialize(&host.engine, &compiled) };
        match module {
            Ok(module) => ready(host, &module, sizes).map(Some),
            Err(_) => Ok(None),
        }
    }

    fn host(&mut self, variant: Variant) -> Result<&Host, String> {
        match self.hosts.entry(variant) {
            std::collections::btree_map::Entry::Occupied(host) => Ok(host.into_mut()),
            std::collections::btree_map::Entry::Vacant(place) => {
                let host = Host::new(variant)
                    .map_err(|error| format!("the engine cannot be started here: {error:#}"))?;
                Ok(place.insert(host))
            }
        }
    }

    /// Where a compiled module lies: the name holds everything that it depends on.
    fn path(&mut self, id: BlobId, variant: Variant) -> Result<Option<PathBuf>, String> {
        let Some(folder) = self.folder.clone() else { return Ok(None) };
        let engine = self.host(variant)?.fingerprint();
        let mut key = blake3::Hasher::new_derive_key("dugnad 1 compiled module");
        key.update(id.as_bytes());
        key.update(&engine.to_le_bytes());
        key.update(&[variant.metered.into(), variant.canonicalise.into()]);
        key.update(&LAYOUT.to_le_bytes());
        key.update(&determinism::VERSION.to_le_bytes());
        key.update(env!("CARGO_PKG_VERSION").as_bytes());
        Ok(Some(folder.join(format!("{}.module", key.finalize().to_hex()))))
    }
}

fn ready(host: &Host, module: &Module, sizes: [u64; 2]) -> Result<Ready, String> {
    let instance = host.linker.instantiate_pre(module);
    let instance =
        instance.map_err(|error| format!("the module cannot be linked here: {error:#}"))?;
    let [image_bytes, memory_bytes] = sizes;
    Ok(Ready { instance, image_bytes, memory_bytes })
}

/// Makes a folder that is this user's alone.
fn private_folder(folder: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let found = fs::symlink_metadata(folder)?;
    let ours = found.is_dir() && found.uid() == rustix::process::geteuid().as_raw();
    if ours && found.mode() & 0o077 == 0 {
        Ok(())
    } else {
        Err(io::Error::other("others have access to it"))
    }
}

fn read_file(path: &Path) -> Option<([u64; 2], Vec<u8>)> {
    let mut file = File::open(path).ok()?;
    let found = file.metadata().ok()?;
    if found.uid() != rustix::process::geteuid().as_raw() || CACHE_BYTES_MAX < found.len() {
        return None;
    }
    let mut bytes = Vec::with_capacity(found.len() as usize);
    file.read_to_end(&mut bytes).ok()?;
    if bytes.len() < HEADER_BYTES || !bytes.starts_with(MAGIC) {
        return None;
    }
    let compiled = bytes.split_off(HEADER_BYTES);
    let sizes = [8, 16].map(|at| {
        u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes were taken"))
    });
    if bytes[24..] != *checksum(sizes, &compiled).as_bytes() {
        return None;
    }
    // What is used lately is removed last.
    let _ = file.set_modified(std::time::SystemTime::now());
    Some((sizes, compiled))
}

fn write_file(path: &Path, sizes: [u64; 2], compiled: &[u8]) -> io::Result<()> {
    let folder = path.parent().ok_or(io::ErrorKind::NotFound)?;
    make_room(folder, (HEADER_BYTES + compiled.len()) as u64)?;
    let temporary = path.with_extension(format!("{}.new", std::process::id()));
    let written = (|| {
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&temporary)?;
        file.write_all(MAGIC)?;
        for size in sizes {
            file.write_all(&size.to_le_bytes())?;
        }
        file.write_all(checksum(sizes, compiled).as_bytes())?;
        file.write_all(compiled)?;
        fs::rename(&temporary, path)
    })();
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    written
}

fn checksum(sizes: [u64; 2], compiled: &[u8]) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new();
    for size in sizes {
        hasher.update(&size.to_le_bytes());
    }
    hasher.update(compiled);
    hasher.finalize()
}

/// Removes the files that were used longest ago until `bytes` more fit.
fn make_room(folder: &Path, bytes: u64) -> io::Result<()> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let found = entry.metadata()?;
        if found.is_file() {
            files.push((found.modified()?, found.len(), entry.path()));
        }
    }
    files.sort();
    let mut held: u64 = files.iter().map(|(_, len, _)| len).sum();
    for (_, len, path) in files {
        if held.saturating_add(bytes) <= CACHE_BYTES_MAX {
            break;
        }
        fs::remove_file(path)?;
        held -= len;
    }
    Ok(())
}
