//! The queue of frames for one peer, bounded in number and in bytes.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use tokio::sync::mpsc;
use tokio::sync::mpsc::error::{TryRecvError, TrySendError};

use super::Frame;
use crate::SendError;
use crate::limits::{TALK_QUEUE, TALK_QUEUE_BYTES};

/// Where frames for one peer are left.
#[derive(Clone, Debug)]
pub(crate) struct Queue {
    frames: mpsc::Sender<Frame>,
    bytes: Arc<AtomicUsize>,
}

/// Where the peer's outbound task takes them.
#[derive(Debug)]
pub(crate) struct Outgoing {
    frames: mpsc::Receiver<Frame>,
    bytes: Arc<AtomicUsize>,
}

impl Queue {
    pub(crate) fn new() -> (Self, Outgoing) {
        let (sender, receiver) = mpsc::channel(TALK_QUEUE);
        let bytes = Arc::new(AtomicUsize::new(0));
        (Self { frames: sender, bytes: bytes.clone() }, Outgoing { frames: receiver, bytes })
    }

    /// Leaves a frame, or refuses it at once.
    pub(crate) fn offer(&self, frame: Frame) -> Result<(), SendError> {
        let len = frame.len();
        if TALK_QUEUE_BYTES < self.bytes.fetch_add(len, Relaxed) + len {
            self.bytes.fetch_sub(len, Relaxed);
            return Err(SendError::Full);
        }
        self.frames.try_send(frame).map_err(|error| {
            self.bytes.fetch_sub(len, Relaxed);
            match error {
                TrySendError::Full(_) => SendError::Full,
                TrySendError::Closed(_) => SendError::NotConnected,
            }
        })
    }
}

impl Outgoing {
    /// The next frame; `None` once the peer is gone.
    pub(crate) async fn next(&mut self) -> Option<Frame> {
        let frame = self.frames.recv().await?;
        self.bytes.fetch_sub(frame.len(), Relaxed);
        Some(frame)
    }

    /// The next frame if there is one now.
    pub(crate) fn try_next(&mut self) -> Option<Frame> {
        match self.frames.try_recv() {
            Ok(frame) => {
                self.bytes.fetch_sub(frame.len(), Relaxed);
                Some(frame)
            }
            Err(TryRecvError::Empty | TryRecvError::Disconnected) => None,
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.frames.is_closed() && self.frames.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_queue_refuses_and_takes_again_once_it_has_room() {
        let (queue, mut outgoing) = Queue::new();
        let big = Frame::Direct(vec![0; 1 << 20].into());
        let taken = (0..10).take_while(|_| queue.offer(big.clone()).is_ok()).count();
        assert_eq!(taken, 3);
        assert_eq!(queue.offer(big.clone()), Err(SendError::Full));
        assert!(outgoing.try_next().is_some());
        assert_eq!(queue.offer(big), Ok(()));
        let many = (0..2 * TALK_QUEUE).filter(|_| queue.offer(Frame::Ping(1)).is_ok()).count();
        assert_eq!(many, TALK_QUEUE - 3);
        drop(outgoing);
        assert_eq!(queue.offer(Frame::Ping(1)), Err(SendError::NotConnected));
    }
}
