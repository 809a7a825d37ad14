//! Serving: reads pieces ahead of the peer that takes them, and treats peers alike: each has one
//! request in service at a time, and turns come in the order of asking.

use std::io;
use std::sync::Arc;

use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use libp2p::Stream;
use protocol::{PeerId, chunk_len};
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use tracing::debug;

use super::source::Blobs;
use super::transfers::Live;
use super::turns::Turns;
use super::wire::{ABSENT, Also, HERE, REQUEST_BYTES, WAIT, Want};
use crate::Misdeed;
use crate::limits::{IDENTIFY_WITHIN, LINK_IDLE, SERVE_QUEUE, SERVE_WRITE_WITHIN, WAIT_EVERY};
use crate::shared::Shared;

/// Serves one stream until it ends. `turns` are shared by all streams and taken per request, in
/// the order of asking, so that one peer with many requests does not keep others waiting.
pub(crate) async fn serve(
    shared: Arc<Shared>,
    blobs: Arc<dyn Blobs>,
    turns: Arc<Turns>,
    peer: PeerId,
    stream: Stream,
) {
    if timeout(IDENTIFY_WITHIN, shared.roster.until_up(peer)).await.is_err() {
        return;
    }
    let (from, to) = stream.split();
    let (answers, queue) = mpsc::channel(SERVE_QUEUE);
    let server = Server { shared: &shared, blobs, turns, peer, answers };
    let result = tokio::try_join!(server.read_all(from), write_all(to, queue, &shared));
    if let Err(error) = result {
        debug!(%peer, %error, "blob stream ended");
    }
}

/// What goes out next.
enum Answer {
    Status(u8),
    Bytes(Vec<u8>),
    Chunk(Vec<u8>),
}

/// One stream's reading side: requests, and what they ask for.
struct Server<'a> {
    shared: &'a Shared,
    blobs: Arc<dyn Blobs>,
    turns: Arc<Turns>,
    peer: PeerId,
    answers: mpsc::Sender<Answer>,
}

impl Server<'_> {
    async fn read_all(self, mut from: impl AsyncRead + Unpin) -> io::Result<()> {
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
                self.shared.blame(self.peer, Misdeed::BadFrame);
                return Err(io::ErrorKind::InvalidData.into());
            };
            let _turn = self.patiently(self.turns.take(1)).await?;
            self.answer(want).await?;
        }
    }

    async fn answer(&self, want: Want) -> io::Result<()> {
        let live = self.shared.transfers.live(want.blob);
        let size = self.blocking(move |blobs| blobs.size(want.blob.id)).await;
        let is_whole = size == Some(want.blob.size);
        let also = match want.also {
            Also::Nothing if is_whole || live.is_some() => Some(Vec::new()),
            Also::Nothing => None,
            Also::Tree => self.tree(want, live.as_deref(), is_whole).await,
            Also::Report => {
                let report = self.shared.transfers.report(want.blob, is_whole, self.peer);
                report.map(|report| report.to_bytes())
            }
        };
        let Some(also) = also else { return self.give(Answer::Status(ABSENT)).await };
        self.give(Answer::Status(HERE)).await?;
        if !also.is_empty() {
            self.give(Answer::Bytes(also)).await?;
        }
        for index in want.first..want.first + u64::from(want.count) {
            let due = chunk_len(want.blob.size, index);
            let is_there = is_whole || live.as_ref().is_some_and(|live| live.has(index));
            let read = match is_there {
                true => {
                    self.patiently(self.shared.upload.turn()).await?.take(due);
                    self.blocking(move |blobs| blobs.read_chunk(want.blob.id, index).ok()).await
                }
                false => None,
            };
            match read {
                Some(bytes) if bytes.len() as u64 == due => self.give(Answer::Chunk(bytes)).await?,
                Some(_) | None => return self.give(Answer::Status(ABSENT)).await,
            }
        }
        Ok(())
    }

    /// The chaining values, as bytes; `None` if we do not have the blob.
    async fn tree(&self, want: Want, live: Option<&Live>, is_whole: bool) -> Option<Vec<u8>> {
        let values = match (is_whole, live) {
            (true, _) => self.blocking(move |blobs| blobs.subtrees(want.blob.id).ok()).await?,
            (false, Some(live)) => live.trees.values().to_vec(),
            (false, None) => return None,
        };
        let fits = values.len() == want.tree_len();
        fits.then(|| values.iter().flat_map(|value| *value.as_bytes()).collect())
    }

    /// Asks the peer for patience while it takes long.
    async fn patiently<T>(&self, what: impl Future<Output = T>) -> io::Result<T> {
        tokio::pin!(what);
        loop {
            match timeout(WAIT_EVERY, &mut what).await {
                Ok(done) => return Ok(done),
                Err(_) => self.give(Answer::Status(WAIT)).await?,
            }
        }
    }

    /// Hands an answer to the writing side. Whoever does not take what it asked for gives its turn up
    /// when others wait for one.
    async fn give(&self, answer: Answer) -> io::Result<()> {
        let reserving = self.answers.reserve();
        tokio::pin!(reserving);
        let place = loop {
            match timeout(self.shared.patience.untaken, &mut reserving).await {
                Ok(place) => break place.map_err(io::Error::other)?,
                Err(_) if self.turns.is_wanted() => return Err(io::ErrorKind::TimedOut.into()),
                Err(_) => {}
            }
        };
        place.send(answer);
        Ok(())
    }

    async fn blocking<T: Send + 'static>(
        &self,
        read: impl FnOnce(&dyn Blobs) -> Option<T> + Send + 'static,
    ) -> Option<T> {
        let blobs = self.blobs.clone();
        // A store that panics has the blob no more than one that fails.
        spawn_blocking(move || read(&*blobs)).await.ok().flatten()
    }
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
                Answer::Bytes(bytes) => to.write_all(bytes).await?,
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
