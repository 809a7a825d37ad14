//! The world: a heap of things to come, a clock that jumps to the next of them, and nodes.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use engine::{Effect, Event, FetchId, PackId, ProbeId, Receipt, RecordId, RunId, Want};
use protocol::{BlobId, BlobRef, Hash, JobId, Message, NetworkId, PeerId, hash};

use crate::chance::Chance;
use crate::chronicle::Record;
use crate::crew::crew;
use crate::faults;
use crate::links::Links;
use crate::node::{Node, UNIX_START_MS};
use crate::promise::{Promise, Violation};
use crate::scenario::{Scenario, What};
use crate::show::Names;
use crate::truth::Truth;
use crate::watch::Watch;

/// What comes to pass at a time. `life` is the life of the node that the answer is for.
#[derive(Debug)]
pub(crate) enum Happening {
    Start {
        node: usize,
    },
    Crash {
        node: usize,
    },
    Pause {
        node: usize,
        for_us: u64,
    },
    StepClock {
        node: usize,
        by_ms: i64,
    },
    Partition {
        side: Vec<usize>,
    },
    Heal,
    /// From now on nobody hears these nodes, except they each other.
    Mute {
        nodes: Vec<usize>,
    },
    Slow {
        node: usize,
    },
    Planned {
        event: usize,
    },
    Submit {
        job: usize,
    },
    Leave {
        node: usize,
    },
    /// The faults end.
    Calm,
    Inspect,
    Connect {
        a: usize,
        b: usize,
    },
    NoticeLoss {
        node: usize,
        of: usize,
    },
    Heard {
        to: usize,
        from: usize,
        message: Rc<Message>,
        is_gossip: bool,
    },
    Tick {
        node: usize,
        life: u64,
    },
    Synced {
        node: usize,
        life: u64,
        through: u64,
        record: RecordId,
    },
    Committed {
        node: usize,
        life: u64,
        through: u64,
    },
    UnitEnds {
        node: usize,
        life: u64,
        run: RunId,
    },
    Stopped {
        node: usize,
        life: u64,
        run: RunId,
    },
    FetchEnds {
        node: usize,
        life: u64,
        fetch: FetchId,
        job: JobId,
        want: Want,
        from: Vec<PeerId>,
    },
    Packed {
        node: usize,
        life: u64,
        pack: PackId,
        blob: BlobRef,
    },
    ProbeEnds {
        node: usize,
        life: u64,
        probe: ProbeId,
        peer: PeerId,
        lists: (Vec<BlobRef>, Vec<BlobRef>),
    },
}

/// Events of one world; more of them mean that somebody runs in circles.
const EVENTS_MAX: u64 = 6_000_000;

/// Who is told every line of a trace.
type Listener = Box<dyn FnMut(&str)>;

/// A network of production engines in one thread, with one clock and one seed.
pub struct World {
    pub(crate) scenario: Scenario,
    pub(crate) network: NetworkId,
    pub(crate) now_us: u64,
    pub(crate) nodes: Vec<Node>,
    pub(crate) truths: Vec<Truth>,
    pub(crate) jobs: Vec<JobFate>,
    pub(crate) links: Links,
    /// Every blob that was ever made, by anybody.
    pub(crate) blobs: BTreeMap<BlobId, Vec<u8>>,
    /// The DHT: who said that it has a job.
    pub(crate) providers: BTreeMap<JobId, BTreeSet<usize>>,
    pub(crate) chance: Chance,
    pub(crate) inspections: Chance,
    pub(crate) watch: Watch,
    pub(crate) names: Names,
    /// When the faults ended.
    pub(crate) calm_since_us: Option<u64>,
    pub(crate) deadline_us: u64,
    pub(crate) is_over: bool,
    pub(crate) receipts: u64,
    queue: BTreeMap<(u64, u64), Happening>,
    scheduled: u64,
    pub(crate) events: u64,
    pub(crate) record: Record,
    hasher: blake3::Hasher,
    trace: Option<Listener>,
}

/// What the owners have done with a job.
#[derive(Clone, Debug, Default)]
pub(crate) struct JobFate {
    pub(crate) is_submitted: bool,
    pub(crate) is_cancelled: bool,
    pub(crate) was_safe: bool,
    /// Its submitter left before it was safe: nobody promised anything.
    pub(crate) is_excused: bool,
}

impl std::fmt::Debug for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "World({} at {} us)", self.scenario.name, self.now_us)
    }
}

impl World {
    pub fn new(scenario: Scenario, seed: u64) -> Self {
        let network = NetworkId::named("rehearsal");
        let nodes = crew(&scenario, seed, network);
        let mut names = Names::default();
        names.peers.extend(nodes.iter().map(|node| (node.peer, node.index)));
        let truths: Vec<Truth> = scenario
            .jobs
            .iter()
            .enumerate()
            .map(|(number, spec)| {
                let submitter = &nodes[spec.submitter];
                let created = UNIX_START_MS + spec.at_ms;
                let created = created.saturating_add_signed(submitter.skew_ms);
                let nonce = hash("nonce", &[&seed.to_le_bytes(), &number.to_le_bytes()]);
                let co_anchors: Vec<PeerId> =
                    spec.co_anchors.iter().map(|index| nodes[*index].peer).collect();
                Truth::new(spec, submitter.peer, &co_anchors, created, nonce)
            })
            .collect();
        names.jobs.extend(truths.iter().enumerate().map(|(number, truth)| (truth.job, number)));
        let mut world = Self {
            links: Links::new(&scenario, seed),
            jobs: vec![JobFate::default(); truths.len()],
            network,
            now_us: 0,
            nodes,
            truths,
            blobs: BTreeMap::new(),
            providers: BTreeMap::new(),
            chance: Chance::fork(seed, "world", 0),
            inspections: Chance::fork(seed, "inspections", 0),
            watch: Watch::default(),
            names,
            calm_since_us: None,
            deadline_us: u64::MAX,
            is_over: false,
            receipts: 0,
            queue: BTreeMap::new(),
            scheduled: 0,
            events: 0,
            hasher: blake3::Hasher::new(),
            record: Record::default(),
            trace: None,
            scenario,
        };
        world.stock();
        for (at_us, happening) in faults::plan(&world.scenario, seed) {
            world.at(at_us, happening);
        }
        world
    }

    /// Tells every event and effect to `line` from now on.
    pub fn tell_trace(&mut self, line: impl FnMut(&str) + 'static) {
        self.trace = Some(Box::new(line));
    }

    /// Lets time pass until every job has finished, a promise is broken or the deadline is over.
    pub fn run(&mut self) {
        while !self.is_over && self.watch.violation.is_none() {
            let Some(((at_us, _), happening)) = self.queue.pop_first() else { break };
            self.now_us = at_us;
            self.events += 1;
            if EVENTS_MAX < self.events {
                self.broken(Promise::Calm, format!("{EVENTS_MAX} events, last {happening:?}"));
            }
            match self.paused_until(&happening) {
                Some(until_us) => self.at(until_us, happening),
                None => self.happen(happening),
            }
        }
    }

    pub fn violation(&self) -> Option<&Violation> {
        self.watch.violation.as_ref()
    }

    /// A hash over every event and effect so far.
    pub fn trace_hash(&self) -> Hash {
        Hash::new(*self.hasher.finalize().as_bytes())
    }

    pub(crate) fn at(&mut self, at_us: u64, happening: Happening) {
        self.scheduled += 1;
        self.queue.insert((at_us.max(self.now_us), self.scheduled), happening);
    }

    pub(crate) fn later(&mut self, in_us: u64, happening: Happening) {
        self.at(self.now_us + in_us, happening);
    }

    pub(crate) fn is_calm(&self) -> bool {
        self.calm_since_us.is_some()
    }

    /// Tells a node's engine something and carries out what it asks for.
    pub(crate) fn tell(&mut self, index: usize, event: Event) {
        let node = &mut self.nodes[index];
        let Some(mut engine) = node.engine.take() else { return };
        let event = match &mut node.mask {
            Some(mask) => mask.event(event),
            None => event,
        };
        let now = node.time(self.now_us);
        let line = self.names.event(&event);
        self.note(index, "<-", &line);
        // While steps are being taken in or written, heads may be said of less than is believed.
        let reads = matches!(&event, Event::Heard { message: Message::Steps(_), .. });
        engine.handle(now, event);
        let node = &mut self.nodes[index];
        let mut effects: Vec<Effect> = std::iter::from_fn(|| engine.poll()).collect();
        if let Some(mask) = &mut node.mask {
            effects = effects.into_iter().flat_map(|effect| mask.effect(effect)).collect();
            for bytes in mask.forged() {
                self.blobs.insert(BlobId::of(&bytes), bytes);
            }
        }
        let writes =
            effects.iter().any(|effect| matches!(effect, Effect::Record { id: Some(_), .. }));
        self.watch.heads_are_whole = !reads && !writes && node.syncs_due == 0;
        let wake_ms = engine.wake_at();
        node.engine = Some(engine);
        for effect in effects {
            let line = self.names.effect(&effect);
            self.note(index, "->", &line);
            self.watch_effect(index, &effect);
            self.carry_out(index, effect);
        }
        self.set_tick(index, wake_ms);
    }

    pub(crate) fn broken(&mut self, promise: Promise, what: String) {
        if self.watch.violation.is_none() {
            let at_ms = self.now_us / 1000;
            self.watch.violation = Some(Violation { promise, what, at_ms });
        }
    }

    /// Whether an answer is for the node's present life.
    pub(crate) fn is_alive(&self, node: usize, life: u64) -> bool {
        self.nodes[node].is_up() && self.nodes[node].life == life
    }

    pub(crate) fn note(&mut self, node: usize, arrow: &str, line: &str) {
        self.hasher.update(&self.now_us.to_le_bytes());
        self.hasher.update(&(node as u64).to_le_bytes());
        self.hasher.update(line.as_bytes());
        if let Some(trace) = &mut self.trace {
            let (seconds, micros) = (self.now_us / 1_000_000, self.now_us % 1_000_000);
            trace(&format!("{seconds:>4}.{micros:06} n{node} {arrow} {line}"));
        }
    }

    fn set_tick(&mut self, index: usize, wake_ms: Option<u64>) {
        let now_us = self.now_us;
        let node = &mut self.nodes[index];
        let due_us = wake_ms.map(|wake_ms| node.world_us(wake_ms).max(now_us + 1000));
        if node.tick_us == due_us {
            return;
        }
        node.tick_us = due_us;
        let life = node.life;
        if let Some(due_us) = due_us {
            self.at(due_us, Happening::Tick { node: index, life });
        }
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Start { node } => self.start(node),
            Happening::Crash { node } => self.crash(node),
            Happening::Pause { node, for_us } => self.pause(node, for_us),
            Happening::StepClock { node, by_ms } => self.nodes[node].skew_ms += by_ms,
            Happening::Partition { side } => self.divide(&side),
            Happening::Heal => self.divide(&[]),
            Happening::Mute { nodes } => self.mute(&nodes),
            Happening::Slow { node } => self.slow(node),
            Happening::Planned { event } => self.planned(event),
            Happening::Submit { job } => self.submit(job),
            Happening::Leave { node } => self.leave(node),
            Happening::Calm => self.calm(),
            Happening::Inspect => self.inspect(),
            Happening::Connect { a, b } => self.connect(a, b),
            Happening::NoticeLoss { node, of } => self.notice_loss(node, of),
            Happening::Heard { to, from, message, is_gossip } => {
                self.hear(to, from, &message, is_gossip);
            }
            Happening::Tick { node, life } => self.tick(node, life),
            Happening::Synced { node, life, through, record } => {
                self.synced(node, life, through, record);
            }
            Happening::Committed { node, life, through } => self.committed(node, life, through),
            Happening::UnitEnds { node, life, run } => self.unit_ends(node, life, run),
            Happening::Stopped { node, life, run } => self.stopped(node, life, run),
            Happening::FetchEnds { node, life, fetch, job, want, from } => {
                if self.is_alive(node, life) {
                    let got = self.fetch(node, job, &want, &from);
                    self.tell(node, Event::Fetched { fetch, got });
                }
            }
            Happening::Packed { node, life, pack, blob } => {
                if self.is_alive(node, life) {
                    self.tell(node, Event::Packed { pack, blob });
                }
            }
            Happening::ProbeEnds { node, life, probe, peer, lists } => {
                if self.is_alive(node, life) {
                    let held = self.probe(node, peer, &lists.0) && self.probe(node, peer, &lists.1);
                    self.tell(node, Event::Probed { probe, held });
                }
            }
        }
    }

    fn tick(&mut self, node: usize, life: u64) {
        let is_due = self.nodes[node].tick_us.is_some_and(|due_us| due_us <= self.now_us);
        if self.is_alive(node, life) && is_due {
            self.nodes[node].tick_us = None;
            self.tell(node, Event::Tick);
        }
    }

    fn hear(&mut self, to: usize, from: usize, message: &Message, is_gossip: bool) {
        let arrives = self.nodes[to].is_up()
            && if is_gossip && !self.links.is_full_mesh() {
                self.links.same_side(to, from)
            } else {
                self.links.is_up(to, from)
            };
        if !arrives {
            return;
        }
        if let Message::Announce(announcement) = message {
            self.mark_announcement(to, announcement);
        }
        let receipt = is_gossip.then(|| {
            self.receipts += 1;
            self.nodes[to].receipts.insert(Receipt(self.receipts), from);
            Receipt(self.receipts)
        });
        let from = self.nodes[from].peer;
        self.tell(to, Event::Heard { from, message: message.clone(), receipt });
    }

    /// A node that stands still does nothing until it goes on.
    fn paused_until(&self, happening: &Happening) -> Option<u64> {
        let node = match *happening {
            Happening::Heard { to, .. } => to,
            Happening::NoticeLoss { node, .. }
            | Happening::Tick { node, .. }
            | Happening::Synced { node, .. }
            | Happening::Committed { node, .. }
            | Happening::UnitEnds { node, .. }
            | Happening::Stopped { node, .. }
            | Happening::FetchEnds { node, .. }
            | Happening::Packed { node, .. }
            | Happening::ProbeEnds { node, .. } => node,
            Happening::Submit { job } => self.scenario.jobs[job].submitter,
            Happening::Planned { event } => match self.scenario.events[event] {
                crate::scenario::Planned {
                    what: What::Open | What::Cancel | What::WorkOff | What::WorkOn,
                    ref nodes,
                    ..
                } => *nodes.first()?,
                crate::scenario::Planned {
                    what: What::Crash | What::Restart | What::Leave | What::Partition | What::Heal,
                    ..
                } => return None,
            },
            Happening::Connect { a, b } => {
                let late = |node: usize| self.nodes[node].paused_until_us;
                return Some(late(a).max(late(b))).filter(|until_us| self.now_us < *until_us);
            }
            Happening::Start { .. }
            | Happening::Crash { .. }
            | Happening::Pause { .. }
            | Happening::StepClock { .. }
            | Happening::Partition { .. }
            | Happening::Heal
            | Happening::Mute { .. }
            | Happening::Slow { .. }
            | Happening::Leave { .. }
            | Happening::Calm
            | Happening::Inspect => return None,
        };
        Some(self.nodes[node].paused_until_us).filter(|until_us| self.now_us < *until_us)
    }

    /// The submitters' stores hold what their jobs need.
    fn stock(&mut self) {
        for truth in &self.truths {
            let submitter = &mut self.nodes[truth.spec.submitter];
            submitter.store.extend(truth.blobs.keys());
            self.blobs.extend(truth.blobs.iter().map(|(id, bytes)| (*id, bytes.clone())));
        }
        let empty = protocol::Tree::default().to_bytes();
        self.blobs.insert(BlobId::of(&empty), empty);
    }
}
