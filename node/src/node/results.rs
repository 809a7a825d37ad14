//! Results: the packs of the final stages are fetched, checked against their roots and listed.

use std::sync::{Arc, Mutex, PoisonError};

use engine::{BatchResult, FetchLoss, JobState, JobView, PackWant};
use futures::{StreamExt, TryStreamExt, stream};
use protocol::limits::TREE_BYTES_MAX;
use protocol::{BlobId, BlobRef, Entry, Exit, JobId, Outcome, Pack, Tree};

use crate::Node;
use crate::shell::{Ask, Courier, Found, Shared, checked_pack};

/// Batches whose packs are on their way at the same time.
const BATCHES_AT_ONCE: usize = 4;
/// Results that are remembered; about 300 bytes each.
const LISTED_MAX: usize = 1 << 18;

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
    #[error("{id} is not what it should be")]
    Malformed { id: BlobId },
    #[error(
        "there is no room for the results\nhint: raise `storage`, or cancel jobs and unpin blobs"
    )]
    NoRoom,
    #[error("the node has stopped")]
    Stopped,
}

/// The results that were listed last: who reads them page by page asks many times.
/// A job, its batches, and the units that were found in them.
type Listing = (JobId, Vec<BatchResult>, Vec<ResultUnit>);

#[derive(Debug, Default)]
pub(crate) struct Listed {
    last: Mutex<Option<Listing>>,
}

impl Listed {
    /// The same results, if nothing has changed since.
    fn get(&self, job: JobId, batches: &[BatchResult]) -> Option<Vec<ResultUnit>> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let (of, from, units) = last.as_ref()?;
        (*of == job && from == batches).then(|| units.clone())
    }

    fn set(&self, job: JobId, batches: Vec<BatchResult>, units: &[ResultUnit]) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        *last = (units.len() <= LISTED_MAX).then(|| (job, batches, units.to_vec()));
    }
}

impl Node {
    /// The outcomes of the stages that no other stage reads, in order, all of their bytes in the
    /// store or readable by [`Node::read_blob`].
    ///
    /// # Errors
    /// [`ResultsError`] says what is missing.
    pub async fn results(&self, job: JobId) -> Result<Vec<ResultUnit>, ResultsError> {
        let found = self.ask(|answer| Ask::Results(job, answer)).await;
        let found = match found.map_err(|_| ResultsError::Stopped)? {
            Some(found) => found,
            None => {
                let view = self.job(job).await.ok_or(ResultsError::Unknown { job })?;
                return Err(ResultsError::NotYet { job, state: view.state });
            }
        };
        let Found { view, batches } = found;
        if let Some(units) = self.listed().get(job, &batches) {
            return Ok(units);
        }
        let view = Arc::new(view);
        let list = |batch| self.clone().batch(job, Arc::clone(&view), batch);
        let coming: Vec<_> = batches.iter().cloned().map(list).collect();
        let listed: Vec<Vec<ResultUnit>> =
            stream::iter(coming).buffered(BATCHES_AT_ONCE).try_collect().await?;
        let units: Vec<ResultUnit> = listed.into_iter().flatten().collect();
        self.listed().set(job, batches, &units);
        Ok(units)
    }

    async fn batch(
        self,
        job: JobId,
        view: Arc<JobView>,
        batch: BatchResult,
    ) -> Result<Vec<ResultUnit>, ResultsError> {
        let BatchResult { stage, batch, first_unit, units, root, packs, holders, verified, .. } =
            batch;
        let shared = Arc::clone(self.shared());
        let courier = Courier { shared: Arc::clone(&shared), job, from: Vec::new() };
        let goes_on = false;
        let want = PackWant { stage, batch, first_unit, units, root, packs, holders, goes_on };
        let (id, pack) = checked_pack(&courier, &want).await?;
        let pack = Arc::new(pack);
        self.inside().learn(id.id, &pack);
        let (name, count) = match view.stages.get(usize::from(stage)) {
            Some(view) => (view.mount.clone(), view.units),
            None => (stage.to_string(), first_unit + units),
        };
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
