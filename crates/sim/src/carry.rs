//! Carrying out effects: what a node's shell, disk and network would do.

use std::rc::Rc;

use engine::{Effect, Judgement, Record, RecordId};
use protocol::{JobId, Message, PeerId};

use crate::promise::Promise;
use crate::world::{Happening, World};

impl World {
    pub(crate) fn carry_out(&mut self, index: usize, effect: Effect) {
        match effect {
            Effect::Record { id, record } => self.record(index, id, record),
            Effect::Send { to, message } => self.send(index, to, message),
            Effect::Broadcast { job, message } => self.broadcast(index, job, message),
            Effect::Announce { message } => self.announce(index, message),
            Effect::Judge { receipt, judgement } => self.judged(index, receipt, judgement),
            Effect::Join { job } => {
                self.nodes[index].joined.insert(job);
            }
            Effect::Leave { job } => {
                self.nodes[index].joined.remove(&job);
            }
            Effect::Provide { job, .. } => {
                self.providers.entry(job).or_default().insert(index);
            }
            Effect::Seek { job } => self.seek(index, job),
            Effect::Fetch { fetch, job, want, from } => {
                let life = self.nodes[index].life;
                let in_us = self.delay_us(index, index) * 2 + self.chance.within(5000..=200_000);
                let end = Happening::FetchEnds { node: index, life, fetch, job, want, from };
                self.later(in_us, end);
            }
            Effect::Run { run, job, plan, stage, units, reads } => {
                self.run_units(index, run, (job, plan, stage), units, reads);
            }
            // Nobody here has had a job before.
            Effect::Recall { recall, .. } => {
                self.tell(index, engine::Event::Recalled { recall, units: Vec::new() });
            }
            Effect::Remember { .. } => {}
            Effect::Stop { run } => {
                let life = self.nodes[index].life;
                if let Some(running) = self.nodes[index].runs.get_mut(&run) {
                    running.is_stopped = true;
                }
                let in_us = self.chance.within(1000..=1_000_000);
                self.later(in_us, Happening::Stopped { node: index, life, run });
            }
            Effect::Pack { pack, job, stage, units, outcomes } => {
                let blob = self.pack(index, job, stage, &units, outcomes);
                let life = self.nodes[index].life;
                let in_us = self.chance.within(1000..=20_000);
                self.later(in_us, Happening::Packed { node: index, life, pack, blob });
            }
            Effect::Release { job, stage, units } => {
                self.nodes[index].disk.packed(job, stage, &units);
            }
            Effect::Probe { probe, peer, blobs } => {
                let life = self.nodes[index].life;
                let in_us = self.delay_us(index, index) * 2 + self.chance.within(5000..=100_000);
                self.later(in_us, Happening::ProbeEnds { node: index, life, probe, peer, blobs });
            }
            Effect::Changed { job } => self.changed(index, job),
            Effect::Forget { job } => self.nodes[index].disk.forget(job),
        }
    }

    pub(crate) fn synced(&mut self, index: usize, life: u64, through: u64, record: RecordId) {
        if self.is_alive(index, life) {
            self.nodes[index].disk.sync(through);
            self.nodes[index].syncs_due -= 1;
            self.tell(index, engine::Event::Recorded { record });
        }
    }

    pub(crate) fn committed(&mut self, index: usize, life: u64, through: u64) {
        if self.is_alive(index, life) {
            let node = &mut self.nodes[index];
            node.disk.sync(through);
            node.commit_is_due = false;
            if !node.disk.is_clean() {
                self.commit_later(index);
            }
        }
    }

    /// What was written waits for the next group commit.
    pub(crate) fn commit_later(&mut self, index: usize) {
        let node = &mut self.nodes[index];
        if node.commit_is_due {
            return;
        }
        node.commit_is_due = true;
        let (life, through) = (node.life, node.disk.written());
        let in_us = self.chance.within(1000..=self.scenario.disk.commit_max_ms * 1000);
        self.later(in_us, Happening::Committed { node: index, life, through });
    }

    pub(crate) fn delay_us(&mut self, from: usize, to: usize) -> u64 {
        let network = &self.scenario.network;
        let (min_us, tail) = (network.delay_min_ms * 1000, network.tail);
        let mean_us = self.links.delay_mean_ms(from, to) * 1000;
        let late = !self.is_calm() && self.chance.percent(tail);
        let tail_us = if late { self.chance.within(200_000..=5_000_000) } else { 0 };
        min_us + 100 + self.chance.wait(mean_us) + tail_us
    }

    fn record(&mut self, index: usize, id: Option<RecordId>, record: Record) {
        let node = &mut self.nodes[index];
        let (life, through) = (node.life, node.disk.record(record));
        match id {
            Some(record) => {
                node.syncs_due += 1;
                let in_us = self.chance.within(200..=self.scenario.disk.sync_max_us.max(200));
                self.later(in_us, Happening::Synced { node: index, life, through, record });
            }
            None => self.commit_later(index),
        }
    }

    fn send(&mut self, from: usize, to: PeerId, message: Message) {
        let Some(to) = self.names.peers.get(&to).copied() else { return };
        if !self.links.is_up(from, to) {
            return;
        }
        let loss = if self.is_calm() { 0 } else { self.scenario.network.direct_loss };
        if self.chance.percent(loss) || !self.links.is_heard(from, to) {
            self.links.tear(from, to);
            return;
        }
        if let Some(message) = self.on_the_wire(from, message) {
            self.deliver(from, to, &message, false, 1);
        }
    }

    fn broadcast(&mut self, from: usize, job: JobId, message: Message) {
        let Some(message) = self.on_the_wire(from, message) else { return };
        if self.links.is_full_mesh() {
            for to in self.links.connected(from) {
                self.gossip(from, to, &message, 1);
            }
            return;
        }
        for to in 0..self.nodes.len() {
            if to != from && self.nodes[to].joined.contains(&job) && self.links.same_side(from, to)
            {
                let hops = if self.links.is_up(from, to) { 1 } else { 2 };
                self.gossip(from, to, &message, hops);
            }
        }
    }

    fn announce(&mut self, from: usize, message: Message) {
        let Some(message) = self.on_the_wire(from, message) else { return };
        for to in 0..self.nodes.len() {
            let reached = if self.links.is_full_mesh() {
                self.links.is_up(from, to)
            } else {
                to != from && self.links.same_side(from, to)
            };
            if reached {
                let hops = if self.links.is_up(from, to) { 1 } else { 2 };
                self.gossip(from, to, &message, hops);
            }
        }
    }

    fn gossip(&mut self, from: usize, to: usize, message: &Rc<Message>, hops: u64) {
        let loss = if self.is_calm() { 0 } else { self.scenario.network.loss };
        let lost = self.chance.percent(loss) || !self.links.is_heard(from, to);
        if self.nodes[to].is_up() && !lost {
            self.deliver(from, to, message, true, hops);
        }
    }

    fn deliver(
        &mut self,
        from: usize,
        to: usize,
        message: &Rc<Message>,
        is_gossip: bool,
        hops: u64,
    ) {
        let again = !self.is_calm() && self.chance.percent(self.scenario.network.duplicates);
        for _ in 0..1 + u64::from(again) {
            let in_us: u64 = (0..hops).map(|_| self.delay_us(from, to)).sum();
            let message = message.clone();
            self.later(in_us, Happening::Heard { to, from, message, is_gossip });
        }
    }

    /// What the receivers will read: the same value, or in some worlds whatever its bytes say.
    fn on_the_wire(&mut self, from: usize, message: Message) -> Option<Rc<Message>> {
        self.watch.mark("messages");
        self.record.keep(&message);
        if !self.scenario.wire_bytes {
            return Some(Rc::new(message));
        }
        match Message::open(&message.to_bytes(), self.network) {
            Ok(opened) if opened == message => Some(Rc::new(opened)),
            Ok(_) | Err(_) if !self.nodes[from].is_honest() => None,
            Ok(_) => {
                self.broken(Promise::Readable, format!("n{from} sent what reads differently"));
                None
            }
            Err(error) => {
                let text = self.names.message(&message);
                self.broken(Promise::Readable, format!("n{from} sent {text}: {error}"));
                None
            }
        }
    }

    fn judged(&mut self, index: usize, receipt: engine::Receipt, judgement: Judgement) {
        let from = self.nodes[index].receipts.remove(&receipt);
        if !self.nodes[index].is_honest() {
            return;
        }
        self.watch.mark(match judgement {
            Judgement::Accept => "gossip accepted",
            Judgement::Ignore => "gossip ignored",
            Judgement::Reject => "gossip rejected",
        });
        match from {
            None => {
                self.broken(Promise::Judged, format!("n{index} judged receipt {receipt:?} twice"))
            }
            Some(from) if judgement == Judgement::Reject && self.nodes[from].is_honest() => {
                self.broken(
                    Promise::NoHonestBlamed,
                    format!("n{index} rejected gossip of n{from}"),
                );
            }
            Some(_) => {}
        }
    }

    fn changed(&mut self, index: usize, job: JobId) {
        self.watch.mark("changes");
        let Some(number) = self.names.jobs.get(&job).copied() else { return };
        let spec = &self.scenario.jobs[number];
        if spec.submitter == index && spec.submitter_leaves && !self.jobs[number].was_safe {
            let view = self.nodes[index].engine.as_ref().and_then(|engine| engine.job(job));
            if view.is_some_and(|view| view.safe_to_leave) {
                self.jobs[number].was_safe = true;
                self.later(100_000, Happening::Leave { node: index });
            }
        }
    }
}
