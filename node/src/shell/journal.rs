//! The journal: the engine's records go to the disk in the order in which it made them.

use std::sync::Arc;
use std::thread::JoinHandle;

use engine::{Event, Record, RecordId};
use protocol::JobId;
use store::{Batch, Store, StoreError};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tracing::error;

use crate::shell::kept;

/// Everything of the engine's lies under this key.
const ENGINE: &[u8] = b"e/";
/// Batches that may wait for the store; the engine is given nothing more while they do.
const WAITING_MAX: usize = 256;

/// Gathers what the engine records in one go, and hands it to a thread that may wait for the disk.
#[derive(Debug)]
pub(crate) struct Journal {
    batches: mpsc::Sender<Entry>,
    records: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    ids: Vec<RecordId>,
    waiting: Vec<oneshot::Sender<()>>,
}

/// Records of one go, and who wants to know that they are on disk.
#[derive(Debug, Default)]
struct Entry {
    records: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    ids: Vec<RecordId>,
    waiting: Vec<oneshot::Sender<()>>,
}

/// Room for the records of one go.
#[derive(Debug)]
pub(crate) struct Room(mpsc::OwnedPermit<Entry>);

impl Journal {
    /// Starts the thread. `recorded` is told what is on disk; it holds no more ids than are waiting
    /// here. If the disk refuses, `stop` ends the node: it can keep no promise any more.
    pub(crate) fn start(
        store: Arc<Store>,
        recorded: mpsc::UnboundedSender<Vec<RecordId>>,
        stop: CancellationToken,
    ) -> std::io::Result<(Self, JoinHandle<()>)> {
        let (batches, mut entries) = mpsc::channel::<Entry>(WAITING_MAX);
        let thread = std::thread::Builder::new().name("journal".to_owned()).spawn(move || {
            while let Some(entry) = entries.blocking_recv() {
                write(&store, entry, recorded.clone(), stop.clone());
            }
        })?;
        let (records, ids, waiting) = Default::default();
        Ok((Self { batches, records, ids, waiting }, thread))
    }

    /// Waits until there is room for what the engine may record next; `None` if the node stops.
    pub(crate) async fn room(&self) -> Option<Room> {
        self.batches.clone().reserve_owned().await.ok().map(Room)
    }

    pub(crate) fn record(&mut self, id: Option<RecordId>, Record { key, value }: Record) {
        self.records.push(([ENGINE, &key].concat(), value));
        self.ids.extend(id);
    }

    /// Tells `done` once everything recorded so far is on disk.
    pub(crate) fn when_durable(&mut self, done: oneshot::Sender<()>) {
        self.waiting.push(done);
    }

    /// Hands over what was gathered.
    pub(crate) fn close(&mut self, Room(room): Room) {
        if !self.records.is_empty() || !self.waiting.is_empty() {
            room.send(Entry {
                records: std::mem::take(&mut self.records),
                ids: std::mem::take(&mut self.ids),
                waiting: std::mem::take(&mut self.waiting),
            });
        }
    }
}

/// What an earlier process left: the first event of an engine, if there is anything.
pub(crate) fn resumed(store: &Store) -> Result<Option<Event>, StoreError> {
    let own = |(key, value): (Vec<u8>, Vec<u8>)| (key[ENGINE.len()..].to_vec(), value);
    let records: Vec<_> = store.scan(ENGINE)?.into_iter().map(own).collect();
    let executions = kept::left_over(store)?;
    let nothing = records.is_empty() && executions.is_empty();
    Ok((!nothing).then_some(Event::Resumed { records, executions }))
}

/// Erases what the engine has recorded of a job.
pub(crate) fn erase_job(batch: &mut Batch, job: JobId) {
    for prefix in engine::job_prefixes(job) {
        batch.erase_prefix([ENGINE, &prefix].concat());
    }
}

fn write(
    store: &Store,
    entry: Entry,
    recorded: mpsc::UnboundedSender<Vec<RecordId>>,
    stop: CancellationToken,
) {
    let Entry { records, ids, waiting } = entry;
    let batch = Batch::from(records);
    if ids.is_empty() && waiting.is_empty() {
        if let Err(error) = store.write_soon(batch) {
            give_up(&error, &stop);
        }
        return;
    }
    store.commit_with(batch, move |end| match end {
        Ok(()) => {
            // Nobody listens any more only when the node has stopped.
            let _ = recorded.send(ids);
            for done in waiting {
                let _ = done.send(());
            }
        }
        Err(error) => give_up(&error, &stop),
    });
}

fn give_up(error: &StoreError, stop: &CancellationToken) {
    error!(%error, "the journal cannot be written: the node stops");
    stop.cancel();
}
