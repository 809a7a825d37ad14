//! Keepers hold the results, too, and while the submitter is away they look after each other.

use engine::{Effect, Event};
use protocol::{Item, Manifest, Message, PeerId, Signed, Step, hash};

use crate::told::{Told, job_of, key, network, peer};

/// The first step of the submitter's log: it names keepers.
fn named(manifest: &Manifest, keepers: &[&str]) -> Signed<Step> {
    let items = vec![Item::Keepers(keepers.iter().map(|name| peer(name)).collect())];
    let step = Step {
        job: manifest.job(),
        shard: 0,
        seq: 0,
        prev: protocol::StepId::new([0; 32]),
        level: 0,
        stamp: None,
        report: Some(protocol::Report { engine: "story".to_owned(), cpu: "story".to_owned() }),
        items,
    };
    key("submitter").sign(network(), step)
}

/// A keeper that holds the job for its submitter, and knows who else does.
fn keeper(name: &str, manifest: &Manifest, others: &[&str]) -> Told {
    let mut keeper = Told::new(name);
    keeper.meet("submitter");
    keeper.hear("submitter", Message::Keep(manifest.job()));
    keeper.learn("submitter", manifest);
    let all: Vec<&str> = others.iter().copied().chain([name]).collect();
    keeper.hear("submitter", Message::Steps(vec![named(manifest, &all)]));
    others.iter().for_each(|other| drop(keeper.meet(other)));
    keeper
}

/// Names in the order in which keepers of a job take over.
fn in_order<'a>(manifest: &Manifest, names: &[&'a str]) -> Vec<&'a str> {
    let mut names = names.to_vec();
    names.sort_by_key(|name| {
        hash("keeper", &[manifest.job().blob().as_bytes(), peer(name).as_bytes()])
    });
    names
}

/// Lets time pass, and every challenge end well but those to `silent`; whom it has asked to keep.
fn watch(keeper: &mut Told, silent: &[&str]) -> Vec<PeerId> {
    let silent: Vec<PeerId> = silent.iter().map(|name| peer(name)).collect();
    let mut asked = vec![];
    for _ in 0..200 {
        keeper.wait(1_000);
        let mut events = vec![];
        for effect in &keeper.last {
            match effect {
                Effect::Probe { probe, peer, .. } => {
                    events.push(Event::Probed { probe: *probe, held: !silent.contains(peer) });
                }
                Effect::Send { to, message: Message::Keep(_) } => asked.push(*to),
                _ => {}
            }
        }
        events.into_iter().for_each(|event| drop(keeper.tell(event)));
        for effect in &keeper.last {
            if let Effect::Send { to, message: Message::Keep(_) } = effect {
                asked.push(*to);
            }
        }
    }
    asked
}

#[test]
fn it_brings_results_as_soon_as_they_are_accepted_and_says_so() {
    let manifest = job_of("submitter", 1, 1);
    let (mut a, mut b) = (Told::new("a"), Told::new("b"));
    let mut keeper = Told::new("keeper");
    keeper.tell(Event::Work { on: false });
    keeper.meet("submitter");
    keeper.hear("submitter", Message::Keep(manifest.job()));
    keeper.learn("submitter", &manifest);
    let mut votes = vec![];
    for (worker, other) in [(&mut a, "b"), (&mut b, "a")] {
        worker.meet("submitter");
        worker.meet(other);
        worker.learn("submitter", &manifest);
        let [(run, units)] = worker.runs().try_into().expect("one run");
        worker.finish(run, &units);
        worker.sync();
        votes.push(worker.said());
    }
    let [of_a, of_b] = votes.try_into().expect("two votes");
    for (worker, from, steps) in [(&mut a, "b", of_b.clone()), (&mut b, "a", of_a.clone())] {
        worker.hear(from, Message::Steps(steps));
        worker.sync();
    }
    let mut told = vec![];
    for (from, steps) in [("a", of_a), ("b", of_b), ("a", a.said()), ("b", b.said())] {
        told.extend(keeper.hear(from, Message::Steps(steps)));
        let fetches = keeper.last.iter().any(|effect| matches!(effect, Effect::Fetch { .. }));
        if fetches {
            break;
        }
    }
    assert!(told.contains(&"fetch 1 packs with outputs".to_owned()), "{told:?}");
    assert!(!told.contains(&"send kept".to_owned()), "not before they are here: {told:?}");
    let told = keeper.get_everything();
    assert!(told.contains(&"send kept".to_owned()), "{told:?}");
}

#[test]
fn while_the_submitter_is_there_it_is_the_submitters_part() {
    let manifest = job_of("submitter", 1, 1);
    let [first, second, third] = in_order(&manifest, &["a", "b", "c"])[..] else { panic!() };
    let mut us = keeper(first, &manifest, &[second, third]);
    us.meet("d");
    us.tell(Event::PeerDown { peer: peer(third) });
    assert_eq!(watch(&mut us, &[third]), []);
}

#[test]
fn without_the_submitter_the_first_of_them_asks_another_in_place_of_a_silent_one() {
    let manifest = job_of("submitter", 1, 1);
    let [first, second, third] = in_order(&manifest, &["a", "b", "c"])[..] else { panic!() };
    for (us, others, silent, asks) in [
        (first, [second, third], third, true),
        (second, [first, third], third, false),
        (second, [first, third], first, true),
    ] {
        let mut us = keeper(us, &manifest, &others);
        us.meet("d");
        us.tell(Event::PeerDown { peer: peer("submitter") });
        us.tell(Event::PeerDown { peer: peer(silent) });
        let asked = watch(&mut us, &[silent]);
        let wanted = if asks { vec![peer("d")] } else { vec![] };
        assert_eq!(asked, wanted, "{others:?}, {silent} is silent");
    }
}

#[test]
fn a_peer_keeps_for_whom_the_submitter_has_named_and_for_nobody_else() {
    let manifest = job_of("submitter", 1, 1);
    for (asker, keeps) in [("named", true), ("stranger", false)] {
        let mut us = Told::new("us");
        us.meet(asker);
        us.hear(asker, Message::Keep(manifest.job()));
        let told = us.learn("submitter", &manifest);
        assert!(!told.contains(&"send kept".to_owned()), "nobody knows yet: {told:?}");
        let mut told =
            us.hear("submitter", Message::Steps(vec![named(&manifest, &["named", "other"])]));
        told.extend(us.get_everything());
        assert_eq!(told.contains(&"send kept".to_owned()), keeps, "{asker}: {told:?}");
    }
}

#[test]
fn what_nothing_bears_out_is_let_go_of() {
    let manifest = job_of("submitter", 1, 1);
    let mut us = Told::new("us");
    us.meet("stranger");
    us.hear("stranger", Message::Keep(manifest.job()));
    us.learn("submitter", &manifest);
    assert!(us.engine.kept_beside(manifest.job()).is_some());
    us.wait(60_001);
    assert!(us.engine.kept_beside(manifest.job()).is_none());
}

#[test]
fn a_keeper_without_room_lets_go_and_says_nothing() {
    let manifest = job_of("submitter", 1, 1);
    let mut us = Told::new("us");
    us.tell(Event::Work { on: false });
    us.meet("submitter");
    us.knows(&manifest);
    us.hear("submitter", Message::Keep(manifest.job()));
    let announcement = key("submitter").sign(network(), protocol::Announcement::of(&manifest));
    us.hear("submitter", Message::Announce(announcement));
    us.tell_fetches(|want| match want {
        engine::Want::Manifest(_) => None,
        _ => Some(engine::FetchLoss::NoRoom),
    });
    let told = us.wait(60_000);
    assert!(!told.contains(&"send kept".to_owned()), "{told:?}");
    let told = us.get_everything();
    assert!(!told.contains(&"send kept".to_owned()), "{told:?}");
}
