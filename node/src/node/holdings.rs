//! Why blobs are here: what each is to the jobs that need it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use client::api::Role;
use engine::JobView;
use protocol::limits::{MANIFEST_BYTES_MAX, TREE_BYTES_MAX};
use protocol::{BlobId, BlobRef, JobId, Manifest, Source, Tree};
use store::{Held, Pin, Store};

use crate::Node;
use crate::shell::Ask;

/// Trees within trees that are looked into.
const DEPTH_MAX: usize = 8;

/// What the blobs of one job are to it.
#[derive(Debug)]
pub struct JobBlobs {
    /// `None` once the job is forgotten: its pins are about to go.
    pub view: Option<JobView>,
    roles: BTreeMap<BlobId, Role>,
}

impl JobBlobs {
    pub fn role(&self, blob: BlobId) -> Role {
        self.roles.get(&blob).copied().unwrap_or(Role::Output)
    }
}

impl Node {
    /// All blobs with their pins, and what they are to the jobs among those.
    pub async fn holdings(&self) -> (Vec<Held>, BTreeMap<JobId, JobBlobs>) {
        let held = self.shared().with_store(Store::list).await;
        let owner = |pin: &Pin| match pin {
            Pin::User => None,
            Pin::Job(job) => Some(*job),
        };
        let jobs: BTreeSet<JobId> =
            held.iter().flat_map(|held| &held.pins).filter_map(owner).collect();
        let mut of_jobs = BTreeMap::new();
        for job in jobs {
            let packs = self.ask(|answer| Ask::Packs(job, answer)).await.unwrap_or_default();
            let store = Arc::clone(self.store());
            let named = move |_: &Store| named_by_manifest(&store, job);
            let mut roles = self.shared().with_store(named).await;
            for (pack, is_result) in packs {
                let role = if is_result { Role::Result } else { Role::Pack };
                roles.entry(pack).or_insert(role);
            }
            of_jobs.insert(job, JobBlobs { view: self.job(job).await, roles });
        }
        (held, of_jobs)
    }
}

/// What the manifest names, as far as it is here: itself, modules, inputs, datasets and their parts.
fn named_by_manifest(store: &Store, job: JobId) -> BTreeMap<BlobId, Role> {
    let mut roles = BTreeMap::from([(job.blob(), Role::Manifest)]);
    let bytes = store.get(job.blob(), MANIFEST_BYTES_MAX as u64).ok();
    let Some(manifest) = bytes.and_then(|bytes| Manifest::from_bytes(&bytes).ok()) else {
        return roles;
    };
    for stage in &manifest.stages {
        roles.entry(stage.module.id).or_insert(Role::Module);
        if let Source::Parts(parts) = &stage.source {
            roles.entry(parts.tree.id).or_insert(Role::Dataset);
            enter(store, &mut roles, parts.tree, Role::Part, DEPTH_MAX);
        }
        for tree in stage.trees() {
            roles.entry(tree.id).or_insert(Role::Input);
            enter(store, &mut roles, tree, Role::Input, DEPTH_MAX);
        }
    }
    for blob in manifest.blobs() {
        roles.entry(blob.id).or_insert(Role::Input);
    }
    roles
}

fn enter(
    store: &Store,
    roles: &mut BTreeMap<BlobId, Role>,
    tree: BlobRef,
    role: Role,
    depth: usize,
) {
    let bytes = store.get(tree.id, TREE_BYTES_MAX as u64).ok();
    let Some(tree) = bytes.and_then(|bytes| Tree::from_bytes(&bytes).ok()) else { return };
    for entry in tree.entries() {
        let is_new = roles.insert(entry.blob.id, role).is_none();
        if entry.is_tree && is_new && 0 < depth {
            enter(store, roles, entry.blob, role, depth - 1);
        }
    }
}
