//! How a stage's units follow from the manifest, the trees it names and earlier verdicts.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::reads::{Gathered, Reader, Role, readers};
use crate::template::Template;
use crate::{
    BlobId, BlobRef, Entry, Hash, Input, InputSource, Manifest, Partition, SEMANTICS, Source,
    Stage, Stdin, Tree, Unit, encode, hash,
};

/// Where the part of a unit is mounted below `/in`.
pub const PART_PATH: &str = "part";
/// Where a unit that goes on with another finds that one's checkpoint, below `/in`.
pub const CHECKPOINT_PATH: &str = "checkpoint";

/// A manifest with everything that its units are derived from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    manifest: Manifest,
    partitions: Vec<Partition>,
    /// The hash of each stage as the manifest has it.
    stages: Vec<Hash>,
    /// For each stage, who reads it.
    pub(crate) readers: Vec<Vec<Reader>>,
    /// Trees of `parts` stages, as far as they are known.
    parts: BTreeMap<BlobId, Tree>,
}

impl Plan {
    /// A plan for a checked manifest.
    pub fn new(manifest: Manifest) -> Self {
        let counts = manifest.unit_counts();
        let sized = manifest.stages.iter().zip(counts);
        let partitions = sized.map(|(s, units)| Partition::new(units, s.batch)).collect();
        let stages = manifest.stages.iter().map(|s| hash("stage", &[&encode(s)])).collect();
        let readers = readers(&manifest.stages);
        Self { manifest, partitions, stages, readers, parts: BTreeMap::new() }
    }

    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    pub fn stage(&self, stage: u16) -> &Stage {
        &self.manifest.stages[usize::from(stage)]
    }

    pub fn partition(&self, stage: u16) -> &Partition {
        &self.partitions[usize::from(stage)]
    }

    /// All stages by number.
    pub fn stages(&self) -> impl DoubleEndedIterator<Item = u16> + use<> {
        0..u16::try_from(self.manifest.stages.len()).expect("limits keep stages few")
    }

    /// Trees that must be known before every unit can be derived.
    pub fn missing_parts(&self) -> Vec<BlobRef> {
        let all = self.manifest.stages.iter().filter_map(|stage| match &stage.source {
            Source::Parts(parts) => Some(parts.tree),
            Source::Range(_)
            | Source::Grid(_)
            | Source::Each(_)
            | Source::Gather(_)
            | Source::ByName(_) => None,
        });
        all.filter(|tree| !self.parts.contains_key(&tree.id)).collect()
    }

    /// The trees of `parts` stages that are known, by their blobs' names.
    pub fn parts(&self) -> impl Iterator<Item = (&BlobId, &Tree)> {
        self.parts.iter()
    }

    /// Gives a `parts` tree to the plan; one whose size is not what its stage states is refused.
    pub fn add_parts(&mut self, id: BlobId, tree: Tree) -> bool {
        let fits = self.manifest.stages.iter().all(|stage| match &stage.source {
            Source::Parts(parts) => {
                parts.tree.id != id || parts.count == tree.entries().len() as u64
            }
            Source::Range(_)
            | Source::Grid(_)
            | Source::Each(_)
            | Source::Gather(_)
            | Source::ByName(_) => true,
        });
        let files_only = tree.entries().iter().all(|entry| !entry.is_tree);
        if fits && files_only {
            self.parts.insert(id, tree);
        }
        fits && files_only
    }

    /// What the identities of a batch's units follow from, in one hash: what a vote's slot names. It costs
    /// the same however many units the batch has, and whoever only listens derives none of them.
    ///
    /// `gathered` is what the batch's units read; `None` gives `None` where they read anything.
    pub fn units_root(&self, stage: u16, batch: u32, gathered: Option<Gathered>) -> Option<Hash> {
        self.range_root(stage, self.partition(stage).units_of(batch), gathered)
    }

    /// The same for a single unit and what it reads: what a ballot's slot names.
    pub fn unit_root(&self, stage: u16, unit: u64, gathered: Option<Gathered>) -> Option<Hash> {
        self.range_root(stage, unit..unit + 1, gathered)
    }

    fn range_root(
        &self,
        stage: u16,
        units: Range<u64>,
        gathered: Option<Gathered>,
    ) -> Option<Hash> {
        let read = if self.is_dependent(stage) { Some(gathered?.root) } else { None };
        let parts: [&[u8]; 4] = [
            self.stages[usize::from(stage)].as_bytes(),
            read.as_ref().map_or(&[], |root| root.as_bytes()),
            &units.start.to_le_bytes(),
            &units.end.to_le_bytes(),
        ];
        Some(hash("units", &parts))
    }

    /// A unit's identity as a hash.
    pub fn unit_hash(&self, stage: u16, unit: u64, gathered: Option<Gathered>) -> Option<Hash> {
        self.unit(stage, unit, gathered).map(|unit| Hash::new(*unit.id().as_bytes()))
    }

    /// The part of a unit, where its stage has any and their tree is known.
    pub fn part(&self, stage: u16, index: u64) -> Option<BlobRef> {
        match &self.stage(stage).source {
            Source::Parts(parts) => {
                Some(self.parts.get(&parts.tree.id)?.entries().get(index as usize)?.blob)
            }
            Source::Range(_)
            | Source::Grid(_)
            | Source::Each(_)
            | Source::Gather(_)
            | Source::ByName(_) => None,
        }
    }

    /// Unit `index` of a stage; `gathered` names what it reads of other stages, and matters only if it does.
    ///
    /// # Panics
    /// If the stage has no such unit.
    pub fn unit(&self, stage: u16, index: u64, gathered: Option<Gathered>) -> Option<Unit> {
        assert!(index < self.partition(stage).units(), "no unit {index} in stage {stage}");
        let reads = self.reads(stage, index..index + 1);
        let stage = self.stage(stage);
        let mut values = vec![("index", index.to_string())];
        let mut inputs = stage.inputs.clone();
        let mut stdin = match stage.stdin {
            Stdin::Blob(blob) => Some(blob),
            Stdin::Nothing | Stdin::Part => None,
        };
        match &stage.source {
            Source::Range(range) => {
                let start = range.from + index * range.block;
                values.push(("start", start.to_string()));
                values.push(("end", start.saturating_add(range.block).min(range.to).to_string()));
            }
            Source::Grid(grid) => {
                let mut rest = index;
                for axis in grid.axes.iter().rev() {
                    let count = axis.values.len() as u64;
                    values.push((&axis.name, axis.values[(rest % count) as usize].clone()));
                    rest /= count;
                }
            }
            Source::Parts(parts) => {
                let Entry { path, blob, .. } =
                    &self.parts.get(&parts.tree.id)?.entries()[index as usize];
                values.push(("name", path.clone()));
                inputs.push(Input { path: PART_PATH.to_owned(), source: InputSource::Blob(*blob) });
                if stage.stdin == Stdin::Part {
                    stdin = Some(*blob);
                }
            }
            Source::Each(_) | Source::Gather(_) | Source::ByName(_) => {}
        }
        for read in reads {
            let path = match read.role {
                Role::Before => CHECKPOINT_PATH.to_owned(),
                Role::Single | Role::Many | Role::Bucket(_) => {
                    self.stage(read.stage).mount().to_owned()
                }
            };
            let count = read.units.end - read.units.start;
            inputs.push(Input { path, source: InputSource::Outcomes(gathered?.root, count) });
        }
        let fill = |text: &String| {
            Template::parse(text).map_or_else(|_| text.clone(), |t| t.fill(&values))
        };
        let unit = Unit {
            semantics: SEMANTICS,
            module: stage.module.id,
            args: stage.args.iter().map(fill).collect(),
            env: stage.env.iter().map(|(key, value)| (key.clone(), fill(value))).collect(),
            stdin,
            inputs,
            limits: stage.limits,
            seed: Hash::ZERO,
        };
        Some(unit.seeded())
    }
}

/// The folder of outcome `index` among `count` below its stage's mount: zero-padded, so that names
/// sort as numbers.
pub fn outcome_folder(index: u64, count: u64) -> String {
    let width = count.saturating_sub(1).max(1).ilog10() as usize + 1;
    format!("{index:0width$}")
}
