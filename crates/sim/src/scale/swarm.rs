//! The swarm: many engines, sparse links, one job.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::rc::Rc;

use engine::{Config, Effect, Engine, Event, Got, PackWant, RunId, Time, Want};
use protocol::{
    BlobRef, Cost, Execution, Exit, Hash, Item, Keypair, Loss, Manifest, Message, NetworkId,
    Outcome, PeerId, Report, Tree, hash, merkle_root,
};

use crate::chance::Chance;

/// How many random peers each node is linked to, and how many participants one looks for on joining.
const LINKS: usize = 6;
const CO_WORKERS: usize = 4;
const UNIX_MS: u64 = 1_800_000_000_000;

/// What is counted.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    pub(super) messages: u64,
    pub(super) bytes: u64,
    /// Executions of units that were started, and those that ended.
    pub(super) started: u64,
    pub(super) executions: u64,
    pub(super) steps: u64,
    pub(super) events: u64,
}

#[derive(Debug)]
struct Peer {
    engine: Option<Engine>,
    id: PeerId,
    links: BTreeSet<usize>,
    slowness: f64,
    tick_ms: Option<u64>,
    runs: BTreeMap<RunId, (u16, Vec<u64>)>,
}

#[derive(Debug)]
enum Happening {
    Start { node: usize },
    Leave { node: usize },
    Submit,
    Told { node: usize, event: Box<Event> },
    Heard { to: usize, from: usize, message: Rc<Message> },
    Ran { node: usize, run: RunId },
    Tick { node: usize },
}

/// Many nodes, one clock.
#[derive(Debug)]
pub(super) struct Swarm {
    pub(super) now_ms: u64,
    pub(super) counts: Counts,
    pub(super) manifest: Manifest,
    /// Who has ever taken part in the job.
    pub(super) participants: BTreeSet<usize>,
    /// When a node that is watched cast its first vote.
    pub(super) first_vote_ms: BTreeMap<usize, u64>,
    unit_ms: u64,
    peers: Vec<Peer>,
    by_id: BTreeMap<PeerId, usize>,
    joined: BTreeSet<usize>,
    queue: BinaryHeap<Reverse<(u64, u64)>>,
    happenings: BTreeMap<u64, Happening>,
    scheduled: u64,
    chance: Chance,
    network: NetworkId,
    /// The digests of the outcomes that a pack has.
    packs: BTreeMap<Hash, Vec<Hash>>,
}

/// The key of a node.
pub(super) fn key(seed: u64, node: usize) -> Keypair {
    let secret = hash("scale", &[&seed.to_le_bytes(), &node.to_le_bytes()]);
    Keypair::from_secret(secret.as_bytes())
}

impl Swarm {
    /// `nodes` engines; node 0 submits `manifest` after a second. Those in `late` start only when told.
    pub(super) fn new(
        nodes: usize,
        manifest: Manifest,
        unit_ms: u64,
        seed: u64,
        late: &[usize],
    ) -> Self {
        let mut chance = Chance::fork(seed, "scale", nodes as u64);
        let network = NetworkId::named("scale");
        let peers: Vec<Peer> = (0..nodes)
            .map(|node| Peer {
                engine: None,
                id: key(seed, node).peer(),
                links: BTreeSet::new(),
                slowness: chance.factor(50),
                tick_ms: None,
                runs: BTreeMap::new(),
            })
            .collect();
        let mut swarm = Self {
            now_ms: 0,
            counts: Counts::default(),
            manifest,
            participants: BTreeSet::new(),
            first_vote_ms: BTreeMap::new(),
            unit_ms,
            by_id: peers.iter().enumerate().map(|(node, peer)| (peer.id, node)).collect(),
            peers,
            joined: BTreeSet::new(),
            queue: BinaryHeap::new(),
            happenings: BTreeMap::new(),
            scheduled: 0,
            chance,
            network,
            packs: BTreeMap::new(),
        };
        for node in (0..nodes).filter(|node| !late.contains(node)) {
            swarm.peers[node].engine = Some(swarm.engine(seed, node));
        }
        for node in (0..nodes).filter(|node| !late.contains(node)) {
            swarm.at(node as u64 % 500, Happening::Start { node });
        }
        swarm.at(1000, Happening::Submit);
        swarm
    }

    fn engine(&self, seed: u64, node: usize) -> Engine {
        Engine::new(Config {
            keypair: key(seed, node),
            network: self.network,
            cores: 1,
            memory_bytes: 8 << 30,
            works: true,
            keeps: true,
            stamp: None,
            job_stamp_base: None,
            seed: seed ^ (node as u64) << 20,
            report: Report { engine: "scale".to_owned(), cpu: "none".to_owned() },
        })
    }

    /// Starts a node that was late, now.
    pub(super) fn join(&mut self, seed: u64, node: usize) {
        self.peers[node].engine = Some(self.engine(seed, node));
        self.at(self.now_ms, Happening::Start { node });
    }

    /// Takes nodes away for good, at `at_ms`.
    pub(super) fn take_away(&mut self, at_ms: u64, nodes: impl Iterator<Item = usize>) {
        nodes.for_each(|node| self.at(at_ms, Happening::Leave { node }));
    }

    /// Lets time pass until `is_over` of the submitter's view of the job, or `until_ms`. It is asked once a
    /// second at first, and ever more rarely: a view costs as much as there are votes.
    pub(super) fn run(&mut self, until_ms: u64, is_over: impl Fn(&Self) -> bool) -> bool {
        let mut look_ms = self.now_ms;
        while let Some(Reverse((at_ms, number))) = self.queue.pop() {
            self.now_ms = at_ms;
            if until_ms <= at_ms {
                self.queue.push(Reverse((at_ms, number)));
                return false;
            }
            let happening = self.happenings.remove(&number).expect("it was scheduled");
            self.counts.events += 1;
            self.happen(happening);
            if look_ms <= at_ms {
                look_ms = at_ms + (at_ms / 64).max(500);
                if is_over(self) {
                    return true;
                }
            }
        }
        is_over(self)
    }

    pub(super) fn submitter(&self) -> &Engine {
        self.peers[0].engine.as_ref().expect("the submitter stays")
    }

    pub(super) fn is_up(&self, node: usize) -> bool {
        self.peers[node].engine.is_some()
    }

    fn at(&mut self, at_ms: u64, happening: Happening) {
        self.scheduled += 1;
        self.queue.push(Reverse((at_ms, self.scheduled)));
        self.happenings.insert(self.scheduled, happening);
    }

    fn later(&mut self, in_ms: u64, happening: Happening) {
        self.at(self.now_ms + in_ms, happening);
    }

    fn delay_ms(&mut self) -> u64 {
        10 + self.chance.wait(30_000) / 1000
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Start { node } => {
                for _ in 0..LINKS {
                    let other = self.chance.below(self.peers.len() as u64) as usize;
                    self.connect(node, other);
                }
            }
            Happening::Leave { node } => self.leave(node),
            Happening::Submit => {
                let manifest = self.manifest.clone();
                self.tell(0, Event::Submit { manifest, stamp: None, recalls: false });
            }
            Happening::Told { node, event } => self.tell(node, *event),
            Happening::Heard { to, from, message } => {
                let from = self.peers[from].id;
                let message = Message::clone(&message);
                self.tell(to, Event::Heard { from, message, receipt: None });
            }
            Happening::Ran { node, run } => self.ran(node, run),
            Happening::Tick { node } => {
                if self.peers[node].tick_ms.is_some_and(|due| due <= self.now_ms) {
                    self.peers[node].tick_ms = None;
                    self.tell(node, Event::Tick);
                }
            }
        }
    }

    fn connect(&mut self, a: usize, b: usize) {
        if a == b || !self.is_up(a) || !self.is_up(b) || !self.peers[a].links.insert(b) {
            return;
        }
        self.peers[b].links.insert(a);
        for (node, other) in [(a, b), (b, a)] {
            let peer = self.peers[other].id;
            self.tell(node, Event::PeerUp { peer });
        }
    }

    fn leave(&mut self, node: usize) {
        let peer = &mut self.peers[node];
        (peer.engine, peer.runs) = (None, BTreeMap::new());
        let (id, links) = (peer.id, std::mem::take(&mut peer.links));
        self.joined.remove(&node);
        for other in links {
            self.peers[other].links.remove(&node);
            let event = Box::new(Event::PeerDown { peer: id });
            self.later(2000, Happening::Told { node: other, event });
        }
    }

    fn tell(&mut self, node: usize, event: Event) {
        let Some(mut engine) = self.peers[node].engine.take() else { return };
        let now = Time { mono_ms: self.now_ms, unix_ms: UNIX_MS + self.now_ms };
        engine.handle(now, event);
        let effects: Vec<Effect> = std::iter::from_fn(|| engine.poll()).collect();
        let wake_ms = engine.wake_at().map(|wake| wake.max(self.now_ms + 1));
        self.peers[node].engine = Some(engine);
        if self.peers[node].tick_ms != wake_ms {
            self.peers[node].tick_ms = wake_ms;
            if let Some(wake_ms) = wake_ms {
                self.at(wake_ms, Happening::Tick { node });
            }
        }
        effects.into_iter().for_each(|effect| self.carry_out(node, effect));
    }

    fn carry_out(&mut self, node: usize, effect: Effect) {
        match effect {
            Effect::Record { id: Some(record), .. } => {
                let event = Box::new(Event::Recorded { record });
                self.later(3, Happening::Told { node, event });
            }
            Effect::Send { to, message } => {
                let to =
                    self.by_id.get(&to).copied().filter(|to| self.peers[node].links.contains(to));
                if let Some(to) = to {
                    self.deliver(node, [to].into_iter(), message);
                }
            }
            Effect::Broadcast { message, .. } => {
                self.look_at_steps(node, &message);
                let to: Vec<usize> = self.joined.iter().copied().filter(|to| *to != node).collect();
                self.deliver(node, to.into_iter(), message);
            }
            Effect::Announce { message } => {
                self.deliver(node, (0..self.peers.len()).filter(move |to| *to != node), message);
            }
            Effect::Join { .. } => {
                self.joined.insert(node);
                self.participants.insert(node);
                self.meet(node);
            }
            Effect::Leave { .. } => drop(self.joined.remove(&node)),
            Effect::Seek { .. } => self.meet(node),
            Effect::Fetch { fetch, want, .. } => {
                let event = Box::new(Event::Fetched { fetch, got: Ok(self.got(want)) });
                self.later(60, Happening::Told { node, event });
            }
            Effect::Run { run, stage, units, .. } => {
                self.counts.started += units.len() as u64;
                let takes_ms = units.len() as f64 * self.unit_ms as f64 * self.peers[node].slowness;
                self.peers[node].runs.insert(run, (stage, units));
                self.later(takes_ms as u64 + 1, Happening::Ran { node, run });
            }
            Effect::Recall { .. } | Effect::Remember { .. } => {}
            Effect::Stop { run } => {
                if let Some((_, units)) = self.peers[node].runs.remove(&run) {
                    let units =
                        units.into_iter().map(|unit| (unit, Err(Loss::Cancelled))).collect();
                    let event = Box::new(Event::Ran { run, units });
                    self.later(1, Happening::Told { node, event });
                }
            }
            Effect::Pack { pack, outcomes, .. } => {
                let digests: Vec<Hash> = outcomes.iter().map(Outcome::digest).collect();
                let root = merkle_root(&digests);
                let size = 120 * digests.len() as u64;
                self.packs.insert(root, digests);
                let blob = BlobRef { id: protocol::BlobId::new(*root.as_bytes()), size };
                let event = Box::new(Event::Packed { pack, blob });
                self.later(1, Happening::Told { node, event });
            }
            Effect::Probe { probe, .. } => {
                let event = Box::new(Event::Probed { probe, held: true });
                self.later(60, Happening::Told { node, event });
            }
            Effect::Record { id: None, .. }
            | Effect::Judge { .. }
            | Effect::Provide { .. }
            | Effect::Release { .. }
            | Effect::Changed { .. }
            | Effect::Forget { .. } => {}
        }
    }

    /// Links a participant to some others: what the topic's mesh and the DHT do.
    fn meet(&mut self, node: usize) {
        let known: Vec<usize> =
            self.joined.iter().copied().filter(|other| *other != node).collect();
        for _ in 0..CO_WORKERS.min(known.len()) {
            let other = *self.chance.pick(&known);
            self.connect(node, other);
        }
    }

    fn deliver(&mut self, from: usize, to: impl Iterator<Item = usize>, message: Message) {
        let bytes = message.to_bytes().len() as u64;
        let is_direct =
            !matches!(message, Message::Steps(_) | Message::Claim(_) | Message::Announce(_));
        let message = Rc::new(message);
        for to in to {
            self.counts.messages += 1;
            self.counts.bytes += bytes;
            let in_ms = self.delay_ms() + if is_direct { 0 } else { self.delay_ms() };
            self.later(in_ms, Happening::Heard { to, from, message: message.clone() });
        }
    }

    fn look_at_steps(&mut self, node: usize, message: &Message) {
        let Message::Steps(steps) = message else { return };
        self.counts.steps += steps.len() as u64;
        let votes = |item: &Item| matches!(item, Item::Vote(_));
        if steps.iter().any(|step| step.value().items.iter().any(votes)) {
            self.first_vote_ms.entry(node).or_insert(self.now_ms);
        }
    }

    fn got(&mut self, want: Want) -> Got {
        match want {
            Want::Manifest(_) => Got::Manifest(Box::new(self.manifest.clone())),
            Want::Inputs { .. } => Got::Inputs { parts: Vec::new() },
            Want::Leaves(PackWant { root, .. }) => Got::Leaves(self.packs[&root].clone()),
            Want::Packs { wants, .. } | Want::Reads { packs: wants, .. } => {
                let packs = wants.iter().filter_map(|want| want.packs.first().copied()).collect();
                Got::Packs { packs, failed: 0 }
            }
        }
    }

    fn ran(&mut self, node: usize, run: RunId) {
        let Some((stage, units)) = self.peers[node].runs.remove(&run) else { return };
        self.counts.executions += units.len() as u64;
        let units = units.into_iter().map(|unit| (unit, Ok(execution(stage, unit)))).collect();
        self.tell(node, Event::Ran { run, units });
    }
}

/// What everybody finds who executes a unit.
fn execution(stage: u16, unit: u64) -> Execution {
    let said = hash("scale", &[&stage.to_le_bytes(), &unit.to_le_bytes()]);
    let stdout = BlobRef { id: protocol::BlobId::new(*said.as_bytes()), size: 32 };
    let out = BlobRef { id: empty_tree(), size: 1 };
    let outcome = Outcome::Exit(Exit { code: 0, stdout, out });
    Execution { outcome, trace: said, cost: Cost::default() }
}

fn empty_tree() -> protocol::BlobId {
    static EMPTY: std::sync::OnceLock<protocol::BlobId> = std::sync::OnceLock::new();
    *EMPTY.get_or_init(|| protocol::BlobId::of(&Tree::default().to_bytes()))
}
