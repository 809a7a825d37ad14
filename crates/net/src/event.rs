//! What the network tells the application.

use std::sync::Arc;

use libp2p::gossipsub::MessageId;
use protocol::{JobId, PeerId};

use crate::inbox::Inbox;
use crate::notices::Notices;

/// Something that happened on the network.
#[derive(Debug)]
pub enum Event {
    /// A message came in; `from` passed it on and need not have written it. Only gossip may come
    /// from a peer that is not up yet.
    Message {
        from: PeerId,
        topic: Topic,
        bytes: Vec<u8>,
        /// To be answered with [`Net::judge`](crate::Net::judge), for gossip within five seconds.
        token: Token,
    },
    /// A peer of our network is connected and can be talked to.
    PeerUp { peer: PeerId },
    /// The last connection with a peer is gone, and with it its part in all jobs.
    PeerDown { peer: PeerId },
    /// A connected peer takes part in a job that we joined.
    Joined { peer: PeerId, job: JobId },
    /// A connected peer takes part no longer.
    Left { peer: PeerId, job: JobId },
    /// We can be reached at this address, which ends in our name.
    Listening { address: String },
}

/// Where a message was said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Topic {
    /// To everybody.
    Announcements,
    /// To the participants of a job.
    Job(JobId),
    /// To us alone.
    Direct,
}

/// What the application thinks of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// Valid: pass it on.
    Accept,
    /// Not wanted, nobody's fault: do not pass it on.
    Ignore,
    /// Provably wrong: do not pass it on, and count it against whoever sent it.
    Reject,
}

/// Names a received message when it is judged.
#[derive(Clone, Debug)]
pub struct Token {
    pub(crate) from: PeerId,
    pub(crate) way: Way,
}

/// How a message came in, which decides how it goes on.
#[derive(Clone, Debug)]
pub(crate) enum Way {
    Direct,
    Gossip(MessageId),
    Pushed(Relay),
}

/// A job's message that was pushed to us and may have to be pushed on.
#[derive(Clone, Debug)]
pub(crate) struct Relay {
    pub(crate) job: JobId,
    /// To whom its sender said it; if that is not everybody whom we know, we pass it on.
    pub(crate) audience: u64,
    pub(crate) bytes: Arc<[u8]>,
}

/// The stream of events of one node.
#[derive(Debug)]
pub struct Events {
    inbox: Arc<Inbox>,
    notices: Arc<Notices>,
}

impl Events {
    pub(crate) fn new(inbox: Arc<Inbox>, notices: Arc<Notices>) -> Self {
        Self { inbox, notices }
    }

    /// The next event; `None` once the node has stopped.
    ///
    /// Comings and goings of peers overtake messages, whose senders take turns. Dropping the future loses
    /// nothing.
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(notice) = self.notices.pop() {
                return Some(notice);
            }
            tokio::select! {
                biased;
                () = self.notices.some() => {}
                message = self.inbox.next() => match message {
                    Some(message) => return Some(message),
                    None => return self.notices.pop(),
                },
            }
        }
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        self.inbox.close();
    }
}
