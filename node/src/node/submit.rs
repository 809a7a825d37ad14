//! Submitting: a draft is checked as every peer will check it, pinned, and given to the engine.

use std::collections::BTreeSet;
use std::sync::Arc;

use client::Draft;
use engine::Event;
use protocol::limits::{MODULE_BYTES_MAX, TREE_BYTES_MAX, TREE_ENTRIES_MAX};
use protocol::{
    BlobId, BlobRef, Hash, JobId, Manifest, ManifestError, Plan, Source, Stage, Stamp, Tree,
    TreeError, Window,
};
use store::{Batch, Pin, Store, StoreError};
use tracing::info;

use crate::Node;
use crate::shell::{Shared, memory, unix_ms};

/// Units of a stage up to which each may become a batch of its own.
const PARTED_UNITS_MAX: u64 = 1 << 16;
/// Trees within trees that a job may have.
const TREES_MAX: usize = TREE_ENTRIES_MAX;

/// Why a job was not submitted.
#[derive(Debug, thiserror::Error)]
pub enum SubmitError {
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    #[error("{what} ({id}) is not in the store\nhint: add it first: `dugnad blob add`")]
    Missing { what: String, id: BlobId },
    #[error("{what} ({}) has {found} bytes, not {}\nhint: state the size that `dugnad blob add` printed", blob.id, blob.size)]
    Size { what: String, blob: BlobRef, found: u64 },
    #[error(
        "the module of stage `{stage}`: {why}\nhint: `dugnad job check` looks at modules before anybody is asked"
    )]
    Module { stage: String, why: String },
    #[error(
        "the module of stage `{stage}` begins with {needs} bytes of memory, and its units may have {limit}\nhint: raise the stage's memory limit"
    )]
    Memory { stage: String, needs: u64, limit: u64 },
    #[error("{what} is not a tree: {source}")]
    Tree { what: String, source: TreeError },
    #[error(
        "stage `{stage}` states {stated} parts, and its tree has {found} entries, all of which must be files\nhint: state the number of files"
    )]
    Parts { stage: String, stated: u64, found: u64 },
    #[error("the trees of stage `{stage}` are too many")]
    TooManyTrees { stage: String },
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("no random bytes from the operating system: {0}")]
    Random(String),
    #[error(
        "strangers would ask for a stamp of {bits} bits for so much work, which takes days\nhint: lower the stages' `cpu` limits, or cut the job into several"
    )]
    StampTooDear { bits: u8 },
    #[error("the node has stopped")]
    Stopped,
}

impl Node {
    /// Publishes a job whose blobs are all in the store; returns once it is on disk.
    ///
    /// # Errors
    /// [`SubmitError`] names what is wrong and what to do.
    pub async fn submit(&self, draft: Draft) -> Result<JobId, SubmitError> {
        let ready = self.ready(draft, None).await?;
        self.publish(ready).await
    }

    /// Makes a job, or a window of a feed, ready: nothing can be refused any more.
    pub(crate) async fn ready(
        &self,
        draft: Draft,
        window: Option<Window>,
    ) -> Result<Ready, SubmitError> {
        let mut nonce = [0; 32];
        getrandom::fill(&mut nonce).map_err(|e| SubmitError::Random(e.to_string()))?;
        let wanted = draft.policy.clone();
        let recalls = !draft.no_memo;
        let mut manifest = draft.into_manifest(self.me(), unix_ms(), Hash::new(nonce));
        manifest.window = window;
        manifest.check()?;
        if recalls {
            memory::entered(self.shared()).await;
            let part = |store: &Store| {
                part_from_memory(store, &mut manifest);
                manifest
            };
            manifest = self.shared().with_store(part).await;
        }
        let manifest = self.settle(manifest, &wanted);
        self.pinned(manifest, recalls).await
    }

    /// The same for a manifest that was made before.
    pub(crate) async fn pinned(
        &self,
        manifest: Manifest,
        recalls: bool,
    ) -> Result<Ready, SubmitError> {
        let job = manifest.job();
        let kept = manifest.clone();
        let pinned = self.shared().with_store(move |store| {
            pin(store, &kept, job).inspect_err(|_| {
                // Nothing of a refused job stays pinned.
                let _ = store.unpin_all(Pin::Job(job));
            })
        });
        pinned.await?;
        let pins = Pins { shared: Arc::clone(self.shared()), job, stay: false };
        let stamp = self.stamp_job(job, &manifest).await?;
        Ok(Ready { job, manifest, stamp, recalls, pins })
    }

    /// Publishes what is ready; returns once it is on disk.
    pub(crate) async fn publish(&self, ready: Ready) -> Result<JobId, SubmitError> {
        let Ready { job, manifest, stamp, recalls, mut pins } = ready;
        pins.stay = true;
        info!(%job, name = manifest.name, units = manifest.unit_count(), "job submitted");
        self.tell(Event::Submit { manifest, stamp, recalls })
            .await
            .map_err(|_| SubmitError::Stopped)?;
        Ok(job)
    }
}

/// A job of which everything is here and pinned.
pub(crate) struct Ready {
    pub(crate) job: JobId,
    pub(crate) manifest: Manifest,
    stamp: Option<Stamp>,
    recalls: bool,
    pins: Pins,
}

/// Where an earlier job has verified some of a stage's units and not others, each becomes a batch of its own, so
/// that only those are executed that are not known; and so do units that read them one by one.
fn part_from_memory(store: &Store, manifest: &mut Manifest) {
    let counts = manifest.unit_counts();
    let mut plan = Plan::new(manifest.clone());
    for parts in plan.missing_parts() {
        if let Ok(tree) = read_tree(store, "the tree of parts", parts.id) {
            plan.add_parts(parts.id, tree);
        }
    }
    let mut parted = vec![false; counts.len()];
    for stage in plan.stages() {
        let number = usize::from(stage);
        let units = counts[number];
        if PARTED_UNITS_MAX < units {
            continue;
        }
        parted[number] = if plan.is_dependent(stage) {
            plan.reads(stage, 0..1).iter().any(|read| {
                parted[usize::from(read.stage)]
                    && read.units != (0..counts[usize::from(read.stage)])
            })
        } else {
            let is_known = |unit: &u64| {
                plan.unit(stage, *unit, None).is_some_and(|unit| memory::knows(store, unit.id()))
            };
            let known = (0..units).filter(is_known).count() as u64;
            known != 0 && known != units
        };
        if parted[number] {
            manifest.stages[number].batch = 1;
        }
    }
    if manifest.check().is_err() {
        // Too many batches: then what is known together with something new is executed again.
        *manifest = plan.manifest().clone();
    }
}

/// What a job has pinned, until it is certain that it is submitted: whoever asked for it may go away
/// while its stamp is made.
struct Pins {
    shared: Arc<Shared>,
    job: JobId,
    stay: bool,
}

impl Drop for Pins {
    fn drop(&mut self) {
        if self.stay || tokio::runtime::Handle::try_current().is_err() {
            return;
        }
        let (shared, job) = (Arc::clone(&self.shared), self.job);
        self.shared.spawn(async move {
            let _ = shared.with_store(move |store| store.unpin_all(Pin::Job(job))).await;
        });
    }
}

/// Pins first and looks then, so that nothing is evicted in between.
pub(super) fn pin(store: &Store, manifest: &Manifest, job: JobId) -> Result<(), SubmitError> {
    let owner = Pin::Job(job);
    let mut batch = Batch::default();
    batch.blob(manifest.to_bytes());
    batch.pin(job.blob(), owner);
    for blob in manifest.blobs() {
        batch.pin(blob.id, owner);
    }
    store.commit(batch)?;
    let mut plan = Plan::new(manifest.clone());
    let mut seen = BTreeSet::new();
    for stage in &manifest.stages {
        check_module(store, stage)?;
        for (what, blob) in inputs(stage) {
            check_here(store, &what, blob)?;
        }
        for root in stage.trees() {
            check_tree(store, stage, root, owner, &mut seen)?;
        }
        if let Source::Parts(parts) = &stage.source {
            let tree = read_tree(store, "the tree of parts", parts.tree.id)?;
            let (stated, found) = (parts.count, tree.entries().len() as u64);
            if !plan.add_parts(parts.tree.id, tree) {
                return Err(SubmitError::Parts { stage: stage.name.clone(), stated, found });
            }
        }
    }
    Ok(())
}

fn check_module(store: &Store, stage: &Stage) -> Result<(), SubmitError> {
    let what = format!("the module of stage `{}`", stage.name);
    check_here(store, &what, stage.module)?;
    let refused = |why: String| SubmitError::Module { stage: stage.name.clone(), why };
    let bytes = match store.get(stage.module.id, MODULE_BYTES_MAX) {
        Err(StoreError::TooLarge { size, max }) => {
            return Err(refused(format!("it has {size} bytes, and {max} are allowed")));
        }
        read => read?,
    };
    let info = sandbox::inspect(&bytes).map_err(|refusal| refused(refusal.to_string()))?;
    let (needs, limit) = (info.memory_bytes, stage.limits.memory_bytes);
    if limit < needs {
        return Err(SubmitError::Memory { stage: stage.name.clone(), needs, limit });
    }
    Ok(())
}

/// Files and trees that a stage names, with words for them.
fn inputs(stage: &Stage) -> Vec<(String, BlobRef)> {
    let mut found = Vec::new();
    for input in &stage.inputs {
        match input.source {
            protocol::InputSource::Blob(blob) | protocol::InputSource::Tree(blob) => {
                found.push((format!("input `{}` of stage `{}`", input.path, stage.name), blob));
            }
            protocol::InputSource::Outcomes(..) => {}
        }
    }
    match stage.stdin {
        protocol::Stdin::Blob(blob) => {
            found.push((format!("stdin of stage `{}`", stage.name), blob));
        }
        protocol::Stdin::Nothing | protocol::Stdin::Part => {}
    }
    found
}

/// Everything in a tree must be here; it is pinned level by level.
fn check_tree(
    store: &Store,
    stage: &Stage,
    root: BlobRef,
    owner: Pin,
    seen: &mut BTreeSet<BlobId>,
) -> Result<(), SubmitError> {
    let mut waiting = vec![(String::new(), root)];
    while let Some((folder, tree)) = waiting.pop() {
        if !seen.insert(tree.id) {
            continue;
        }
        if TREES_MAX < seen.len() {
            return Err(SubmitError::TooManyTrees { stage: stage.name.clone() });
        }
        let what = match folder.as_str() {
            "" => format!("a tree of stage `{}`", stage.name),
            folder => format!("the folder `{folder}` of a tree of stage `{}`", stage.name),
        };
        check_here(store, &what, tree)?;
        let entries = read_tree(store, &what, tree.id)?;
        let mut batch = Batch::default();
        for entry in entries.entries() {
            batch.pin(entry.blob.id, owner);
        }
        store.commit(batch)?;
        for entry in entries.entries() {
            let path = format!("{folder}{}", entry.path);
            if entry.is_tree {
                waiting.push((format!("{path}/"), entry.blob));
            } else {
                check_here(
                    store,
                    &format!("`{path}` of a tree of stage `{}`", stage.name),
                    entry.blob,
                )?;
            }
        }
    }
    Ok(())
}

fn read_tree(store: &Store, what: &str, id: BlobId) -> Result<Tree, SubmitError> {
    let bytes = store.get(id, TREE_BYTES_MAX as u64)?;
    Tree::from_bytes(&bytes).map_err(|source| SubmitError::Tree { what: what.to_owned(), source })
}

fn check_here(store: &Store, what: &str, blob: BlobRef) -> Result<(), SubmitError> {
    let what = || what.to_owned();
    match store.size(blob.id) {
        None => Err(SubmitError::Missing { what: what(), id: blob.id }),
        Some(found) if found != blob.size => Err(SubmitError::Size { what: what(), blob, found }),
        Some(_) => Ok(()),
    }
}
