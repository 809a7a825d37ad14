//! What honest peers do: they execute, vouch for who found the same, and say nothing else than the truth.

use protocol::{
    About, Abstention, Certificate, Hash, Item, Leaves, PeerId, Reason, Seal, Shown, merkle_path,
};

use crate::choices::Choices;
use crate::places::Place;
use crate::world::{KnownTo, Published, World};

/// Proofs that are published at once.
const PROOFS_AT_ONCE: usize = 8;

impl World {
    pub(crate) fn act_honestly(&mut self, actor: usize, choices: &mut Choices<'_>) {
        match choices.below(10) {
            0..=2 => self.execute_batch(actor, choices),
            3 => self.vouch_everywhere(actor),
            4 | 5 => self.execute_unit(actor, choices),
            6 => self.post_leaves(actor, choices),
            7 => self.abstain(actor, choices),
            _ => self.say_by_office(actor, choices),
        }
    }

    fn execute_batch(&mut self, actor: usize, choices: &mut Choices<'_>) {
        let Some(place) = self.any_batch(choices) else { return };
        if !self.has_voted(actor, &place.slot) {
            self.leaves.insert(place.truth, place.right.clone());
            let sealed = (place.trace, KnownTo::Executors);
            self.vote(actor, (place.slot, place.truth), sealed, vec![]);
        }
        self.vouch(actor, &place);
    }

    fn execute_unit(&mut self, actor: usize, choices: &mut Choices<'_>) {
        let Some(place) = self.any_unit(choices) else { return };
        let Some((batch, index)) = self.batch_around(&place) else { return };
        if !self.has_voted(actor, &place.slot) {
            let path = if choices.flag() { merkle_path(&batch.right, index) } else { vec![] };
            let sealed = (place.trace, KnownTo::Executors);
            self.vote(actor, (place.slot, place.truth), sealed, path);
        }
        self.vouch(actor, &place);
    }

    fn vouch_everywhere(&mut self, actor: usize) {
        for place in self.places.all() {
            self.vouch(actor, &place);
        }
    }

    /// Publishes the proofs of votes for the truth, if this peer has executed the units.
    fn vouch(&mut self, actor: usize, place: &Place) {
        let executed = self.has_voted(actor, &place.slot)
            || self
                .batch_around(place)
                .is_some_and(|(batch, _)| self.has_voted(actor, &batch.slot));
        if !executed {
            return;
        }
        let (me, root, trace) = (self.peer(actor), place.truth, place.trace);
        let agrees = |author: PeerId, of: Hash, sealed: Hash| {
            author != me && of == root && sealed == trace && !self.has_shown(place, author, me)
        };
        let voters = self.votes.iter().filter(|vote| vote.slot == place.slot);
        let mut voters: Vec<PeerId> = voters
            .filter(|vote| agrees(vote.author, vote.root, vote.trace))
            .map(|vote| vote.author)
            .collect();
        voters.sort();
        voters.dedup();
        voters.truncate(PROOFS_AT_ONCE);
        let shown = |voter: PeerId| Shown { voter, proof: self.proof(&place.slot, voter, trace) };
        let proofs: Vec<Shown> = voters.into_iter().map(shown).collect();
        self.certify(actor, Certificate { slot: place.slot, root, proofs });
    }

    fn has_shown(&self, place: &Place, voter: PeerId, by: PeerId) -> bool {
        let is_it = |published: &Published| {
            published.slot == place.slot && published.by == by && published.shown.voter == voter
        };
        self.shown.iter().any(is_it)
    }

    pub(crate) fn certify(&mut self, actor: usize, certificate: Certificate) {
        let Certificate { slot, ref proofs, .. } = certificate;
        if proofs.is_empty() {
            return;
        }
        let by = self.peer(actor);
        self.shown.extend(proofs.iter().map(|shown| Published { slot, shown: *shown, by }));
        self.say(actor, Item::Certificate(certificate));
    }

    fn post_leaves(&mut self, actor: usize, choices: &mut Choices<'_>) {
        let Some(place) = self.any_batch(choices) else { return };
        if self.has_voted(actor, &place.slot) {
            let (slot, root, digests) = (place.slot, place.truth, place.right.clone());
            self.say(actor, Item::Leaves(Leaves { slot, root, digests }));
        }
    }

    fn abstain(&mut self, actor: usize, choices: &mut Choices<'_>) {
        let Some(place) = self.any_batch(choices) else { return };
        let About::Batch(batch) = place.slot.about else { return };
        let units = self.plan.partition(place.slot.stage).units_of(batch);
        let unit = units.start + choices.below(place.units.len()) as u64;
        let reasons = [
            Reason::Timeout,
            Reason::HostMemory,
            Reason::StackOverflow,
            Reason::MissingBlob,
            Reason::WorkerCrash,
            Reason::Refused,
        ];
        let reason = reasons[choices.below(reasons.len())];
        self.say(actor, Item::Abstention(Abstention { slot: place.slot, unit, reason }));
    }

    /// What only the submitter or an anchor may say.
    fn say_by_office(&mut self, actor: usize, choices: &mut Choices<'_>) {
        let me = self.peer(actor);
        let manifest = &self.setup.manifest;
        let (submits, seals) = (me == manifest.submitter, manifest.policy.anchors.contains(&me));
        match choices.below(8) {
            0 if submits => self.say(actor, Item::Cancel),
            1 | 2 if submits => {
                let keepers = (0..choices.below(4)).map(|n| self.peer(n + 1)).collect();
                self.say(actor, Item::Keepers(keepers));
            }
            _ if seals => self.seal_truth(actor, choices),
            _ => self.execute_batch(actor, choices),
        }
    }

    fn seal_truth(&mut self, actor: usize, choices: &mut Choices<'_>) {
        let Some(first) = self.any_batch(choices) else { return };
        let (stage, About::Batch(number)) = (first.slot.stage, first.slot.about) else { return };
        let end = self.plan.partition(stage).batches();
        let last = (number + 1 + choices.below(8) as u32).min(end);
        let places = (number..last).filter_map(|batch| self.place(stage, About::Batch(batch)));
        let batches = places.map(|place| (place.slot.units, place.truth)).collect();
        self.say(actor, Item::Seal(Seal { stage, first: number, batches }));
    }
}
