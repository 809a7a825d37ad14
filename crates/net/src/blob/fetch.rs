//! Fetching a blob: its tree from one provider, its pieces from several, all of it checked.

use std::io;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use protocol::limits::{BLOB_BYTES_MAX, CHUNK_BYTES};
use protocol::{BlobRef, PeerId, Subtrees, chunk_count};
use tokio::sync::{Notify, mpsc};
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{sleep, sleep_until};

use super::candidates::Candidates;
use super::link::{Links, Part};
use super::outcome::{FetchError, Fetched, Source, SourceEnd};
use super::plan::Plan;
use super::provider::{Piece, Transfer, work};
use super::source::Sink;
use super::transfers::Live;
use super::wire::Want;
use crate::Misdeed;
use crate::limits::{SINK_QUEUE, TREE_HEDGE};
use crate::shared::Shared;

/// See [`Net::fetch`](crate::Net::fetch).
pub(crate) async fn fetch(
    shared: Arc<Shared>,
    blob: BlobRef,
    providers: Vec<PeerId>,
    sink: Box<dyn Sink>,
) -> Result<Fetched, FetchError> {
    if BLOB_BYTES_MAX < blob.size {
        return Err(FetchError::TooLarge { size: blob.size, max: BLOB_BYTES_MAX });
    }
    let _turn = shared.fetches.acquire().await.expect("nobody closes the semaphore");
    let (sink, missing) = blocking(move || {
        let mut sink = sink;
        let missing = sink.missing();
        (sink, missing)
    })
    .await;
    let count = chunk_count(blob.size);
    if let Some(index) = missing.iter().copied().find(|index| count <= *index) {
        return Err(FetchError::NoSuchPiece { index, count });
    }

    if missing.is_empty() {
        let ended = blocking(move || {
            let mut sink = sink;
            sink.end()
        })
        .await;
        return ended.map(|()| Fetched { sources: Vec::new() }).map_err(FetchError::Sink);
    }

    let mut candidates = Candidates::new(shared.me, providers);
    let mut sources = Vec::new();
    let trees = match tree(&shared, blob, &mut candidates, &mut sources).await {
        Some(trees) => trees,
        None => {
            return Err(FetchError::Unavailable { missing: missing.len() as u64, sources });
        }
    };
    pieces(shared.clone(), blob, trees, missing, candidates, sources, sink).await
}

/// The checked tree of the blob. Providers that have none are not asked for pieces either.
async fn tree(
    shared: &Arc<Shared>,
    blob: BlobRef,
    candidates: &mut Candidates,
    sources: &mut Vec<Source>,
) -> Option<Subtrees> {
    if blob.size <= CHUNK_BYTES {
        return Subtrees::check(blob.id, blob.size, Vec::new());
    }
    let (mut asking, mut asked) = (FuturesUnordered::new(), Vec::new());
    let mut widened = Instant::now();
    loop {
        if asking.is_empty() {
            let first = candidates.next(0)?;
            asked.push(first);
            asking.push(tree_from(shared, blob, first));
        }
        let silence = shared.patience.silence.saturating_sub(widened.elapsed());
        let answer = tokio::select! {
            answer = asking.next() => answer,
            () = sleep(TREE_HEDGE), if candidates.can_ask(asking.len()) => None,
            () = sleep(silence) => {
                candidates.widen(shared);
                widened = Instant::now();
                None
            }
        };
        match answer {
            Some((_, Ok(trees))) => {
                candidates.take_back(asked);
                return Some(trees);
            }
            Some((peer, Err(end))) => {
                asked.retain(|other| *other != peer);
                if let SourceEnd::Fault(misdeed) = end {
                    shared.blame(peer, misdeed);
                }
                let busy = Duration::ZERO;
                sources.push(Source { peer, chunks: 0, bytes: 0, busy, end });
            }
            None => {
                if let Some(next) = candidates.next(asking.len()) {
                    asked.push(next);
                    asking.push(tree_from(shared, blob, next));
                }
            }
        }
    }
}

async fn tree_from(
    shared: &Arc<Shared>,
    blob: BlobRef,
    peer: PeerId,
) -> (PeerId, Result<Subtrees, SourceEnd>) {
    let want = Want::tree(blob);
    let mut part = Links::ask(shared, peer, want).await.recv().await;
    if matches!(part, None | Some(Part::Lost(_))) {
        // The connection may have been replaced, which breaks the stream but not the provider.
        part = Links::ask(shared, peer, want).await.recv().await;
    }
    let result = match part {
        Some(Part::Tree(values)) => {
            Subtrees::check(blob.id, blob.size, values).ok_or(SourceEnd::Fault(Misdeed::WrongBytes))
        }
        Some(Part::Absent) => Err(SourceEnd::Absent),
        Some(Part::Fault(misdeed)) => Err(SourceEnd::Fault(misdeed)),
        Some(Part::Lost(reason)) => Err(SourceEnd::Lost(reason)),
        Some(Part::Chunk { .. } | Part::Report(_)) => Err(SourceEnd::Fault(Misdeed::BadFrame)),
        None => Err(SourceEnd::Lost("the stream broke".to_owned())),
    };
    (peer, result)
}

/// Runs the providers until every piece has arrived or none is left.
async fn pieces(
    shared: Arc<Shared>,
    blob: BlobRef,
    trees: Subtrees,
    missing: Vec<u64>,
    mut candidates: Candidates,
    mut sources: Vec<Source>,
    sink: Box<dyn Sink>,
) -> Result<Fetched, FetchError> {
    let (pieces, inbox) = mpsc::channel(SINK_QUEUE);
    let live = Arc::new(Live::new(blob, trees.clone(), &missing));
    let shown = shared.transfers.show(Arc::clone(&live));
    let writing = write_all(sink, trees, Arc::clone(&live), missing.len() as u64, inbox);
    let transfer = Arc::new(Transfer {
        shared: Arc::clone(&shared),
        live: Arc::clone(&live),
        plan: Mutex::new(Plan::new(blob.size, missing)),
        changed: Notify::new(),
        pieces,
        working: AtomicUsize::new(0),
    });
    let mut working = FuturesUnordered::new();
    let mut widened = Instant::now();
    while 0 < transfer.plan().left() {
        candidates.add(live.take_heard());
        while let Some(peer) = candidates.next(working.len()) {
            // Each on its own task, so that hashing and decrypting use all cores.
            working.push(Helper(tokio::spawn(work(transfer.clone(), peer))));
        }
        let heard = transfer.plan().last_arrival().map_or(widened, |last| last.max(widened));
        tokio::select! {
            ended = working.next() => match ended {
                Some(source) => sources.extend(source),
                None => break,
            },
            () = live.is_heard.notified() => {}
            () = sleep_until((heard + shared.patience.silence).into()) => {
                // There may have been arrivals since.
                if transfer.plan().last_arrival().is_none_or(|last| last <= heard) {
                    candidates.widen(&shared);
                    widened = Instant::now();
                }
            }
            // The sink has failed.
            () = transfer.pieces.closed() => {
                working.clear();
                break;
            }
        }
    }
    while let Some(source) = working.next().await {
        sources.extend(source);
    }
    let missing = transfer.plan().left();
    drop(transfer);
    // Others may have of it until it is whole and in the store.
    let written = writing.await;
    drop(shown);
    written.unwrap_or_else(|panic| Err(io::Error::other(panic))).map_err(FetchError::Sink)?;
    match missing {
        0 => Ok(Fetched { sources }),
        _ => Err(FetchError::Unavailable { missing, sources }),
    }
}

/// A provider's task, which ends with the transfer.
struct Helper(JoinHandle<Source>);

impl Drop for Helper {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Future for Helper {
    type Output = Option<Source>;

    fn poll(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Self::Output> {
        std::pin::Pin::new(&mut self.0).poll(cx).map(Result::ok)
    }
}

/// Gives the pieces to the sink on a thread that may block.
fn write_all(
    mut sink: Box<dyn Sink>,
    trees: Subtrees,
    live: Arc<Live>,
    mut left: u64,
    mut pieces: mpsc::Receiver<Piece>,
) -> JoinHandle<io::Result<()>> {
    spawn_blocking(move || {
        sink.begin(&trees)?;
        while let Some(piece) = pieces.blocking_recv() {
            sink.write(piece.index, &piece.bytes)?;
            live.arrived(piece.index);
            left -= 1;
        }
        if left == 0 { sink.end() } else { Ok(()) }
    })
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match spawn_blocking(work).await {
        Ok(value) => value,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
