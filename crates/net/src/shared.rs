//! What the swarm's task, the streams' tasks and all handles have in common.

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use protocol::PeerId;
use tokio::sync::{Semaphore, mpsc};

use crate::blob::{Links, Transfers, Turns};
use crate::bucket::Bucket;
use crate::command::Command;
use crate::inbox::Inbox;
use crate::limits::{CHUNKS_IN_FLIGHT, FETCHES_MAX};
use crate::names::Names;
use crate::notices::Notices;
use crate::roster::Roster;
use crate::seen::Seen;
use crate::stats::Counters;
use crate::streams::Opener;
use crate::talk::Pings;
use crate::{Event, Misdeed, Patience, Rates};

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) me: PeerId,
    pub(crate) names: Names,
    pub(crate) patience: Patience,
    pub(crate) opener: Opener,
    pub(crate) roster: Roster,
    pub(crate) notices: Arc<Notices>,
    pub(crate) inbox: Arc<Inbox>,
    pub(crate) counters: Counters,
    pub(crate) pings: Pings,
    pub(crate) seen: Seen,
    pub(crate) links: Links,
    pub(crate) transfers: Transfers,
    /// Bytes of blobs that the owner lets us send and receive.
    pub(crate) upload: Bucket,
    pub(crate) download: Bucket,
    /// Pieces that may be on their way to us.
    pub(crate) chunks: Turns,
    /// Transfers that may run.
    pub(crate) fetches: Semaphore,
    /// Weak: the node stops when the last handle is gone.
    pub(crate) commands: mpsc::WeakSender<Command>,
    /// Peers in the network by the routing table's estimate.
    pub(crate) network_size: AtomicU64,
    listening: Mutex<Vec<String>>,
}

impl Shared {
    pub(crate) fn new(
        me: PeerId,
        names: Names,
        patience: Patience,
        rates: Rates,
        opener: Opener,
        commands: &mpsc::Sender<Command>,
    ) -> Self {
        Self {
            me,
            names,
            patience,
            opener,
            roster: Roster::new(me),
            notices: Arc::default(),
            inbox: Arc::default(),
            counters: Counters::default(),
            pings: Pings::default(),
            seen: Seen::default(),
            links: Links::default(),
            transfers: Transfers::default(),
            upload: Bucket::new(rates.upload),
            download: Bucket::new(rates.download),
            chunks: Turns::new(CHUNKS_IN_FLIGHT),
            fetches: Semaphore::new(FETCHES_MAX),
            commands: commands.downgrade(),
            network_size: AtomicU64::new(0),
            listening: Mutex::default(),
        }
    }

    /// Counts a misdeed; the swarm's task decides what follows from it.
    pub(crate) fn blame(&self, peer: PeerId, misdeed: Misdeed) {
        self.counters.faults.add(1);
        if let Some(commands) = self.commands.upgrade() {
            // Under a flood of faults, some go unpunished; they are counted all the same.
            let _ = commands.try_send(Command::Blame(peer, misdeed));
        }
    }

    /// Our addresses, each with our name.
    pub(crate) fn listening(&self) -> Vec<String> {
        self.addresses().clone()
    }

    pub(crate) fn listens(&self, address: String) {
        self.notices.push(Event::Listening { address: address.clone() });
        self.addresses().push(address);
    }

    pub(crate) fn listens_no_more(&self, address: &str) {
        self.addresses().retain(|other| other != address);
    }

    fn addresses(&self) -> MutexGuard<'_, Vec<String>> {
        self.listening.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
