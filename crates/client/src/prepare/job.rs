//! Preparing a job: its files are hashed and cut, its stages numbered, its manifest checked.

use std::collections::{BTreeMap, BTreeSet};
use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use protocol::{BlobId, Entry, Hash, Manifest, PeerId};

use super::data::{Dataset, Stdin, dataset};
use super::folder::read_folder;
use super::mounts::Mounts;
use super::tree::tree;
use super::unroll::{Unrolled, turns};
use super::{BlobSource, PrepareError};
use crate::api::Blob;
use crate::assure::settle;
use crate::{
    Draft, DraftInput, DraftLinks, DraftSource, DraftStage, DraftStdin, Goal, JobFile, Promise,
    Shape, SourceSpec, StageSpec, StdinSpec,
};

/// A draft and every blob that it names, each once.
#[derive(Clone, Debug)]
pub struct Prepared {
    pub draft: Draft,
    pub blobs: Vec<BlobSource>,
    /// Of each stage of the job file the first that it became: rounds, levels and segments are alike.
    pub firsts: BTreeSet<String>,
    /// Those of them whose batch the client chose.
    pub chosen_batches: BTreeSet<String>,
    /// What the policy was to reach.
    pub goal: Goal,
}

impl Prepared {
    /// The manifest as nobody would publish it: for counting and checking.
    pub fn manifest(&self) -> Manifest {
        self.draft.clone().into_manifest(PeerId::new([0; 32]), 0, Hash::ZERO)
    }

    /// How much of the final results may be wrong, with so many peers, if they are known.
    pub fn promise(&self, peers: Option<u64>) -> Promise {
        Promise::of(&Shape::of(&self.draft), &self.draft.policy, self.goal.liars, peers)
    }

    /// Bytes of all blobs together.
    pub fn bytes(&self) -> u64 {
        self.blobs.iter().map(|source| source.blob().size).sum()
    }
}

/// Reads, hashes and cuts the files that a job names, in pieces and with bounded memory.
///
/// # Errors
/// [`PrepareError`] names the file or rule, and has a remedy.
pub fn prepare(job: JobFile) -> Result<Prepared, PrepareError> {
    let mut stdin = std::io::stdin();
    let is_terminal = stdin.is_terminal();
    prepare_with(job, (!is_terminal).then_some(&mut stdin))
}

/// The same, with something else as standard input.
pub(crate) fn prepare_with(job: JobFile, stdin: Stdin<'_>) -> Result<Prepared, PrepareError> {
    let (blobs, known) = Default::default();
    let mut preparation = Preparation { folder: job.folder, blobs, known, stdin };
    let mut bases: BTreeMap<usize, (DraftStage, Mounts)> = BTreeMap::new();
    let mut unrolled = Unrolled::default();
    for turn in turns(&job.stages, &job.repeats)? {
        let spec = &job.stages[turn.number];
        let (mut base, mut mounts) = match bases.get(&turn.number) {
            Some(base) => base.clone(),
            None => {
                let base = preparation.stage(spec)?;
                bases.entry(turn.number).or_insert(base).clone()
            }
        };
        if turn.is_first() {
            for (mount, path) in &spec.first_files {
                let (input, files) = preparation.input(mount.clone(), path)?;
                mounts.add(&spec.name, files)?;
                base.inputs.push(input);
            }
        }
        unrolled.add(turn, spec, base)?;
    }
    let Unrolled { stages, firsts, .. } = unrolled;
    let chosen = job.stages.iter().filter(|spec| spec.batch.is_none());
    let chosen_batches = chosen.filter_map(|spec| firsts.get(&spec.name)).cloned().collect();
    let firsts = firsts.into_values().collect();
    let draft = Draft {
        name: job.name,
        description: job.description,
        expires_after_ms: job.expires_after_ms,
        priority: job.priority,
        policy: job.policy,
        stages,
        no_memo: false,
    };
    let goal = job.goal;
    let mut prepared = Prepared { draft, blobs: preparation.blobs, firsts, chosen_batches, goal };
    if let Err(source) = prepared.manifest().check() {
        return Err(PrepareError::Manifest { path: job.path, source });
    }
    // As many peers are reckoned with as could vote: whoever joins later breaks no promise.
    let policy = prepared.draft.policy.clone();
    match settle(&Shape::of(&prepared.draft), policy, &goal, None) {
        Ok(policy) => prepared.draft.policy = policy,
        Err(source) => return Err(PrepareError::Unreachable { path: job.path, source }),
    }
    Ok(prepared)
}

/// The blobs that were met so far.
struct Preparation<'i> {
    folder: PathBuf,
    stdin: Stdin<'i>,
    blobs: Vec<BlobSource>,
    known: BTreeSet<BlobId>,
}

impl Preparation<'_> {
    /// A stage without what follows from other stages: its batch, its links, and its source if that is one.
    fn stage(&mut self, spec: &StageSpec) -> Result<(DraftStage, Mounts), PrepareError> {
        let module = self.module(&spec.module)?;
        let source = self.source(spec)?;
        let (mut inputs, mut mounts) = (Vec::new(), Mounts::default());
        for (mount, path) in &spec.files {
            let (input, files) = self.input(mount.clone(), path)?;
            mounts.add(&spec.name, files)?;
            inputs.push(input);
        }
        let stdin = match &spec.stdin {
            StdinSpec::Nothing => DraftStdin::Nothing,
            StdinSpec::Part => DraftStdin::Part,
            StdinSpec::File(path) => DraftStdin::Blob(self.file(path)?),
        };
        let stage = DraftStage {
            name: spec.name.clone(),
            source,
            module,
            args: spec.args.clone(),
            env: spec.env.clone(),
            stdin,
            inputs,
            limits: spec.limits,
            batch: 1,
            links: DraftLinks::default(),
        };
        Ok((stage, mounts))
    }

    /// A source of its own; what reads another stage is found out later.
    fn source(&mut self, spec: &StageSpec) -> Result<DraftSource, PrepareError> {
        Ok(match &spec.source {
            &SourceSpec::Range { from, to, block } => DraftSource::Range { from, to, block },
            SourceSpec::Grid { axes } => DraftSource::Grid { axes: axes.clone() },
            SourceSpec::Parts(spec) => {
                let Dataset { name, entries, sources } =
                    dataset(&self.folder, spec, &mut self.stdin)?;
                let count = entries.len() as u64;
                DraftSource::Parts { tree: self.tree(&name, entries, sources)?, count }
            }
            SourceSpec::Each { .. } | SourceSpec::Gather { .. } | SourceSpec::ByName { .. } => {
                DraftSource::Gather { stage: 0, fan_in: None }
            }
        })
    }

    fn module(&mut self, path: &Path) -> Result<Blob, PrepareError> {
        let full = self.folder.join(path);
        let source = BlobSource::file(&full)?;
        let mut magic = [0; 8];
        let read = std::io::Read::read_exact(&mut source.reader()?, &mut magic);
        let start = if read.is_ok() { &magic[..] } else { &[] };
        if let Some(error) = PrepareError::module(&full, start, source.blob().size) {
            return Err(error);
        }
        Ok(self.add(source))
    }

    /// What is mounted, and all paths below `/in` that files get by it.
    fn input(
        &mut self,
        mount: String,
        path: &Path,
    ) -> Result<(DraftInput, Vec<String>), PrepareError> {
        let full = self.folder.join(path);
        if !full.is_dir() {
            let files = vec![mount.clone()];
            let input = DraftInput { path: mount, blob: self.file(path)?, is_tree: false };
            return Ok((input, files));
        }
        let (entries, sources) = read_folder(&full)?;
        let mount = if mount == "." { String::new() } else { mount };
        let prefix = if mount.is_empty() { String::new() } else { format!("{mount}/") };
        let files = entries.iter().map(|entry| format!("{prefix}{}", entry.path)).collect();
        let blob = self.tree(&full, entries, sources)?;
        Ok((DraftInput { path: mount, blob, is_tree: true }, files))
    }

    fn file(&mut self, path: &Path) -> Result<Blob, PrepareError> {
        let source = BlobSource::file(&self.folder.join(path))?;
        Ok(self.add(source))
    }

    fn tree(
        &mut self,
        path: &Path,
        entries: Vec<Entry>,
        sources: Vec<BlobSource>,
    ) -> Result<Blob, PrepareError> {
        let tree = tree(path, entries)?;
        for source in sources {
            self.add(source);
        }
        Ok(self.add(tree))
    }

    fn add(&mut self, source: BlobSource) -> Blob {
        let blob = source.blob();
        if self.known.insert(blob.id) {
            self.blobs.push(source);
        }
        blob.into()
    }
}
