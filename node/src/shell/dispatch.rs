//! The engine's task: one event goes in, its effects come out, each to the family that does it.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use engine::{Effect, Engine, Event, JobView, RecordId, ResultsPart, Standing, WindowView};
use protocol::{BlobId, Bundle, FeedId, JobId, PeerId};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tracing::{debug, trace};

use crate::Tamper;
use crate::shell::memory::Recall;
use crate::shell::run::{Order, Runs};
use crate::shell::talk::Talk;
use crate::shell::{Changes, Clock, Journal, Shared, fetch, forget, memory, pack, probe, provide};

/// What a [`crate::Node`] asks of the engine's task.
#[derive(Debug)]
pub(crate) enum Ask {
    /// Give the engine an event; the answer comes once all that it recorded then is on disk.
    Tell(Box<Event>, oneshot::Sender<()>),
    Jobs(oneshot::Sender<Vec<JobView>>),
    Job(JobId, oneshot::Sender<Option<JobView>>),
    /// Those of a job's results that have these numbers.
    Results(JobId, Range<u64>, oneshot::Sender<Option<ResultsPart>>),
    Proof(JobId, oneshot::Sender<Option<Bundle>>),
    /// The windows of a feed, without those that were seen.
    Windows(FeedId, BTreeSet<JobId>, oneshot::Sender<Vec<WindowView>>),
    Feeds(oneshot::Sender<BTreeSet<FeedId>>),
    /// Packs that the job's log names, and whether those are results.
    Packs(JobId, oneshot::Sender<BTreeMap<BlobId, bool>>),
    Standings(Vec<PeerId>, oneshot::Sender<Vec<Standing>>),
}

/// Where the engine's task is told something.
#[derive(Debug)]
pub(crate) struct Inbox {
    /// From the node's handles.
    pub(crate) asks: mpsc::Receiver<Ask>,
    /// From the families of effects.
    pub(crate) events: mpsc::Receiver<Event>,
    /// From the journal; as many as it holds.
    pub(crate) recorded: mpsc::UnboundedReceiver<Vec<RecordId>>,
}

/// The engine, and everything that its effects are handed to.
pub(crate) struct Dispatch {
    engine: Engine,
    tamper: Option<Box<dyn Tamper>>,
    clock: Clock,
    shared: Arc<Shared>,
    journal: Journal,
    talk: Talk,
    runs: Runs,
    changes: Changes,
}

impl Dispatch {
    pub(crate) fn new(
        shared: Arc<Shared>,
        engine: Engine,
        tamper: Option<Box<dyn Tamper>>,
        journal: Journal,
        changes: Changes,
    ) -> Self {
        let talk = Talk::start(&shared);
        let runs = Runs::default();
        Self { engine, tamper, clock: Clock::new(), shared, journal, talk, runs, changes }
    }

    /// Serves the engine until the node stops.
    pub(crate) async fn run(mut self, resumed: Option<Event>, mut inbox: Inbox) {
        let stop = self.shared.stop.clone();
        let mut first = resumed;
        // The engine is told nothing while there is no room for what it may record.
        while let Some(Some(room)) = stop.run_until_cancelled(self.journal.room()).await {
            if let Some(event) = first.take() {
                self.handle(event);
            } else {
                tokio::select! {
                    () = stop.cancelled() => break,
                    Some(ids) = inbox.recorded.recv() => {
                        self.shared.counters.records.add(ids.len() as u64);
                        for record in ids {
                            self.handle(Event::Recorded { record });
                        }
                    }
                    Some(ask) = inbox.asks.recv() => self.answer(ask),
                    Some(event) = inbox.events.recv() => self.handle(event),
                    () = at(self.engine.wake_at().map(|due| self.clock.at(due))) => {
                        self.handle(Event::Tick);
                    }
                    () = at(self.changes.due()) => self.changes.tell(),
                }
            }
            self.journal.close(room);
        }
        debug!("the engine's task ends");
    }

    fn answer(&mut self, ask: Ask) {
        // Who asked may not wait any more.
        match ask {
            Ask::Tell(event, done) => {
                self.handle(*event);
                self.journal.when_durable(done);
            }
            Ask::Jobs(answer) => drop(answer.send(self.engine.jobs())),
            Ask::Job(job, answer) => drop(answer.send(self.engine.job(job))),
            Ask::Results(job, numbers, answer) => {
                drop(answer.send(self.engine.results_among(job, numbers)));
            }
            Ask::Packs(job, answer) => drop(answer.send(self.engine.packs(job))),
            Ask::Proof(job, answer) => drop(answer.send(self.engine.proof(job))),
            Ask::Windows(feed, seen, answer) => {
                drop(answer.send(self.engine.windows(feed, &seen)));
            }
            Ask::Feeds(answer) => drop(answer.send(self.engine.feeds())),
            Ask::Standings(peers, answer) => {
                let of = peers.into_iter().map(|peer| self.engine.standing(peer));
                drop(answer.send(of.collect()));
            }
        }
    }

    fn handle(&mut self, mut event: Event) {
        trace!(?event, "event");
        self.shared.counters.events.add(1);
        match &event {
            Event::PeerUp { peer } => self.talk.peer_up(*peer),
            Event::PeerDown { peer } => self.talk.peer_down(*peer),
            Event::Resumed { .. }
            | Event::Submit { .. }
            | Event::Stamped { .. }
            | Event::Open { .. }
            | Event::Cancel { .. }
            | Event::Work { .. }
            | Event::Heard { .. }
            | Event::Recorded { .. }
            | Event::Fetched { .. }
            | Event::Ran { .. }
            | Event::Packed { .. }
            | Event::Probed { .. }
            | Event::Recalled { .. }
            | Event::Tick => {}
        }
        let own = self.tamper.as_mut().map(|tamper| tamper.event(&mut event));
        for effect in own.into_iter().flatten() {
            self.carry_out(effect);
        }
        self.engine.handle(self.clock.now(), event);
        while let Some(effect) = self.engine.poll() {
            match &mut self.tamper {
                None => self.carry_out(effect),
                Some(tamper) => {
                    for effect in tamper.effect(effect) {
                        self.carry_out(effect);
                    }
                }
            }
        }
    }

    fn carry_out(&mut self, effect: Effect) {
        trace!(?effect, "effect");
        self.shared.counters.effects.add(1);
        let shared = &self.shared;
        match effect {
            Effect::Record { id, record } => self.journal.record(id, record),
            Effect::Send { to, message } => self.talk.send(to, &message),
            Effect::Broadcast { job, message } => self.talk.broadcast(job, message),
            Effect::Announce { message } => self.talk.announce(&message),
            Effect::Judge { receipt, judgement } => self.talk.judge(receipt, judgement),
            Effect::Join { job } => self.talk.join(job),
            Effect::Leave { job } => self.talk.leave(job),
            Effect::Provide { job, blobs } => provide::provide(shared, job, blobs),
            Effect::Seek { job } => provide::seek(shared, job),
            Effect::Fetch { fetch, job, want, from } => {
                let kept = self.engine.kept_beside(job);
                fetch::start(shared, fetch, kept, fetch::Errand { job, want, from });
            }
            Effect::Run { run, job, plan, stage, units, reads } => {
                self.runs.start(shared, run, Order { job, plan, stage, units, reads });
            }
            Effect::Recall { recall, job, plan, stage, units, reads } => {
                memory::recall(shared, Recall { recall, job, plan, stage, units, reads });
            }
            Effect::Remember { job, plan, packs, from } => {
                memory::remember(shared, job, plan, packs, from);
            }
            Effect::Stop { run } => self.runs.stop(run),
            Effect::Pack { pack, job, stage, units, outcomes } => {
                pack::start(shared, pack, job, stage, units, outcomes);
            }
            Effect::Release { job, stage, units } => pack::release(shared, job, stage, &units),
            Effect::Probe { probe, peer, blobs, packs } => {
                probe::start(shared, probe, peer, blobs, packs);
            }
            Effect::Changed { job } => {
                shared.known.note(job, self.engine.knows(job));
                self.changes.note(job);
            }
            Effect::Forget { job } => forget::start(shared, job),
        }
    }
}

/// Waits until `due`; for ever, if nothing is.
async fn at(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}
