//! Serving: reads pieces ahead of the peer that takes them, and treats peers alike.

use std::io;
use std::sync::Arc;

use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use libp2p::Stream;
use protocol::{Hash, PeerId, chunk_len};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use tracing::debug;

use super::source::Blobs;
use super::wire::{ABSENT, HERE, REQUEST_BYTES, Want};
use crate::Misdeed;
use crate::limits::{IDENTIFY_WITHIN, LINK_IDLE, SERVE_QUEUE, SERVE_WRITE_WITHIN};
use crate::shared::Shared;

/// Serves one stream until it ends. `permits` are shared by all streams and taken per request, in
/// the order of asking, so that one peer with many requests does not keep others waiting.
pub(crate) async fn serve(
    shared: Arc<Shared>,
    blobs: Arc<dyn Blobs>,
    permits: Arc<Semaphore>,
    peer: PeerId,
    stream: Stream,
) {
    if timeout(IDENTIFY_WITHIN, shared.roster.until_up(peer)).await.is_err() {
        return;
    }
    let (from, to) = stream.split();
    let (answers, queue) = mpsc::channel(SERVE_QUEUE);
    let result = tokio::try_join!(
        read_all(from, &shared, peer, &blobs, &permits, answers),
        write_all(to, queue, &shared),
    );
    if let Err(error) = result {
        debug!(%peer, %error, "blob stream ended");
    }
}

/// Reads requests, and what they ask for.
async fn read_all(
    mut from: impl AsyncRead + Unpin,
    shared: &Shared,
    peer: PeerId,
    blobs: &Arc<dyn Blobs>,
    permits: &Semaphore,
    answers: mpsc::Sender<Answer>,
) -> io::Result<()> {
    let mut request = [0; REQUEST_BYTES];
    loop {
        // The fetcher closes first when nobody asks; the second time is for the one that vanished.
        match timeout(LINK_IDLE * 2, from.read_exact(&mut request)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            Ok(Err(error)) => return Err(error),
            Err(_) => return Ok(()),
        }
        let Some(want) = Want::parse(&request) else {
            shared.blame(peer, Misdeed::BadFrame);
            return Err(io::ErrorKind::InvalidData.into());
        };
        let _turn = permits.acquire().await.map_err(io::Error::other)?;
        if answer(want, blobs, &answers).await.is_err() {
            return Ok(());
        }
    }
}

/// What goes out next.
enum Answer {
    Status(u8),
    Tree(Vec<u8>),
    Chunk(Vec<u8>),
}

async fn answer(
    want: Want,
    blobs: &Arc<dyn Blobs>,
    answers: &mpsc::Sender<Answer>,
) -> Result<(), mpsc::error::SendError<Answer>> {
    let Some(tree) = blocking(blobs, move |blobs| find(blobs, want)).await else {
        return answers.send(Answer::Status(ABSENT)).await;
    };
    answers.send(Answer::Status(HERE)).await?;
    if want.tree {
        let bytes = tree.iter().flat_map(|value| *value.as_bytes()).collect();
        answers.send(Answer::Tree(bytes)).await?;
    }
    for index in want.first..want.first + u64::from(want.count) {
        let read = blocking(blobs, move |blobs| blobs.read_chunk(want.blob.id, index).ok()).await;
        let due = chunk_len(want.blob.size, index);
        match read {
            Some(bytes) if bytes.len() as u64 == due => answers.send(Answer::Chunk(bytes)).await?,
            Some(_) | None => return answers.send(Answer::Status(ABSENT)).await,
        }
    }
    Ok(())
}

/// The tree if it is wanted, an empty list if not, `None` if we do not have the blob.
fn find(blobs: &dyn Blobs, want: Want) -> Option<Vec<Hash>> {
    if blobs.size(want.blob.id) != Some(want.blob.size) {
        return None;
    }
    if !want.tree {
        return Some(Vec::new());
    }
    let tree = blobs.subtrees(want.blob.id).ok()?;
    (tree.len() == want.tree_len()).then_some(tree)
}

async fn blocking<T: Send + 'static>(
    blobs: &Arc<dyn Blobs>,
    read: impl FnOnce(&dyn Blobs) -> Option<T> + Send + 'static,
) -> Option<T> {
    let blobs = blobs.clone();
    // A store that panics has the blob no more than one that fails.
    spawn_blocking(move || read(&*blobs)).await.ok().flatten()
}

async fn write_all(
    mut to: impl AsyncWrite + Unpin,
    mut answers: mpsc::Receiver<Answer>,
    shared: &Shared,
) -> io::Result<()> {
    while let Some(answer) = answers.recv().await {
        let is_last = answers.is_empty();
        let writing = async {
            match &answer {
                Answer::Status(status) => to.write_all(&[*status]).await?,
                Answer::Tree(bytes) => to.write_all(bytes).await?,
                Answer::Chunk(bytes) => {
                    to.write_all(&[HERE]).await?;
                    to.write_all(bytes).await?;
                }
            }
            if is_last { to.flush().await } else { Ok(()) }
        };
        timeout(SERVE_WRITE_WITHIN, writing).await.map_err(|_| io::ErrorKind::TimedOut)??;
        if let Answer::Chunk(bytes) = &answer {
            shared.counters.blob_sent.add(1);
            shared.counters.blob_sent_bytes.add(bytes.len() as u64);
        }
    }
    to.close().await
}
