//! Orders from handles, each to the file that carries it out.

use super::Voice;
use crate::command::Command;
use crate::limits::BOOK_PEERS_MAX;
use crate::{ConnectError, Event, identity};

impl Voice {
    pub(super) fn on_order(&mut self, order: Command) {
        match order {
            Command::Join(job) => self.join(job),
            Command::Leave(job) => self.leave(job),
            Command::Announce(bytes) => self.publish(self.shared.names.announcements(), bytes),
            Command::Publish(job, bytes) => self.publish(self.shared.names.job(job), bytes),
            Command::Judge(token, judgement) => self.judge(token, judgement),
            Command::Blame(peer, misdeed) => self.blame(peer, misdeed),
            Command::Dial(address, answer) => self.dial(&address, answer),
            Command::Connect(peer, answer) => match identity::theirs(&peer) {
                Some(peer) => self.connect(peer, Vec::new(), answer),
                None => drop(answer.send(Err(ConnectError::NoAddress))),
            },
            Command::Disconnect(peer) => {
                if let Some(peer) = identity::theirs(&peer) {
                    self.send_away(peer, ConnectError::Closed);
                }
            }
            Command::Provide(key, answer) => self.provide(key, answer),
            Command::StopProviding(key) => self.stop_providing(key),
            Command::Providers(key, answer) => self.find_providers(key, answer),
            Command::KnownAddresses(answer) => drop(answer.send(self.known_addresses())),
            // The loop ends before it comes here.
            Command::Stop => {}
        }
    }

    fn join(&mut self, job: protocol::JobId) {
        if self.shared.roster.join(job) {
            for (peer, _) in self.shared.roster.members(job) {
                self.shared.notices.push(Event::Joined { peer, job });
            }
        }
        let topic = self.shared.names.job(job);
        if let Err(error) = self.swarm.behaviour_mut().gossip.subscribe(&topic) {
            tracing::warn!(%job, %error, "not subscribed");
        }
    }

    fn leave(&mut self, job: protocol::JobId) {
        self.shared.roster.leave(job);
        self.swarm.behaviour_mut().gossip.unsubscribe(&self.shared.names.job(job));
    }

    fn known_addresses(&self) -> Vec<(protocol::PeerId, Vec<String>)> {
        let text = |addresses: &Vec<libp2p::Multiaddr>| {
            addresses.iter().map(ToString::to_string).collect()
        };
        let recent = self.discovery.book.recent().take(BOOK_PEERS_MAX);
        recent.map(|(peer, addresses)| (*peer, text(addresses))).collect()
    }
}
