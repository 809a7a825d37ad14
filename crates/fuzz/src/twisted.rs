//! What bad peers do: anything that they can sign.
//!
//! The one thing that they cannot do is to show the proof of a vote whose trace they do not know. Those
//! who do not collude do not help one another to lie either; members of the coalition do.

use protocol::{
    About, Abstention, Certificate, Hash, Item, Leaves, PeerId, Reason, Seal, Shown, Slot, StepId,
    hash, merkle_path,
};

use crate::choices::Choices;
use crate::places::{Place, Tale, top};
use crate::world::{KnownTo, Spoken, World};

impl World {
    pub(crate) fn act_badly(&mut self, actor: usize, choices: &mut Choices<'_>) {
        match choices.below(16) {
            0..=3 => self.act_honestly(actor, choices),
            4..=6 => self.vote_badly(actor, choices),
            7..=9 => self.certify_badly(actor, choices),
            10 => self.post_badly(actor, choices),
            11 => self.fork(actor, choices),
            12 => self.rewind(actor, choices),
            13 => self.withhold(actor, choices),
            14 => self.leave_a_gap(actor, choices),
            _ => self.say_strangely(actor, choices),
        }
    }

    fn any_place(&mut self, choices: &mut Choices<'_>) -> Option<Place> {
        if choices.flag() { self.any_unit(choices) } else { self.any_batch(choices) }
    }

    fn vote_badly(&mut self, actor: usize, choices: &mut Choices<'_>) {
        let Some(place) = self.any_place(choices) else { return };
        let mut slot = place.slot;
        let root = match choices.below(8) {
            0 => place.truth,
            1 | 2 => self.tell(&place, Tale(0)),
            3 => self.tell(&place, Tale(1)),
            4 => self.tell(&place, Tale(2 + actor as u8)),
            5 => hash("junk", &[&[choices.byte()]]),
            6 => {
                let here: Vec<Hash> =
                    self.votes.iter().filter(|v| v.slot == slot).map(|v| v.root).collect();
                choices.pick(&here).unwrap_or(Hash::ZERO)
            }
            _ => {
                // Stale inputs, or none that ever were.
                slot.units = hash("stale", &[&[choices.byte()]]);
                place.truth
            }
        };
        let own = hash("own trace", &[&[actor as u8]]);
        let sealed = match choices.below(4) {
            0 => (place.trace, KnownTo::Executors),
            1 => (own, KnownTo::Author),
            _ if self.setup.colluding[actor] => {
                (hash("shared trace", &[root.as_bytes()]), KnownTo::Coalition)
            }
            _ => (own, KnownTo::Author),
        };
        let path = match (slot.about, choices.below(4)) {
            (About::Batch(_), _) | (About::Unit(_), 0) => vec![],
            (About::Unit(_), 1) => vec![Hash::ZERO; choices.below(4)],
            (About::Unit(_), kind) => {
                let Some((batch, index)) = self.batch_around(&place) else { return };
                let leaves = if kind == 2 { batch.told(Tale(0)) } else { batch.right };
                merkle_path(&leaves, index)
            }
        };
        self.vote(actor, (slot, root), sealed, path);
    }

    /// The root of a wrong story, whose leaves are then known.
    fn tell(&mut self, place: &Place, tale: Tale) -> Hash {
        let digests = place.told(tale);
        let root = top(place.slot.about, &digests);
        self.leaves.insert(root, digests);
        root
    }

    /// Shows proofs: those that it can make, those that others have published, and nonsense.
    fn certify_badly(&mut self, actor: usize, choices: &mut Choices<'_>) {
        let Some(first) = choices.pick(&self.votes) else { return };
        let (slot, root) = (first.slot, first.root);
        let here: Vec<Spoken> = self.votes.iter().filter(|v| v.slot == slot).copied().collect();
        let public: Vec<Shown> =
            self.shown.iter().filter(|p| p.slot == slot).map(|p| p.shown).collect();
        let mut proofs = vec![];
        for _ in 0..=choices.below(4) {
            let shown = match choices.below(4) {
                0 => choices.pick(&public),
                1 => choices.pick(&self.votes).map(|vote| Shown {
                    voter: vote.author,
                    proof: hash("junk", &[&[choices.byte()]]),
                }),
                _ => choices.pick(&here).filter(|vote| self.knows(actor, vote)).map(|vote| Shown {
                    voter: vote.author,
                    proof: self.proof(&slot, vote.author, vote.trace),
                }),
            };
            proofs.extend(shown.filter(|shown| self.may_help(actor, shown.voter, &slot, root)));
        }
        self.certify(actor, Certificate { slot, root, proofs });
    }

    fn knows(&self, actor: usize, vote: &Spoken) -> bool {
        match vote.known_to {
            KnownTo::Executors => true,
            KnownTo::Author => vote.author == self.peer(actor),
            KnownTo::Coalition => self.setup.colluding[actor],
        }
    }

    /// Whether a bad peer would show another's proof: only colluders help others to lie.
    fn may_help(&self, actor: usize, voter: PeerId, slot: &Slot, root: Hash) -> bool {
        let colluding = &self.setup.colluding;
        match self.setup.number_of(voter) {
            Some(number) if self.setup.bad[number] && number != actor => {
                self.is_right(slot, root) || (colluding[actor] && colluding[number])
            }
            Some(_) | None => true,
        }
    }

    fn post_badly(&mut self, actor: usize, choices: &mut Choices<'_>) {
        let known: Vec<(Hash, Vec<Hash>)> =
            self.leaves.iter().map(|(root, digests)| (*root, digests.clone())).collect();
        let (Some(place), Some((root, mut digests))) =
            (self.any_batch(choices), choices.pick(&known))
        else {
            return;
        };
        if choices.rarely() {
            digests.reverse();
        }
        self.say(actor, Item::Leaves(Leaves { slot: place.slot, root, digests }));
    }

    /// Says another thing with a number that was used already.
    fn fork(&mut self, actor: usize, choices: &mut Choices<'_>) {
        self.vote_badly(actor, choices);
        let items = self.take_pending(actor);
        let seq = choices.below(self.logs[actor].len().max(1));
        let prev = (seq != 0 && choices.rarely()).then(|| StepId::new([choices.byte() | 1; 32]));
        if let Some(step) = self.sign(actor, seq, prev, items) {
            self.publish(step);
        }
    }

    /// Goes on from an earlier step, as if the later ones had never been.
    fn rewind(&mut self, actor: usize, choices: &mut Choices<'_>) {
        let seq = choices.below(self.logs[actor].len() + 1);
        self.logs[actor].truncate(seq);
        self.act_honestly(actor, choices);
    }

    /// Writes a step that nobody gets to see.
    fn withhold(&mut self, actor: usize, choices: &mut Choices<'_>) {
        self.vote_badly(actor, choices);
        let items = self.take_pending(actor);
        let seq = self.logs[actor].len();
        if choices.rarely()
            && let Some(step) = self.sign(actor, seq, None, items)
        {
            self.logs[actor].push(step.id());
        }
    }

    /// Publishes a step ahead of its log: always within what is kept behind a gap, or always beyond it,
    /// for in between it hangs on the order whether it is kept.
    fn leave_a_gap(&mut self, actor: usize, choices: &mut Choices<'_>) {
        self.vote_badly(actor, choices);
        let items = self.take_pending(actor);
        let ahead = [1, 1, 2, 900, 5000][choices.below(5)];
        let prev = Some(StepId::new([7; 32]));
        if let Some(step) = self.sign(actor, self.logs[actor].len() + ahead, prev, items) {
            self.publish(step);
        }
    }

    /// What it may not say, or what means nothing.
    fn say_strangely(&mut self, actor: usize, choices: &mut Choices<'_>) {
        let Some(place) = self.any_place(choices) else { return };
        let slot = place.slot;
        let item = match choices.below(6) {
            0 => {
                let unit = choices.below(20) as u64;
                Item::Abstention(Abstention { slot, unit, reason: Reason::Timeout })
            }
            1 | 2 => {
                let (stage, first) = (slot.stage, choices.below(6) as u32);
                let root = if choices.flag() { place.truth } else { Hash::ZERO };
                Item::Seal(Seal { stage, first, batches: vec![(slot.units, root)] })
            }
            3 => {
                Item::Keepers((0..choices.below(17)).map(|n| PeerId::new([n as u8; 32])).collect())
            }
            4 => Item::Cancel,
            _ => {
                let about = About::Batch(choices.below(12) as u32);
                let slot = Slot { stage: choices.below(4) as u16, about, units: slot.units };
                Item::Abstention(Abstention { slot, unit: 0, reason: Reason::Refused })
            }
        };
        self.say(actor, item);
    }
}
