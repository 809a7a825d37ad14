//! The inbox: messages wait for the application peer by peer, and every peer has its turn, so that who floods
//! us waits for itself and not others for it.
//!
//! Turns are those of deficit round robin (Shreedhar and Varghese, 1995), weighed by bytes, which is roughly
//! what a message costs to read: most of it is one signature for every hundred bytes or more.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use protocol::PeerId;
use tokio::sync::Notify;

use crate::Event;
use crate::limits::{
    INBOX_BYTES_MAX, LANE_BYTES_LITTLE, LANE_BYTES_MAX, LANE_MESSAGE_BYTES, TURN_BYTES,
};

/// Messages that wait for the application.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    state: Mutex<State>,
    some: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// Of every peer with a message that waits, and of no other.
    lanes: BTreeMap<PeerId, Lane>,
    /// The same peers; the first is served.
    turns: VecDeque<PeerId>,
    bytes: usize,
    is_closed: bool,
}

/// What waits from one peer.
#[derive(Debug, Default)]
struct Lane {
    waiting: VecDeque<(usize, Event)>,
    bytes: usize,
    /// What it may still have read before it is the next one's turn.
    credit: usize,
    room: Arc<Notify>,
}

/// Why a message was not taken.
#[derive(Debug)]
pub(crate) enum Unheard {
    /// Too much of the same peer waits; the message, and who says when that has changed.
    Full(Box<Event>, Arc<Notify>),
    /// The application listens no more.
    Closed,
}

impl Inbox {
    /// Leaves a message from a peer, or gives it back at once.
    ///
    /// # Errors
    /// [`Unheard`]
    pub(crate) fn offer(&self, from: PeerId, bytes: usize, event: Event) -> Result<(), Unheard> {
        let weight = bytes + LANE_MESSAGE_BYTES;
        let mut state = self.lock();
        if state.is_closed {
            return Err(Unheard::Closed);
        }
        let is_much = INBOX_BYTES_MAX < state.bytes;
        let most = if is_much { LANE_BYTES_LITTLE } else { LANE_BYTES_MAX };
        if let Some(lane) = state.lanes.get(&from)
            && most < lane.bytes + weight
        {
            return Err(Unheard::Full(Box::new(event), Arc::clone(&lane.room)));
        }
        state.push(from, weight, event);
        drop(state);
        self.some.notify_one();
        Ok(())
    }

    /// The next message; `None` once everything was read after [`Inbox::close`].
    ///
    /// Dropping the future loses nothing.
    pub(crate) async fn next(&self) -> Option<Event> {
        loop {
            if let Some(event) = self.pop() {
                return Some(event);
            }
            if self.lock().is_closed {
                return None;
            }
            self.some.notified().await;
        }
    }

    pub(crate) fn pop(&self) -> Option<Event> {
        self.lock().pop()
    }

    /// A peer has gone. What it said last is still heard, unless so much waits that it could be those who come
    /// and go who fill our memory.
    pub(crate) fn gone(&self, peer: PeerId) {
        let mut state = self.lock();
        if INBOX_BYTES_MAX < state.bytes {
            state.remove(peer);
        }
    }

    /// Takes nothing more.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        state.is_closed = true;
        for lane in state.lanes.values() {
            lane.room.notify_one();
        }
        drop(state);
        self.some.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn push(&mut self, from: PeerId, weight: usize, event: Event) {
        let lane = self.lanes.entry(from).or_insert_with(|| {
            self.turns.push_back(from);
            Lane::default()
        });
        lane.waiting.push_back((weight, event));
        lane.bytes += weight;
        self.bytes += weight;
    }

    fn pop(&mut self) -> Option<Event> {
        loop {
            let peer = *self.turns.front()?;
            let lane = self.lanes.get_mut(&peer)?;
            let next = lane.waiting.pop_front_if(|(weight, _)| *weight <= lane.credit);
            let Some((weight, event)) = next else {
                lane.credit += TURN_BYTES;
                self.turns.rotate_left(1);
                continue;
            };
            (lane.credit, lane.bytes) = (lane.credit - weight, lane.bytes - weight);
            self.bytes -= weight;
            lane.room.notify_one();
            // Who says nothing saves nothing up.
            if lane.waiting.is_empty() {
                self.lanes.remove(&peer);
                self.turns.pop_front();
            }
            return Some(event);
        }
    }

    fn remove(&mut self, peer: PeerId) {
        let Some(lane) = self.lanes.remove(&peer) else { return };
        self.turns.retain(|other| *other != peer);
        self.bytes -= lane.bytes;
        lane.room.notify_one();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that unwraps fails, as it should")]

    use super::*;
    use crate::event::Way;
    use crate::{Token, Topic};

    fn peer(number: u8) -> PeerId {
        PeerId::new([number; 32])
    }

    fn offer(inbox: &Inbox, from: PeerId, bytes: usize, mark: u8) -> Result<(), Unheard> {
        let token = Token { from, way: Way::Direct };
        let event = Event::Message { from, topic: Topic::Direct, bytes: vec![mark], token };
        inbox.offer(from, bytes, event)
    }

    fn pop(inbox: &Inbox) -> Option<(PeerId, u8)> {
        match inbox.pop()? {
            Event::Message { from, bytes, .. } => Some((from, bytes[0])),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn one_peers_messages_stay_in_order() {
        let inbox = Inbox::default();
        for mark in 0..10 {
            offer(&inbox, peer(1), 100 * usize::from(mark), mark).unwrap();
        }
        let marks: Vec<u8> = std::iter::from_fn(|| pop(&inbox)).map(|(_, mark)| mark).collect();
        assert_eq!(marks, (0..10).collect::<Vec<_>>());
    }

    #[test]
    fn who_floods_waits_for_itself() {
        let inbox = Inbox::default();
        let mut flood = 0;
        while offer(&inbox, peer(1), 50_000, 0).is_ok() {
            flood += 1;
        }
        for mark in 1..=5 {
            offer(&inbox, peer(2), 100, mark).unwrap();
        }
        let order: Vec<PeerId> = std::iter::from_fn(|| pop(&inbox)).map(|(from, _)| from).collect();
        assert_eq!(order.len(), flood + 5);
        let last = order.iter().rposition(|from| *from == peer(2)).unwrap();
        let before = order[..last].iter().filter(|from| **from == peer(1)).count();
        assert!(before <= 1, "{before} of {flood} messages of a flood came first");
    }

    #[test]
    fn turns_are_weighed_by_bytes() {
        let inbox = Inbox::default();
        let (large, small) = (40_000 - LANE_MESSAGE_BYTES, 4_000 - LANE_MESSAGE_BYTES);
        while offer(&inbox, peer(1), large, 0).is_ok() {}
        while offer(&inbox, peer(2), small, 0).is_ok() {}
        let mut heard = BTreeMap::from([(peer(1), 0usize), (peer(2), 0)]);
        // While both have something to say.
        for _ in 0..60 {
            let (from, _) = pop(&inbox).unwrap();
            *heard.get_mut(&from).unwrap() += if from == peer(1) { 40_000 } else { 4_000 };
        }
        let (large, small) = (heard[&peer(1)], heard[&peer(2)]);
        assert!(large.abs_diff(small) <= TURN_BYTES + 40_000, "{large} and {small} bytes");
    }

    #[test]
    fn a_full_lane_refuses_and_says_when_there_is_room() {
        let inbox = Inbox::default();
        offer(&inbox, peer(1), 1 << 20, 0)
            .expect("the largest message finds room in an empty lane");
        let Err(Unheard::Full(_, room)) = offer(&inbox, peer(1), 1, 1) else { panic!() };
        offer(&inbox, peer(2), 1, 1).expect("another's lane is another's");
        while pop(&inbox).unwrap().0 != peer(1) {}
        assert!(futures::FutureExt::now_or_never(room.notified()).is_some());
        offer(&inbox, peer(1), 1, 1).unwrap();
    }

    #[test]
    fn what_the_departed_said_is_heard_unless_it_could_fill_us() {
        let inbox = Inbox::default();
        offer(&inbox, peer(0), 100, 0).unwrap();
        inbox.gone(peer(0));
        assert_eq!(pop(&inbox), Some((peer(0), 0)));
        for number in 0..200 {
            offer(&inbox, peer(number), 1 << 20, number).unwrap();
            inbox.gone(peer(number));
        }
        assert!(inbox.lock().bytes <= INBOX_BYTES_MAX + (1 << 20) + LANE_MESSAGE_BYTES);
        assert_eq!(pop(&inbox), Some((peer(0), 0)));
    }

    #[tokio::test]
    async fn a_closed_inbox_is_read_to_its_end() {
        let inbox = Inbox::default();
        offer(&inbox, peer(1), 1, 7).unwrap();
        inbox.close();
        assert!(matches!(offer(&inbox, peer(1), 1, 8), Err(Unheard::Closed)));
        assert!(inbox.next().await.is_some());
        assert!(inbox.next().await.is_none());
    }
}
