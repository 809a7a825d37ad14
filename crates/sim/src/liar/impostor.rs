//! Announces others' jobs under its own name and under made-up ones, with false numbers, to whoever it is
//! linked with: as soon as it hears of a job, and again to everybody who comes or asks later.

use std::collections::{BTreeMap, BTreeSet};

use engine::{Effect, Event};
use protocol::{Announcement, JobId, Keypair, Message, NetworkId, PeerId, hash};

use super::gang::Gang;
use super::part::Part;
use crate::chance::Chance;

#[derive(Debug)]
pub(super) struct Impostor {
    chance: Chance,
    network: NetworkId,
    names: Vec<Keypair>,
    linked: BTreeSet<PeerId>,
    false_words: BTreeMap<JobId, Vec<Message>>,
    /// Who is to be told about which job next.
    due: Vec<(PeerId, JobId)>,
}

/// What an announcement may be wrong about, beside who made it.
#[derive(Clone, Copy, Debug)]
enum Lie {
    Nothing,
    Expiry,
    Memory,
    Size,
    Level,
}

impl Lie {
    const ALL: [Self; 5] = [Self::Expiry, Self::Memory, Self::Size, Self::Level, Self::Nothing];
}

impl Impostor {
    pub(super) fn new(chance: Chance, keypair: Keypair, network: NetworkId, gang: &Gang) -> Self {
        let me = keypair.peer();
        let made_up = |n: u64| {
            let secret = hash("impostor", &[me.as_bytes(), &n.to_le_bytes()]);
            Keypair::from_secret(secret.as_bytes())
        };
        let names =
            std::iter::once(keypair).chain((0..gang.identities as u64).map(made_up)).collect();
        let (linked, false_words, due) = (BTreeSet::new(), BTreeMap::new(), Vec::new());
        Self { chance, network, names, linked, false_words, due }
    }

    /// What all its names say about a job: in some jobs all the same lie, in others each its own.
    fn lie(&mut self, truth: &Announcement) -> Vec<Message> {
        let together = self.chance.percent(60).then(|| *self.chance.pick(&Lie::ALL));
        let mut words = Vec::new();
        for (n, name) in self.names.iter().enumerate() {
            let lie = together.unwrap_or(Lie::ALL[n % Lie::ALL.len()]);
            let said = said(truth, lie, &mut self.chance);
            words.push(Message::Announce(name.sign(self.network, said)));
        }
        words
    }
}

/// The truth with one thing wrong.
fn said(truth: &Announcement, lie: Lie, chance: &mut Chance) -> Announcement {
    let truth = Announcement { stamp: None, ..truth.clone() };
    match lie {
        Lie::Nothing => truth,
        Lie::Expiry => {
            // Late enough to be taken in by clocks that go wrong, and for workers to have signed something.
            let expires_ms = truth.created_ms + chance.within(3000..=60_000);
            Announcement { expires_ms, ..truth }
        }
        Lie::Memory => Announcement { memory_bytes: u64::MAX, ..truth },
        Lie::Size => Announcement { manifest_bytes: truth.manifest_bytes - 1, ..truth },
        Lie::Level => Announcement { level: u8::MAX, ..truth },
    }
}

impl Part for Impostor {
    fn told(&mut self, event: &Event) {
        if let Event::PeerUp { peer } = event {
            self.linked.insert(*peer);
            self.due.extend(self.false_words.keys().map(|job| (*peer, *job)));
        } else if let Event::PeerDown { peer } = event {
            self.linked.remove(peer);
        }
    }

    fn heard(&mut self, from: PeerId, message: &Message) {
        if let Message::WantJobs(jobs) = message {
            let known = jobs.iter().filter(|job| self.false_words.contains_key(job));
            self.due.extend(known.map(|job| (from, *job)));
        } else if let Message::Announce(announcement) = message {
            let truth = announcement.value();
            if !self.false_words.contains_key(&truth.job) {
                let words = self.lie(truth);
                self.false_words.insert(truth.job, words);
                self.due.extend(self.linked.iter().map(|peer| (*peer, truth.job)));
            }
        }
    }

    fn adds(&mut self, _effect: &Effect) -> Vec<Effect> {
        let due = std::mem::take(&mut self.due);
        let words = |(to, job): (PeerId, JobId)| {
            let words = self.false_words[&job].iter().cloned();
            words.map(move |message| Effect::Send { to, message })
        };
        due.into_iter().flat_map(words).collect()
    }
}
