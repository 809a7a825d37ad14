//! The truth about a job: what every unit's outcome is, which only the world knows beforehand.

use std::collections::BTreeMap;
use std::sync::Arc;

use protocol::{
    Axis, BlobId, BlobRef, ByName, Cost, Each, Entry, Execution, Exit, Gather, Gathered, Grid,
    Hash, JobId, Links, Manifest, Outcome, PROTOCOL, Parts, PeerId, Plan, Policy, Range, Roots,
    SEMANTICS, Source, Stage, Stdin, Tree, Unit, UnitLimits, hash, merkle_root,
};

use crate::scenario::{Job, SourceKind, Then};

/// Outcomes that a unit of a reducing tree reads.
const TREE_FAN_IN: u32 = 3;
/// Buckets of a shuffle.
const BUCKETS: u32 = 3;

/// A job as its scenario tells it, its manifest, and the roots that are right.
#[derive(Clone, Debug)]
pub struct Truth {
    pub spec: Job,
    pub job: JobId,
    pub manifest: Manifest,
    pub plan: Arc<Plan>,
    /// Everything that the submitter puts into its store.
    pub blobs: BTreeMap<BlobId, Vec<u8>>,
    /// The right root of every batch by stage; `None` where a unit never ends, or reads one.
    roots: Vec<Vec<Option<Hash>>>,
}

impl Truth {
    /// The job that `submitter` publishes at `created_ms` of its wall clock.
    pub fn new(
        spec: &Job,
        submitter: PeerId,
        co_anchors: &[PeerId],
        created_ms: u64,
        nonce: Hash,
    ) -> Self {
        let mut blobs = BTreeMap::new();
        let manifest = manifest(spec, submitter, co_anchors, (created_ms, nonce), &mut blobs);
        manifest.check().expect("a scenario's numbers fit a manifest");
        let mut plan = Plan::new(manifest.clone());
        for tree in plan.missing_parts() {
            let parts = Tree::from_bytes(&blobs[&tree.id]).expect("it was made here");
            assert!(plan.add_parts(tree.id, parts), "the tree is the one that the stage names");
        }
        let job = manifest.job();
        blobs.insert(job.blob(), manifest.to_bytes());
        let plan = Arc::new(plan);
        let mut truth = Self { spec: spec.clone(), job, manifest, plan, blobs, roots: Vec::new() };
        for stage in truth.plan.stages() {
            let roots = truth.roots_of(stage);
            truth.roots.push(roots);
        }
        truth
    }

    /// What executing a unit gives, or `None` if it never ends.
    pub fn execute(&self, stage: u16, index: u64, unit: &Unit) -> Option<(Execution, Vec<u8>)> {
        if stage == 0 && self.spec.looping.contains(&index) {
            return None;
        }
        let code = u32::from(stage == 0 && self.spec.failing.contains(&index));
        let id = Hash::new(*unit.id().as_bytes());
        Some(execution(code, hash("stdout", &[id.as_bytes()]), hash("trace", &[id.as_bytes()])))
    }

    /// The root that is right for some units of a stage, if there is one.
    pub fn root(&self, stage: u16, units: std::ops::Range<u64>) -> Option<Hash> {
        let digests: Option<Vec<Hash>> = units.map(|unit| self.digest(stage, unit)).collect();
        digests.map(|digests| merkle_root(&digests))
    }

    /// What a unit reads if everything before it is right.
    pub fn gathered(&self, stage: u16, unit: u64) -> Option<Gathered> {
        self.plan.gathered(stage, unit..unit + 1, self)
    }

    /// Whether the first stage has outcomes that are no successes, which ends the job there.
    pub fn fails(&self) -> bool {
        !self.spec.failing.iter().all(|unit| self.spec.looping.contains(unit))
    }

    fn roots_of(&self, stage: u16) -> Vec<Option<Hash>> {
        let partition = self.plan.partition(stage);
        (0..partition.batches()).map(|batch| self.root(stage, partition.units_of(batch))).collect()
    }

    fn digest(&self, stage: u16, index: u64) -> Option<Hash> {
        let gathered = self.gathered(stage, index);
        let known = !self.plan.is_dependent(stage) || gathered.is_some();
        let unit = self.plan.unit(stage, index, gathered).filter(|_| known)?;
        self.execute(stage, index, &unit).map(|(execution, _)| execution.outcome.digest())
    }
}

impl Roots for Truth {
    fn of_batch(&self, stage: u16, batch: u32) -> Option<Hash> {
        self.roots[usize::from(stage)][batch as usize]
    }

    fn of_stage(&self, stage: u16) -> Option<Hash> {
        let roots: Option<Vec<Hash>> = self.roots[usize::from(stage)].iter().copied().collect();
        roots.map(|roots| merkle_root(&roots))
    }
}

/// An execution that ended with `code` and said `stdout`; and the bytes that it said.
pub(crate) fn execution(code: u32, stdout: Hash, trace: Hash) -> (Execution, Vec<u8>) {
    let said = stdout.as_bytes().to_vec();
    let out = BlobRef::of(&Tree::default().to_bytes());
    let outcome = Outcome::Exit(Exit { code, stdout: BlobRef::of(&said), out });
    let cost = Cost { cpu_us: 1000, fuel: 0, memory_bytes: 1 << 20 };
    (Execution { outcome, trace, cost }, said)
}

fn manifest(
    spec: &Job,
    submitter: PeerId,
    co_anchors: &[PeerId],
    (created_ms, nonce): (u64, Hash),
    blobs: &mut BTreeMap<BlobId, Vec<u8>>,
) -> Manifest {
    let mut put = |bytes: Vec<u8>| {
        let blob = BlobRef::of(&bytes);
        blobs.insert(blob.id, bytes);
        blob
    };
    let module = put(format!("the module of {nonce}").into_bytes());
    let source = match spec.source {
        SourceKind::Range => Source::Range(Range { from: 0, to: spec.units, block: 1 }),
        SourceKind::Grid => {
            let values = (0..spec.units).map(|value| format!("v{value}")).collect();
            Source::Grid(Grid { axes: vec![Axis { name: "x".to_owned(), values }] })
        }
        SourceKind::Parts => {
            let entries = (0..spec.units).map(|part| Entry {
                path: format!("part-{part:08}"),
                blob: put(format!("part {part} of {nonce}").into_bytes()),
                is_tree: false,
            });
            let tree = Tree::new(entries.collect()).expect("numbered names are in order");
            Source::Parts(Parts { tree: put(tree.to_bytes()), count: spec.units })
        }
    };
    let first = source.clone();
    let later = (0..).zip(&spec.then).map(|(stage, then)| {
        let mut links = Links::default();
        let source = match then {
            Then::Gather => Source::Gather(Gather { stage, fan_in: None }),
            Then::Tree => Source::Gather(Gather { stage, fan_in: Some(TREE_FAN_IN) }),
            Then::Each => Source::Each(Each { stage }),
            Then::ByName => Source::ByName(ByName { stage, buckets: BUCKETS }),
            Then::Beside => {
                links.reads.push(stage);
                first.clone()
            }
        };
        (format!("{then:?}-{stage}"), source, links)
    });
    let cpu_ms = if spec.looping.is_empty() { 60_000 } else { spec.unit_ms * 20 + 2000 };
    let stages = std::iter::once(("map".to_owned(), source, Links::default())).chain(later);
    let stages = stages.map(|(name, source, links)| Stage {
        name,
        source,
        module,
        args: vec!["{index}".to_owned()],
        env: Vec::new(),
        stdin: Stdin::Nothing,
        inputs: Vec::new(),
        limits: UnitLimits { cpu_ms, ..UnitLimits::default() },
        batch: spec.batch,
        links,
    });
    let policy = Policy {
        quorum: spec.quorum,
        lead: spec.lead,
        audit_ppm: spec.audit_ppm,
        level: spec.level,
        stamp_bits: spec.stamp_bits,
        anchors: std::iter::once(submitter).chain(co_anchors.iter().copied()).collect(),
        ..Policy::standard(submitter)
    };
    Manifest {
        protocol: PROTOCOL,
        semantics: SEMANTICS,
        name: "rehearsal".to_owned(),
        description: String::new(),
        submitter,
        created_ms,
        expires_ms: created_ms + 90 * 86_400_000,
        nonce,
        stages: stages.collect(),
        policy,
        priority: 5,
        window: None,
    }
}
