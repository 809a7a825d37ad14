//! Comings and goings that wait for the application: none is lost, and their number is bounded.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use protocol::PeerId;
use tokio::sync::Notify;

use crate::Event;

/// A queue that stays short because opposite notices cancel out.
///
/// A peer that comes and goes unseen leaves nothing, so there are never more than two notices for
/// a peer that the application knows and one for any other that is connected; the same holds for
/// each job that a peer takes part in, of which gossipsub allows a hundred.
#[derive(Debug, Default)]
pub(crate) struct Notices {
    waiting: Mutex<VecDeque<Event>>,
    some: Notify,
}

impl Notices {
    pub(crate) fn push(&self, event: Event) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let of = |gone: &PeerId, event: &Event| match event {
            Event::Joined { peer, .. } | Event::Left { peer, .. } => peer == gone,
            Event::PeerUp { .. }
            | Event::PeerDown { .. }
            | Event::Listening { .. }
            | Event::Message { .. } => false,
        };
        let cancelled = match &event {
            Event::PeerDown { peer: gone } => {
                // Its part in jobs goes without saying.
                waiting.retain(|e| !of(gone, e));
                waiting.iter().rposition(|e| matches!(e, Event::PeerUp { peer } if peer == gone))
            }
            Event::Left { peer: gone, job: left } => waiting.iter().rposition(
                |e| matches!(e, Event::Joined { peer, job } if (peer, job) == (gone, left)),
            ),
            Event::PeerUp { .. }
            | Event::Joined { .. }
            | Event::Listening { .. }
            | Event::Message { .. } => None,
        };
        match cancelled {
            Some(at) => drop(waiting.remove(at)),
            None => waiting.push_back(event),
        }
        self.some.notify_one();
    }

    pub(crate) fn pop(&self) -> Option<Event> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }

    /// Waits until something was pushed.
    pub(crate) async fn some(&self) {
        self.some.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flapping_peer_leaves_two_notices_at_most() {
        let notices = Notices::default();
        let peer = PeerId::new([1; 32]);
        notices.push(Event::PeerUp { peer });
        assert!(matches!(notices.pop(), Some(Event::PeerUp { .. })));
        for _ in 0..1000 {
            notices.push(Event::PeerDown { peer });
            notices.push(Event::PeerUp { peer });
        }
        assert!(matches!(notices.pop(), Some(Event::PeerDown { .. })));
        assert!(matches!(notices.pop(), Some(Event::PeerUp { .. })));
        assert!(notices.pop().is_none());
    }
}
