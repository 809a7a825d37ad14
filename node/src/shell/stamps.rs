//! Stamps at the door: what a message claims to have cost is checked once, and not too often for one peer.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use protocol::{Message, NetworkId, PeerId, Signed, Stamp, Stamped, Step};

/// Stamps whose soundness is remembered: one for every author of the largest job.
const KNOWN_MAX: usize = 1 << 14;
/// Checks that a peer may cause at once; each takes ten milliseconds and 16 MiB. Together with what is
/// remembered this lets the logs of a large job in within minutes.
const CHECKS_MAX: u32 = 128;
/// How long it takes until it may cause another.
const CHECK_EVERY: Duration = Duration::from_millis(250);
/// Peers whose checks are counted; beyond, those that have rested are forgotten first.
const PEERS_MAX: usize = 1024;

/// What was checked, and for whom.
#[derive(Debug, Default)]
pub(crate) struct Stamps {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    known: Known,
    /// When each peer will have rested from the checks that it has caused.
    rested: BTreeMap<PeerId, Instant>,
}

/// Stamps and whether they are sound, the least recently used ones forgotten first.
#[derive(Debug, Default)]
struct Known {
    turn: u64,
    stamps: BTreeMap<(Stamped, Stamp), (bool, u64)>,
    by_turn: BTreeMap<u64, (Stamped, Stamp)>,
}

/// What becomes of a message.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Admitted {
    /// It goes on, perhaps without some of its steps.
    Message(Message),
    /// One of its stamps is a lie.
    Unsound,
    /// Its sender has caused too many checks; nothing is held against it.
    TooMany,
}

/// What is known of one stamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Looked {
    Sound,
    Unsound,
    Unchecked,
}

impl Stamps {
    /// Looks at every stamp of a message. What cannot be checked now is left out: heads are reconciled
    /// again, and what was checked until then is known.
    pub(crate) fn admit(
        &self,
        network: NetworkId,
        from: PeerId,
        message: Message,
        now: Instant,
        counted: &mut Counted,
    ) -> Admitted {
        let mut look = |of, stamp: Option<Stamp>| match stamp {
            Some(stamp) => self.look(network, from, (of, stamp), now, counted),
            None => Looked::Sound,
        };
        match message {
            Message::Hello(mut hello) => match look(Stamped::Peer(from), hello.stamp) {
                Looked::Sound => Admitted::Message(Message::Hello(hello)),
                Looked::Unsound => Admitted::Unsound,
                Looked::Unchecked => {
                    hello.stamp = None;
                    Admitted::Message(Message::Hello(hello))
                }
            },
            Message::Announce(announcement) => {
                let of = Stamped::Job(announcement.value().job);
                match look(of, announcement.value().stamp) {
                    Looked::Sound => Admitted::Message(Message::Announce(announcement)),
                    Looked::Unsound => Admitted::Unsound,
                    Looked::Unchecked => Admitted::TooMany,
                }
            }
            Message::Steps(steps) => {
                let mut kept: Vec<Signed<Step>> = Vec::with_capacity(steps.len());
                for step in steps {
                    match look(Stamped::Peer(step.author()), step.value().stamp) {
                        Looked::Sound => kept.push(step),
                        Looked::Unsound => return Admitted::Unsound,
                        Looked::Unchecked => {}
                    }
                }
                if kept.is_empty() && counted.unchecked != 0 {
                    return Admitted::TooMany;
                }
                Admitted::Message(Message::Steps(kept))
            }
            Message::Jobs(_)
            | Message::WantJobs(_)
            | Message::Claim(_)
            | Message::Heads(_)
            | Message::Keep(_)
            | Message::Kept(_) => Admitted::Message(message),
        }
    }

    fn look(
        &self,
        network: NetworkId,
        from: PeerId,
        (of, stamp): (Stamped, Stamp),
        now: Instant,
        counted: &mut Counted,
    ) -> Looked {
        {
            let mut inner = self.lock();
            if let Some(is_sound) = inner.known.find((of, stamp)) {
                return told(is_sound);
            }
            if !inner.may_cause_a_check(from, now) {
                counted.unchecked += 1;
                return Looked::Unchecked;
            }
        }
        counted.checked += 1;
        let is_sound = stamp.is_sound(network, of);
        self.lock().known.learn((of, stamp), is_sound);
        told(is_sound)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How many stamps of one message were checked, and how many were left for later.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counted {
    pub(crate) checked: u64,
    pub(crate) unchecked: u64,
}

impl Inner {
    /// Counts a check, unless the peer has caused its share.
    fn may_cause_a_check(&mut self, peer: PeerId, now: Instant) -> bool {
        let rested = self.rested.get(&peer).map_or(now, |at| (*at).max(now));
        if CHECK_EVERY * (CHECKS_MAX - 1) < rested - now {
            return false;
        }
        self.rested.insert(peer, rested + CHECK_EVERY);
        if PEERS_MAX < self.rested.len() {
            self.rested.retain(|_, at| now < *at);
            if PEERS_MAX < self.rested.len()
                && let Some(first) = self.rested.iter().min_by_key(|(_, at)| **at)
            {
                let first = *first.0;
                self.rested.remove(&first);
            }
        }
        true
    }
}

impl Known {
    fn find(&mut self, key: (Stamped, Stamp)) -> Option<bool> {
        let (is_sound, turn) = self.stamps.get_mut(&key)?;
        self.by_turn.remove(turn);
        self.turn += 1;
        *turn = self.turn;
        self.by_turn.insert(self.turn, key);
        Some(*is_sound)
    }

    fn learn(&mut self, key: (Stamped, Stamp), is_sound: bool) {
        self.turn += 1;
        if let Some((_, before)) = self.stamps.insert(key, (is_sound, self.turn)) {
            self.by_turn.remove(&before);
        }
        self.by_turn.insert(self.turn, key);
        if KNOWN_MAX < self.stamps.len()
            && let Some((_, oldest)) = self.by_turn.pop_first()
        {
            self.stamps.remove(&oldest);
        }
    }
}

const fn told(is_sound: bool) -> Looked {
    if is_sound { Looked::Sound } else { Looked::Unsound }
}

#[cfg(test)]
mod tests;
