//! Talking: messages leave in the order in which the engine said them, and it never waits for them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use engine::{Judgement, Receipt};
use net::{Net, SendError, Token};
use protocol::{JobId, Message, PeerId};
use tokio::sync::mpsc;
use tracing::{debug, trace, warn};

use crate::shell::Shared;

/// With no more peers than this, whoever is connected is told directly.
const FEW_PEERS: usize = 12;
/// Joins, leaves and judgements that may wait for the network.
const ERRANDS_MAX: usize = 8192;
/// Gossip that may wait for its judgement; the network itself waits five seconds.
const RECEIPTS_MAX: usize = 4096;

/// What has to be told to the network in order, although it may be busy.
#[derive(Debug)]
enum Errand {
    Join(JobId),
    Leave(JobId),
    Judge(Token, net::Judgement),
}

/// The engine's way to the peers.
#[derive(Debug)]
pub(crate) struct Talk {
    shared: Arc<Shared>,
    connected: BTreeSet<PeerId>,
    errands: mpsc::Sender<Errand>,
}

/// Gossip messages that wait for the engine's judgement.
#[derive(Debug, Default)]
pub(crate) struct Receipts {
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    next: u64,
    tokens: BTreeMap<Receipt, Token>,
}

impl Talk {
    pub(crate) fn start(shared: &Arc<Shared>) -> Self {
        let (errands, waiting) = mpsc::channel(ERRANDS_MAX);
        shared.spawn(carry_out(shared.net.clone(), waiting));
        Self { shared: Arc::clone(shared), connected: BTreeSet::new(), errands }
    }

    pub(crate) fn peer_up(&mut self, peer: PeerId) {
        self.connected.insert(peer);
    }

    pub(crate) fn peer_down(&mut self, peer: PeerId) {
        self.connected.remove(&peer);
    }

    pub(crate) fn send(&self, to: PeerId, message: &Message) {
        self.note(self.shared.net.send(to, message.to_bytes()));
    }

    pub(crate) fn broadcast(&self, job: JobId, message: Message) {
        if self.connected.len() <= FEW_PEERS {
            let bytes = message.to_bytes();
            for peer in &self.connected {
                self.note(self.shared.net.send(*peer, bytes.clone()));
            }
        } else {
            for part in gossip_sized(message) {
                self.note(self.shared.net.broadcast(job, part));
            }
        }
    }

    pub(crate) fn announce(&self, message: &Message) {
        self.note(self.shared.net.announce(message.to_bytes()));
    }

    pub(crate) fn join(&self, job: JobId) {
        self.queue(Errand::Join(job));
    }

    pub(crate) fn leave(&self, job: JobId) {
        self.queue(Errand::Leave(job));
    }

    pub(crate) fn judge(&self, receipt: Receipt, judgement: Judgement) {
        if let Some(token) = self.shared.receipts.take(receipt) {
            self.queue(Errand::Judge(token, in_their_words(judgement)));
        }
    }

    fn queue(&self, errand: Errand) {
        if let Err(error) = self.errands.try_send(errand) {
            self.shared.counters.messages_lost.add(1);
            warn!(%error, "the network is too far behind to be told");
        }
    }

    /// What is lost here is found missing by the next exchange of heads.
    fn note(&self, sent: Result<(), SendError>) {
        match sent {
            Ok(()) => trace!("sent"),
            Err(error) => {
                self.shared.counters.messages_lost.add(1);
                debug!(%error, "a message was not sent");
            }
        }
    }
}

impl Receipts {
    /// A receipt for a message; the oldest are given up when too many wait.
    pub(crate) fn issue(&self, token: Token) -> Receipt {
        let mut waiting = self.lock();
        let receipt = Receipt(waiting.next);
        waiting.next += 1;
        waiting.tokens.insert(receipt, token);
        if RECEIPTS_MAX < waiting.tokens.len() {
            waiting.tokens.pop_first();
        }
        receipt
    }

    fn take(&self, receipt: Receipt) -> Option<Token> {
        self.lock().tokens.remove(&receipt)
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn carry_out(net: Net, mut errands: mpsc::Receiver<Errand>) {
    while let Some(errand) = errands.recv().await {
        let done = match errand {
            Errand::Join(job) => net.join(job).await,
            Errand::Leave(job) => net.leave(job).await,
            Errand::Judge(token, judgement) => net.judge(token, judgement).await,
        };
        if done.is_err() {
            return;
        }
    }
}

/// A gossip frame is smaller than a message: steps that do not fit into one go in several.
fn gossip_sized(message: Message) -> Vec<Vec<u8>> {
    let bytes = message.to_bytes();
    match message {
        Message::Steps(mut steps)
            if net::limits::GOSSIP_BYTES_MAX < bytes.len() && 1 < steps.len() =>
        {
            let rest = steps.split_off(steps.len() / 2);
            let halves = [steps, rest].map(Message::Steps);
            halves.into_iter().flat_map(gossip_sized).collect()
        }
        Message::Hello(_)
        | Message::Announce(_)
        | Message::Jobs(_)
        | Message::WantJobs(_)
        | Message::Steps(_)
        | Message::Claim(_)
        | Message::Heads(_)
        | Message::Keep(_)
        | Message::Kept(_) => vec![bytes],
    }
}

const fn in_their_words(judgement: Judgement) -> net::Judgement {
    match judgement {
        Judgement::Accept => net::Judgement::Accept,
        Judgement::Ignore => net::Judgement::Ignore,
        Judgement::Reject => net::Judgement::Reject,
    }
}

#[cfg(test)]
mod tests {
    use protocol::{Hash, Item, Keypair, NetworkId, Step, StepId};

    use super::*;

    fn steps(count: u64, network: NetworkId) -> Message {
        let keypair = Keypair::from_secret(&[7; 32]);
        let step = |seq| Step {
            job: JobId::new([1; 32]),
            shard: 0,
            seq,
            prev: StepId::new([u8::from(seq != 0); 32]),
            level: 0,
            stamp: None,
            report: None,
            items: vec![Item::Leaves(protocol::Leaves {
                slot: protocol::Slot {
                    stage: 0,
                    about: protocol::About::Batch(0),
                    units: Hash::ZERO,
                },
                root: Hash::ZERO,
                digests: vec![Hash::ZERO; 1024],
            })],
        };
        Message::Steps((0..count).map(|seq| keypair.sign(network, step(seq))).collect())
    }

    #[test]
    fn steps_that_do_not_fit_one_gossip_frame_go_in_several_and_in_order() {
        let network = NetworkId::named("test");
        let parts = gossip_sized(steps(5, network));
        assert!(parts.iter().all(|part| part.len() <= net::limits::GOSSIP_BYTES_MAX));
        let mut found = Vec::new();
        for part in parts {
            match Message::open(&part, network).unwrap() {
                Message::Steps(steps) => found.extend(steps.iter().map(|s| s.value().seq)),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(found, [0, 1, 2, 3, 4]);
    }
}
