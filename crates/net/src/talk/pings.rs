//! Pings that wait for their answer.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use protocol::PeerId;
use tokio::sync::oneshot;

use crate::limits::PINGS_MAX;

/// Answers are told apart by number, and count only from the peer that was asked.
#[derive(Debug, Default)]
pub(crate) struct Pings {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    next: u64,
    waiting: BTreeMap<u64, (PeerId, oneshot::Sender<()>)>,
}

impl Pings {
    /// A number to send, and what resolves when it comes back; `None` if too many are waiting.
    pub(crate) fn start(&self, peer: PeerId) -> Option<(u64, oneshot::Receiver<()>)> {
        let mut state = self.lock();
        state.waiting.retain(|_, (_, answer)| !answer.is_closed());
        if PINGS_MAX <= state.waiting.len() {
            return None;
        }
        let (sender, receiver) = oneshot::channel();
        let number = state.next;
        state.next += 1;
        state.waiting.insert(number, (peer, sender));
        Some((number, receiver))
    }

    pub(crate) fn answered(&self, peer: PeerId, number: u64) {
        let mut state = self.lock();
        if state.waiting.get(&number).is_some_and(|(asked, _)| *asked == peer)
            && let Some((_, answer)) = state.waiting.remove(&number)
        {
            // Whoever asked may have given up.
            let _ = answer.send(());
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
