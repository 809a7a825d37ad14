//! A worker claims a batch and is never heard of again.

use engine::Event;
use protocol::{Claim, Message, PeerId, Ranks};

use crate::told::{Told, job_of, key, network, peer};

/// A world in which `us` is third for the only batch, and the two before it have claimed it.
fn third() -> (Told, Vec<&'static str>) {
    let manifest = job_of("submitter", 1, 1);
    let mut names = ["a", "b", "c"];
    let ranks = Ranks { job: manifest.job(), level: 0, stamps: &[].into() };
    names.sort_by_key(|name| ranks.of(0, 0, peer(name)));
    let mut us = Told::new(names[2]);
    us.meet(names[0]);
    us.meet(names[1]);
    us.meet("submitter");
    us.learn("submitter", &manifest);
    for name in &names[..2] {
        let claim =
            Claim { job: manifest.job(), shard: 0, stage: 0, batches: vec![0], span_ms: 5_000 };
        us.hear(name, Message::Claim(key(name).sign(network(), claim)));
    }
    (us, names[..2].to_vec())
}

#[test]
fn the_batch_is_left_to_those_who_claimed_it() {
    let (mut us, _) = third();
    assert_eq!(us.wait(1_000), ["send heads", "send heads"]);
    assert!(us.runs().is_empty());
}

#[test]
fn when_its_link_is_gone_the_next_in_rank_takes_over_at_once() {
    let (mut us, names) = third();
    us.wait(1_000);
    let gone: PeerId = peer(names[0]);
    let told = us.tell(Event::PeerDown { peer: gone });
    assert_eq!(told, ["run [0]"]);
}

#[test]
fn when_its_lease_has_run_out_the_next_in_rank_takes_over() {
    let (mut us, _) = third();
    let told = us.wait(5_001);
    assert!(told.contains(&"run [0]".to_owned()), "{told:?}");
}

#[test]
fn what_it_left_undone_is_remembered() {
    let (mut us, names) = third();
    us.wait(5_001);
    // Claims are looked through when the next one is heard.
    let manifest = job_of("submitter", 1, 1);
    let claim = Claim { job: manifest.job(), shard: 0, stage: 0, batches: vec![0], span_ms: 1 };
    us.hear("submitter", Message::Claim(key("submitter").sign(network(), claim)));
    for name in names {
        assert_eq!(us.engine.standing(peer(name)).lapsed, 1, "{name}");
    }
    assert_eq!(us.engine.standing(peer("submitter")).lapsed, 0);
}
