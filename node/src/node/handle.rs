//! The handle: every door to a node goes through it.

use std::fmt;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use engine::{Event, JobView, Standing};
use net::ConnectError;
use protocol::{BlobId, JobId, NetworkId, PeerId};
use store::Store;
use tokio::sync::{broadcast, mpsc, oneshot};
use tokio::time::timeout;
use tracing::{info, warn};

use crate::config::Config;
use crate::identity::Home;
use crate::node::reading::{self, BlobError, Inside};
use crate::node::view::PeerView;
use crate::shell::{Ask, Shared, read_log, remember};

/// What each part of the end may take; together less than five seconds.
const END_WITHIN: Duration = Duration::from_secs(1);

/// A running node. Clones are handles to the same one, which stops with the last of them.
#[derive(Clone)]
pub struct Node {
    inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) shared: Arc<Shared>,
    pub(crate) config: Config,
    pub(crate) asks: mpsc::Sender<Ask>,
    pub(crate) changes: broadcast::Sender<JobId>,
    pub(crate) inside: Inside,
    /// Held while a window is added: numbers are given out one after the other.
    pub(crate) adding: tokio::sync::Mutex<()>,
    pub(crate) journal: std::sync::Mutex<Option<JoinHandle<()>>>,
    /// The data folder is ours as long as this is here.
    pub(crate) _home: Home,
}

/// The node has stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the node has stopped")]
pub(crate) struct Stopped;

/// Why a job was not cancelled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CancelError {
    #[error("{job} is not known here\nhint: `dugnad job list` shows the jobs that are")]
    Unknown { job: JobId },
    #[error("{job} was submitted by {submitter}, and only that node can cancel it")]
    NotOurs { job: JobId, submitter: PeerId },
    #[error("the node has stopped")]
    Stopped,
}

impl Node {
    pub(crate) fn new(inner: Inner) -> Self {
        Self { inner: Arc::new(inner) }
    }

    /// This node's name.
    pub fn me(&self) -> PeerId {
        self.shared().me
    }

    /// The network that it belongs to.
    pub fn network(&self) -> NetworkId {
        self.shared().network
    }

    /// What it was started with.
    pub fn config(&self) -> &Config {
        &self.inner.config
    }

    /// Multiaddresses at which it listens; each ends in its name and can be dialled.
    pub fn addresses(&self) -> Vec<String> {
        self.shared().net.listen_addrs()
    }

    /// Its blobs and records.
    pub fn store(&self) -> &Arc<Store> {
        &self.shared().store
    }

    /// All jobs that it knows.
    pub async fn jobs(&self) -> Vec<JobView> {
        self.ask(Ask::Jobs).await.unwrap_or_default()
    }

    /// One job.
    pub async fn job(&self, job: JobId) -> Option<JobView> {
        self.ask(|answer| Ask::Job(job, answer)).await.unwrap_or_default()
    }

    /// Why units of a stage cannot run on this machine, if that has happened since the start.
    pub fn refusal(&self, job: JobId, stage: u16) -> Option<String> {
        self.shared().refusals.of(job, stage)
    }

    /// Looks for a job by its id, wherever it is.
    pub async fn open(&self, job: JobId) {
        // A node that has stopped looks for nothing.
        let _ = self.tell(Event::Open { job }).await;
    }

    /// Takes back a job that this node submitted; returns once that is on disk.
    ///
    /// # Errors
    /// [`CancelError`].
    pub async fn cancel(&self, job: JobId) -> Result<(), CancelError> {
        let view = self.ask(|answer| Ask::Job(job, answer)).await;
        let view = view.map_err(|_| CancelError::Stopped)?.ok_or(CancelError::Unknown { job })?;
        if view.submitter != self.me() {
            return Err(CancelError::NotOurs { job, submitter: view.submitter });
        }
        self.tell(Event::Cancel { job }).await.map_err(|_| CancelError::Stopped)
    }

    /// Names each job that changes, several changes of one job gathered for 50 ms. Who falls behind
    /// by 1,024 jobs is told that it has missed some.
    pub fn changes(&self) -> broadcast::Receiver<JobId> {
        self.inner.changes.subscribe()
    }

    /// A whole blob of at most 64 MiB, be it in the store or, after [`Node::results`], in a pack.
    ///
    /// # Errors
    /// [`BlobError`].
    pub async fn read_blob(&self, id: BlobId) -> Result<Vec<u8>, BlobError> {
        self.read(move |store, inside| reading::whole(store, inside, id)).await
    }

    /// The size of a blob in bytes.
    ///
    /// # Errors
    /// [`BlobError`].
    pub async fn blob_size(&self, id: BlobId) -> Result<u64, BlobError> {
        self.read(move |store, inside| reading::size(store, inside, id)).await
    }

    /// Piece `index` of a blob: a mebibyte, or what is left of it.
    ///
    /// # Errors
    /// [`BlobError`].
    pub async fn read_chunk(&self, id: BlobId, index: u64) -> Result<Vec<u8>, BlobError> {
        self.read(move |store, inside| reading::chunk(store, inside, id, index)).await
    }

    /// What a unit said on stderr when it was executed here, as far as it was kept.
    ///
    /// # Errors
    /// [`BlobError`] if the store cannot be read.
    pub async fn log(
        &self,
        job: JobId,
        stage: u16,
        unit: u64,
    ) -> Result<Option<Vec<u8>>, BlobError> {
        let read = move |store: &Store| read_log(store, (job, stage, unit));
        self.shared().with_store(read).await.map_err(BlobError::Store)
    }

    /// The connected peers, in the order of their names.
    pub async fn peers(&self) -> Vec<PeerView> {
        let linked = self.shared().net.peers();
        let names = linked.iter().map(|info| info.peer).collect();
        let standings = self.ask(|answer| Ask::Standings(names, answer)).await.unwrap_or_default();
        // A node that is stopping has no standings to tell.
        let standings = standings.into_iter().chain(std::iter::repeat(Standing::default()));
        linked.into_iter().zip(standings).map(|(info, of)| PeerView::new(info, of)).collect()
    }

    /// How long a message to a connected peer and back takes.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub async fn ping(&self, peer: PeerId) -> Result<Duration, ConnectError> {
        self.shared().net.ping(peer).await
    }

    /// Connects to a multiaddress, and waits until its peer is up.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub async fn dial(&self, address: &str) -> Result<PeerId, ConnectError> {
        self.shared().net.dial(address).await
    }

    /// Begins to work on jobs, or stops: what runs is given up within a second.
    pub async fn set_working(&self, on: bool) {
        // A node that has stopped does not work.
        let _ = self.tell(Event::Work { on }).await;
    }

    /// Waits until the node has stopped, be it by [`Node::shutdown`] or because it cannot go on.
    pub async fn stopped(&self) {
        self.shared().stop.cancelled().await;
    }

    /// Stops the node within five seconds: what runs is given up, what was recorded is on disk.
    pub async fn shutdown(self) {
        let shared = self.shared();
        // What does not end in time ends with the process; the journal has all that counts.
        let _ = timeout(END_WITHIN, remember(shared)).await;
        shared.stop.cancel();
        shared.tasks.close();
        if timeout(END_WITHIN, shared.tasks.wait()).await.is_err() {
            warn!(left = shared.tasks.len(), "some tasks did not end in time");
        }
        let _ = timeout(END_WITHIN, shared.net.stop()).await;
        let journal = self.inner.journal.lock().ok().and_then(|mut thread| thread.take());
        let flushed = shared.with_store(move |store| {
            if let Some(thread) = journal
                && thread.join().is_err()
            {
                warn!("the journal's thread panicked");
            }
            store.flush()
        });
        match timeout(END_WITHIN, flushed).await {
            Ok(Ok(())) => info!("stopped"),
            Ok(Err(error)) => warn!(%error, "the store was not flushed"),
            Err(_) => warn!("the store was not flushed in time"),
        }
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.inner.shared
    }

    pub(crate) fn inside(&self) -> &Inside {
        &self.inner.inside
    }

    pub(crate) fn adding(&self) -> &tokio::sync::Mutex<()> {
        &self.inner.adding
    }

    /// Asks the engine's task.
    pub(crate) async fn ask<T>(
        &self,
        ask: impl FnOnce(oneshot::Sender<T>) -> Ask,
    ) -> Result<T, Stopped> {
        let (answer, answered) = oneshot::channel();
        self.inner.asks.send(ask(answer)).await.map_err(|_| Stopped)?;
        answered.await.map_err(|_| Stopped)
    }

    /// Gives the engine an event, and waits until what it recorded is on disk.
    pub(crate) async fn tell(&self, event: Event) -> Result<(), Stopped> {
        self.ask(|done| Ask::Tell(Box::new(event), done)).await
    }

    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Store, &Inside) -> Result<T, BlobError> + Send + 'static,
    ) -> Result<T, BlobError> {
        let inner = Arc::clone(&self.inner);
        self.shared().with_store(move |store| read(store, &inner.inside)).await
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node").field("me", &self.me()).finish_non_exhaustive()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.shared.stop.cancel();
    }
}
