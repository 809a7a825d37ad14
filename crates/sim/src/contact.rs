//! Contact: links come up and go down, and engines are told.

use engine::Event;
use protocol::JobId;

use crate::world::{Happening, World};

/// Peers that a look-up in the DHT connects to.
const SOUGHT: usize = 4;

impl World {
    /// Connects a node to everybody that it wants and can reach.
    pub(crate) fn reach_out(&mut self, index: usize) {
        if !self.nodes[index].is_up() {
            return;
        }
        for other in self.links.wanted(index) {
            self.connect_later(index, other);
        }
    }

    pub(crate) fn connect(&mut self, a: usize, b: usize) {
        let possible = self.nodes[a].is_up() && self.nodes[b].is_up() && self.links.same_side(a, b);
        if !possible || self.links.is_up(a, b) {
            return;
        }
        self.links.set_up(a, b, true);
        for (node, of) in [(a, b), (b, a)] {
            let peer = self.nodes[of].peer;
            if self.links.is_seen(node, of) {
                self.tell(node, Event::PeerDown { peer });
            }
            self.links.set_seen(node, of, true);
            self.tell(node, Event::PeerUp { peer });
        }
    }

    /// A node notices that a link is gone, unless it is back by then.
    pub(crate) fn notice_loss(&mut self, node: usize, of: usize) {
        if self.links.is_up(node, of) || !self.links.is_seen(node, of) || !self.nodes[node].is_up()
        {
            return;
        }
        self.links.set_seen(node, of, false);
        let peer = self.nodes[of].peer;
        self.tell(node, Event::PeerDown { peer });
        self.connect_later(node, of);
    }

    /// A look-up in the DHT finds some of those that said they have the job.
    pub(crate) fn seek(&mut self, index: usize, job: JobId) {
        let mut found = self.reachable_providers(index, job);
        self.chance.shuffle(&mut found);
        for other in found.into_iter().take(SOUGHT) {
            self.links.want(index, other);
            self.connect_later(index, other);
        }
    }

    pub(crate) fn reachable_providers(&self, index: usize, job: JobId) -> Vec<usize> {
        let all = self.providers.get(&job).into_iter().flatten().copied();
        all.filter(|other| self.can_reach(index, *other)).collect()
    }

    pub(crate) fn can_reach(&self, index: usize, other: usize) -> bool {
        index != other && self.nodes[other].is_up() && self.links.same_side(index, other)
    }

    fn connect_later(&mut self, a: usize, b: usize) {
        if self.can_reach(a, b) && !self.links.is_up(a, b) {
            let in_us = self.chance.within(20_000..=2_000_000);
            self.later(in_us, Happening::Connect { a, b });
        }
    }
}
