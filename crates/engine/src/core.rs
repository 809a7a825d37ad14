//! What all roles share: who we are, whom we are linked to, what is to be done, and when.

use std::collections::{BTreeMap, VecDeque};

use protocol::{Hash, Hello, JobId, Message, PeerId, Stamp, hash};

use crate::standing::Standings;
use crate::{Config, Effect, Time};

/// The part of an engine that does not belong to any job.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) config: Config,
    pub(crate) me: PeerId,
    pub(crate) now: Time,
    pub(crate) out: VecDeque<Effect>,
    /// Peers we are linked to, and what they offer once they have said so.
    pub(crate) links: BTreeMap<PeerId, Option<Hello>>,
    /// Which job an effect's id belongs to.
    owners: BTreeMap<u64, JobId>,
    next_id: u64,
    alarm: Option<u64>,
    /// Runs under way, over all jobs.
    pub(crate) running: usize,
    pub(crate) paused: bool,
    /// CPU microseconds spent on each submitter's jobs since the start.
    pub(crate) spent: BTreeMap<PeerId, u64>,
    pub(crate) standings: Standings,
}

impl Core {
    pub(crate) fn new(config: Config) -> Self {
        Self {
            me: config.keypair.peer(),
            config,
            now: Time::default(),
            out: VecDeque::new(),
            links: BTreeMap::new(),
            owners: BTreeMap::new(),
            next_id: 0,
            alarm: None,
            running: 0,
            paused: false,
            spent: BTreeMap::new(),
            standings: Standings::default(),
        }
    }

    pub(crate) fn push(&mut self, effect: Effect) {
        self.out.push_back(effect);
    }

    pub(crate) fn send(&mut self, to: PeerId, message: Message) {
        self.push(Effect::Send { to, message });
    }

    /// A fresh id for an effect of this job.
    pub(crate) fn id_for(&mut self, job: JobId) -> u64 {
        self.next_id += 1;
        self.owners.insert(self.next_id, job);
        self.next_id
    }

    /// Whose effect this was; an id is answered once.
    pub(crate) fn claim_answer(&mut self, id: u64) -> Option<JobId> {
        self.owners.remove(&id)
    }

    /// Whose effect this is.
    pub(crate) fn owner(&self, id: u64) -> Option<JobId> {
        self.owners.get(&id).copied()
    }

    /// Asks for a tick at `mono_ms` at the latest.
    pub(crate) fn wake_at(&mut self, mono_ms: u64) {
        self.alarm = Some(self.alarm.map_or(mono_ms, |alarm| alarm.min(mono_ms)));
    }

    pub(crate) fn alarm(&self) -> Option<u64> {
        self.alarm
    }

    pub(crate) fn clear_alarm(&mut self) {
        self.alarm = None;
    }

    /// A private choice: nobody else can foresee it.
    pub(crate) fn coin(&self, parts: &[&[u8]]) -> Hash {
        let seed = self.config.seed.to_le_bytes();
        hash("coin", &[&[seed.as_slice()], parts].concat())
    }

    /// The identity stamp that a peer has shown us, or our own.
    pub(crate) fn stamp_of(&self, peer: PeerId) -> Option<Stamp> {
        if peer == self.me {
            return self.config.stamp;
        }
        self.links.get(&peer).copied().flatten()?.stamp
    }

    /// Linked peers that offer to work.
    pub(crate) fn workers(&self) -> impl Iterator<Item = PeerId> + '_ {
        self.links
            .iter()
            .filter(|(_, hello)| hello.is_some_and(|hello| hello.works))
            .map(|(peer, _)| *peer)
    }

    /// Linked peers that offer to keep.
    pub(crate) fn keepers(&self) -> impl Iterator<Item = PeerId> + '_ {
        self.links
            .iter()
            .filter(|(_, hello)| hello.is_some_and(|hello| hello.keeps))
            .map(|(peer, _)| *peer)
    }
}
