//! A draft: a manifest before its submitter's node has signed, dated and salted it.

use protocol::{
    Axis, ByName, Each, Gather, Grid, Hash, Input, InputSource, Links, Manifest, PROTOCOL, Parts,
    PeerId, Policy, Range, SEMANTICS, Source, Stage, Stdin, UnitLimits,
};
use serde::{Deserialize, Serialize};

use crate::api::Blob;

/// Everything of a [`Manifest`] but submitter, nonce and creation; the body of `POST /api/v1/jobs`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Draft {
    pub name: String,
    #[serde(default)]
    pub description: String,
    /// How long after its creation peers may forget the job, in milliseconds.
    pub expires_after_ms: u64,
    /// 0 to 9, higher first among one submitter's jobs.
    #[serde(default = "default_priority")]
    pub priority: u8,
    #[serde(default)]
    pub policy: DraftPolicy,
    pub stages: Vec<DraftStage>,
    /// Whether everything is executed, also what an earlier job of the same submitter has verified.
    #[serde(default)]
    pub no_memo: bool,
}

/// Audits where a single vote is accepted: they have to find all that a second vote would.
const ECONOMY_AUDIT_PPM: u32 = 200_000;
/// A quorum that three liars never hold, and that a fifth of all peers holds for one batch in 600.
const STRICT_QUORUM: u8 = 4;

/// How much checking is wanted; the defaults are those of [`Policy::standard`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DraftPolicy {
    pub quorum: u8,
    pub lead: u8,
    /// The share of units that each worker audits, in parts per million.
    pub audit_ppm: u32,
    pub loss_div: u32,
    /// The submitter's node chooses it by the size of the network, unless it is given.
    pub level: Option<u8>,
    /// As the submitter's node is set to, unless it is given.
    pub stamp_bits: Option<u8>,
    /// Empty means the submitter.
    pub anchors: Vec<PeerId>,
}

/// One stage of a draft.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DraftStage {
    pub name: String,
    pub source: DraftSource,
    pub module: Blob,
    #[serde(default)]
    pub args: Vec<String>,
    #[serde(default)]
    pub env: Vec<(String, String)>,
    #[serde(default)]
    pub stdin: DraftStdin,
    #[serde(default)]
    pub inputs: Vec<DraftInput>,
    #[serde(default)]
    pub limits: DraftLimits,
    /// Units per batch.
    pub batch: u32,
    #[serde(default)]
    pub links: DraftLinks,
}

/// What ties a stage to others beside its source; stages are named by their numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DraftLinks {
    /// What later stages find this one's outcomes under; its name, if it is empty.
    #[serde(default)]
    pub mount: String,
    /// Stages all of whose outcomes are mounted, too.
    #[serde(default)]
    pub reads: Vec<u16>,
    /// The stage whose units this one goes on with from their checkpoints.
    #[serde(default)]
    pub continues: Option<u16>,
    /// Whether units pass on what has converged.
    #[serde(default)]
    pub converges: bool,
}

/// How the units of a stage arise: `{"range": {"from": 0, "to": 64, "block": 1}}` and so on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum DraftSource {
    Range {
        from: u64,
        to: u64,
        #[serde(default = "one")]
        block: u64,
    },
    /// Axes and their values, the last one varying fastest.
    Grid { axes: Vec<DraftAxis> },
    /// `count` entries of a flat tree.
    Parts { tree: Blob, count: u64 },
    /// One unit for each outcome of an earlier stage, by its number.
    Each { stage: u16 },
    /// All outcomes of an earlier stage, or `fan_in` of them for each unit.
    Gather {
        stage: u16,
        #[serde(default)]
        fan_in: Option<u32>,
    },
    /// The files of an earlier stage by name, in so many buckets.
    ByName { stage: u16, buckets: u32 },
}

/// One axis of a grid.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DraftAxis {
    pub name: String,
    pub values: Vec<String>,
}

/// What units read on standard input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DraftStdin {
    #[default]
    Nothing,
    Blob(Blob),
    /// The unit's part.
    Part,
}

/// A blob or a tree mounted for every unit at `/in/<path>`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DraftInput {
    pub path: String,
    pub blob: Blob,
    /// Whether `blob` is the encoding of a tree.
    #[serde(default)]
    pub is_tree: bool,
}

/// What a unit may use; the defaults are those of [`UnitLimits`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DraftLimits {
    pub cpu_ms: u64,
    pub memory_bytes: u64,
    pub output_bytes: u64,
    pub files: u32,
    pub fuel: Option<u64>,
}

impl Draft {
    /// How many units each stage has.
    pub fn unit_counts(&self) -> Vec<u64> {
        let mut counts = Vec::with_capacity(self.stages.len());
        for stage in &self.stages {
            counts.push(stage.unit_count(&counts));
        }
        counts
    }

    /// The manifest that `submitter` publishes at `created_ms` (milliseconds since 1970).
    ///
    /// It is not checked yet: [`Manifest::check`].
    pub fn into_manifest(self, submitter: PeerId, created_ms: u64, nonce: Hash) -> Manifest {
        Manifest {
            protocol: PROTOCOL,
            semantics: SEMANTICS,
            name: self.name,
            description: self.description,
            submitter,
            created_ms,
            expires_ms: created_ms.saturating_add(self.expires_after_ms),
            nonce,
            stages: self.stages.into_iter().map(DraftStage::into_stage).collect(),
            policy: self.policy.into_policy(submitter),
            priority: self.priority,
            window: None,
        }
    }
}

impl Default for DraftPolicy {
    fn default() -> Self {
        Self::standard()
    }
}

impl DraftPolicy {
    /// Two votes and audits of 10 %.
    pub fn standard() -> Self {
        let Policy { quorum, lead, audit_ppm, loss_div, level: _, stamp_bits: _, anchors: _ } =
            Policy::standard(PeerId::new([0; 32]));
        let (level, stamp_bits, anchors) = Default::default();
        Self { quorum, lead, audit_ppm, loss_div, level, stamp_bits, anchors }
    }

    /// One vote and heavier audits: about half the work of [`Self::standard`], and more errors left.
    pub fn economy() -> Self {
        Self { quorum: 1, audit_ppm: ECONOMY_AUDIT_PPM, ..Self::standard() }
    }

    /// Four votes and audits of 10 %, for networks in which liars may be many.
    pub fn strict() -> Self {
        Self { quorum: STRICT_QUORUM, ..Self::standard() }
    }

    fn into_policy(self, submitter: PeerId) -> Policy {
        let Self { quorum, lead, audit_ppm, loss_div, level, stamp_bits, mut anchors } = self;
        if anchors.is_empty() {
            anchors.push(submitter);
        }
        let (level, stamp_bits) = (level.unwrap_or(0), stamp_bits.unwrap_or(0));
        Policy { quorum, lead, audit_ppm, loss_div, level, stamp_bits, anchors }
    }
}

impl DraftStage {
    /// How many units the stage has, given the numbers of those before it.
    pub fn unit_count(&self, earlier: &[u64]) -> u64 {
        self.clone().into_stage().unit_count(earlier)
    }

    fn into_stage(self) -> Stage {
        Stage {
            name: self.name,
            source: self.source.into_source(),
            module: self.module.into(),
            args: self.args,
            env: self.env,
            stdin: match self.stdin {
                DraftStdin::Nothing => Stdin::Nothing,
                DraftStdin::Blob(blob) => Stdin::Blob(blob.into()),
                DraftStdin::Part => Stdin::Part,
            },
            inputs: self.inputs.into_iter().map(DraftInput::into_input).collect(),
            limits: self.limits.into(),
            batch: self.batch,
            links: Links {
                mount: self.links.mount,
                reads: self.links.reads,
                continues: self.links.continues,
                converges: self.links.converges,
            },
        }
    }
}

impl DraftSource {
    fn into_source(self) -> Source {
        match self {
            Self::Range { from, to, block } => Source::Range(Range { from, to, block }),
            Self::Grid { axes } => Source::Grid(Grid {
                axes: axes
                    .into_iter()
                    .map(|DraftAxis { name, values }| Axis { name, values })
                    .collect(),
            }),
            Self::Parts { tree, count } => Source::Parts(Parts { tree: tree.into(), count }),
            Self::Each { stage } => Source::Each(Each { stage }),
            Self::Gather { stage, fan_in } => Source::Gather(Gather { stage, fan_in }),
            Self::ByName { stage, buckets } => Source::ByName(ByName { stage, buckets }),
        }
    }
}

impl DraftInput {
    fn into_input(self) -> Input {
        let blob = self.blob.into();
        let source = if self.is_tree { InputSource::Tree(blob) } else { InputSource::Blob(blob) };
        Input { path: self.path, source }
    }
}

impl Default for DraftLimits {
    fn default() -> Self {
        let UnitLimits { cpu_ms, memory_bytes, output_bytes, files, fuel } = UnitLimits::default();
        Self { cpu_ms, memory_bytes, output_bytes, files, fuel }
    }
}

impl From<DraftLimits> for UnitLimits {
    fn from(limits: DraftLimits) -> Self {
        let DraftLimits { cpu_ms, memory_bytes, output_bytes, files, fuel } = limits;
        Self { cpu_ms, memory_bytes, output_bytes, files, fuel }
    }
}

pub(crate) const fn default_priority() -> u8 {
    5
}

const fn one() -> u64 {
    1
}
