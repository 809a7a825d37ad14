//! What all families of effects share: the three organs, the way back to the engine, and the end.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex};

use engine::Event;
use net::{Key, Net};
use protocol::{JobId, NetworkId, PeerId};
use sandbox::Pool;
use store::Store;
use tokio::sync::{RwLock, mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::shell::{Counters, Kept, Known, Receipts, Refusals, Stamps};

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) me: PeerId,
    pub(crate) network: NetworkId,
    pub(crate) net: Net,
    pub(crate) store: Arc<Store>,
    pub(crate) pool: Pool,
    pub(crate) kept: Kept,
    pub(crate) receipts: Receipts,
    pub(crate) refusals: Refusals,
    pub(crate) stamps: Stamps,
    pub(crate) known: Known,
    /// Whether our own stamp is made.
    pub(crate) is_stamped: AtomicBool,
    pub(crate) counters: Counters,
    /// What the DHT was told, by job.
    pub(crate) provided: Mutex<BTreeMap<JobId, Vec<Key>>>,
    /// Bytes on their way that others have asked this node to keep.
    pub(crate) keeping: Arc<AtomicU64>,
    /// Read by whoever enters outcomes in memory, written by whoever waits for that.
    pub(crate) remembering: Arc<RwLock<()>>,
    /// Counts the peers that came.
    pub(crate) peers_changed: watch::Sender<u64>,
    /// To the engine's task.
    pub(crate) events: mpsc::Sender<Event>,
    /// Cancelled when the node stops.
    pub(crate) stop: CancellationToken,
    /// Everything that must have ended before the node has stopped.
    pub(crate) tasks: TaskTracker,
}

impl Shared {
    /// Runs `work` beside everything else, for as long as the node runs.
    pub(crate) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            // Whether it ended by itself does not matter to anybody.
            let _ = stop.run_until_cancelled_owned(work).await;
        });
    }

    /// Tells the engine what happened, waiting while it is busy.
    pub(crate) async fn tell(&self, event: Event) {
        // A closed queue means that the node is stopping.
        let _ = self.events.send(event).await;
    }

    /// Lets a thread that may block use the store.
    pub(crate) async fn with_store<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Store) -> T + Send + 'static,
    ) -> T {
        let store = Arc::clone(&self.store);
        match tokio::task::spawn_blocking(move || work(&store)).await {
            Ok(done) => done,
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            // The runtime is going down, and this task with it.
            Err(_) => std::future::pending().await,
        }
    }
}
