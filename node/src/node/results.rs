//! Results: the packs of the final stages are fetched, checked against their roots and listed.

use std::ops::Range;
use std::sync::Arc;

use engine::{BatchResult, FetchLoss, JobState, PackWant, ResultsPart};
use futures::{StreamExt, TryStreamExt, stream};
use protocol::limits::TREE_BYTES_MAX;
use protocol::{BlobId, BlobRef, Entry, Exit, JobId, Outcome, Pack, Tree};

use crate::Node;
use crate::shell::{Ask, Courier, Shared, checked_pack};

/// Batches whose packs are on their way at the same time.
const BATCHES_AT_ONCE: usize = 4;

/// The outcome of one unit of a final stage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResultUnit {
    /// The stage's name.
    pub stage: String,
    /// The unit's place among the stage's `count` units.
    pub index: u64,
    pub count: u64,
    pub outcome: Outcome,
    /// Empty after anything but an exit.
    pub stdout: BlobRef,
    /// The files under `/out`, by path.
    pub files: Vec<Entry>,
    /// Whether a quorum of independent peers stands behind it.
    pub verified: bool,
}

/// Why a job's results cannot be listed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResultsError {
    #[error("{job} is not known here\nhint: open it first: `dugnad job show {job}`")]
    Unknown { job: JobId },
    #[error(
        "{job} has no results yet: it is {}\nhint: `dugnad job watch {job}` waits for them",
        phrase(state)
    )]
    NotYet { job: JobId, state: JobState },
    #[error(
        "nobody who was asked could deliver {id}\nhint: try again when more peers are connected"
    )]
    Missing { id: BlobId },
    #[error(
        "nobody who was asked could deliver the outcomes of stage {stage} from unit {first_unit}\nhint: a \
         node that works makes them again; try again in a minute"
    )]
    Gone { stage: u16, first_unit: u64 },
    #[error("{id} is not what it should be")]
    Malformed { id: BlobId },
    #[error(
        "there is no room for the results\nhint: raise `storage`, or cancel jobs and unpin blobs"
    )]
    NoRoom,
    #[error("the node has stopped")]
    Stopped,
}

/// Some of a job's results.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Results {
    /// How many there are altogether.
    pub total: u64,
    pub units: Vec<ResultUnit>,
}

impl Node {
    /// The outcomes of the stages that no other stage reads, in order, those with these numbers: all of their bytes in the
    /// store or readable by [`Node::read_blob`].
    ///
    /// # Errors
    /// [`ResultsError`] says what is missing.
    pub async fn results(&self, job: JobId, numbers: Range<u64>) -> Result<Results, ResultsError> {
        let found = self.ask(|answer| Ask::Results(job, numbers.clone(), answer)).await;
        let Some(part) = found.map_err(|_| ResultsError::Stopped)? else {
            let view = self.job(job).await.ok_or(ResultsError::Unknown { job })?;
            return Err(ResultsError::NotYet { job, state: view.state });
        };
        let ResultsPart { stages, total, first, batches } = part;
        let stages = Arc::new(stages);
        let list = |batch| self.clone().batch(job, Arc::clone(&stages), batch);
        let coming: Vec<_> = batches.into_iter().map(list).collect();
        let listed: Vec<Vec<ResultUnit>> =
            stream::iter(coming).buffered(BATCHES_AT_ONCE).try_collect().await?;
        let all = (first..).zip(listed.into_iter().flatten());
        let units = all.filter(|(number, _)| numbers.contains(number)).map(|(_, unit)| unit);
        Ok(Results { total, units: units.collect() })
    }

    async fn batch(
        self,
        job: JobId,
        stages: Arc<Vec<(String, u64)>>,
        batch: BatchResult,
    ) -> Result<Vec<ResultUnit>, ResultsError> {
        let BatchResult { stage, batch, first_unit, units, root, packs, holders, verified, .. } =
            batch;
        let shared = Arc::clone(self.shared());
        let courier = Courier::new(&shared, job, Vec::new());
        let goes_on = false;
        let want = PackWant { stage, batch, first_unit, units, root, packs, holders, goes_on };
        let (id, pack) = checked_pack(&courier, &want).await?;
        let pack = Arc::new(pack);
        self.inside().learn(id.id, &pack);
        let (name, count) = stages[usize::from(stage)].clone();
        let mut listed = Vec::new();
        for (index, outcome) in (first_unit..).zip(pack.outcomes()) {
            listed.push(ResultUnit {
                stage: name.clone(),
                index,
                count,
                outcome: *outcome,
                stdout: stdout(outcome),
                files: files(&shared, &pack, outcome).await?,
                verified,
            });
        }
        Ok(listed)
    }
}

impl From<FetchLoss> for ResultsError {
    fn from(loss: FetchLoss) -> Self {
        match loss {
            FetchLoss::Missing(id) => Self::Missing { id },
            FetchLoss::Outcomes { stage, first_unit } => Self::Gone { stage, first_unit },
            FetchLoss::Malformed(id) => Self::Malformed { id },
            FetchLoss::NoRoom => Self::NoRoom,
        }
    }
}

/// stdout and the tree of `/out`, after an exit.
pub(crate) fn outputs(outcome: &Outcome) -> impl Iterator<Item = BlobRef> + use<> {
    exit(outcome).into_iter().flat_map(|Exit { stdout, out, .. }| [stdout, out])
}

fn exit(outcome: &Outcome) -> Option<Exit> {
    match outcome {
        Outcome::Exit(exit) => Some(*exit),
        Outcome::Trap(_) | Outcome::OutOfFuel | Outcome::OutputTooLarge => None,
    }
}

fn stdout(outcome: &Outcome) -> BlobRef {
    exit(outcome).map_or_else(|| BlobRef::of(b""), |exit| exit.stdout)
}

/// The entries of a unit's `/out`, trees within it opened.
async fn files(
    shared: &Arc<Shared>,
    pack: &Pack,
    outcome: &Outcome,
) -> Result<Vec<Entry>, ResultsError> {
    let Some(Exit { out, .. }) = exit(outcome) else { return Ok(Vec::new()) };
    let read = async |tree: BlobRef| -> Result<Tree, ResultsError> {
        let bytes = match pack.inline(tree.id) {
            Some(bytes) => bytes.to_vec(),
            None => {
                let read = move |store: &store::Store| store.get(tree.id, TREE_BYTES_MAX as u64);
                let bytes = shared.with_store(read).await;
                bytes.map_err(|_| ResultsError::Missing { id: tree.id })?
            }
        };
        Tree::from_bytes(&bytes).map_err(|_| ResultsError::Malformed { id: tree.id })
    };
    let mut found = Vec::new();
    // The courier has brought all of these trees, and has bounded their number.
    let mut waiting = vec![(String::new(), out)];
    while let Some((folder, tree)) = waiting.pop() {
        for entry in read(tree).await?.entries() {
            let path = format!("{folder}{}", entry.path);
            if entry.is_tree {
                waiting.push((format!("{path}/"), entry.blob));
            } else {
                found.push(Entry { path, blob: entry.blob, is_tree: false });
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}

fn phrase(state: &JobState) -> &'static str {
    match state {
        JobState::Seeking => "being looked for",
        JobState::Fetching => "being fetched",
        JobState::Running => "running",
        JobState::Verified | JobState::SelfExecuted => "just finished",
        JobState::Failed { .. } => "failed",
        JobState::Stuck(_) => "stuck",
        JobState::Broken { .. } => "broken",
        JobState::Cancelled => "cancelled",
        JobState::Expired => "expired",
    }
}
