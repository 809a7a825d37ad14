//! What a unit has read is revoked while an audit of it is compared: what it gave is of another unit.

use std::collections::VecDeque;

use engine::{Effect, Event, FetchId, Got, Want};
use protocol::{
    About, Announcement, BlobRef, Gather, Hash, Item, Manifest, Message, Signed, Slot, Source,
    Stage, Step, merkle_root,
};

use crate::told::{Told, executed, job_of, key, network};

type Steps = Vec<Signed<Step>>;

/// A job of one unit, whose outcome a second stage reads; whoever did not vote audits everything.
fn job_with_a_gather(nonce: u8) -> Manifest {
    let mut manifest = job_of("submitter", 1, 1);
    manifest.nonce = Hash::new([nonce; 32]);
    let source = Source::Gather(Gather { stage: 0, fan_in: None });
    let gather = Stage { name: "gather".to_owned(), source, ..manifest.stages[0].clone() };
    manifest.stages.push(gather);
    manifest.policy.audit_ppm = 1_000_000;
    manifest
}

/// What a node has said, and the fetches of the second stage's leaves that have not ended.
#[derive(Default)]
struct Done {
    said: Steps,
    leaves: Vec<FetchId>,
}

/// Does what a node asks for in ten seconds: every unit gives what unit `gives` does.
fn go_on(node: &mut Told, gives: u64) -> Done {
    let mut done = Done::default();
    let mut asked: VecDeque<Effect> = std::mem::take(&mut node.last).into();
    let mut seconds = 0;
    loop {
        let Some(effect) = asked.pop_front() else {
            if seconds == 10 {
                return done;
            }
            seconds += 1;
            node.wait(1_000);
            asked.extend(std::mem::take(&mut node.last));
            continue;
        };
        let event = match effect {
            Effect::Fetch { fetch, want: Want::Leaves(want), .. } if want.stage == 1 => {
                done.leaves.push(fetch);
                continue;
            }
            Effect::Fetch { fetch, job, want, .. } => {
                Event::Fetched { fetch, got: Ok(node.right(job, &want)) }
            }
            Effect::Run { run, units, .. } => {
                let units = units.iter().map(|unit| (*unit, Ok(executed(gives)))).collect();
                Event::Ran { run, units }
            }
            Effect::Pack { pack, .. } => {
                Event::Packed { pack, blob: BlobRef::of(&gives.to_le_bytes()) }
            }
            Effect::Record { id: Some(record), .. } => Event::Recorded { record },
            Effect::Broadcast { message: Message::Steps(steps), .. } => {
                done.said.extend(steps);
                continue;
            }
            _ => continue,
        };
        node.tell(event);
        asked.extend(std::mem::take(&mut node.last));
    }
}

#[test]
fn an_audit_that_waits_for_leaves_is_not_cast_for_what_the_unit_is_by_then() {
    // The submitter audits one unit; in some job it is what the other one reads.
    let told = (0..32).find_map(audited_while_revoked).expect("one of them");
    assert!(!told.iter().any(|line| line.starts_with("pack")), "{told:?}");
}

#[test]
fn an_anchor_seals_nothing_that_its_own_ballot_is_against() {
    let (_, found) = (0..32).find_map(|nonce| revoked(&job_with_a_gather(nonce))).expect("one");
    let wrong = merkle_root(&[executed(0).outcome.digest()]);
    let items = found.iter().flat_map(|step| &step.value().items);
    let is_wrong = |item: &Item| match item {
        Item::Seal(seal) => seal.stage == 0 && seal.batches.iter().any(|(_, root)| *root == wrong),
        _ => false,
    };
    assert!(!items.into_iter().any(is_wrong), "{found:?}");
}

/// What a node does that gets the leaves for its audit after the submitter has revoked what it was of.
fn audited_while_revoked(nonce: u8) -> Option<Vec<String>> {
    let manifest = job_with_a_gather(nonce);
    let (said, found) = revoked(&manifest)?;
    let mut us = Told::new("us");
    us.meet("a");
    us.knows(&manifest);
    us.hear("submitter", announced(&manifest));
    hear(&mut us, "a", &said);
    let [leaves] = go_on(&mut us, 0).leaves.try_into().expect("it audits the second stage");
    hear(&mut us, "submitter", &found);
    go_on(&mut us, 0);
    let got = Ok(Got::Leaves(vec![executed(0).outcome.digest()]));
    Some(us.tell(Event::Fetched { fetch: leaves, got }))
}

/// What two say who have done a job, and what the submitter finds then, if that is against the first stage.
fn revoked(manifest: &Manifest) -> Option<(Steps, Steps)> {
    let (mut a, mut b) = (Told::new("a"), Told::new("b"));
    for (worker, other) in [(&mut a, "b"), (&mut b, "a")] {
        worker.meet("submitter");
        worker.meet(other);
        worker.knows(manifest);
        worker.hear("submitter", announced(manifest));
    }
    // Both vote on both stages, and certify each other's votes.
    let mut said = vec![];
    for _ in 0..10 {
        let of_a = go_on(&mut a, 0).said;
        hear(&mut b, "a", &of_a);
        let of_b = go_on(&mut b, 0).said;
        hear(&mut a, "b", &of_b);
        said.extend(of_a.into_iter().chain(of_b));
    }
    let mut submitter = Told::new("submitter");
    submitter.meet("a");
    submitter.tell(Event::Submit { manifest: manifest.clone(), stamp: None, recalls: false });
    hear(&mut submitter, "a", &said);
    let found = go_on(&mut submitter, 9).said;
    let votes = found.iter().flat_map(|step| &step.value().items).filter_map(|item| match item {
        Item::Vote(vote) => Some(vote.slot),
        _ => None,
    });
    let is_audit = |slot: Slot| slot.stage == 0 && matches!(slot.about, About::Unit(_));
    if !votes.take(1).any(is_audit) {
        return None;
    }
    Some((said, found))
}

/// Tells a node steps, beside what it is still waiting for.
fn hear(node: &mut Told, from: &str, steps: &[Signed<Step>]) {
    let mut asked = std::mem::take(&mut node.last);
    node.hear(from, Message::Steps(steps.to_vec()));
    asked.append(&mut node.last);
    node.last = asked;
}

fn announced(manifest: &Manifest) -> Message {
    Message::Announce(key("submitter").sign(network(), Announcement::of(manifest)))
}
