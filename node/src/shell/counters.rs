//! What the shell counts, for `/metrics`.

use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

macro_rules! counters {
    ($($name:ident $about:literal,)*) => {
        #[derive(Debug, Default)]
        pub(crate) struct Counters { $(pub(crate) $name: Counter,)* }

        impl Counters {
            /// In Prometheus' text format.
            pub(crate) fn write(&self, text: &mut String) {
                $(line(text, concat!("dugnad_", stringify!($name), "_total"), "counter", $about, self.$name.0.load(Relaxed));)*
            }
        }
    };
}

counters! {
    events "Events that the engine was given.",
    effects "Effects that the engine asked for.",
    records "Records that were made durable before something was sent.",
    messages_heard "Messages of peers that were opened.",
    messages_rejected "Messages of peers that broke a rule.",
    messages_unwanted "Messages of peers about jobs that this node does not know, or that are over.",
    messages_postponed "Messages that would have cost too many checks of stamps for their sender.",
    stamps_checked "Stamps whose cost was checked.",
    stamps_unchecked "Stamps that were left for later, for their senders had caused enough checks.",
    messages_lost "Messages that could not be handed to the network.",
    units_executed "Units that ended with an outcome here.",
    units_lost "Units that ended here without an outcome.",
    cpu_microseconds "CPU time of executed units.",
    packs_made "Packs made from own executions.",
    fetches_done "Fetches that brought everything.",
    fetches_failed "Fetches that did not.",
    bytes_fetched "Bytes of blobs that were fetched from peers.",
}

/// A number that only grows.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, count: u64) {
        self.0.fetch_add(count, Relaxed);
    }
}

/// One metric in Prometheus' text format.
pub(crate) fn line(text: &mut String, name: &str, kind: &str, about: &str, value: u64) {
    let _ = writeln!(text, "# HELP {name} {about}\n# TYPE {name} {kind}\n{name} {value}");
}
