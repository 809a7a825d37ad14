//! A template: a draft whose parts are still to come, and how lines become parts.

use std::path::Path;

use protocol::Entry;
use protocol::limits::TREE_ENTRIES_MAX;
use serde::{Deserialize, Serialize};

use super::FeedError;
use crate::api::Blob;
use crate::assure::{Shape, settle};
use crate::prepare::{prepare_with, tree};
use crate::{
    Amount, BlobSource, Cut, DataSpec, Draft, DraftPolicy, DraftSource, Fill, Form, Goal, JobFile,
    SourceSpec, StageSpec, default_batch,
};

/// Lines of one window: each may be a part of its own.
pub const COUNT_MAX: u64 = TREE_ENTRIES_MAX as u64;
/// Stands for a line while the template is prepared.
const LINE: &[u8] = b"dugnad: a line that is still to come\n";

/// What every window of a feed is made from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Template {
    /// As the largest window would be. Its policy is what the author gave.
    pub draft: Draft,
    /// What `draft` has in place of the tree of parts.
    pub hole: Blob,
    /// For each stage, whether the client chooses its batch.
    pub chosen: Vec<bool>,
    /// How lines fill parts.
    pub fill: Fill,
    pub goal: Goal,
    /// Lines at which a window ends.
    pub count: u64,
    /// After its first line, in milliseconds.
    pub every_ms: Option<u64>,
}

impl Template {
    /// From a job file of which one stage reads the lines of standard input; beside it, the blobs that it names.
    ///
    /// # Errors
    /// [`FeedError`] says what the job file lacks.
    pub fn new(
        mut job: JobFile,
        name: String,
        count: u64,
        every_ms: Option<u64>,
    ) -> Result<(Self, Vec<BlobSource>), FeedError> {
        let refuse = |why, hint| FeedError::Template { path: job.path.clone(), why, hint };
        let mut readers = job.stages.iter_mut().filter_map(parts_of);
        let (Some((reader, cut)), None) = (readers.next(), readers.next()) else {
            return Err(refuse(
                "no stage, or more than one, reads standard input",
                "give one stage `parts = { path = \"-\", by = \"lines\", size = 1 }`",
            ));
        };
        let Cut::Records { form: Form::Lines, fill } = *cut else {
            return Err(refuse(
                "what a feed reads is cut otherwise than by lines",
                "write `by = \"lines\"`",
            ));
        };
        let most = match fill.size {
            Amount::Records(lines) => count.div_ceil(lines),
            Amount::Bytes(_) => count,
        };
        let max_bytes = fill.max_bytes.max(LINE.len() as u64);
        let one = Fill { size: Amount::Records(1), stable: false, max_bytes };
        *cut = Cut::Records { form: Form::Lines, fill: one };
        job.name = name;
        let (policy, path) = (job.policy.clone(), job.path.clone());
        let specs: Vec<(String, bool)> =
            job.stages.iter().map(|spec| (spec.name.clone(), spec.batch.is_none())).collect();
        let mut lines = std::io::Cursor::new(LINE.repeat(most as usize));
        let prepared = prepare_with(job, Some(&mut lines))?;
        let hole = prepared.draft.stages.iter().find_map(|stage| match &stage.source {
            DraftSource::Parts { tree, .. } if is_of(&stage.name, &reader) => Some(*tree),
            _ => None,
        });
        let Some(hole) = hole else {
            let why = "the stage that reads standard input is never run";
            return Err(FeedError::Template { path, why, hint: "see its `[[repeat]]`" });
        };
        let chosen = |name: &String| {
            let fitting = specs.iter().filter(|(spec, _)| is_of(name, spec));
            fitting.max_by_key(|(spec, _)| spec.len()).is_some_and(|(_, chosen)| *chosen)
        };
        let chosen = prepared.draft.stages.iter().map(|stage| chosen(&stage.name)).collect();
        let line = protocol::BlobId::of(LINE);
        let mut blobs = prepared.blobs;
        blobs.retain(|source| source.blob().id != hole.id && source.blob().id != line);
        let draft = Draft { policy, ..prepared.draft };
        let goal = prepared.goal;
        Ok((Self { draft, hole, chosen, fill, goal, count, every_ms }, blobs))
    }

    /// How lines are cut into parts.
    pub fn cut(&self) -> Cut {
        Cut::Records { form: Form::Lines, fill: self.fill }
    }

    /// The draft of a window with these parts.
    ///
    /// # Errors
    /// [`FeedError::Unreachable`] if it has too few units for the template's `target`.
    pub fn window(&self, parts: Blob, count: u64) -> Result<Draft, FeedError> {
        let mut draft = self.draft.clone();
        let mut counts = Vec::new();
        let chosen = self.chosen.iter().chain(std::iter::repeat(&false));
        for (stage, chosen) in draft.stages.iter_mut().zip(chosen) {
            if matches!(&stage.source, DraftSource::Parts { tree, .. } if *tree == self.hole) {
                stage.source = DraftSource::Parts { tree: parts, count };
            }
            let units = stage.unit_count(&counts);
            if *chosen {
                stage.batch = default_batch(units, None);
            }
            counts.push(units);
        }
        let policy: DraftPolicy = draft.policy.clone();
        draft.policy = settle(&Shape::of(&draft), policy, &self.goal, None)?;
        Ok(draft)
    }

    /// The window that closes a feed: one part without a byte, whose outcome nobody reads.
    ///
    /// # Errors
    /// As [`Self::window`].
    pub fn last(&self) -> Result<(Draft, Vec<BlobSource>), FeedError> {
        let empty = BlobSource::made(Vec::new());
        let entry = Entry { path: "0".to_owned(), blob: empty.blob(), is_tree: false };
        let tree = tree(Path::new("the last window"), vec![entry])?;
        // Nothing rests on it.
        let free = Self { goal: Goal { target: None, ..self.goal }, ..self.clone() };
        let draft = free.window(tree.blob().into(), 1)?;
        Ok((draft, vec![empty, tree]))
    }
}

/// The name of a stage that reads standard input, and how it cuts that.
fn parts_of(stage: &mut StageSpec) -> Option<(String, &mut Cut)> {
    match &mut stage.source {
        SourceSpec::Parts(parts) if parts.data == DataSpec::Stdin => {
            Some((stage.name.clone(), &mut parts.cut))
        }
        SourceSpec::Parts(_)
        | SourceSpec::Range { .. }
        | SourceSpec::Grid { .. }
        | SourceSpec::Each { .. }
        | SourceSpec::Gather { .. }
        | SourceSpec::ByName { .. } => None,
    }
}

/// Whether a stage of a draft is one of those that a stage of the job file has become.
fn is_of(name: &str, spec: &str) -> bool {
    name.strip_prefix(spec).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}
