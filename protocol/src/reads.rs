//! What units read of earlier stages: which outcomes, and one hash that names them.

use std::ops::Range;

use crate::{ByName, Each, Gather, Hash, Plan, Source, Stage, hash, merkle_root};

/// Outcomes of one earlier stage that some units of a later one read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Read {
    pub stage: u16,
    pub role: Role,
    /// The outcomes that are read.
    pub units: Range<u64>,
    /// The batches that these belong to; others' outcomes in the outermost ones are not read.
    pub batches: Range<u32>,
}

/// As what outcomes are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The one outcome with the unit's own number, at the mount itself.
    Single,
    /// Outcomes in folders with their numbers.
    Many,
    /// Files of the bucket that is the unit's own number, one of this many.
    Bucket(u32),
    /// The outcome with the unit's own number, with which it goes on.
    Before,
}

/// The accepted roots of everything that some units read, as one hash; or the digests of the very
/// outcomes, where those are at hand and equal units have to be known as such.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Gathered {
    pub root: Hash,
}

impl Gathered {
    /// From one hash for each of the reads, in their order.
    pub fn new(reads: &[Hash]) -> Self {
        let parts: Vec<&[u8]> = reads.iter().map(|read| read.as_bytes().as_slice()).collect();
        Self { root: hash("reads", &parts) }
    }
}

/// Who reads a stage, and which outcomes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reader {
    stage: u16,
    pattern: Pattern,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pattern {
    /// Every unit reads everything.
    All,
    /// A unit reads this many outcomes, from its own number times as many on.
    Groups(u64),
}

/// The roots that stand, where there are any.
pub trait Roots {
    /// Of one batch.
    fn of_batch(&self, stage: u16, batch: u32) -> Option<Hash>;

    /// The Merkle root of all batches of a stage.
    fn of_stage(&self, stage: u16) -> Option<Hash>;
}

impl Plan {
    /// What units of a stage read, in the order in which the stage names it; nothing, if it is its own source.
    pub fn reads(&self, stage: u16, units: Range<u64>) -> Vec<Read> {
        let read = |(upstream, role, pattern): (u16, Role, Pattern)| {
            let partition = self.partition(upstream);
            let all = partition.units();
            let units = match pattern {
                Pattern::All => 0..all,
                Pattern::Groups(n) => units.start * n..(units.end * n).min(all),
            };
            let batches = partition.batch_of(units.start)..partition.batch_of(units.end - 1) + 1;
            Read { stage: upstream, role, units, batches }
        };
        self.stage(stage).patterns().map(read).collect()
    }

    /// Whether the units of a stage hang on outcomes of others.
    pub fn is_dependent(&self, stage: u16) -> bool {
        self.stage(stage).upstreams().next().is_some()
    }

    /// Whether some stage reads this one.
    pub fn is_read(&self, stage: u16) -> bool {
        !self.readers[usize::from(stage)].is_empty()
    }

    /// Whether another stage goes on with units of this one that ask for it.
    pub fn goes_on(&self, stage: u16) -> bool {
        let after = usize::from(stage) + 1;
        self.manifest().stages[after..].iter().any(|other| other.links.continues == Some(stage))
    }

    /// What names everything that some units read: `None` while some of it has no accepted root, or if they
    /// read nothing.
    pub fn gathered(&self, stage: u16, units: Range<u64>, roots: &impl Roots) -> Option<Gathered> {
        if !self.is_dependent(stage) {
            return None;
        }
        let mut hashes = Vec::new();
        for read in self.reads(stage, units) {
            let is_all = read.batches.len() as u32 == self.partition(read.stage).batches();
            hashes.push(if is_all {
                roots.of_stage(read.stage)?
            } else {
                let own = read.batches.map(|batch| roots.of_batch(read.stage, batch));
                merkle_root(&own.collect::<Option<Vec<Hash>>>()?)
            });
        }
        Some(Gathered::new(&hashes))
    }

    /// Batches of later stages that read a batch, but for those that read all of its stage.
    pub(crate) fn readers_of(
        &self,
        stage: u16,
        batch: u32,
    ) -> impl Iterator<Item = (u16, u32)> + '_ {
        let units = self.partition(stage).units_of(batch);
        self.readers[usize::from(stage)].iter().flat_map(move |reader| {
            let partition = self.partition(reader.stage);
            let batches = match reader.pattern {
                Pattern::All => 0..0,
                Pattern::Groups(n) => {
                    partition.batch_of(units.start / n)..partition.batch_of((units.end - 1) / n) + 1
                }
            };
            batches.map(|batch| (reader.stage, batch))
        })
    }

    /// Stages every unit of which reads all of a stage.
    pub(crate) fn readers_of_all(&self, stage: u16) -> impl Iterator<Item = u16> + '_ {
        let all = self.readers[usize::from(stage)].iter().filter(|r| r.pattern == Pattern::All);
        all.map(|reader| reader.stage)
    }
}

/// For each stage, who reads it.
pub(crate) fn readers(stages: &[Stage]) -> Vec<Vec<Reader>> {
    let mut readers = vec![Vec::new(); stages.len()];
    for (number, stage) in (0..).zip(stages) {
        for (upstream, _, pattern) in stage.patterns() {
            readers[usize::from(upstream)].push(Reader { stage: number, pattern });
        }
    }
    readers
}

impl Stage {
    /// The earlier stages that it reads, as what, and how much of them.
    fn patterns(&self) -> impl Iterator<Item = (u16, Role, Pattern)> + '_ {
        let source = match self.source {
            Source::Range(_) | Source::Grid(_) | Source::Parts(_) => None,
            Source::Each(Each { stage }) => Some((stage, Role::Single, Pattern::Groups(1))),
            Source::Gather(Gather { stage, fan_in }) => {
                let pattern = fan_in.map_or(Pattern::All, |n| Pattern::Groups(n.into()));
                Some((stage, Role::Many, pattern))
            }
            Source::ByName(ByName { stage, buckets }) => {
                Some((stage, Role::Bucket(buckets), Pattern::All))
            }
        };
        let all = self.links.reads.iter().map(|stage| (*stage, Role::Many, Pattern::All));
        let before = self.links.continues.map(|stage| (stage, Role::Before, Pattern::Groups(1)));
        source.into_iter().chain(all).chain(before)
    }

    /// All earlier stages that it reads.
    pub fn upstreams(&self) -> impl Iterator<Item = u16> + '_ {
        self.patterns().map(|(stage, ..)| stage)
    }

    /// Earlier stages of which every unit reads everything.
    pub(crate) fn read_whole(&self) -> impl Iterator<Item = u16> + '_ {
        let whole = self.patterns().filter(|(.., pattern)| *pattern == Pattern::All);
        whole.map(|(stage, ..)| stage)
    }
}

impl Read {
    /// What names outcomes in the places where a unit finds them, given the root over their digests, or over the
    /// files of its bucket, and how many outcomes the stage has: equal if a guest sees the same.
    pub fn name(&self, root: Hash, total: u64) -> Hash {
        let (role, first, total) = match self.role {
            Role::Single => (0, 0, 0),
            Role::Many => (1, self.units.start, total),
            Role::Bucket(_) => (2, 0, total),
            Role::Before => (3, 0, 0),
        };
        hash("read", &[&[role], &first.to_le_bytes(), &total.to_le_bytes(), root.as_bytes()])
    }
}

/// The bucket of a file name: a name that begins with a decimal number up to its end or first dot goes by
/// that number, any other by its hash. So who names files 0, 1, 2, … gets one of them into each bucket.
///
/// `buckets` is not zero.
pub fn bucket_of(name: &str, buckets: u32) -> u32 {
    let stem = name.split('.').next().unwrap_or(name);
    let is_number =
        !stem.is_empty() && stem.len() <= 18 && stem.bytes().all(|b| b.is_ascii_digit());
    let number = stem.parse::<u64>().ok().filter(|_| is_number).unwrap_or_else(|| {
        let hash = hash("name", &[name.as_bytes()]);
        u64::from_le_bytes(hash.as_bytes()[..8].try_into().expect("a hash has 32 bytes"))
    });
    (number % u64::from(buckets)) as u32
}
