//! Listening: reads the frames on the stream that a peer opened to us.

use std::sync::Arc;
use std::time::Instant;

use libp2p::Stream;
use protocol::PeerId;
use tokio::time::timeout;
use tracing::debug;

use super::Frame;
use super::frame::{self, FrameError};
use crate::event::{Relay, Way};
use crate::inbox::Unheard;
use crate::limits::IDENTIFY_WITHIN;
use crate::shared::Shared;
use crate::{Event, Misdeed, Token, Topic};

/// Reads until the stream ends. Waits while the application is behind with this peer, so that the sender's
/// queue fills and not our memory.
pub(crate) async fn listen(shared: Arc<Shared>, peer: PeerId, mut stream: Stream) {
    // The application hears of a peer before it hears from it.
    if timeout(IDENTIFY_WITHIN, shared.roster.until_up(peer)).await.is_err() {
        return;
    }
    loop {
        match frame::read(&mut stream).await {
            Ok(Some(frame)) => {
                shared.counters.talk_received.add(1);
                shared.counters.talk_received_bytes.add(frame.len() as u64);
                if !hear(&shared, peer, frame).await {
                    return;
                }
            }
            Ok(None) => return,
            Err(error) => {
                debug!(%peer, %error, "talk stream ended");
                if let Some(misdeed) = misdeed(&error) {
                    shared.blame(peer, misdeed);
                }
                return;
            }
        }
    }
}

/// False once nobody listens any more.
async fn hear(shared: &Shared, from: PeerId, frame: Frame) -> bool {
    let (topic, bytes, way) = match frame {
        Frame::Direct(bytes) => (Topic::Direct, bytes, Way::Direct),
        // A message for a job that we just left is nobody's fault.
        Frame::Job { job, .. } if !shared.roster.has_joined(job) => return true,
        Frame::Job { job, audience, bytes } => {
            if !shared.seen.first(job, &bytes, Instant::now()) {
                return true;
            }
            let relay = Relay { job, audience, bytes: bytes.clone() };
            (Topic::Job(job), bytes, Way::Pushed(relay))
        }
        Frame::Ping(number) => {
            if let Some(queue) = shared.roster.queue(from) {
                // A peer that asks faster than it listens gets no answer.
                let _ = queue.offer(Frame::Pong(number));
            }
            return true;
        }
        Frame::Pong(number) => {
            shared.pings.answered(from, number);
            return true;
        }
    };
    let token = Token { from, way };
    let mut event = Event::Message { from, topic, bytes: bytes.to_vec(), token };
    loop {
        match shared.inbox.offer(from, bytes.len(), event) {
            Ok(()) => return true,
            Err(Unheard::Closed) => return false,
            Err(Unheard::Full(again, room)) => {
                event = *again;
                room.notified().await;
            }
        }
        if !shared.roster.is_up(from) {
            return false;
        }
    }
}

/// A broken connection also cuts frames short, so that this weighs little.
fn misdeed(error: &FrameError) -> Option<Misdeed> {
    match error {
        FrameError::BadLength(_) | FrameError::BadShape => Some(Misdeed::BadFrame),
        FrameError::Truncated => Some(Misdeed::ShortBytes),
        FrameError::TooSlow => Some(Misdeed::TooSlow),
        FrameError::Io(_) => None,
    }
}
