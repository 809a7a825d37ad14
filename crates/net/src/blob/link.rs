//! The stream to one provider: requests of all transfers go out on it, answers come in in order.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use protocol::{Hash, PeerId, chunk_count, chunk_len};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout};
use tracing::debug;

use super::report::{HEAD_BYTES, Head, Report};
use super::wire::{ABSENT, Also, HERE, WAIT, Want};
use crate::command::Command;
use crate::limits::{
    ANSWER_WITHIN, CONNECT_WITHIN, LINK_IDLE, LINK_QUEUE, STALL_BYTES, WAIT_EVERY, WAITS_MAX,
};
use crate::shared::Shared;
use crate::{Misdeed, Patience};

/// A request and where its answer goes.
#[derive(Debug)]
struct Ask {
    want: Want,
    /// Has room for the whole answer, so that one transfer never holds up another.
    parts: mpsc::Sender<Part>,
}

/// A part of an answer. Nothing in it has been checked against the blob's name.
#[derive(Debug)]
pub(super) enum Part {
    Tree(Vec<Hash>),
    Report(Report),
    Chunk { index: u64, bytes: Vec<u8> },
    Absent,
    Fault(Misdeed),
    Lost(String),
}

/// The open links, one per provider.
#[derive(Debug, Default)]
pub(crate) struct Links {
    open: Mutex<BTreeMap<PeerId, mpsc::Sender<Ask>>>,
}

impl Links {
    /// Asks a provider; the parts of its answer come through the receiver, which falls silent
    /// when the link breaks.
    pub(super) async fn ask(
        shared: &Arc<Shared>,
        peer: PeerId,
        want: Want,
    ) -> mpsc::Receiver<Part> {
        let (parts, receiver) = mpsc::channel(want.count as usize + 2);
        let mut ask = Ask { want, parts };
        // A link that closes just now gives the request back, and a new one is opened.
        while let Err(mpsc::error::SendError(back)) =
            shared.links.link(shared, peer).send(ask).await
        {
            ask = back;
            // A runtime that is going down ends every new link at once, and this task where it pauses.
            tokio::task::yield_now().await;
        }
        receiver
    }

    fn link(&self, shared: &Arc<Shared>, peer: PeerId) -> mpsc::Sender<Ask> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|_, asks| !asks.is_closed());
        let start = || {
            let (asks, inbox) = mpsc::channel(LINK_QUEUE);
            tokio::spawn(run(shared.clone(), peer, inbox));
            asks
        };
        open.entry(peer).or_insert_with(start).clone()
    }
}

/// Lives until the stream breaks or nobody has asked for a while.
async fn run(shared: Arc<Shared>, peer: PeerId, mut asks: mpsc::Receiver<Ask>) {
    let stream = match connect(&shared, peer).await {
        Ok(stream) => stream,
        Err(reason) => {
            asks.close();
            while let Some(ask) = asks.recv().await {
                // The answer has room; whoever asked may have given up.
                let _ = ask.parts.try_send(Part::Lost(reason.clone()));
            }
            return;
        }
    };
    let (mut from, mut to) = stream.split();
    let (expected, pending) = mpsc::channel(LINK_QUEUE);
    let waiting = AtomicUsize::new(0);
    tokio::select! {
        () = ask_all(&mut to, &mut asks, expected, &waiting) => {}
        () = answer_all(&mut from, pending, &waiting, &shared, peer) => {}
    }
    // Closed before what is left in it is dropped, so that nobody asks a dead link.
    asks.close();
    // The other side closes, too, once it has seen the end of ours.
    let _ = timeout(Duration::from_secs(1), to.close()).await;
}

async fn connect(shared: &Shared, peer: PeerId) -> Result<libp2p::Stream, String> {
    if !shared.roster.is_up(peer) {
        let commands = shared.commands.upgrade().ok_or("the network has stopped")?;
        let (answer, result) = oneshot::channel();
        commands.send(Command::Connect(peer, answer)).await.map_err(|e| e.to_string())?;
        drop(commands);
        match timeout(CONNECT_WITHIN, result).await {
            Ok(Ok(Ok(_))) => {}
            Ok(Ok(Err(error))) => return Err(error.to_string()),
            Ok(Err(_)) | Err(_) => return Err("no connection in time".to_owned()),
        }
    }
    let opened = shared.opener.open(peer, &shared.names.blob()).await;
    opened.map_err(|error| error.to_string())
}

async fn ask_all(
    to: &mut (impl AsyncWrite + Unpin),
    asks: &mut mpsc::Receiver<Ask>,
    expected: mpsc::Sender<Ask>,
    waiting: &AtomicUsize,
) {
    loop {
        let ask = match timeout(LINK_IDLE, asks.recv()).await {
            Ok(Some(ask)) => ask,
            Ok(None) => return,
            Err(_) if 0 < waiting.load(SeqCst) => continue,
            Err(_) => return,
        };
        let request = ask.want.to_bytes();
        waiting.fetch_add(1, SeqCst);
        if expected.send(ask).await.is_err() {
            return;
        }
        let writing = async {
            to.write_all(&request).await?;
            to.flush().await
        };
        if !matches!(timeout(ANSWER_WITHIN, writing).await, Ok(Ok(()))) {
            return;
        }
    }
}

async fn answer_all(
    from: &mut (impl AsyncRead + Unpin),
    mut expected: mpsc::Receiver<Ask>,
    waiting: &AtomicUsize,
    shared: &Shared,
    peer: PeerId,
) {
    loop {
        let mut byte = [0];
        let ask = tokio::select! {
            biased;
            ask = expected.recv() => match ask {
                Some(ask) => ask,
                None => return,
            },
            // Nothing was asked for, so that this is the end of the stream, or too many bytes.
            read = from.read(&mut byte) => {
                if matches!(read, Ok(1)) {
                    shared.blame(peer, Misdeed::BadFrame);
                }
                return;
            }
        };
        if let Err(end) = answer(from, &ask, shared).await {
            debug!(?end, "blob stream ended");
            // The answer has room; whoever asked may have given up.
            let _ = ask.parts.try_send(end);
            return;
        }
        waiting.fetch_sub(1, SeqCst);
    }
}

/// Reads one answer to its end, even if nobody wants it any more: the next begins behind it.
async fn answer(
    from: &mut (impl AsyncRead + Unpin),
    ask: &Ask,
    shared: &Shared,
) -> Result<(), Part> {
    // Whoever asked may have given up; the parts are then dropped.
    let give = |part| drop(ask.parts.try_send(part));
    let patience = &shared.patience;
    let wait = ANSWER_WITHIN.min(patience.stall * 3);
    if status(from, wait).await? == ABSENT {
        give(Part::Absent);
        return Ok(());
    }
    match ask.want.also {
        Also::Nothing => {}
        Also::Tree => {
            let bytes = body(from, ask.want.tree_len() * 32, patience).await?;
            let (values, _) = bytes.as_chunks::<32>();
            give(Part::Tree(values.iter().map(|value| Hash::new(*value)).collect()));
        }
        Also::Report => {
            give(Part::Report(report(from, chunk_count(ask.want.blob.size), patience).await?))
        }
    }
    for index in ask.want.first..ask.want.first + u64::from(ask.want.count) {
        if status(from, wait).await? == ABSENT {
            give(Part::Absent);
            return Ok(());
        }
        let len = chunk_len(ask.want.blob.size, index);
        let bytes = body(from, len as usize, patience).await?;
        shared.counters.blob_received.add(1);
        shared.counters.blob_received_bytes.add(len);
        give(Part::Chunk { index, bytes });
    }
    Ok(())
}

async fn report(
    from: &mut (impl AsyncRead + Unpin),
    count: u64,
    patience: &Patience,
) -> Result<Report, Part> {
    let bad = Part::Fault(Misdeed::BadFrame);
    let head = body(from, HEAD_BYTES, patience).await?;
    let head = head.first_chunk().and_then(|head| Head::parse(*head));
    let Some(head) = head else { return Err(bad) };
    let rest = body(from, head.rest(count), patience).await?;
    head.finish(&rest, count).ok_or(bad)
}

/// Reads past requests for patience, of which there may be so many, as often as an honest provider sends them.
async fn status(from: &mut (impl AsyncRead + Unpin), within: Duration) -> Result<u8, Part> {
    let end = Instant::now() + WAIT_EVERY * WAITS_MAX + within;
    let mut status = [0];
    for _ in 0..=WAITS_MAX {
        let within = within.min(end.saturating_duration_since(Instant::now()));
        match timeout(within, from.read_exact(&mut status)).await {
            Ok(Ok(())) if status[0] == HERE || status[0] == ABSENT => return Ok(status[0]),
            Ok(Ok(())) if status[0] == WAIT => {}
            Ok(Ok(())) => return Err(Part::Fault(Misdeed::BadFrame)),
            // Between two pieces a connection may break innocently.
            Ok(Err(error)) => return Err(Part::Lost(error.to_string())),
            Err(_) => break,
        }
    }
    Err(Part::Fault(Misdeed::TooSlow))
}

/// Reads `len` bytes; memory follows what has arrived, and time what is due.
async fn body(
    from: &mut (impl AsyncRead + Unpin),
    len: usize,
    patience: &Patience,
) -> Result<Vec<u8>, Part> {
    let due = patience.stall + Duration::from_secs(len as u64 / patience.min_rate.max(1));
    let reading = async {
        let mut bytes = Vec::with_capacity(len.min(1 << 20));
        while bytes.len() < len {
            let have = bytes.len();
            bytes.resize(len.min(have + STALL_BYTES), 0);
            match timeout(patience.stall, from.read_exact(&mut bytes[have..])).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    return Err(Part::Fault(Misdeed::ShortBytes));
                }
                Ok(Err(error)) => return Err(Part::Lost(error.to_string())),
                Err(_) => return Err(Part::Fault(Misdeed::TooSlow)),
            }
        }
        Ok(bytes)
    };
    timeout(due, reading).await.unwrap_or(Err(Part::Fault(Misdeed::TooSlow)))
}
