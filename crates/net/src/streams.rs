//! Streams between two peers: opening with retries, and accepting without ever waiting.
//!
//! The rest of the crate sees only this interface, because libp2p-stream is still an alpha.

use std::collections::BTreeMap;
use std::collections::hash_map::RandomState;
use std::fmt;
use std::hash::BuildHasher;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::StreamExt;
use libp2p::{Stream, StreamProtocol};
use libp2p_stream::{Control, IncomingStreams, OpenStreamError};
use protocol::PeerId;
use tokio::task::{AbortHandle, JoinSet};

use crate::identity;
use crate::limits::{OPEN_TRIES, OPEN_WITHIN};

/// Opens streams to connected peers.
pub(crate) struct Opener(Control);

impl Opener {
    pub(crate) fn new(control: Control) -> Self {
        Self(control)
    }

    /// # Errors
    /// The last failure, after several tries with growing pauses; at once if the peer does not
    /// speak the protocol.
    pub(crate) async fn open(&self, peer: PeerId, protocol: &StreamProtocol) -> io::Result<Stream> {
        let peer = identity::theirs(&peer).ok_or(io::ErrorKind::InvalidInput)?;
        let mut control = self.0.clone();
        let mut last = io::Error::from(io::ErrorKind::TimedOut);
        for attempt in 0..OPEN_TRIES {
            if 0 < attempt {
                tokio::time::sleep(jitter(Duration::from_millis(20) * 4u32.pow(attempt - 1))).await;
            }
            let opening = control.open_stream(peer, protocol.clone());
            match tokio::time::timeout(OPEN_WITHIN, opening).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(OpenStreamError::Io(error))) => last = error,
                Ok(Err(no)) => return Err(io::Error::new(io::ErrorKind::Unsupported, no)),
                Err(_) => last = io::ErrorKind::TimedOut.into(),
            }
        }
        Err(last)
    }
}

impl fmt::Debug for Opener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Opener")
    }
}

/// Gives every inbound stream a task of its own; a peer's oldest ends when it opens one too many.
///
/// libp2p-stream drops a stream whenever nobody is waiting for it, so this loop only spawns.
pub(crate) async fn accept<F>(
    mut incoming: IncomingStreams,
    per_peer: usize,
    mut task: impl FnMut(PeerId, Stream) -> F,
) where
    F: Future<Output = ()> + Send + 'static,
{
    let mut tasks = JoinSet::new();
    let mut running: BTreeMap<PeerId, Vec<AbortHandle>> = BTreeMap::new();
    while let Some((peer, stream)) = incoming.next().await {
        let Some(peer) = identity::ours(&peer) else { continue };
        while tasks.try_join_next().is_some() {}
        running.retain(|_, tasks| {
            tasks.retain(|task| !task.is_finished());
            !tasks.is_empty()
        });
        let of_peer = running.entry(peer).or_default();
        if of_peer.len() == per_peer {
            of_peer.remove(0).abort();
        }
        of_peer.push(tasks.spawn(task(peer, stream)));
    }
}

/// Half to one and a half times `pause`, so that peers that failed together do not retry together.
pub(crate) fn jitter(pause: Duration) -> Duration {
    static CALLS: AtomicU64 = AtomicU64::new(0);
    let dice = RandomState::new().hash_one(CALLS.fetch_add(1, Ordering::Relaxed));
    pause / 2 + pause.mul_f64((dice % 1024) as f64 / 1024.0)
}
