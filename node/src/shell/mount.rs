//! Mounting: what a unit reads below `/in`, resolved from names to bytes and files.

use std::collections::BTreeMap;
use std::sync::Arc;

use protocol::limits::{PACK_BYTES_MAX, TREE_BYTES_MAX};
use protocol::{
    BlobId, BlobRef, Exit, Gathered, Input, InputSource, Loss, Outcome, Pack, Tree, outcome_folder,
};
use sandbox::FileSource;
use store::{Store, StoreError};

/// Blobs up to this size travel to the worker as bytes; larger ones are files of the store already.
pub(crate) const BYTES_MAX: u64 = 64 << 10;
/// Trees within trees.
const TREE_DEPTH_MAX: usize = 8;

/// Files below a mount, by path.
pub(crate) type Files = Vec<(String, FileSource)>;

/// Resolves the inputs of one run's units, each source once.
#[derive(Debug)]
pub(crate) struct Mounter<'a> {
    store: &'a Store,
    gathered: Option<Gathered>,
    packs: &'a [BlobRef],
    known: BTreeMap<Vec<u8>, Arc<Files>>,
}

impl<'a> Mounter<'a> {
    /// `packs` are what a gathering stage reads, in order of batches.
    pub(crate) fn new(store: &'a Store, gathered: Option<Gathered>, packs: &'a [BlobRef]) -> Self {
        Self { store, gathered, packs, known: BTreeMap::new() }
    }

    /// The files of one input, by their paths below `/in`.
    pub(crate) fn input(&mut self, input: &Input) -> Result<Arc<Files>, Loss> {
        let key = protocol::encode(input);
        if let Some(files) = self.known.get(&key) {
            return Ok(Arc::clone(files));
        }
        let files = Arc::new(match input.source {
            InputSource::Blob(blob) => vec![(input.path.clone(), self.file(blob)?)],
            InputSource::Tree(tree) => {
                let mut files = Vec::new();
                let root = self.read_tree(tree.id)?;
                self.tree(&folder(&input.path), &root, 0, &mut files)?;
                files
            }
            InputSource::Outcomes(..) => self.outcomes(&folder(&input.path))?,
        });
        // A unit's own part is never asked for again.
        if !matches!(input.source, InputSource::Blob(_)) {
            self.known.insert(key, Arc::clone(&files));
        }
        Ok(files)
    }

    /// One blob as a file.
    pub(crate) fn file(&self, blob: BlobRef) -> Result<FileSource, Loss> {
        if BYTES_MAX < blob.size
            && let Some(path) = self.store.path(blob.id)
        {
            return Ok(FileSource::Path { path, size: blob.size });
        }
        self.bytes(blob.id, blob.size).map(FileSource::Bytes)
    }

    fn tree(&self, folder: &str, tree: &Tree, depth: usize, files: &mut Files) -> Result<(), Loss> {
        for entry in tree.entries() {
            let path = format!("{folder}{}", entry.path);
            if !entry.is_tree {
                files.push((path, self.file(entry.blob)?));
            } else if depth < TREE_DEPTH_MAX {
                let below = self.read_tree(entry.blob.id)?;
                self.tree(&format!("{path}/"), &below, depth + 1, files)?;
            } else {
                return Err(Loss::Refused("trees are nested too deep".to_owned()));
            }
            check_count(files)?;
        }
        Ok(())
    }

    /// All outcomes of the stage that is gathered: `<index>/stdout` and `<index>/out/…`.
    fn outcomes(&self, folder: &str) -> Result<Files, Loss> {
        let count = self.gathered.map_or(0, |gathered| gathered.outcomes);
        let mut files = Vec::new();
        let mut index = 0;
        for blob in self.packs {
            let bytes = self.bytes(blob.id, PACK_BYTES_MAX as u64)?;
            let pack = Pack::from_bytes(&bytes).map_err(|_| Loss::MissingBlob(blob.id))?;
            for outcome in pack.outcomes() {
                let own = format!("{folder}{}/", outcome_folder(index, count));
                self.outcome(&own, &pack, outcome, &mut files)?;
                index += 1;
            }
        }
        if index == count { Ok(files) } else { Err(Loss::Refused("packs are missing".to_owned())) }
    }

    fn outcome(
        &self,
        folder: &str,
        pack: &Pack,
        outcome: &Outcome,
        files: &mut Files,
    ) -> Result<(), Loss> {
        let Outcome::Exit(Exit { stdout, out, .. }) = outcome else { return Ok(()) };
        let stdout = match pack.inline(stdout.id) {
            Some(bytes) => FileSource::Bytes(bytes.to_vec()),
            None => self.file(*stdout)?,
        };
        files.push((format!("{folder}stdout"), stdout));
        check_count(files)?;
        let tree = match pack.inline(out.id) {
            Some(bytes) => Tree::from_bytes(bytes).map_err(|_| Loss::MissingBlob(out.id))?,
            None => self.read_tree(out.id)?,
        };
        self.tree(&format!("{folder}out/"), &tree, 0, files)
    }

    fn read_tree(&self, id: BlobId) -> Result<Tree, Loss> {
        let bytes = self.bytes(id, TREE_BYTES_MAX as u64)?;
        Tree::from_bytes(&bytes).map_err(|_| Loss::MissingBlob(id))
    }

    /// Whatever is the matter with a blob: it is not here as it should be, and is fetched again.
    fn bytes(&self, id: BlobId, max: u64) -> Result<Vec<u8>, Loss> {
        self.store.get(id, max).map_err(|error| match error {
            StoreError::Stopped { .. } => Loss::Cancelled,
            StoreError::Missing { .. }
            | StoreError::Corrupt { .. }
            | StoreError::WrongContent { .. }
            | StoreError::TooLarge { .. }
            | StoreError::QuotaExceeded { .. }
            | StoreError::DiskLow { .. }
            | StoreError::Pinned { .. }
            | StoreError::Receiving { .. }
            | StoreError::NotAPiece { .. }
            | StoreError::NoSubtrees { .. }
            | StoreError::Incomplete { .. }
            | StoreError::Source { .. }
            | StoreError::Io { .. } => Loss::MissingBlob(id),
        })
    }
}

fn check_count(files: &Files) -> Result<(), Loss> {
    let max = sandbox::MOUNTED_FILES_MAX;
    if files.len() <= max {
        return Ok(());
    }
    Err(Loss::Refused(format!("more than {max} files are mounted")))
}

/// Where files below a mount go; an empty path is `/in` itself.
fn folder(path: &str) -> String {
    if path.is_empty() { String::new() } else { format!("{path}/") }
}
