//! Gossip: messages go up to the application and, once judged, on to others.

use std::time::Instant;

use libp2p::gossipsub::{self, IdentTopic, MessageAcceptance, MessageId, PublishError};
use tracing::debug;

use super::Voice;
use crate::event::Way;
use crate::inbox::Unheard;
use crate::limits::UNREAD_PER_TICK_MAX;
use crate::{Event, Judgement, Misdeed, Token, Topic, identity};

impl Voice {
    pub(super) fn on_gossip(&mut self, event: gossipsub::Event) {
        match event {
            gossipsub::Event::Message { propagation_source, message_id, message } => {
                self.on_message(propagation_source, message_id, message);
            }
            gossipsub::Event::Subscribed { peer_id, topic } => {
                if let (Some(peer), Some(Topic::Job(job))) = self.named(&peer_id, &topic)
                    && self.shared.roster.subscribed(peer, job)
                {
                    self.shared.notices.push(Event::Joined { peer, job });
                }
            }
            gossipsub::Event::Unsubscribed { peer_id, topic } => {
                if let (Some(peer), Some(Topic::Job(job))) = self.named(&peer_id, &topic)
                    && self.shared.roster.unsubscribed(peer, job)
                {
                    self.shared.notices.push(Event::Left { peer, job });
                }
            }
            // Identify decides who stays; slow peers lose messages and reconcile later.
            gossipsub::Event::GossipsubNotSupported { .. } | gossipsub::Event::SlowPeer { .. } => {}
        }
    }

    fn named(
        &self,
        peer: &libp2p::PeerId,
        topic: &gossipsub::TopicHash,
    ) -> (Option<protocol::PeerId>, Option<Topic>) {
        (identity::ours(peer), self.shared.names.topic(topic))
    }

    fn on_message(&mut self, source: libp2p::PeerId, id: MessageId, message: gossipsub::Message) {
        let (Some(from), Some(topic)) = self.named(&source, &message.topic) else {
            self.report(&source, &id, MessageAcceptance::Ignore);
            return;
        };
        if let Topic::Job(job) = topic
            && !self.shared.seen.first(job, &message.data, Instant::now())
        {
            // It was pushed to us before, and passed on from there.
            self.report(&source, &id, MessageAcceptance::Ignore);
            return;
        }
        self.shared.counters.gossip_received.add(1);
        self.shared.counters.gossip_received_bytes.add(message.data.len() as u64);
        let token = Token { from, way: Way::Gossip(id.clone()) };
        let len = message.data.len();
        let event = Event::Message { from, topic, bytes: message.data, token };
        match self.shared.inbox.offer(from, len, event) {
            Ok(()) => {}
            Err(Unheard::Full(..) | Unheard::Closed) => {
                self.shared.counters.gossip_ignored.add(1);
                *self.unread.entry(from).or_default() += 1;
                self.report(&source, &id, MessageAcceptance::Ignore);
            }
        }
    }

    pub(super) fn judge(&mut self, token: Token, judgement: Judgement) {
        let acceptance = match judgement {
            Judgement::Accept => MessageAcceptance::Accept,
            Judgement::Ignore => MessageAcceptance::Ignore,
            Judgement::Reject => MessageAcceptance::Reject,
        };
        if let (Way::Gossip(id), Some(source)) = (&token.way, identity::theirs(&token.from)) {
            self.report(&source, id, acceptance);
        }
        if judgement == Judgement::Reject {
            self.shared.counters.rejects.add(1);
            self.shared.counters.faults.add(1);
            self.blame(token.from, Misdeed::BadMessage);
        }
    }

    /// Once a tick: who said so much that it can only be meant to drown us?
    pub(super) fn blame_floods(&mut self) {
        for (peer, unread) in std::mem::take(&mut self.unread) {
            for _ in 0..unread / UNREAD_PER_TICK_MAX {
                self.shared.counters.faults.add(1);
                self.blame(peer, Misdeed::TooMuch);
            }
        }
    }

    fn report(&mut self, source: &libp2p::PeerId, id: &MessageId, acceptance: MessageAcceptance) {
        // A judgement that comes too late finds the message gone, which harms nobody.
        self.swarm.behaviour_mut().gossip.report_message_validation_result(id, source, acceptance);
    }

    pub(super) fn publish(&mut self, topic: IdentTopic, bytes: Vec<u8>) {
        let len = bytes.len() as u64;
        match self.swarm.behaviour_mut().gossip.publish(topic, bytes) {
            Ok(_) => {
                self.shared.counters.gossip_sent.add(1);
                self.shared.counters.gossip_sent_bytes.add(len);
            }
            // Nobody listens, or everybody has it: reconciliation covers the rest.
            Err(PublishError::NoPeersSubscribedToTopic | PublishError::Duplicate) => {}
            Err(error) => debug!(%error, "message not published"),
        }
    }
}
