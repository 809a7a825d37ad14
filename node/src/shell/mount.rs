//! Mounting: what a unit reads below `/in`, resolved from names to bytes and files.

use std::collections::BTreeMap;
use std::sync::Arc;

use engine::Reads;
use protocol::limits::{PACK_BYTES_MAX, TREE_BYTES_MAX};
use protocol::{
    BlobId, BlobRef, CHECKPOINT_PATH, CONVERGED_FILE, Entry, Exit, Gathered, Hash, Input,
    InputSource, Loss, Outcome, Pack, Plan, Read, Role, Tree, bucket_of, encode, hash, merkle_root,
    outcome_folder,
};
use sandbox::FileSource;
use store::{Store, StoreError};

/// Blobs up to this size travel to the worker as bytes; larger ones are files of the store already.
pub(crate) const BYTES_MAX: u64 = 64 << 10;
/// Trees within trees.
const TREE_DEPTH_MAX: usize = 8;
/// Packs that are kept open: neighbouring units read the same ones.
const PACKS_OPEN: usize = 4;
/// Buckets that are filled together, in one look at everything that is read.
const BUCKETS_AT_ONCE: u64 = 16;
/// Names that they may have, in bytes; beyond it fewer buckets are filled together.
const NAMES_BYTES_MAX: usize = 32 << 20;

/// Files below a mount, by path.
pub(crate) type Files = Vec<(String, FileSource)>;

/// Resolves what the units of one run read, each source once.
#[derive(Debug)]
pub(crate) struct Mounter<'a> {
    store: &'a Store,
    plan: &'a Plan,
    reads: &'a Reads,
    known: BTreeMap<Vec<u8>, Arc<Files>>,
    open: Vec<(BlobId, Arc<Pack>)>,
    /// What is read by many units: what names it, and the outcome in it that ends a loop.
    digests: BTreeMap<Span, Hash>,
    converged: BTreeMap<Span, Option<Found>>,
    buckets: Buckets,
}

/// A stage, and a range of its units.
type Span = (u16, u64, u64);

/// Files of a shuffle for some neighbouring units.
#[derive(Debug, Default)]
struct Buckets {
    stage: u16,
    files: BTreeMap<u64, Bucket>,
    names_bytes: usize,
}

/// The files of one unit, or more of them than can be mounted.
#[derive(Debug, Default)]
struct Bucket {
    files: Vec<Named>,
    overflows: bool,
}

/// A file of an outcome that is found by its name.
#[derive(Clone, Debug)]
struct Named {
    name: String,
    /// The number of the outcome.
    unit: u64,
    blob: BlobRef,
}

/// One outcome, and the pack that it is in.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) unit: u64,
    pub(crate) outcome: Outcome,
    pub(crate) pack: Arc<Pack>,
}

impl<'a> Mounter<'a> {
    pub(crate) fn new(store: &'a Store, plan: &'a Plan, reads: &'a Reads) -> Self {
        Self {
            store,
            plan,
            reads,
            known: BTreeMap::new(),
            open: Vec::new(),
            digests: BTreeMap::new(),
            converged: BTreeMap::new(),
            buckets: Buckets::default(),
        }
    }

    /// The files of one input, by their paths below `/in`; none of those that [`Mounter::read`] gives.
    pub(crate) fn input(&mut self, input: &Input) -> Result<Arc<Files>, Loss> {
        match input.source {
            InputSource::Blob(blob) => Ok(Arc::new(vec![(input.path.clone(), self.file(blob)?)])),
            InputSource::Tree(tree) => self.once(encode(input), |this| {
                let mut files = Vec::new();
                let root = this.read_tree(tree.id)?;
                this.tree(&folder(&input.path), &root, 0, &mut files)?;
                Ok(files)
            }),
            InputSource::Outcomes(..) => Ok(Arc::default()),
        }
    }

    /// What a unit reads of an earlier stage, by paths below `/in`.
    pub(crate) fn read(&mut self, read: &Read, unit: u64) -> Result<Arc<Files>, Loss> {
        let mount = self.plan.stage(read.stage).mount().to_owned();
        match read.role {
            Role::Single => self
                .each(read, |this, found, files| this.outcome(&format!("{mount}/"), found, files)),
            Role::Many => {
                let key = encode(&span(read));
                let count = self.plan.partition(read.stage).units();
                self.once(key, |this| {
                    let files = this.each(read, |this, found, files| {
                        let own = format!("{mount}/{}/", outcome_folder(found.unit, count));
                        this.outcome(&own, found, files)
                    });
                    files.map(|files| Arc::try_unwrap(files).unwrap_or_default())
                })
            }
            Role::Bucket(buckets) => {
                let count = self.plan.partition(read.stage).units();
                self.fill_buckets(read, unit, buckets)?;
                let mut files = Vec::new();
                for Named { name, unit, blob } in self.buckets.of(unit)? {
                    let path = format!("{mount}/{name}/{}", outcome_folder(*unit, count));
                    files.push((path, self.file(*blob)?));
                }
                Ok(Arc::new(files))
            }
            Role::Before => self.each(read, |this, found, files| {
                let Outcome::Exit(Exit { out, .. }) = &found.outcome else { return Ok(()) };
                let tree = this.out(&found.pack, *out)?;
                let below = format!("{CHECKPOINT_PATH}/");
                let is_it = |path: &str| path == CHECKPOINT_PATH || path.starts_with(&below);
                let entries = tree.entries().iter().filter(|entry| is_it(&entry.path));
                this.entries("", entries, 0, files)
            }),
        }
    }

    /// What names everything that a unit reads: equal for equal outcomes, whatever job they are of.
    pub(crate) fn gathered(&mut self, stage: u16, unit: u64) -> Result<Option<Gathered>, Loss> {
        let mut hashes = Vec::new();
        for read in self.plan.reads(stage, unit..unit + 1) {
            let total = self.plan.partition(read.stage).units();
            let root = match read.role {
                Role::Single | Role::Many | Role::Before => self.digest_of(&read)?,
                Role::Bucket(buckets) => {
                    self.fill_buckets(&read, unit, buckets)?;
                    let named = self.buckets.of(unit)?.iter();
                    let list: Vec<(&str, u64, &BlobRef)> =
                        named.map(|file| (&*file.name, file.unit, &file.blob)).collect();
                    hash("bucket", &[&encode(&list)])
                }
            };
            hashes.push(read.name(root, total));
        }
        Ok((!hashes.is_empty()).then(|| Gathered::new(&hashes)))
    }

    /// The outcome that a unit passes on instead of executing, if it does so.
    pub(crate) fn passed(&mut self, stage: u16, unit: u64) -> Result<Option<Found>, Loss> {
        let converges = self.plan.stage(stage).links.converges;
        for read in self.plan.reads(stage, unit..unit + 1) {
            let passed = match read.role {
                Role::Before => {
                    let goes_on = |outcome: &Outcome| outcome.asks_to_go_on();
                    self.first(&read, |_, found| Ok(!goes_on(&found.outcome)))?
                }
                Role::Single | Role::Many | Role::Bucket(_) if converges => {
                    self.first_converged(&read)?
                }
                Role::Single | Role::Many | Role::Bucket(_) => None,
            };
            if passed.is_some() {
                return Ok(passed);
            }
        }
        Ok(None)
    }

    /// What names the outcomes that are read.
    fn digest_of(&mut self, read: &Read) -> Result<Hash, Loss> {
        if let Some(known) = self.digests.get(&span(read)) {
            return Ok(*known);
        }
        let mut digests: Vec<Hash> = Vec::new();
        self.visit(read, |_, found| {
            digests.push(found.outcome.digest());
            Ok(())
        })?;
        let digest = merkle_root(&digests);
        if read.role == Role::Many {
            self.digests.insert(span(read), digest);
        }
        Ok(digest)
    }

    /// The first outcome among those that are read which ends a loop.
    fn first_converged(&mut self, read: &Read) -> Result<Option<Found>, Loss> {
        if let Some(known) = self.converged.get(&span(read)) {
            return Ok(known.clone());
        }
        let found = self.first(read, |this, found| match &found.outcome {
            Outcome::Exit(Exit { out, .. }) => {
                let tree = this.out(&found.pack, *out)?;
                Ok(tree
                    .entries()
                    .iter()
                    .any(|entry| entry.path == CONVERGED_FILE && !entry.is_tree))
            }
            Outcome::Trap(_) | Outcome::OutOfFuel | Outcome::OutputTooLarge => Ok(false),
        })?;
        if read.role != Role::Single {
            self.converged.insert(span(read), found.clone());
        }
        Ok(found)
    }

    fn first(
        &mut self,
        read: &Read,
        mut is_it: impl FnMut(&Self, &Found) -> Result<bool, Loss>,
    ) -> Result<Option<Found>, Loss> {
        let mut first = None;
        self.visit(read, |this, found| {
            if first.is_none() && is_it(this, found)? {
                first = Some(found.clone());
            }
            Ok(())
        })?;
        Ok(first)
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

    fn once(
        &mut self,
        key: Vec<u8>,
        make: impl FnOnce(&mut Self) -> Result<Files, Loss>,
    ) -> Result<Arc<Files>, Loss> {
        if let Some(files) = self.known.get(&key) {
            return Ok(Arc::clone(files));
        }
        let files = Arc::new(make(self)?);
        self.known.insert(key, Arc::clone(&files));
        Ok(files)
    }

    fn tree(&self, folder: &str, tree: &Tree, depth: usize, files: &mut Files) -> Result<(), Loss> {
        self.entries(folder, tree.entries().iter(), depth, files)
    }

    fn entries<'t>(
        &self,
        folder: &str,
        entries: impl Iterator<Item = &'t Entry>,
        depth: usize,
        files: &mut Files,
    ) -> Result<(), Loss> {
        for entry in entries {
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

    /// Goes through the outcomes that are read, in order; all of them must be there.
    fn visit(
        &mut self,
        read: &Read,
        mut look: impl FnMut(&mut Self, &Found) -> Result<(), Loss>,
    ) -> Result<(), Loss> {
        let mut next = read.units.start;
        let reads = self.reads;
        for (first, blob) in reads.packs_of(read.stage, read.batches.clone()) {
            let pack = self.pack(blob)?;
            for (unit, outcome) in (first..).zip(pack.outcomes()) {
                if !read.units.contains(&unit) {
                    continue;
                }
                if unit != next {
                    return Err(missing_packs());
                }
                next += 1;
                look(self, &Found { unit, outcome: *outcome, pack: Arc::clone(&pack) })?;
            }
        }
        if next == read.units.end { Ok(()) } else { Err(missing_packs()) }
    }

    fn each(
        &mut self,
        read: &Read,
        mut mount: impl FnMut(&Self, &Found, &mut Files) -> Result<(), Loss>,
    ) -> Result<Arc<Files>, Loss> {
        let mut files = Vec::new();
        self.visit(read, |this, found| mount(this, found, &mut files))?;
        Ok(Arc::new(files))
    }

    /// Finds the files of a unit's bucket, and of some that follow it, unless that is done already.
    fn fill_buckets(&mut self, read: &Read, unit: u64, buckets: u32) -> Result<(), Loss> {
        if self.buckets.stage == read.stage && self.buckets.files.contains_key(&unit) {
            return Ok(());
        }
        let wanted = unit..(unit + BUCKETS_AT_ONCE).min(u64::from(buckets));
        let files = wanted.map(|bucket| (bucket, Bucket::default())).collect();
        let mut filled = Buckets { stage: read.stage, files, names_bytes: 0 };
        self.visit(read, |this, found| {
            let Outcome::Exit(Exit { out, .. }) = &found.outcome else { return Ok(()) };
            for entry in this.out(&found.pack, *out)?.entries().iter().filter(|e| !e.is_tree) {
                let bucket = u64::from(bucket_of(&entry.path, buckets));
                filled.add(bucket, found.unit, &entry.path, entry.blob);
            }
            Ok(())
        })?;
        for bucket in filled.files.values_mut() {
            bucket.files.sort_by(|a, b| (&a.name, a.unit).cmp(&(&b.name, b.unit)));
        }
        self.buckets = filled;
        Ok(())
    }

    fn outcome(&self, folder: &str, found: &Found, files: &mut Files) -> Result<(), Loss> {
        let Outcome::Exit(Exit { stdout, out, .. }) = &found.outcome else { return Ok(()) };
        let stdout = match found.pack.inline(stdout.id) {
            Some(bytes) => FileSource::Bytes(bytes.to_vec()),
            None => self.file(*stdout)?,
        };
        files.push((format!("{folder}stdout"), stdout));
        check_count(files)?;
        let tree = self.out(&found.pack, *out)?;
        self.tree(&format!("{folder}out/"), &tree, 0, files)
    }

    /// The tree of an outcome's `/out`.
    fn out(&self, pack: &Pack, out: BlobRef) -> Result<Tree, Loss> {
        match pack.inline(out.id) {
            Some(bytes) => Tree::from_bytes(bytes).map_err(|_| Loss::MissingBlob(out.id)),
            None => self.read_tree(out.id),
        }
    }

    fn pack(&mut self, blob: BlobRef) -> Result<Arc<Pack>, Loss> {
        if let Some((_, pack)) = self.open.iter().find(|(id, _)| *id == blob.id) {
            return Ok(Arc::clone(pack));
        }
        let bytes = self.bytes(blob.id, PACK_BYTES_MAX as u64)?;
        let pack = Pack::from_bytes(&bytes).map_err(|_| Loss::MissingBlob(blob.id))?;
        let pack = Arc::new(pack);
        if PACKS_OPEN <= self.open.len() {
            self.open.remove(0);
        }
        self.open.push((blob.id, Arc::clone(&pack)));
        Ok(pack)
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

impl Buckets {
    fn add(&mut self, bucket: u64, unit: u64, name: &str, blob: BlobRef) {
        let Some(of) = self.files.get_mut(&bucket).filter(|of| !of.overflows) else { return };
        if of.files.len() == sandbox::MOUNTED_FILES_MAX {
            of.overflows = true;
            self.names_bytes -= of.files.drain(..).map(|file| file.name.len()).sum::<usize>();
            return;
        }
        self.names_bytes += name.len();
        of.files.push(Named { name: name.to_owned(), unit, blob });
        while NAMES_BYTES_MAX < self.names_bytes && 1 < self.files.len() {
            let Some((_, last)) = self.files.pop_last() else { return };
            self.names_bytes -= last.files.iter().map(|file| file.name.len()).sum::<usize>();
        }
    }

    /// The files of a unit, in order of their names.
    fn of(&self, unit: u64) -> Result<&[Named], Loss> {
        match self.files.get(&unit) {
            Some(bucket) if !bucket.overflows => Ok(&bucket.files),
            Some(_) | None => {
                let max = sandbox::MOUNTED_FILES_MAX;
                let why = format!(
                    "bucket {unit} has more than {max} files; the stage needs more buckets"
                );
                Err(Loss::Refused(why))
            }
        }
    }
}

fn span(read: &Read) -> Span {
    (read.stage, read.units.start, read.units.end)
}

fn missing_packs() -> Loss {
    Loss::Refused("packs are missing".to_owned())
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
