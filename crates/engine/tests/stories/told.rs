//! The harness: an engine in a world of given time, its effects told in short lines.

use std::collections::BTreeMap;

use engine::{Config, Effect, Engine, Event, FetchLoss, Got, PackWant, RunId, Time, Want};
use protocol::{
    BlobRef, Cost, Execution, Exit, Hash, Heads, Hello, Item, JobId, Keypair, Loss, Manifest,
    Message, NetworkId, Outcome, PROTOCOL, PeerId, Policy, Range, Report, SEMANTICS, Signed,
    Source, Stage, Stdin, Step, UnitLimits, hash,
};

pub(crate) fn network() -> NetworkId {
    NetworkId::named("stories")
}

pub(crate) fn key(name: &str) -> Keypair {
    Keypair::from_secret(hash("story", &[name.as_bytes()]).as_bytes())
}

pub(crate) fn peer(name: &str) -> PeerId {
    key(name).peer()
}

/// A job of `units` units in batches of `batch`, submitted by `submitter`.
pub(crate) fn job_of(submitter: &str, units: u64, batch: u32) -> Manifest {
    let stage = Stage {
        name: "map".to_owned(),
        source: Source::Range(Range { from: 0, to: units, block: 1 }),
        module: BlobRef::of(b"module"),
        args: vec!["{index}".to_owned()],
        env: vec![],
        stdin: Stdin::Nothing,
        inputs: vec![],
        limits: UnitLimits::default(),
        batch,
        links: protocol::Links::default(),
    };
    Manifest {
        protocol: PROTOCOL,
        semantics: SEMANTICS,
        name: "story".to_owned(),
        description: String::new(),
        submitter: peer(submitter),
        created_ms: 1_000,
        expires_ms: 1_000_000,
        nonce: Hash::ZERO,
        stages: vec![stage],
        policy: Policy::standard(peer(submitter)),
        priority: 5,
        window: None,
    }
}

/// What every honest execution of a unit gives.
pub(crate) fn executed(unit: u64) -> Execution {
    let outcome = Outcome::Exit(Exit {
        code: 0,
        stdout: BlobRef::of(&unit.to_le_bytes()),
        out: BlobRef::of(b""),
    });
    let trace = protocol::trace_digest(&outcome, [(0, [unit as u8; 32])]);
    Execution { outcome, trace, cost: Cost { cpu_us: 1000, ..Cost::default() } }
}

/// An engine and what it is waiting for.
pub(crate) struct Told {
    pub(crate) engine: Engine,
    pub(crate) now: Time,
    pub(crate) journal: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Every effect of the last event.
    pub(crate) last: Vec<Effect>,
    manifests: BTreeMap<JobId, Manifest>,
}

impl Told {
    pub(crate) fn new(name: &str) -> Self {
        let config = Config {
            keypair: key(name),
            network: network(),
            cores: 1,
            memory_bytes: 1 << 30,
            works: true,
            stamp: None,
            job_stamp_base: None,
            keeps: true,
            seed: 7,
            report: Report { engine: "story".to_owned(), cpu: "story".to_owned() },
        };
        let now = Time { mono_ms: 0, unix_ms: 2_000 };
        Self {
            engine: Engine::new(config),
            now,
            journal: BTreeMap::new(),
            last: vec![],
            manifests: BTreeMap::new(),
        }
    }

    /// Lets something happen; returns the effects, told shortly.
    pub(crate) fn tell(&mut self, event: Event) -> Vec<String> {
        self.engine.handle(self.now, event);
        self.last = std::iter::from_fn(|| self.engine.poll()).collect();
        for effect in &self.last {
            if let Effect::Record { record, .. } = effect {
                match &record.value {
                    Some(value) => self.journal.insert(record.key.clone(), value.clone()),
                    None => self.journal.remove(&record.key),
                };
            }
        }
        self.last.iter().filter_map(short).collect()
    }

    pub(crate) fn hear(&mut self, from: &str, message: Message) -> Vec<String> {
        self.tell(Event::Heard { from: peer(from), message, receipt: None })
    }

    /// Moves time to the next alarm, or by `ms`, and ticks.
    pub(crate) fn wait(&mut self, ms: u64) -> Vec<String> {
        self.now.mono_ms += ms;
        self.tell(Event::Tick)
    }

    /// Links a worker and keeper.
    pub(crate) fn meet(&mut self, name: &str) -> Vec<String> {
        let mut told = self.tell(Event::PeerUp { peer: peer(name) });
        told.extend(
            self.hear(name, Message::Hello(Hello { works: true, keeps: true, stamp: None })),
        );
        told
    }

    /// Makes a manifest available to be fetched.
    pub(crate) fn knows(&mut self, manifest: &Manifest) {
        self.manifests.insert(manifest.job(), manifest.clone());
    }

    /// Hears of a job and gets all its bytes; returns what follows.
    pub(crate) fn learn(&mut self, submitter: &str, manifest: &Manifest) -> Vec<String> {
        self.knows(manifest);
        let announcement = key(submitter).sign(network(), protocol::Announcement::of(manifest));
        let mut told = self.hear(submitter, Message::Announce(announcement));
        told.extend(self.get_everything());
        told.extend(self.hear_nothing_known(submitter, manifest));
        told
    }

    /// Hears from the submitter that nobody has said anything yet about a job.
    pub(crate) fn hear_nothing_known(&mut self, from: &str, manifest: &Manifest) -> Vec<String> {
        let (job, heads, forked) = (manifest.job(), vec![], vec![]);
        self.hear(from, Message::Heads(Heads { job, heads, forked, answer: false }))
    }

    /// Lets every fetch succeed.
    pub(crate) fn get_everything(&mut self) -> Vec<String> {
        self.tell_fetches(|_| None)
    }

    /// Lets every fetch end, with a loss or rightly.
    pub(crate) fn tell_fetches(&mut self, loss: fn(&Want) -> Option<FetchLoss>) -> Vec<String> {
        let mut told = vec![];
        loop {
            let mut events = vec![];
            for effect in &self.last {
                let Effect::Fetch { fetch, job, want, .. } = effect else { continue };
                let got = match want {
                    want if loss(want).is_some() => {
                        let got = Err(loss(want).expect("it was just seen"));
                        events.push(Event::Fetched { fetch: *fetch, got });
                        continue;
                    }
                    want => self.right(*job, want),
                };
                events.push(Event::Fetched { fetch: *fetch, got: Ok(got) });
            }
            if events.is_empty() {
                return told;
            }
            let mut effects = vec![];
            for event in events {
                told.extend(self.tell(event));
                effects.append(&mut self.last);
            }
            self.last = effects;
        }
    }

    /// What a fetch brings if all goes well.
    pub(crate) fn right(&self, job: JobId, want: &Want) -> Got {
        match want {
            Want::Manifest(_) => Got::Manifest(Box::new(self.manifests[&job].clone())),
            Want::Inputs { .. } => Got::Inputs { parts: vec![] },
            Want::Leaves(want) => Got::Leaves(right_leaves(want)),
            Want::Packs { wants, .. } | Want::Reads { packs: wants, .. } => {
                Got::Packs { packs: wants.iter().map(|w| w.packs[0]).collect(), failed: 0 }
            }
        }
    }

    /// The runs that the last event started.
    pub(crate) fn runs(&self) -> Vec<(RunId, Vec<u64>)> {
        let run = |effect: &Effect| match effect {
            Effect::Run { run, units, .. } => Some((*run, units.clone())),
            _ => None,
        };
        self.last.iter().filter_map(run).collect()
    }

    /// Finishes a run rightly, up to the vote's record.
    pub(crate) fn finish(&mut self, run: RunId, units: &[u64]) -> Vec<String> {
        let results = units.iter().map(|unit| (*unit, Ok(executed(*unit)))).collect();
        let mut told = self.tell(Event::Ran { run, units: results });
        told.extend(self.store_packs());
        told
    }

    /// Ends a run without outcomes.
    pub(crate) fn lose(&mut self, run: RunId, units: &[u64], loss: &Loss) -> Vec<String> {
        let results = units.iter().map(|unit| (*unit, Err(loss.clone()))).collect();
        self.tell(Event::Ran { run, units: results })
    }

    pub(crate) fn store_packs(&mut self) -> Vec<String> {
        let packs: Vec<Event> = self
            .last
            .iter()
            .filter_map(|effect| match effect {
                Effect::Pack { pack, units, .. } => {
                    Some(Event::Packed { pack: *pack, blob: BlobRef::of(&units[0].to_le_bytes()) })
                }
                _ => None,
            })
            .collect();
        packs.into_iter().flat_map(|event| self.tell(event)).collect()
    }

    /// Acknowledges everything that must be on disk.
    pub(crate) fn sync(&mut self) -> Vec<String> {
        let records: Vec<Event> = self
            .last
            .iter()
            .filter_map(|effect| match effect {
                Effect::Record { id: Some(record), .. } => {
                    Some(Event::Recorded { record: *record })
                }
                _ => None,
            })
            .collect();
        records.into_iter().flat_map(|event| self.tell(event)).collect()
    }

    /// Steps that the last event sent to all participants.
    pub(crate) fn said(&self) -> Vec<Signed<Step>> {
        let steps = |effect: &Effect| match effect {
            Effect::Broadcast { message: Message::Steps(steps), .. } => Some(steps.clone()),
            _ => None,
        };
        self.last.iter().filter_map(steps).flatten().collect()
    }
}

/// The leaves of a batch that honest workers executed, which begins at unit 0 or has one unit.
fn right_leaves(want: &PackWant) -> Vec<Hash> {
    let first = if want.units == 1 { u64::from(want.batch) } else { 0 };
    (first..first + want.units).map(|unit| executed(unit).outcome.digest()).collect()
}

/// One line per effect; changes of the view are left out.
fn short(effect: &Effect) -> Option<String> {
    Some(match effect {
        Effect::Changed { .. } => return None,
        Effect::Record { id: Some(_), .. } => "record, and say when".to_owned(),
        Effect::Record { id: None, .. } => "record".to_owned(),
        Effect::Send { message, .. } => format!("send {}", word(message)),
        Effect::Broadcast { message, .. } => format!("tell all {}", word(message)),
        Effect::Announce { .. } => "announce".to_owned(),
        Effect::Judge { judgement, .. } => format!("judge {judgement:?}"),
        Effect::Join { .. } => "join".to_owned(),
        Effect::Leave { .. } => "leave".to_owned(),
        Effect::Provide { .. } => "provide".to_owned(),
        Effect::Seek { .. } => "seek".to_owned(),
        Effect::Fetch { want: Want::Manifest(_), .. } => "fetch manifest".to_owned(),
        Effect::Fetch { want: Want::Inputs { .. }, .. } => "fetch inputs".to_owned(),
        Effect::Fetch { want: Want::Packs { wants, outputs: false }, .. } => {
            format!("fetch {} packs", wants.len())
        }
        Effect::Fetch { want: Want::Packs { wants, outputs: true }, .. } => {
            format!("fetch {} packs with outputs", wants.len())
        }
        Effect::Fetch { want: Want::Reads { packs, .. }, .. } => {
            format!("fetch {} packs that are read", packs.len())
        }
        Effect::Fetch { want: Want::Leaves(want), .. } => {
            format!("fetch leaves of batch {}", want.batch)
        }
        Effect::Run { units, .. } => format!("run {units:?}"),
        Effect::Recall { stage, .. } => format!("recall stage {stage}"),
        Effect::Remember { .. } => "remember".to_owned(),
        Effect::Stop { .. } => "stop".to_owned(),
        Effect::Pack { units, .. } => format!("pack {units:?}"),
        Effect::Release { units, .. } => format!("release {units:?}"),
        Effect::Probe { .. } => "probe".to_owned(),
        Effect::Forget { .. } => "forget".to_owned(),
    })
}

fn word(message: &Message) -> String {
    match message {
        Message::Hello(_) => "hello".to_owned(),
        Message::Announce(_) => "announcement".to_owned(),
        Message::Jobs(_) => "jobs".to_owned(),
        Message::WantJobs(_) => "want jobs".to_owned(),
        Message::Steps(steps) => {
            let items = steps.iter().flat_map(|step| &step.value().items);
            let words: Vec<&str> = items
                .map(|item| match item {
                    Item::Vote(_) => "vote",
                    Item::Certificate(_) => "certificate",
                    Item::Leaves(_) => "leaves",
                    Item::Abstention(_) => "abstention",
                    Item::Seal(_) => "seal",
                    Item::Keepers(_) => "keepers",
                    Item::Cancel => "cancel",
                })
                .collect();
            words.join("+")
        }
        Message::Claim(_) => "claim".to_owned(),
        Message::Heads(_) => "heads".to_owned(),
        Message::Keep(_) => "keep".to_owned(),
        Message::Kept(_) => "kept".to_owned(),
    }
}
