//! Being found and finding: the DHT's hints, and the peers of earlier sessions.

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use futures::future::join_all;
use net::Key;
use protocol::limits::MANIFEST_BYTES_MAX;
use protocol::{BlobRef, FeedId, JobId, Manifest, PeerId, decode, encode};
use store::{Batch, Store};
use tracing::{Instrument, Span, debug, debug_span};

use crate::shell::Shared;

/// Under this key lie the addresses of peers met before.
const PEERS: &[u8] = b"p/met";
/// About 2,000 peers with a few addresses each.
const PEERS_BYTES_MAX: usize = 4 << 20;
/// How often those addresses are written down.
const PEERS_EVERY: Duration = Duration::from_secs(60);
/// Peers that one search connects to.
const CONNECTS_MAX: usize = 8;

/// Tells the DHT that the job and these blobs are here.
pub(crate) fn provide(shared: &Arc<Shared>, job: JobId, blobs: Vec<BlobRef>) {
    let this = Arc::clone(shared);
    let blobs = blobs.iter().map(|blob| Key::blob(blob.id));
    let keys: Vec<Key> = std::iter::once(Key::job(job)).chain(blobs).collect();
    shared.provided.lock().unwrap_or_else(PoisonError::into_inner).insert(job, keys.clone());
    let work = async move {
        let feed = this.with_store(move |store| feed_of(store, job)).await.map(Key::feed);
        if let Some(known) =
            this.provided.lock().unwrap_or_else(PoisonError::into_inner).get_mut(&job)
        {
            known.extend(feed);
        }
        for key in keys.into_iter().chain(feed) {
            if let Err(error) = this.net.provide(key).await {
                debug!(%error, "the dht was not told");
            }
        }
    };
    shared.spawn(work.instrument(debug_span!("provide", %job)));
}

/// Stops telling the DHT what only this job needed.
pub(crate) async fn stop(shared: &Shared, job: JobId) {
    let own: Vec<Key> = {
        let mut provided = shared.provided.lock().unwrap_or_else(PoisonError::into_inner);
        let own = provided.remove(&job).unwrap_or_default();
        let others: BTreeSet<Key> = provided.values().flatten().copied().collect();
        own.into_iter().filter(|key| !others.contains(key)).collect()
    };
    for key in own {
        // A network that has stopped provides nothing.
        let _ = shared.net.stop_providing(key).await;
    }
}

/// The feed that a job here is a window of.
fn feed_of(store: &Store, job: JobId) -> Option<FeedId> {
    let bytes = store.get(job.blob(), MANIFEST_BYTES_MAX as u64).ok()?;
    Manifest::from_bytes(&bytes).ok()?.feed()
}

/// Looks for peers that have the job, and connects to them.
pub(crate) fn seek(shared: &Arc<Shared>, job: JobId) {
    look_for(shared, Key::job(job), debug_span!("seek", %job));
}

/// Looks for peers that have windows of the feed, and connects to them: they say then which.
pub(crate) fn seek_feed(shared: &Arc<Shared>, feed: FeedId) {
    look_for(shared, Key::feed(feed), debug_span!("seek", %feed));
}

fn look_for(shared: &Arc<Shared>, key: Key, span: Span) {
    let this = Arc::clone(shared);
    let work = async move {
        let found = match this.net.providers(key).await {
            Ok(found) => found,
            Err(error) => {
                debug!(%error, "the dht gave no answer");
                return;
            }
        };
        let others = found.into_iter().filter(|peer| *peer != this.me).take(CONNECTS_MAX);
        join_all(others.map(|peer| connect(&this, peer))).await;
    };
    shared.spawn(work.instrument(span));
}

async fn connect(shared: &Shared, peer: PeerId) {
    if let Err(error) = shared.net.connect(peer).await {
        debug!(%peer, %error, "a provider is out of reach");
    }
}

/// The peers of earlier sessions, with their addresses.
pub(crate) fn remembered(store: &Store) -> Vec<(PeerId, Vec<String>)> {
    // A record that is not there or not readable costs a look at the bootstrap list.
    let record = store.record(PEERS).ok().flatten().unwrap_or_default();
    decode(&record, PEERS_BYTES_MAX).unwrap_or_default()
}

/// Writes down now and then whom the node has met.
pub(crate) async fn forget_no_peers(shared: Arc<Shared>) {
    loop {
        tokio::time::sleep(PEERS_EVERY).await;
        remember(&shared).await;
    }
}

/// Writes down whom the node has met.
pub(crate) async fn remember(shared: &Shared) {
    let Ok(known) = shared.net.known_addresses().await else { return };
    if known.is_empty() {
        return;
    }
    let mut batch = Batch::default();
    batch.write(PEERS.to_vec(), encode(&known));
    if let Err(error) = shared.store.write_soon(batch) {
        debug!(%error, "the peers met were not written down");
    }
}
