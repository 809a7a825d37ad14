//! A shell without a machine: it carries out an engine's effects, and answers when the story says so.

use std::collections::{BTreeMap, BTreeSet};

use engine::{
    Config, Effect, Engine, Event, FetchId, PackId, ProbeId, Receipt, Record, RecordId, RunId,
    Time, Want, job_prefixes,
};
use protocol::{
    BlobRef, Execution, Hash, JobId, Loss, Message, PeerId, Report, Signed, Stamp, Step,
};

use crate::promises::Watch;
use crate::setup::{CREATED_MS, key, network};

/// More effects than this of one event, and an engine runs in circles.
const EFFECTS_MAX: usize = 20_000;
/// The number of our own key.
pub(crate) const ME: usize = 100;

/// An engine, and what it waits for.
#[derive(Debug)]
pub(crate) struct Shell {
    pub(crate) engine: Engine,
    pub(crate) config: Config,
    pub(crate) now: Time,
    /// The journal as it would be found after a crash.
    journal: BTreeMap<Vec<u8>, Vec<u8>>,
    /// What is on its way to the disk, in order.
    waiting: Vec<Write>,
    pub(crate) runs: BTreeMap<RunId, Running>,
    /// Runs that the engine has stopped, and that may still have something to tell.
    pub(crate) stopped: BTreeMap<RunId, Running>,
    pub(crate) fetches: BTreeMap<FetchId, (JobId, Want)>,
    pub(crate) packs: BTreeMap<PackId, BlobRef>,
    pub(crate) probes: BTreeSet<ProbeId>,
    receipts: BTreeSet<Receipt>,
    next_receipt: u64,
    /// Executions whose batch was not packed yet.
    executions: BTreeMap<(JobId, u16, u64), Execution>,
    /// Our own steps that were sent, since somebody last looked.
    pub(crate) said: Vec<Signed<Step>>,
    watch: Watch,
}

#[derive(Debug)]
enum Write {
    Record { id: Option<RecordId>, record: Record },
    Forget(JobId),
}

/// Units under way, each with its identity.
#[derive(Clone, Debug)]
pub(crate) struct Running {
    pub(crate) job: JobId,
    pub(crate) stage: u16,
    pub(crate) left: Vec<(u64, Hash)>,
}

impl Shell {
    /// An engine of an owner who lends what these bytes say.
    pub(crate) fn new(lends: u8) -> Self {
        let stamp = Stamp { epoch: Stamp::epoch_of(CREATED_MS), bits: 1, nonce: 7 };
        let config = Config {
            keypair: key(ME),
            network: network(),
            cores: 1 + usize::from(lends % 3),
            memory_bytes: 1 << 30,
            works: lends & 8 == 0,
            keeps: lends & 16 == 0,
            stamp: (lends & 32 == 0).then_some(stamp),
            job_stamp_base: (lends & 0xc0 == 0xc0).then_some(0),
            seed: u64::from(lends),
            report: Report { engine: "fuzz".to_owned(), cpu: "fuzz".to_owned() },
        };
        Self {
            engine: Engine::new(config.clone()),
            now: Time { mono_ms: 0, unix_ms: CREATED_MS + 1000 },
            journal: BTreeMap::new(),
            waiting: vec![],
            runs: BTreeMap::new(),
            stopped: BTreeMap::new(),
            fetches: BTreeMap::new(),
            packs: BTreeMap::new(),
            probes: BTreeSet::new(),
            receipts: BTreeSet::new(),
            next_receipt: 0,
            executions: BTreeMap::new(),
            said: vec![],
            watch: Watch::new(config.keypair.peer()),
            config,
        }
    }

    /// Lets something happen, and carries out what follows.
    pub(crate) fn tell(&mut self, event: Event) {
        self.engine.handle(self.now, event);
        let mut effects = 0;
        while let Some(effect) = self.engine.poll() {
            effects += 1;
            assert!(effects <= EFFECTS_MAX, "an engine runs in circles: {effect:?}");
            self.carry_out(effect);
        }
        assert!(self.receipts.is_empty(), "gossip was not judged");
        self.watch.views(&self.engine);
    }

    pub(crate) fn hear(&mut self, from: PeerId, message: Message, is_gossip: bool) {
        self.next_receipt += 1;
        let receipt = is_gossip.then_some(Receipt(self.next_receipt));
        self.receipts.extend(receipt);
        self.tell(Event::Heard { from, message, receipt });
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Record { id, record } => self.waiting.push(Write::Record { id, record }),
            Effect::Send { message, .. } | Effect::Broadcast { message, .. } => {
                self.speak(&message)
            }
            Effect::Announce { message } => {
                if let Message::Announce(announcement) = &message {
                    let [key, _] = job_prefixes(announcement.value().job);
                    assert!(self.journal.contains_key(&key), "announced before it was recorded");
                }
                self.speak(&message);
            }
            Effect::Judge { receipt, .. } => {
                assert!(self.receipts.remove(&receipt), "gossip was judged twice");
            }
            Effect::Join { .. }
            | Effect::Leave { .. }
            | Effect::Provide { .. }
            | Effect::Seek { .. }
            | Effect::Changed { .. } => {}
            Effect::Fetch { fetch, job, want, .. } => {
                assert!(self.fetches.insert(fetch, (job, want)).is_none(), "an id was used twice");
            }
            Effect::Run { run, job, plan, stage, units, reads } => {
                let hash =
                    |unit: u64| plan.unit_hash(stage, unit, reads.gathered(&plan, stage, unit));
                let left =
                    units.iter().map(|unit| (*unit, hash(*unit).expect("it can be derived")));
                let running = Running { job, stage, left: left.collect() };
                assert!(!units.is_empty(), "a run of nothing");
                assert!(self.runs.insert(run, running).is_none(), "an id was used twice");
                assert!(self.runs.len() <= self.config.cores, "more runs than cores");
            }
            Effect::Recall { .. } | Effect::Remember { .. } => {}
            Effect::Stop { run } => {
                let running = self.runs.remove(&run).expect("only what runs is stopped");
                self.stopped.insert(run, running);
            }
            Effect::Pack { pack, job, stage, units, outcomes } => {
                assert_eq!(units.len(), outcomes.len(), "a pack of other units");
                self.release(job, stage, &units);
                let digests: Vec<Hash> = outcomes.iter().map(|o| o.digest()).collect();
                let blob = BlobRef::of(protocol::merkle_root(&digests).as_bytes());
                assert!(self.packs.insert(pack, blob).is_none(), "an id was used twice");
            }
            Effect::Release { job, stage, units } => self.release(job, stage, &units),
            Effect::Probe { probe, .. } => {
                assert!(self.probes.insert(probe), "an id was used twice");
            }
            Effect::Forget { job } => self.waiting.push(Write::Forget(job)),
        }
    }

    fn release(&mut self, job: JobId, stage: u16, units: &[u64]) {
        for unit in units {
            self.executions.remove(&(job, stage, *unit));
        }
    }

    fn speak(&mut self, message: &Message) {
        let said = self.watch.speaks(message, &self.journal);
        self.said.extend(said);
    }

    /// Brings writes to the disk up to the first that the engine waits for, and tells it.
    pub(crate) fn sync(&mut self) -> bool {
        while !self.waiting.is_empty() {
            match self.waiting.remove(0) {
                Write::Record { id, record } => {
                    self.write(record);
                    if let Some(record) = id {
                        self.tell(Event::Recorded { record });
                        return true;
                    }
                }
                Write::Forget(job) => self.forget(job),
            }
        }
        false
    }

    fn write(&mut self, Record { key, value }: Record) {
        match value {
            Some(value) => drop(self.journal.insert(key, value)),
            None => drop(self.journal.remove(&key)),
        }
    }

    fn forget(&mut self, job: JobId) {
        let prefixes = job_prefixes(job);
        self.journal.retain(|key, _| !prefixes.iter().any(|prefix| key.starts_with(prefix)));
        self.executions.retain(|(of, ..), _| *of != job);
    }

    /// The process dies when so many of the waiting writes are on the disk, and starts again.
    pub(crate) fn crash(&mut self, written: usize, noise: Option<(Vec<u8>, Vec<u8>)>) {
        for write in std::mem::take(&mut self.waiting).into_iter().take(written) {
            match write {
                Write::Record { record, .. } => self.write(record),
                Write::Forget(job) => self.forget(job),
            }
        }
        self.engine = Engine::new(self.config.clone());
        self.now.mono_ms = 0;
        self.runs.clear();
        self.stopped.clear();
        self.fetches.clear();
        self.packs.clear();
        self.probes.clear();
        let records = self.journal.clone().into_iter().chain(noise).collect();
        let of = |((job, stage, unit), execution): (&(JobId, u16, u64), &Execution)| {
            (*job, *stage, *unit, execution.clone())
        };
        let executions = self.executions.iter().map(of).collect();
        self.tell(Event::Resumed { records, executions });
    }

    /// Ends units of a run; it is forgotten with the last of them.
    pub(crate) fn end_units(&mut self, run: RunId, ended: Vec<(u64, Result<Execution, Loss>)>) {
        let Some(running) = self.runs.get_mut(&run).or_else(|| self.stopped.get_mut(&run)) else {
            return;
        };
        running.left.retain(|(unit, _)| ended.iter().all(|(other, _)| other != unit));
        let (job, stage, is_over) = (running.job, running.stage, running.left.is_empty());
        for (unit, result) in &ended {
            if let Ok(execution) = result {
                self.executions.insert((job, stage, *unit), execution.clone());
            }
        }
        if is_over {
            self.runs.remove(&run);
            self.stopped.remove(&run);
        }
        self.tell(Event::Ran { run, units: ended });
    }
}
