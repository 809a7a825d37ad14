//! A larder: the blobs that re-executing units takes, brought from the node and hashed here.

use std::collections::BTreeSet;

use client::{Client, ClientError};
use protocol::limits::{PACK_BYTES_MAX, TREE_BYTES_MAX};
use protocol::{
    BlobId, BlobRef, Exit, Hash, Input, InputSource, JobId, Outcome as UnitOutcome, Pack, Tree,
    Unit, merkle_root,
};
use sandbox::PoolConfig;
use store::{Options, Store, StoreError};
use tempfile::TempDir;

use crate::cli::failure::{End, Failure, Outcome};

/// Blobs that the node is asked for at once.
const AT_ONCE: usize = 4096;
/// Trees within trees.
const TREE_DEPTH_MAX: usize = 8;
/// It ends with the command; the disk is its bound.
const QUOTA_BYTES: u64 = 1 << 46;

/// A store for the duration of a command.
#[derive(Debug)]
pub(crate) struct Larder<'c> {
    client: &'c Client,
    job: JobId,
    store: Store,
    _folder: TempDir,
}

impl<'c> Larder<'c> {
    /// Makes one among the sandbox's folders: if this process is killed, the next pool removes it.
    pub(crate) fn new(client: &'c Client, job: JobId, pool: &PoolConfig) -> Outcome<Self> {
        let prefix = format!("pool-{}-larder-", std::process::id());
        std::fs::create_dir_all(&pool.scratch_dir)?;
        let folder = tempfile::Builder::new().prefix(&prefix).tempdir_in(&pool.scratch_dir)?;
        let opened = Store::open(&folder.path().join("store"), Options::new(QUOTA_BYTES));
        let store = opened.map_err(|error| Failure::of(End::BadInput, &error))?.store;
        Ok(Self { client, job, store, _folder: folder })
    }

    pub(crate) const fn store(&self) -> &Store {
        &self.store
    }

    /// Brings blobs that are not here yet: from the node, and what it lacks from whoever has it.
    pub(crate) fn bring(&self, blobs: impl IntoIterator<Item = BlobRef>) -> Outcome<()> {
        let wanted: BTreeSet<BlobRef> =
            blobs.into_iter().filter(|blob| !self.store.contains(blob.id)).collect();
        let mut missing = Vec::new();
        for blob in wanted {
            if !self.take(blob)? {
                missing.push(blob);
            }
        }
        for some in missing.chunks(AT_ONCE) {
            let asked: Vec<_> = some.iter().map(|blob| (*blob).into()).collect();
            self.client.fetch(self.job, &asked).map_err(unreachable)?;
            for blob in some {
                if !self.take(*blob)? {
                    let error = format!("{} is not here any more", blob.id);
                    return Err(Failure::new(End::NoNode, error, "try again"));
                }
            }
        }
        Ok(())
    }

    /// The first of these packs that has the root, whoever named it.
    pub(crate) fn pack(&self, packs: &[BlobRef], root: Hash) -> Outcome<(BlobRef, Pack)> {
        let mut why = Failure::new(
            End::NoNode,
            format!("nobody has said where the outcomes under {root} are"),
            "try again when more peers are connected",
        );
        for blob in packs.iter().filter(|blob| blob.size <= PACK_BYTES_MAX as u64) {
            // A voter may have named a pack that is not there, or another one.
            if let Err(failure) = self.bring([*blob]) {
                why = failure;
                continue;
            }
            let bytes = self.store.get(blob.id, PACK_BYTES_MAX as u64).map_err(lost)?;
            match Pack::from_bytes(&bytes) {
                Ok(pack) if root_of(&pack) == Some(root) => return Ok((*blob, pack)),
                Ok(_) | Err(_) => {}
            }
        }
        Err(why)
    }

    /// Brings a unit's module, files and trees; what it gathers from others comes by
    /// [`Larder::outputs`].
    pub(crate) fn inputs(&self, unit: &Unit, module: BlobRef) -> Outcome<()> {
        let file = |input: &Input| match input.source {
            InputSource::Blob(blob) => Some(blob),
            InputSource::Tree(_) | InputSource::Outcomes(..) => None,
        };
        let files = unit.inputs.iter().filter_map(file);
        self.bring(files.chain(unit.stdin).chain([module]))?;
        let tree = |input: &Input| match input.source {
            InputSource::Tree(tree) => Some(tree),
            InputSource::Blob(_) | InputSource::Outcomes(..) => None,
        };
        self.trees(unit.inputs.iter().filter_map(tree).collect())
    }

    /// Brings everything that the outcomes of a pack name and that is not inside it.
    pub(crate) fn outputs(&self, pack: &Pack) -> Outcome<()> {
        self.bring(pack.outside())?;
        let mut below = Vec::new();
        for outcome in pack.outcomes() {
            let UnitOutcome::Exit(Exit { out, .. }) = outcome else { continue };
            match pack.inline(out.id) {
                Some(bytes) => below.extend(self.entries(&parse(out.id, bytes)?)?),
                None => below.push(*out),
            }
        }
        self.trees(below)
    }

    /// Brings trees with everything in them, level by level.
    fn trees(&self, mut level: Vec<BlobRef>) -> Outcome<()> {
        for _ in 0..TREE_DEPTH_MAX {
            self.bring(level.iter().copied())?;
            let mut below = Vec::new();
            for tree in std::mem::take(&mut level) {
                let bytes = self.store.get(tree.id, TREE_BYTES_MAX as u64).map_err(lost)?;
                below.extend(self.entries(&parse(tree.id, &bytes)?)?);
            }
            if below.is_empty() {
                return Ok(());
            }
            level = below;
        }
        Err(Failure::new(End::BadInput, "trees are nested too deep", "peers refuse them, too"))
    }

    /// Brings a tree's files, and returns the trees in it.
    fn entries(&self, tree: &Tree) -> Outcome<Vec<BlobRef>> {
        let files = tree.entries().iter().filter(|entry| !entry.is_tree);
        self.bring(files.map(|entry| entry.blob))?;
        let trees = tree.entries().iter().filter(|entry| entry.is_tree);
        Ok(trees.map(|entry| entry.blob).collect())
    }

    /// Takes one blob over from the node, if it has it and the bytes are what the name says.
    fn take(&self, blob: BlobRef) -> Outcome<bool> {
        let reader = match self.client.blob(blob.id) {
            Ok(reader) => reader,
            Err(error) if error.is_not_found() => return Ok(false),
            Err(error) => return Err(unreachable(error)),
        };
        let stored = self.store.put_reader(reader).map_err(lost)?;
        if stored == blob {
            return Ok(true);
        }
        let error = format!("the node sent other bytes than those of {}", blob.id);
        Err(Failure::new(End::NoNode, error, "try again"))
    }
}

fn unreachable(error: ClientError) -> Failure {
    Failure { end: End::NoNode, hint: error.hint(), error: error.to_string() }
}

fn root_of(pack: &Pack) -> Option<Hash> {
    let digests = pack.digests();
    (!digests.is_empty()).then(|| merkle_root(&digests))
}

fn parse(id: BlobId, bytes: &[u8]) -> Outcome<Tree> {
    Tree::from_bytes(bytes).map_err(|error| Failure::of(End::BadInput, &format!("{id}: {error}")))
}

fn lost(error: StoreError) -> Failure {
    Failure::of(End::NoNode, &error)
}
