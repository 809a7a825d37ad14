//! Counters of what went over the wire, for metrics and for tests.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// Totals since the node started. Bytes are our own payload, without libp2p's framing.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct Stats { $($(#[$doc])* pub $name: u64,)* }

        #[derive(Debug, Default)]
        pub(crate) struct Counters { $(pub(crate) $name: Counter,)* }

        impl Counters {
            pub(crate) fn snapshot(&self) -> Stats {
                Stats { $($name: self.$name.0.load(Relaxed),)* }
            }
        }
    };
}

counters! {
    /// Messages published by gossip, and their bytes.
    gossip_sent,
    gossip_sent_bytes,
    /// Messages received by gossip after deduplication, and their bytes.
    gossip_received,
    gossip_received_bytes,
    /// Gossip that was ignored because the application was behind.
    gossip_ignored,
    /// Frames written to talk streams, and their bytes.
    talk_sent,
    talk_sent_bytes,
    /// Frames read from talk streams, and their bytes.
    talk_received,
    talk_received_bytes,
    /// Messages that a peer's full queue turned away.
    talk_refused,
    /// Pieces of blobs served, and their bytes.
    blob_sent,
    blob_sent_bytes,
    /// Pieces of blobs received, right or wrong, and their bytes.
    blob_received,
    blob_received_bytes,
    /// Messages that the application rejected.
    rejects,
    /// Misdeeds of peers, rejected messages among them.
    faults,
    /// Peers sent away for their misdeeds.
    bans,
    /// Peers sent away because they belong to another network.
    foreign,
}

#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, count: u64) {
        self.0.fetch_add(count, Relaxed);
    }
}
