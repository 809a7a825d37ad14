//! Keepers: who submitted a job finds peers that hold it, and looks whether they do; while it is away, those
//! whom it has named look after each other. A peer that is asked holds the job.

use std::collections::{BTreeMap, BTreeSet};

use protocol::{BlobRef, Hash, Item, Message, PeerId, hash};

use crate::active::Active;
use crate::core::Core;
use crate::limits::{
    KEEPER_CHECK_MS, KEEPER_DOUBT_MS, KEEPER_MISSES, KEEPER_MS, KEEPER_REST_MS, KEEPER_RESULTS_MS,
    KEEPERS_WANTED,
};
use crate::{Effect, ProbeId};

/// What is known of the peers that hold the job, and what our own word to them is.
#[derive(Debug, Default)]
pub(crate) struct Keeping {
    asked: BTreeMap<PeerId, Asked>,
    /// Named in our log already.
    named: BTreeSet<PeerId>,
    /// Whom we have told that we hold everything, and whether that was with the results.
    answered: Option<(PeerId, bool)>,
}

#[derive(Clone, Copy, Debug)]
enum Asked {
    /// Asked to fetch everything, until then.
    Fetching { until_ms: u64 },
    /// A challenge is under way.
    Challenged { probe: ProbeId, with_results: bool, before: Option<Held> },
    /// Has answered the last challenge, or is believed until the next.
    Holds(Held),
    /// Did not answer, or not rightly; may be asked again then.
    Failed { until_ms: u64 },
}

/// What a peer holds.
#[derive(Clone, Copy, Debug)]
struct Held {
    since_ms: u64,
    /// Whether it has shown something of the results, too.
    results: bool,
    /// When it is challenged again.
    again_ms: u64,
    /// Challenges in a row that it has failed.
    misses: u32,
}

impl Held {
    fn now(now_ms: u64) -> Self {
        Self { since_ms: now_ms, results: false, again_ms: now_ms + KEEPER_DOUBT_MS, misses: 0 }
    }
}

impl Asked {
    fn held(&self) -> Option<Held> {
        match self {
            Self::Holds(held) | Self::Challenged { before: Some(held), .. } => Some(*held),
            Self::Challenged { before: None, .. } | Self::Fetching { .. } | Self::Failed { .. } => {
                None
            }
        }
    }

    fn has_failed(&self) -> bool {
        matches!(self, Self::Failed { .. })
    }
}

impl Active {
    /// Peers that hold the job, as far as challenges tell.
    pub(crate) fn confirmed_keepers(&self) -> Vec<PeerId> {
        let held = |(peer, asked): (&PeerId, &Asked)| asked.held().map(|_| *peer);
        self.keeping.asked.iter().filter_map(held).collect()
    }

    /// How many of them hold the results, too.
    pub(crate) fn keepers_with_results(&self) -> usize {
        self.keeping.asked.values().filter_map(Asked::held).filter(|held| held.results).count()
    }

    /// How many keepers make it safe to leave: three, or all there are; none if there are none.
    pub(crate) fn keepers_wanted(core: &Core) -> usize {
        core.keepers().count().clamp(1, KEEPERS_WANTED)
    }

    /// Whether somebody relies on us for everything: the submitter has asked, or a peer that it has named.
    pub(crate) fn is_keeper(&self) -> bool {
        self.kept_for.is_some_and(|asker| self.may_ask_to_keep(asker))
    }

    /// Whether a peer speaks for the job: only whom the submitter itself has named, so that nobody can
    /// make a crowd of strangers into keepers who name each other.
    pub(crate) fn may_ask_to_keep(&self, peer: PeerId) -> bool {
        peer == self.submitter() || self.ledger.keepers().contains(&peer)
    }

    pub(crate) fn tend_keepers(&mut self, core: &mut Core) {
        self.answer_asker(core);
        if self.ledger.is_cancelled() {
            return;
        }
        if self.submitted {
            self.enlist(core);
            self.check_keepers(core);
            // A job that memory has finished is over before anybody was asked to keep it.
            let is_open = !self.over || self.memory.units != 0;
            if is_open && !self.is_recalling() {
                self.find_keepers(core, 0);
            }
        } else if self.stands_in(core) {
            self.enlist(core);
            self.check_keepers(core);
            if self.is_first_of_the_named(core) {
                self.find_keepers(core, 1);
            }
        }
    }

    /// Tells who asked us that we hold everything: the inputs, and later the results, too.
    fn answer_asker(&mut self, core: &mut Core) {
        let Some(asker) = self.kept_for.filter(|_| self.is_keeper()) else { return };
        let word = (asker, self.holds_results());
        let is_said = match self.keeping.answered {
            Some((of, with_results)) => of == asker && (with_results || !word.1),
            None => false,
        };
        if !is_said && self.inputs.are_all_here() && core.links.contains_key(&asker) {
            self.keeping.answered = Some(word);
            core.send(asker, Message::Kept(self.id));
        }
    }

    /// Whether it is our part to look after the other keepers: the submitter has named us and is not there.
    fn stands_in(&self, core: &Core) -> bool {
        self.ledger.keepers().contains(&core.me)
            && !core.links.contains_key(&self.submitter())
            && self.inputs.are_all_here()
    }

    /// Of the named who have not failed, the one that comes first by a hash that all of them know.
    fn is_first_of_the_named(&self, core: &Core) -> bool {
        let place = |peer: &PeerId| -> Hash {
            hash("keeper", &[self.id.blob().as_bytes(), peer.as_bytes()])
        };
        let has_failed =
            |peer: &PeerId| self.keeping.asked.get(peer).is_some_and(Asked::has_failed);
        let others = self.ledger.keepers().iter().filter(|peer| **peer != core.me);
        let first = others.filter(|peer| !has_failed(peer)).map(place).min();
        first.is_none_or(|first| place(&core.me) < first)
    }

    /// Whom the submitter has named is believed until it is challenged.
    fn enlist(&mut self, core: &Core) {
        let now = core.now.mono_ms;
        for peer in self.ledger.keepers().iter().filter(|peer| **peer != core.me) {
            let held = Held::now(now);
            self.keeping.asked.entry(*peer).or_insert(Asked::Holds(held));
        }
    }

    fn find_keepers(&mut self, core: &mut Core, others: usize) {
        let now = core.now.mono_ms;
        let count = self.keeping.asked.values().filter(|asked| !asked.has_failed()).count();
        let wanted = KEEPERS_WANTED.saturating_sub(count + others);
        if wanted == 0 {
            return;
        }
        let is_free = |peer: &PeerId| match self.keeping.asked.get(peer) {
            None => true,
            Some(Asked::Failed { until_ms }) => *until_ms <= now,
            Some(Asked::Fetching { .. } | Asked::Challenged { .. } | Asked::Holds(_)) => false,
        };
        let submitter = self.submitter();
        let mut offers: Vec<PeerId> =
            core.keepers().filter(|peer| *peer != submitter && is_free(peer)).collect();
        offers.sort_by_cached_key(|peer| {
            core.coin(&[b"keeper", self.id.blob().as_bytes(), peer.as_bytes()])
        });
        for peer in offers.into_iter().take(wanted) {
            self.keeping.asked.insert(peer, Asked::Fetching { until_ms: now + KEEPER_MS });
            core.wake_at(now + KEEPER_MS);
            core.send(peer, Message::Keep(self.id));
        }
    }

    /// Gives up on those who take too long, and challenges those whose time it is.
    fn check_keepers(&mut self, core: &mut Core) {
        let now = core.now.mono_ms;
        let are_results_new = self.is_settled();
        let mut due = Vec::new();
        for (peer, asked) in &mut self.keeping.asked {
            match asked {
                Asked::Fetching { until_ms } if *until_ms <= now => {
                    *asked = Asked::Failed { until_ms: now + KEEPER_REST_MS };
                }
                Asked::Fetching { until_ms } => core.wake_at(*until_ms),
                Asked::Holds(held) => {
                    if are_results_new && !held.results && held.misses == 0 {
                        held.again_ms = held.again_ms.min(held.since_ms + KEEPER_DOUBT_MS);
                    }
                    if held.again_ms <= now {
                        due.push((*peer, Some(*held)));
                    } else {
                        core.wake_at(held.again_ms);
                    }
                }
                Asked::Challenged { .. } | Asked::Failed { .. } => {}
            }
        }
        for (peer, before) in due {
            self.challenge(core, peer, before);
        }
    }

    /// A peer says that it holds everything: it is asked for some of it.
    pub(crate) fn hear_kept(&mut self, core: &mut Core, peer: PeerId) {
        match self.keeping.asked.get(&peer).copied() {
            Some(Asked::Fetching { .. } | Asked::Failed { .. }) => self.challenge(core, peer, None),
            Some(Asked::Holds(held)) if !held.results => self.challenge(core, peer, Some(held)),
            Some(Asked::Holds(_) | Asked::Challenged { .. }) | None => {}
        }
    }

    fn challenge(&mut self, core: &mut Core, peer: PeerId, before: Option<Held>) {
        let probe = ProbeId(core.id_for(self.id));
        let packs = self.result_packs();
        let with_results = !packs.is_empty();
        self.keeping.asked.insert(peer, Asked::Challenged { probe, with_results, before });
        core.push(Effect::Probe { probe, peer, blobs: self.held_blobs(), packs });
    }

    pub(crate) fn probed(&mut self, core: &mut Core, probe: ProbeId, held: bool) {
        let of_probe = |asked: &Asked| match asked {
            Asked::Challenged { probe: own, with_results, before } if *own == probe => {
                Some((*with_results, *before))
            }
            Asked::Challenged { .. }
            | Asked::Fetching { .. }
            | Asked::Holds(_)
            | Asked::Failed { .. } => None,
        };
        let mut asked = self.keeping.asked.iter();
        let Some((peer, (with_results, before))) =
            asked.find_map(|(peer, asked)| Some((*peer, of_probe(asked)?)))
        else {
            return;
        };
        let now = core.now.mono_ms;
        let is_late =
            |before: Option<Held>| before.is_none_or(|h| h.since_ms + KEEPER_RESULTS_MS < now);
        let next = match before {
            _ if held => Asked::Holds(Held {
                since_ms: now,
                results: with_results,
                again_ms: now + KEEPER_CHECK_MS,
                misses: 0,
            }),
            Some(before) if before.misses + 1 < KEEPER_MISSES => Asked::Holds(before.missed(now)),
            // What has just come to be accepted is on its way to it.
            Some(before) if with_results && !before.results && !is_late(Some(before)) => {
                Asked::Holds(before.missed(now))
            }
            Some(_) | None => Asked::Failed { until_ms: now + KEEPER_REST_MS },
        };
        self.keeping.asked.insert(peer, next);
        if held && self.submitted && self.keeping.named.insert(peer) {
            self.name_keepers(core);
        }
    }

    /// Names whoever has answered a challenge; those who have failed since only while there are too few.
    fn name_keepers(&mut self, core: &Core) {
        let confirmed: BTreeSet<PeerId> = self.confirmed_keepers().into_iter().collect();
        if Self::keepers_wanted(core) <= confirmed.len() {
            self.keeping.named.retain(|peer| confirmed.contains(peer));
        }
        let of_old = self.keeping.named.difference(&confirmed);
        let named = self.keeping.named.intersection(&confirmed).chain(of_old).copied();
        self.say(Item::Keepers(named.take(protocol::limits::KEEPERS_MAX).collect()));
    }

    /// A peer is gone; if it was to keep the job and had not finished, another is asked; if it had, it is
    /// challenged soon.
    pub(crate) fn keeper_gone(&mut self, core: &mut Core, peer: PeerId) {
        match self.keeping.asked.get_mut(&peer) {
            Some(Asked::Fetching { .. } | Asked::Challenged { before: None, .. }) => {
                self.keeping.asked.remove(&peer);
            }
            Some(Asked::Holds(held)) => {
                held.again_ms = held.again_ms.min(core.now.mono_ms + KEEPER_DOUBT_MS);
            }
            Some(Asked::Challenged { .. } | Asked::Failed { .. }) | None => {}
        }
        if self.keeping.answered.is_some_and(|(asker, _)| asker == peer) {
            self.keeping.answered = None;
        }
    }

    /// What a keeper must be able to show: the manifest, modules, files and dataset roots.
    fn held_blobs(&self) -> Vec<BlobRef> {
        let manifest = self.plan().manifest();
        let own = BlobRef { id: self.id.blob(), size: manifest.to_bytes().len() as u64 };
        std::iter::once(own).chain(manifest.blobs()).collect()
    }

    /// And once there are results: their packs, with everything that those list.
    fn result_packs(&self) -> Vec<BlobRef> {
        let results = if self.is_settled() { self.results() } else { None };
        results.into_iter().flatten().filter_map(|result| result.packs.first().copied()).collect()
    }
}

impl Held {
    fn missed(self, now_ms: u64) -> Self {
        let misses = self.misses + 1;
        let again_ms = now_ms + KEEPER_DOUBT_MS * u64::from(misses.min(4));
        Self { again_ms, misses, ..self }
    }
}
