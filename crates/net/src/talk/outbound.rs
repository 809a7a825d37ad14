//! Speaking: writes the frames for one peer to the stream that we opened to it.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::{AsyncReadExt, AsyncWriteExt};
use libp2p::Stream;
use protocol::PeerId;
use tokio::time::{sleep, timeout};
use tracing::debug;

use super::Frame;
use super::queue::Outgoing;
use crate::limits::{TALK_BURST_BYTES, TALK_IDLE, TALK_WRITE_WITHIN};
use crate::shared::Shared;
use crate::streams;

/// A stream that lived so long was a good one, and its end begins a new count of failures.
const TALK_WORKED: Duration = Duration::from_secs(10);

/// Why a stream is not written to any longer.
enum End {
    /// The peer is gone, and with it its queue.
    Over,
    /// Nothing was said for long, and the connection is not worth keeping.
    Idle,
    Failed(io::Error),
}

/// Runs as long as the peer is connected; frames of a stream that fails may be lost.
pub(crate) async fn speak(shared: Arc<Shared>, peer: PeerId, mut frames: Outgoing) {
    let (mut failures, mut first) = (0, None);
    loop {
        if first.is_none() && !shared.roster.is_kept(peer) {
            match frames.next().await {
                Some(frame) => first = Some(frame),
                None => return,
            }
        }
        let end = match shared.opener.open(peer, &shared.names.talk()).await {
            Ok(stream) => {
                let opened = Instant::now();
                let end = pump(&shared, peer, stream, first.take(), &mut frames).await;
                if TALK_WORKED <= opened.elapsed() {
                    failures = 0;
                }
                end
            }
            Err(error) => End::Failed(error),
        };
        match end {
            End::Over => return,
            End::Idle => {}
            End::Failed(_) if frames.is_closed() => return,
            End::Failed(error) => {
                debug!(%peer, %error, failures, "talk stream failed");
                failures = (failures + 1).min(7);
                sleep(streams::jitter(Duration::from_millis(50) * 2u32.pow(failures))).await;
            }
        }
    }
}

async fn pump(
    shared: &Shared,
    peer: PeerId,
    mut stream: Stream,
    mut first: Option<Frame>,
    frames: &mut Outgoing,
) -> End {
    let mut burst = Vec::new();
    loop {
        let frame = match first.take() {
            Some(frame) => frame,
            None => match next(shared, peer, &mut stream, frames).await {
                Ok(frame) => frame,
                Err(end) => return end,
            },
        };
        burst.clear();
        frame.write(&mut burst);
        let mut count = 1;
        while burst.len() < TALK_BURST_BYTES
            && let Some(frame) = frames.try_next()
        {
            frame.write(&mut burst);
            count += 1;
        }
        let writing = async {
            stream.write_all(&burst).await?;
            stream.flush().await
        };
        match timeout(TALK_WRITE_WITHIN, writing).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return End::Failed(error),
            Err(_) => return End::Failed(io::ErrorKind::TimedOut.into()),
        }
        shared.counters.talk_sent.add(count);
        shared.counters.talk_sent_bytes.add(burst.len() as u64);
        if TALK_BURST_BYTES * 2 < burst.capacity() {
            burst = Vec::new();
        }
    }
}

/// The next frame, or the end: the other side never writes here, so anything readable is its end.
async fn next(
    shared: &Shared,
    peer: PeerId,
    stream: &mut Stream,
    frames: &mut Outgoing,
) -> Result<Frame, End> {
    loop {
        let mut byte = [0];
        tokio::select! {
            biased;
            frame = frames.next() => return frame.ok_or(End::Over),
            read = stream.read(&mut byte) => {
                return Err(End::Failed(read.err().unwrap_or_else(|| io::ErrorKind::UnexpectedEof.into())));
            }
            () = sleep(TALK_IDLE) => if !shared.roster.is_kept(peer) {
                return Err(End::Idle);
            },
        }
    }
}
