//! A manifest: what a submitter asks for, in at most 64 KiB whatever the number of units.

use serde::{Deserialize, Serialize};
use serde_tuple::{Deserialize_tuple, Serialize_tuple};

use crate::derive::{CHECKPOINT_PATH, PART_PATH};
use crate::limits::{
    ARGS_BYTES_MAX, BATCH_UNITS_MAX, BATCHES_MAX, BUCKETS_MAX, FAN_IN_MAX, MANIFEST_BYTES_MAX,
    NAME_BYTES_MAX, QUORUM_MAX, STAGE_INPUTS_MAX, STAGE_READS_MAX, STAGES_MAX, STAMP_BITS_MAX,
    UNIT_CPU_MS_MAX, UNIT_FILES_MAX, UNIT_MEMORY_BYTES_MAX, UNIT_OUTPUT_BYTES_MAX, UNITS_MAX,
    WHOLE_READS_MAX,
};
use crate::template::Template;
use crate::tree::is_clean_path;
use crate::{
    BlobId, BlobRef, DecodeError, Hash, Input, InputSource, JobId, Partition, PeerId, SEMANTICS,
    UnitLimits, Window, decode, encode,
};

/// The version of the protocol that this code speaks.
pub const PROTOCOL: u32 = 2;

/// A job as its submitter describes it. The job's id is the hash of its encoding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize_tuple, Deserialize_tuple)]
pub struct Manifest {
    pub protocol: u32,
    pub semantics: u32,
    pub name: String,
    pub description: String,
    pub submitter: PeerId,
    /// Milliseconds since 1970, by the submitter's clock.
    pub created_ms: u64,
    /// When peers may forget the job, in milliseconds since 1970.
    pub expires_ms: u64,
    /// Random, so that ranks cannot be foreseen before publication.
    pub nonce: Hash,
    /// In topological order: a stage reads earlier ones only.
    pub stages: Vec<Stage>,
    pub policy: Policy,
    /// 0 to 9, higher first among one submitter's jobs.
    pub priority: u8,
    /// Its place in a feed, if it is part of one.
    pub window: Option<Window>,
}

/// One phase of a job: a module, and how its units arise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize_tuple, Deserialize_tuple)]
pub struct Stage {
    pub name: String,
    pub source: Source,
    pub module: BlobRef,
    /// May contain `{index}` and the other names that the source offers.
    pub args: Vec<String>,
    /// Values may contain the same templates.
    pub env: Vec<(String, String)>,
    pub stdin: Stdin,
    /// Mounted for every unit; [`InputSource::Outcomes`] does not occur here.
    pub inputs: Vec<Input>,
    pub limits: UnitLimits,
    /// Units per batch.
    pub batch: u32,
    pub links: Links,
}

/// What ties a stage to others beside its source.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize_tuple, Deserialize_tuple)]
pub struct Links {
    /// What later stages find this one's outcomes under, below `/in`; the stage's name, if it is empty.
    pub mount: String,
    /// Earlier stages all of whose outcomes every unit finds mounted, too.
    pub reads: Vec<u16>,
    /// The earlier stage with the same units that this one goes on with: a unit whose predecessor has not
    /// ended with [`CHECKPOINT_EXIT`] passes that one's outcome on instead of executing.
    pub continues: Option<u16>,
    /// Whether a unit that reads an outcome with a file [`CONVERGED_FILE`] passes that outcome on instead
    /// of executing: the rounds of a loop that are not needed any more.
    pub converges: bool,
}

/// The exit code of a unit that has written a checkpoint and wants to be continued.
pub const CHECKPOINT_EXIT: u32 = 75;

/// The file below `/out` with which a unit ends the loop that it is part of.
pub const CONVERGED_FILE: &str = "converged";

/// How a stage's units arise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Source {
    /// One unit per block of integers; offers `{start}`, `{end}` and `{index}`.
    Range(Range),
    /// One unit per element of a cartesian product; offers each axis by name, and `{index}`.
    Grid(Grid),
    /// One unit per entry of a tree, mounted at `/in/part`; offers `{name}` and `{index}`.
    Parts(Parts),
    /// One unit per verified outcome of an earlier stage; offers `{index}`.
    Each(Each),
    /// A reduction over the outcomes of an earlier stage; offers `{index}`.
    Gather(Gather),
    /// The files under `/out` of all outcomes of an earlier stage, brought together by name; offers
    /// `{index}`, the number of the bucket.
    ByName(ByName),
}

/// `from..to` in blocks of `block` integers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize_tuple, Deserialize_tuple)]
pub struct Range {
    pub from: u64,
    pub to: u64,
    pub block: u64,
}

/// A parameter sweep; the last axis varies fastest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize_tuple, Deserialize_tuple)]
pub struct Grid {
    pub axes: Vec<Axis>,
}

/// One parameter and its values.
#[derive(Clone, Debug, PartialEq, Eq, Serialize_tuple, Deserialize_tuple)]
pub struct Axis {
    pub name: String,
    pub values: Vec<String>,
}

/// The entries of a tree; `count` is stated so that the tree is not needed to know the work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize_tuple, Deserialize_tuple)]
pub struct Parts {
    pub tree: BlobRef,
    pub count: u64,
}

/// The stage whose outcomes are read one by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize_tuple, Deserialize_tuple)]
pub struct Each {
    pub stage: u16,
}

/// The stage that is reduced: all of it in one unit, or `fan_in` outcomes per unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize_tuple, Deserialize_tuple)]
pub struct Gather {
    pub stage: u16,
    pub fan_in: Option<u32>,
}

/// The stage that is shuffled, and into how many buckets of names: one unit each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize_tuple, Deserialize_tuple)]
pub struct ByName {
    pub stage: u16,
    pub buckets: u32,
}

/// What a unit reads on standard input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stdin {
    Nothing,
    Blob(BlobRef),
    /// The unit's part, for [`Source::Parts`].
    Part,
}

/// How much checking the submitter wants.
#[derive(Clone, Debug, PartialEq, Eq, Serialize_tuple, Deserialize_tuple)]
pub struct Policy {
    /// Votes that must be joined: *k*.
    pub quorum: u8,
    /// The lead that decides a contest whatever others might say: *kd*.
    pub lead: u8,
    /// The share of units that each worker audits, in parts per million.
    pub audit_ppm: u32,
    /// Lone dissents forgiven: one, and one more per this many confirmed units.
    pub loss_div: u32,
    /// Leading zero bits of a peer's eligibility hash at which peers start.
    pub level: u8,
    /// Bits of the stamp that an identity needs to be heard; 0 asks for none.
    pub stamp_bits: u8,
    /// Peers whose ballots decide contests and whose seals latch.
    pub anchors: Vec<PeerId>,
}

impl Policy {
    /// The defaults of DESIGN §5, with the submitter as the only anchor.
    pub fn standard(submitter: PeerId) -> Self {
        Self {
            quorum: 2,
            lead: 6,
            audit_ppm: 100_000,
            loss_div: 100,
            level: 0,
            stamp_bits: 0,
            anchors: vec![submitter],
        }
    }
}

/// Why a manifest is refused: by the submitter's own node with this text, by peers silently.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    #[error(transparent)]
    Decode(#[from] DecodeError),
    #[error(
        "it is written for protocol {protocol} and semantics {semantics}; this node speaks {PROTOCOL} and {SEMANTICS}"
    )]
    Version { protocol: u32, semantics: u32 },
    #[error("{what} is {value}; allowed is {allowed}")]
    OutOfRange { what: String, value: u64, allowed: String },
    #[error("stage `{stage}` has {units} units; a job may have 1 to {UNITS_MAX}")]
    Units { stage: String, units: u128 },
    #[error(
        "with stage `{stage}` the job has {batches} batches; at most {BATCHES_MAX} are taken: put more \
         units into a batch"
    )]
    Batches { stage: String, batches: u64 },
    #[error("stage `{stage}` reads stage number {upstream}, which is not an earlier one")]
    NotEarlier { stage: String, upstream: u16 },
    #[error("stage `{stage}`: {why}")]
    Stage { stage: String, why: String },
    #[error(
        "the name of a job or stage must be 1 to {NAME_BYTES_MAX} bytes without control characters or `/`: `{name}`"
    )]
    Name { name: String },
    #[error("two stages are named `{name}`")]
    SameName { name: String },
    #[error("as a window of a feed: {why}")]
    Window { why: &'static str },
}

impl Manifest {
    /// The canonical bytes, which are a blob named by the job's id.
    pub fn to_bytes(&self) -> Vec<u8> {
        encode(self)
    }

    pub fn job(&self) -> JobId {
        JobId::from(BlobId::of(&self.to_bytes()))
    }

    /// Reads and checks a manifest.
    ///
    /// # Errors
    /// [`ManifestError`] names the first rule that it breaks.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ManifestError> {
        let manifest: Self = decode(bytes, MANIFEST_BYTES_MAX)?;
        manifest.check()?;
        Ok(manifest)
    }

    /// Checks every rule that needs nothing but the manifest.
    ///
    /// # Errors
    /// [`ManifestError`] names the first rule that it breaks.
    pub fn check(&self) -> Result<(), ManifestError> {
        if self.protocol != PROTOCOL || self.semantics != SEMANTICS {
            return Err(ManifestError::Version {
                protocol: self.protocol,
                semantics: self.semantics,
            });
        }
        check_name(&self.name)?;
        within("the description's length", self.description.len() as u64, 0, 4096)?;
        within(
            "the size of the manifest",
            self.to_bytes().len() as u64,
            0,
            MANIFEST_BYTES_MAX as u64,
        )?;
        self.window.as_ref().map_or(Ok(()), Window::check)?;
        within("the expiry", self.expires_ms, self.created_ms, u64::MAX / 2)?;
        within("the priority", u64::from(self.priority), 0, 9)?;
        within("the quorum", u64::from(self.policy.quorum), 1, u64::from(QUORUM_MAX))?;
        within("the deciding lead", u64::from(self.policy.lead), 1, 64)?;
        within("the audit share in ppm", u64::from(self.policy.audit_ppm), 0, 500_000)?;
        within("the loss divisor", u64::from(self.policy.loss_div), 1, 1 << 20)?;
        within("the eligibility level", u64::from(self.policy.level), 0, 32)?;
        within(
            "the number of bits of a stamp",
            u64::from(self.policy.stamp_bits),
            0,
            u64::from(STAMP_BITS_MAX),
        )?;
        within("the number of anchors", self.policy.anchors.len() as u64, 0, 16)?;
        within("the number of stages", self.stages.len() as u64, 1, STAGES_MAX as u64)?;
        let (mut total, mut batches): (u128, u64) = (0, 0);
        let (mut counts, mut batches_of) = (Vec::new(), Vec::new());
        let mut whole_reads: u64 = 0;
        for (number, stage) in self.stages.iter().enumerate() {
            let units = stage.check(number, &self.stages, &counts)?;
            counts.push(units);
            total += u128::from(units);
            if u128::from(UNITS_MAX) < total {
                return Err(ManifestError::Units { stage: stage.name.clone(), units: total });
            }
            let own = u64::from(Partition::new(units, stage.batch).batches());
            batches += own;
            let read: u64 = stage.read_whole().map(|s| batches_of[usize::from(s)]).sum();
            batches_of.push(own);
            whole_reads = whole_reads.saturating_add(own.saturating_mul(read));
            if WHOLE_READS_MAX < whole_reads {
                let why = format!(
                    "{own} batches that read all of {read} others are more than a job may have; put more \
                     units into a batch"
                );
                return Err(ManifestError::Stage { stage: stage.name.clone(), why });
            }
            if BATCHES_MAX < batches {
                return Err(ManifestError::Batches { stage: stage.name.clone(), batches });
            }
        }
        Ok(())
    }

    /// Units of all stages.
    pub fn unit_count(&self) -> u64 {
        self.unit_counts().into_iter().fold(0, u64::saturating_add)
    }

    /// Units of each stage.
    pub fn unit_counts(&self) -> Vec<u64> {
        let mut counts = Vec::with_capacity(self.stages.len());
        for stage in &self.stages {
            counts.push(stage.unit_count(&counts));
        }
        counts
    }

    /// The most CPU time that one execution of every unit may take, in milliseconds.
    pub fn work_ms(&self) -> u64 {
        let work = |(stage, units): (&Stage, u64)| units.saturating_mul(stage.limits.cpu_ms);
        self.stages.iter().zip(self.unit_counts()).map(work).fold(0, u64::saturating_add)
    }

    /// Blobs that a worker needs before it can run anything: modules and shared inputs, each once.
    pub fn blobs(&self) -> Vec<BlobRef> {
        let mut blobs: Vec<BlobRef> = self.stages.iter().flat_map(Stage::blobs).collect();
        blobs.sort();
        blobs.dedup();
        blobs
    }
}

impl Stage {
    /// How many units the stage has, given the numbers of those before it; at most [`UNITS_MAX`] in a
    /// checked manifest.
    pub fn unit_count(&self, earlier: &[u64]) -> u64 {
        u64::try_from(self.unit_count_wide(earlier)).unwrap_or(u64::MAX)
    }

    /// What later stages find its outcomes under.
    pub fn mount(&self) -> &str {
        if self.links.mount.is_empty() { &self.name } else { &self.links.mount }
    }

    /// Trees whose entries are mounted or are parts: their entries' blobs are needed, too.
    pub fn trees(&self) -> impl Iterator<Item = BlobRef> + '_ {
        let parts = match &self.source {
            Source::Parts(parts) => Some(parts.tree),
            Source::Range(_)
            | Source::Grid(_)
            | Source::Each(_)
            | Source::Gather(_)
            | Source::ByName(_) => None,
        };
        let mounted = self.inputs.iter().filter_map(|input| match input.source {
            InputSource::Tree(tree) => Some(tree),
            InputSource::Blob(_) | InputSource::Outcomes(..) => None,
        });
        parts.into_iter().chain(mounted)
    }

    /// The earlier stage that its units arise from, if they do.
    pub fn upstream(&self) -> Option<u16> {
        match self.source {
            Source::Range(_) | Source::Grid(_) | Source::Parts(_) => None,
            Source::Each(Each { stage })
            | Source::Gather(Gather { stage, .. })
            | Source::ByName(ByName { stage, .. }) => Some(stage),
        }
    }

    /// Module, stdin and mounted files; not the entries of trees.
    fn blobs(&self) -> impl Iterator<Item = BlobRef> + '_ {
        let stdin = match self.stdin {
            Stdin::Blob(blob) => Some(blob),
            Stdin::Nothing | Stdin::Part => None,
        };
        let files = self.inputs.iter().filter_map(|input| match input.source {
            InputSource::Blob(blob) => Some(blob),
            InputSource::Tree(_) | InputSource::Outcomes(..) => None,
        });
        std::iter::once(self.module).chain(stdin).chain(files).chain(self.trees())
    }

    fn unit_count_wide(&self, earlier: &[u64]) -> u128 {
        let of = |stage: u16| u128::from(earlier.get(usize::from(stage)).copied().unwrap_or(0));
        match &self.source {
            Source::Range(Range { from, to, block }) => {
                u128::from(to.saturating_sub(*from)).div_ceil(u128::from(*block).max(1))
            }
            Source::Grid(grid) => grid
                .axes
                .iter()
                .fold(1, |n: u128, axis| n.saturating_mul(axis.values.len() as u128)),
            Source::Parts(parts) => u128::from(parts.count),
            Source::Each(each) => of(each.stage),
            Source::Gather(Gather { fan_in: None, .. }) => 1,
            Source::Gather(Gather { stage, fan_in: Some(n) }) => {
                of(*stage).div_ceil(u128::from(*n).max(1))
            }
            Source::ByName(by_name) => u128::from(by_name.buckets),
        }
    }

    /// Checks the stage with this number, and says how many units it has.
    fn check(&self, number: usize, stages: &[Self], earlier: &[u64]) -> Result<u64, ManifestError> {
        check_name(&self.name)?;
        let refuse = |why: String| Err(ManifestError::Stage { stage: self.name.clone(), why });
        if stages[..number].iter().any(|other| other.name == self.name) {
            return Err(ManifestError::SameName { name: self.name.clone() });
        }
        if let Some(upstream) = self.upstreams().find(|upstream| number <= usize::from(*upstream)) {
            return Err(ManifestError::NotEarlier { stage: self.name.clone(), upstream });
        }
        self.check_source()?;
        self.check_links(stages)?;
        let units = self.unit_count_wide(earlier);
        if units == 0 || u128::from(UNITS_MAX) < units {
            return Err(ManifestError::Units { stage: self.name.clone(), units });
        }
        self.check_limits()?;
        let text = self.args.iter().chain(self.env.iter().flat_map(|(k, v)| [k, v]));
        if ARGS_BYTES_MAX < text.map(|t| t.len() + 1).sum() {
            return refuse(format!("arguments and environment exceed {ARGS_BYTES_MAX} bytes"));
        }
        let names = self.template_names();
        for text in self.args.iter().chain(self.env.iter().map(|(_, value)| value)) {
            if let Err(why) = Template::parse(text).and_then(|t| t.check(&names)) {
                return refuse(format!("`{text}`: {why}"));
            }
        }
        if self
            .env
            .iter()
            .any(|(key, value)| key.is_empty() || key.contains(['=', '\0']) || value.contains('\0'))
            || self.args.iter().any(|arg| arg.contains('\0'))
        {
            return refuse("an argument or environment variable has a zero byte, or a name is empty or has `=`".into());
        }
        if self.stdin == Stdin::Part && !matches!(self.source, Source::Parts(_)) {
            return refuse("stdin = \"part\" needs `parts` as the stage's source".into());
        }
        self.check_inputs()?;
        Ok(self.unit_count(earlier))
    }

    fn check_links(&self, stages: &[Self]) -> Result<(), ManifestError> {
        let refuse = |why: String| Err(ManifestError::Stage { stage: self.name.clone(), why });
        let Links { mount, reads, continues, .. } = &self.links;
        if !mount.is_empty() {
            check_name(mount)?;
        }
        within(
            "the number of stages that are read",
            reads.len() as u64,
            0,
            STAGE_READS_MAX as u64,
        )?;
        let part = matches!(self.source, Source::Parts(_)).then_some(PART_PATH);
        let before = continues.map(|_| CHECKPOINT_PATH);
        let inputs = self.inputs.iter().filter_map(|input| input.path.split('/').next());
        let mut mounts: Vec<&str> = inputs.chain(part).chain(before).collect();
        for upstream in self.upstream().into_iter().chain(reads.iter().copied()) {
            let mount = stages[usize::from(upstream)].mount();
            if mounts.contains(&mount) {
                return refuse(format!(
                    "two things are mounted at /in/{mount}, one of them a stage that it reads"
                ));
            }
            mounts.push(mount);
        }
        match continues.map(|before| &stages[usize::from(before)]) {
            Some(before) if before.source != self.source => {
                refuse(format!("it continues `{}`, which has other units", before.name))
            }
            Some(_) | None => Ok(()),
        }
    }

    fn check_source(&self) -> Result<(), ManifestError> {
        match &self.source {
            Source::Range(range) => within("the block of a range", range.block, 1, u64::MAX),
            Source::Grid(grid) => {
                within("the number of axes", grid.axes.len() as u64, 1, 16)?;
                grid.axes.iter().try_for_each(|axis| check_name(&axis.name))
            }
            Source::Parts(_) | Source::Each(_) | Source::Gather(Gather { fan_in: None, .. }) => {
                Ok(())
            }
            Source::Gather(Gather { fan_in: Some(n), .. }) => {
                within("the fan-in of a gather", u64::from(*n), 2, u64::from(FAN_IN_MAX))
            }
            Source::ByName(by_name) => within(
                "the number of buckets",
                u64::from(by_name.buckets),
                1,
                u64::from(BUCKETS_MAX),
            ),
        }
    }

    fn check_limits(&self) -> Result<(), ManifestError> {
        let UnitLimits { cpu_ms, memory_bytes, output_bytes, files, fuel } = self.limits;
        within("the CPU limit in ms", cpu_ms, 1, UNIT_CPU_MS_MAX)?;
        within("the memory limit in bytes", memory_bytes, 1 << 16, UNIT_MEMORY_BYTES_MAX)?;
        within("the output limit in bytes", output_bytes, 0, UNIT_OUTPUT_BYTES_MAX)?;
        within("the limit of files", u64::from(files), 0, u64::from(UNIT_FILES_MAX))?;
        within("the fuel limit", fuel.unwrap_or(1), 1, u64::MAX / 4)?;
        within(
            "the number of units in a batch",
            u64::from(self.batch),
            1,
            u64::from(BATCH_UNITS_MAX),
        )
    }

    fn check_inputs(&self) -> Result<(), ManifestError> {
        within("the number of inputs", self.inputs.len() as u64, 0, STAGE_INPUTS_MAX as u64)?;
        for (number, input) in self.inputs.iter().enumerate() {
            let root = input.path.is_empty() && matches!(input.source, InputSource::Tree(_));
            let foreign = matches!(input.source, InputSource::Outcomes(..));
            let twice = self.inputs[..number].iter().any(|other| other.path == input.path);
            if foreign || twice || !(root || is_clean_path(&input.path)) {
                let why =
                    format!("`{}` cannot be mounted below /in, or is mounted twice", input.path);
                return Err(ManifestError::Stage { stage: self.name.clone(), why });
            }
        }
        Ok(())
    }

    /// What `{…}` may name in arguments and environment.
    fn template_names(&self) -> Vec<&str> {
        let own: Vec<&str> = match &self.source {
            Source::Range(_) => vec!["start", "end"],
            Source::Grid(grid) => grid.axes.iter().map(|axis| axis.name.as_str()).collect(),
            Source::Parts(_) => vec!["name"],
            Source::Each(_) | Source::Gather(_) | Source::ByName(_) => vec![],
        };
        std::iter::once("index").chain(own).collect()
    }
}

fn check_name(name: &str) -> Result<(), ManifestError> {
    let good = !name.is_empty()
        && name.len() <= NAME_BYTES_MAX
        && is_clean_path(name)
        && !name.contains(['/', '{', '}']);
    if good { Ok(()) } else { Err(ManifestError::Name { name: name.chars().take(80).collect() }) }
}

fn within(what: &str, value: u64, low: u64, high: u64) -> Result<(), ManifestError> {
    if (low..=high).contains(&value) {
        return Ok(());
    }
    Err(ManifestError::OutOfRange {
        what: what.to_owned(),
        value,
        allowed: format!("{low} to {high}"),
    })
}
