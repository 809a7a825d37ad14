//! The engine, driven by arbitrary events: peers, messages, answers in any order, time, crashes.

use engine::{Event, FetchId, FetchLoss, Got, PackId, ProbeId, RecordId, RunId, Want};
use protocol::{BlobRef, Execution, Hash, JobId, Loss, Outcome, PeerId, Signed, Stamp, Step, Trap};

use crate::choices::Choices;
use crate::places::execution_of;
use crate::setup::{CREATED_MS, PEERS, Setup, parts};
use crate::shell::{ME, Running, Shell};
use crate::world::World;

/// Events that one story has, without those that follow by themselves.
const ACTS: usize = 160;
/// Answers that are given in one go.
const ANSWERS_MAX: usize = 60;
/// Ticks at one moment after which an engine must have come to rest.
const TICKS_MAX: usize = 64;

/// One engine among peers honest and not, with a job of theirs and one of its own.
pub fn engine(bytes: &[u8]) {
    let mut choices = Choices::new(bytes);
    let mut story = Story::new(&mut choices);
    for _ in 0..ACTS {
        if choices.is_over() {
            break;
        }
        story.act(&mut choices);
    }
}

/// An engine and the worlds of the two jobs that it hears of.
pub(crate) struct Story {
    pub(crate) shell: Shell,
    /// Somebody else's job, and our own.
    pub(crate) worlds: [World; 2],
    /// Steps of each world that were not delivered yet.
    pub(crate) undelivered: [Vec<Signed<Step>>; 2],
    has_submitted: bool,
}

impl Story {
    fn new(choices: &mut Choices<'_>) -> Self {
        let shell = Shell::new(choices.byte());
        let theirs = World::new(Setup::read(choices, 0), 0..PEERS);
        let own = World::new(Setup::read(choices, ME), 1..PEERS);
        Self { shell, worlds: [theirs, own], undelivered: [vec![], vec![]], has_submitted: false }
    }

    pub(crate) fn has_submitted(&self) -> bool {
        self.has_submitted
    }

    fn act(&mut self, choices: &mut Choices<'_>) {
        match choices.below(20) {
            0 | 1 => self.meet_or_part(choices),
            2..=5 => self.play(choices),
            6 | 7 => self.deliver(choices),
            8 | 9 => self.gossip(choices),
            10..=12 => self.answer(choices),
            13 | 14 => (0..ANSWERS_MAX).take_while(|_| self.answer_rightly()).for_each(drop),
            15 => drop(self.shell.sync()),
            16 => self.pass_time(choices),
            17 => self.crash(choices),
            18 => self.wish(choices),
            _ => self.answer_nobody(choices),
        }
        for step in std::mem::take(&mut self.shell.said) {
            let job = step.value().job;
            let world = self.worlds.iter_mut().find(|w| w.setup.manifest.job() == job);
            world.into_iter().for_each(|world| world.hear(&step));
        }
    }

    pub(crate) fn any_peer(&self, choices: &mut Choices<'_>) -> PeerId {
        let number = choices.below(12);
        match number {
            0..PEERS => self.worlds[0].peer(number),
            _ => self.worlds[1].peer(number - PEERS + 1),
        }
    }

    fn meet_or_part(&mut self, choices: &mut Choices<'_>) {
        let peer = self.any_peer(choices);
        let event =
            if choices.below(3) == 0 { Event::PeerDown { peer } } else { Event::PeerUp { peer } };
        self.shell.tell(event);
    }

    /// Others act, and we may hear of it at once.
    fn play(&mut self, choices: &mut Choices<'_>) {
        let (which, acts, at_once) = (choices.below(2), choices.below(4), choices.flag());
        let world = &mut self.worlds[which];
        let known = world.steps.len();
        for _ in 0..=acts {
            world.act(choices);
        }
        let new = world.steps[known..].iter().cloned();
        self.undelivered[which].extend(new);
        if at_once {
            self.deliver_some(which, self.undelivered[which].len(), choices);
        }
    }

    fn deliver(&mut self, choices: &mut Choices<'_>) {
        let (which, many) = (choices.below(2), choices.below(256));
        if choices.rarely() {
            self.undelivered[which].reverse();
        }
        if choices.rarely() {
            self.undelivered[which] = self.worlds[which].steps.clone();
        }
        self.deliver_some(which, many, choices);
    }

    /// What passes the engine's time, and what the clock on the wall makes of it.
    fn pass_time(&mut self, choices: &mut Choices<'_>) {
        let spans = [0, 10, 200, 1100, 3100, 31_000, 61_000, 3_600_000, 86_400_000];
        let span = spans[choices.below(spans.len())];
        self.shell.now.mono_ms += span;
        self.shell.now.unix_ms += span;
        if choices.rarely() {
            let day = choices.below(6) as u64 * 86_400_000;
            self.shell.now.unix_ms = (CREATED_MS + day).max(self.shell.now.unix_ms);
        }
        self.tick();
    }

    /// Ticks until the engine waits for a later moment, which must come soon.
    fn tick(&mut self) {
        for _ in 0..TICKS_MAX {
            self.shell.tell(Event::Tick);
            if self.shell.engine.wake_at().is_none_or(|at| self.shell.now.mono_ms < at) {
                return;
            }
        }
        panic!("an engine asks for the same moment again and again");
    }

    fn crash(&mut self, choices: &mut Choices<'_>) {
        let written = choices.below(256);
        let noise = choices.rarely().then(|| {
            let key = if choices.flag() { b"j/".to_vec() } else { b"s/".to_vec() };
            (key, choices.bytes(40).to_vec())
        });
        self.shell.crash(written, noise);
    }

    /// What the owner asks for.
    fn wish(&mut self, choices: &mut Choices<'_>) {
        let jobs = [0, 1].map(|which: usize| self.worlds[which].setup.manifest.job());
        let event = match choices.below(8) {
            0..=3 if !self.has_submitted => {
                self.has_submitted = true;
                let manifest = self.worlds[1].setup.manifest.clone();
                Event::Submit { manifest, stamp: None, recalls: false }
            }
            0 | 1 => Event::Work { on: choices.flag() },
            2 => Event::Open { job: JobId::new([choices.byte(); 32]) },
            3 | 4 => Event::Open { job: jobs[choices.below(2)] },
            5 => Event::Cancel { job: jobs[choices.below(2)] },
            6 => {
                let epoch = Stamp::epoch_of(CREATED_MS);
                Event::Stamped { stamp: Stamp { epoch, bits: 1, nonce: choices.number() } }
            }
            _ => Event::Work { on: true },
        };
        // A job is opened that is not our own, or that was submitted: its manifest has a fresh nonce.
        let too_early =
            matches!(event, Event::Open { job } if job == jobs[1]) && !self.has_submitted;
        if !too_early {
            self.shell.tell(event);
        }
    }

    /// Answers something that was asked for, rightly or with bad news.
    fn answer(&mut self, choices: &mut Choices<'_>) {
        let runs: Vec<RunId> =
            self.shell.runs.keys().chain(self.shell.stopped.keys()).copied().collect();
        let fetches: Vec<FetchId> = self.shell.fetches.keys().copied().collect();
        match choices.below(5) {
            0 | 1 => {
                let Some(run) = choices.pick(&runs) else { return };
                self.end_some_units(run, choices);
            }
            2 | 3 => {
                let Some(fetch) = choices.pick(&fetches) else { return };
                let losses = [
                    FetchLoss::Missing(BlobRef::of(b"missing").id),
                    FetchLoss::NoRoom,
                    FetchLoss::Malformed(BlobRef::of(b"malformed").id),
                ];
                let loss = [0, 0, 0, 1, 2].map(|n: usize| losses[n])[choices.below(5)];
                let got = if choices.flag() { self.brings(fetch) } else { Err(loss) };
                self.shell.fetches.remove(&fetch);
                self.shell.tell(Event::Fetched { fetch, got });
            }
            _ => {
                let Some(probe) = self.shell.probes.pop_first() else { return };
                self.shell.tell(Event::Probed { probe, held: choices.flag() });
            }
        }
    }

    fn end_some_units(&mut self, run: RunId, choices: &mut Choices<'_>) {
        let running = self.shell.runs.get(&run).or_else(|| self.shell.stopped.get(&run));
        let Some(Running { left, .. }) = running.cloned() else { return };
        let many = 1 + choices.below(left.len().max(1));
        let mut ended: Vec<(u64, Result<Execution, Loss>)> = vec![];
        for (unit, hash) in left.into_iter().take(many) {
            ended.push((unit, some_end(&hash, choices)));
        }
        if choices.rarely() {
            ended.extend(ended.first().cloned());
        }
        self.shell.end_units(run, ended);
    }

    /// Gives the oldest right answer that is due; whether there was one.
    fn answer_rightly(&mut self) -> bool {
        if self.shell.sync() {
            return true;
        }
        if let Some(fetch) = self.shell.fetches.keys().next().copied() {
            let got = self.brings(fetch);
            self.shell.fetches.remove(&fetch);
            self.shell.tell(Event::Fetched { fetch, got });
        } else if let Some((run, running)) = self.shell.runs.first_key_value() {
            let ended = |(unit, hash): &(u64, Hash)| (*unit, Ok(execution_of(hash)));
            let (run, ended) = (*run, running.left.iter().map(ended).collect());
            self.shell.end_units(run, ended);
        } else if let Some((pack, blob)) = self.shell.packs.pop_first() {
            self.shell.tell(Event::Packed { pack, blob });
        } else if let Some(probe) = self.shell.probes.pop_first() {
            self.shell.tell(Event::Probed { probe, held: true });
        } else {
            return false;
        }
        true
    }

    /// Answers to what nobody asked, or has asked in a former life.
    fn answer_nobody(&mut self, choices: &mut Choices<'_>) {
        let id = (1 << 40) + u64::from(choices.byte());
        let event = match choices.below(5) {
            0 => Event::Recorded { record: RecordId(id) },
            1 => Event::Fetched { fetch: FetchId(id), got: Ok(Got::Leaves(vec![])) },
            2 => Event::Ran { run: RunId(id), units: vec![(0, Err(Loss::WorkerCrash))] },
            3 => Event::Packed { pack: PackId(id), blob: BlobRef::of(b"") },
            _ => Event::Probed { probe: ProbeId(id), held: true },
        };
        self.shell.tell(event);
    }

    /// What a good fetch brings, if anybody could have it.
    fn brings(&self, fetch: FetchId) -> Result<Got, FetchLoss> {
        let (job, want) = &self.shell.fetches[&fetch];
        let missing = |blob: Option<&BlobRef>| {
            FetchLoss::Missing(blob.map_or(BlobRef::of(b"").id, |blob| blob.id))
        };
        let world = self.worlds.iter().find(|world| world.setup.manifest.job() == *job);
        let world = world.ok_or_else(|| missing(None))?;
        match want {
            Want::Manifest(_) => Ok(Got::Manifest(Box::new(world.setup.manifest.clone()))),
            Want::Inputs { parts: wanted, .. } => {
                Ok(Got::Inputs { parts: wanted.iter().map(|blob| (blob.id, parts())).collect() })
            }
            Want::Leaves(want) => {
                let known = world.leaves.get(&want.root);
                let fits = known.filter(|leaves| leaves.len() as u64 == want.units);
                fits.cloned().map(Got::Leaves).ok_or_else(|| missing(want.packs.first()))
            }
            Want::Packs { wants, .. } | Want::Reads { packs: wants, .. } => {
                let packs: Option<Vec<BlobRef>> =
                    wants.iter().map(|want| want.packs.first().copied()).collect();
                let packs = packs.ok_or_else(|| missing(None))?;
                Ok(Got::Packs { packs, failed: 0 })
            }
        }
    }
}

/// How a unit may end: mostly as it does everywhere.
fn some_end(unit: &Hash, choices: &mut Choices<'_>) -> Result<Execution, Loss> {
    let right = execution_of(unit);
    match choices.below(16) {
        0 => Err(Loss::Timeout),
        1 => Err(Loss::HostMemory),
        2 => Err(Loss::StackOverflow),
        3 => Err(Loss::MissingBlob(BlobRef::of(b"missing").id)),
        4 => Err(Loss::WorkerCrash),
        5 => Err(Loss::Refused("not here".to_owned())),
        6 => Err(Loss::Cancelled),
        7 => Ok(Execution { outcome: Outcome::Trap(Trap::Unreachable), ..right }),
        _ => Ok(right),
    }
}
