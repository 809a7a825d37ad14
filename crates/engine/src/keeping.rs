//! Keepers: a submitter finds peers that hold its job, and a peer that is asked holds it.

use std::collections::{BTreeMap, BTreeSet};

use protocol::{BlobRef, Item, Message, PeerId};

use crate::active::Active;
use crate::core::Core;
use crate::limits::{KEEPER_MS, KEEPERS_WANTED};
use crate::{Effect, ProbeId};

/// The submitter's view of its keepers.
#[derive(Debug, Default)]
pub(crate) struct Keeping {
    asked: BTreeMap<PeerId, Asked>,
    /// Named in our log already.
    named: BTreeSet<PeerId>,
    /// We have told our own submitter that we hold everything.
    answered: Option<PeerId>,
}

#[derive(Clone, Copy, Debug)]
enum Asked {
    /// Asked to fetch everything, until then.
    Fetching { until_ms: u64 },
    /// Says that it has everything; a challenge is under way.
    Challenged { probe: ProbeId },
    /// Has answered a challenge.
    Holds,
    /// Did not answer, or not rightly.
    Failed,
}

impl Active {
    pub(crate) fn confirmed_keepers(&self) -> Vec<PeerId> {
        self.keeping
            .asked
            .iter()
            .filter(|(_, asked)| matches!(asked, Asked::Holds))
            .map(|(peer, _)| *peer)
            .collect()
    }

    /// How many keepers make it safe to leave: three, or all there are; none if there are none.
    pub(crate) fn keepers_wanted(core: &Core) -> usize {
        core.keepers().count().clamp(1, KEEPERS_WANTED)
    }

    pub(crate) fn tend_keepers(&mut self, core: &mut Core) {
        // A job that memory has finished is over before anybody was asked to keep it.
        let is_open = !self.over || self.memory.units != 0;
        if self.submitted && is_open && !self.is_recalling() {
            self.find_keepers(core);
        }
        let waiting = self.kept_for.filter(|submitter| self.keeping.answered != Some(*submitter));
        if let Some(submitter) = waiting
            .filter(|submitter| self.inputs.are_all_here() && core.links.contains_key(submitter))
        {
            self.keeping.answered = Some(submitter);
            core.send(submitter, Message::Kept(self.id));
        }
    }

    fn find_keepers(&mut self, core: &mut Core) {
        let now = core.now.mono_ms;
        for asked in self.keeping.asked.values_mut() {
            if matches!(asked, Asked::Fetching { until_ms } if *until_ms <= now) {
                *asked = Asked::Failed;
            }
        }
        let hopeful = |asked: &&Asked| !matches!(asked, Asked::Failed);
        let count = self.keeping.asked.values().filter(hopeful).count();
        let mut offers: Vec<PeerId> =
            core.keepers().filter(|peer| !self.keeping.asked.contains_key(peer)).collect();
        offers.sort_by_cached_key(|peer| {
            core.coin(&[b"keeper", self.id.blob().as_bytes(), peer.as_bytes()])
        });
        for peer in offers.into_iter().take(KEEPERS_WANTED.saturating_sub(count)) {
            self.keeping.asked.insert(peer, Asked::Fetching { until_ms: now + KEEPER_MS });
            core.wake_at(now + KEEPER_MS);
            core.send(peer, Message::Keep(self.id));
        }
    }

    /// A peer says that it holds everything: it is asked for some of it.
    pub(crate) fn hear_kept(&mut self, core: &mut Core, peer: PeerId) {
        let Some(Asked::Fetching { .. } | Asked::Failed) = self.keeping.asked.get(&peer) else {
            return;
        };
        let probe = ProbeId(core.id_for(self.id));
        self.keeping.asked.insert(peer, Asked::Challenged { probe });
        core.push(Effect::Probe { probe, peer, blobs: self.held_blobs() });
    }

    pub(crate) fn probed(&mut self, probe: ProbeId, held: bool) {
        let of_probe =
            |asked: &Asked| matches!(asked, Asked::Challenged { probe: own } if *own == probe);
        let Some((peer, asked)) = self.keeping.asked.iter_mut().find(|(_, asked)| of_probe(asked))
        else {
            return;
        };
        *asked = if held { Asked::Holds } else { Asked::Failed };
        if held && self.keeping.named.insert(*peer) {
            let named =
                self.keeping.named.iter().copied().take(protocol::limits::KEEPERS_MAX).collect();
            self.say(Item::Keepers(named));
        }
    }

    /// A peer is gone; if it was to keep the job and had not finished, another is asked.
    pub(crate) fn keeper_gone(&mut self, peer: PeerId) {
        if matches!(
            self.keeping.asked.get(&peer),
            Some(Asked::Fetching { .. } | Asked::Challenged { .. })
        ) {
            self.keeping.asked.remove(&peer);
        }
        if self.keeping.answered == Some(peer) {
            self.keeping.answered = None;
        }
    }

    /// What a keeper must be able to show: the manifest, modules, files and dataset roots.
    fn held_blobs(&self) -> Vec<BlobRef> {
        let manifest = self.plan().manifest();
        let own = BlobRef { id: self.id.blob(), size: manifest.to_bytes().len() as u64 };
        std::iter::once(own).chain(manifest.blobs()).collect()
    }
}
