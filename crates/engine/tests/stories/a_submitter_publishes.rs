//! A submitter publishes a job, finds keepers, and helps itself when it is alone.

use engine::{Effect, Event, JobState};
use protocol::{Claim, Message};

use crate::told::{Told, job_of, key, network};

#[test]
fn nobody_hears_of_a_job_before_it_is_on_disk() {
    let mut submitter = Told::new("submitter");
    let told = submitter.tell(Event::Submit {
        manifest: job_of("submitter", 1, 1),
        stamp: None,
        recalls: false,
    });
    assert_eq!(told, ["record, and say when", "join", "fetch inputs"]);
    assert_eq!(submitter.sync(), ["announce", "provide"]);
}

#[test]
fn it_may_leave_once_enough_keepers_have_answered_a_challenge() {
    let mut submitter = Told::new("submitter");
    for name in ["a", "b", "c", "d"] {
        submitter.meet(name);
    }
    let manifest = job_of("submitter", 1, 1);
    let told =
        submitter.tell(Event::Submit { manifest: manifest.clone(), stamp: None, recalls: false });
    assert_eq!(told.iter().filter(|line| *line == "send keep").count(), 3);
    let asked: Vec<&str> = ["a", "b", "c", "d"]
        .into_iter()
        .filter(|name| {
            let to_it = |effect: &Effect| matches!(effect, Effect::Send { to, message: Message::Keep(_) } if *to == crate::told::peer(name));
            submitter.last.iter().any(to_it)
        })
        .collect();
    for (count, name) in (1..).zip(asked) {
        assert!(!submitter.engine.job(manifest.job()).unwrap().safe_to_leave);
        assert_eq!(submitter.hear(name, Message::Kept(manifest.job())), ["probe"]);
        let Some(Effect::Probe { probe, .. }) =
            submitter.last.iter().find(|e| matches!(e, Effect::Probe { .. }))
        else {
            panic!("no challenge");
        };
        submitter.tell(Event::Probed { probe: *probe, held: true });
        assert_eq!(submitter.engine.job(manifest.job()).unwrap().keepers.len(), count);
    }
    assert!(submitter.engine.job(manifest.job()).unwrap().safe_to_leave);
}

#[test]
fn a_keeper_that_fails_its_challenge_does_not_count() {
    let mut submitter = Told::new("submitter");
    submitter.meet("a");
    let manifest = job_of("submitter", 1, 1);
    submitter.tell(Event::Submit { manifest: manifest.clone(), stamp: None, recalls: false });
    submitter.hear("a", Message::Kept(manifest.job()));
    let Some(Effect::Probe { probe, .. }) =
        submitter.last.iter().find(|e| matches!(e, Effect::Probe { .. }))
    else {
        panic!("no challenge");
    };
    submitter.tell(Event::Probed { probe: *probe, held: false });
    let job = submitter.engine.job(manifest.job()).unwrap();
    assert!(job.keepers.is_empty() && !job.safe_to_leave);
}

#[test]
fn without_any_peer_it_executes_the_job_itself_and_says_that_this_is_not_verified() {
    let mut submitter = Told::new("submitter");
    let manifest = job_of("submitter", 1, 1);
    submitter.tell(Event::Submit { manifest: manifest.clone(), stamp: None, recalls: false });
    submitter.get_everything();
    assert!(submitter.runs().is_empty(), "others come first");
    assert_eq!(submitter.wait(10_000), ["run [0]"]);
    let [(run, units)] = submitter.runs().try_into().expect("one run");
    submitter.finish(run, &units);
    assert_eq!(submitter.sync(), ["tell all vote", "fetch 1 packs with outputs"]);
    submitter.get_everything();
    assert_eq!(submitter.engine.job(manifest.job()).unwrap().state, JobState::SelfExecuted);
}

#[test]
fn once_everything_is_accepted_it_announces_the_job_at_a_level_that_nobody_has() {
    let (mut a, mut b, mut submitter) = (Told::new("a"), Told::new("b"), Told::new("submitter"));
    let mut manifest = job_of("submitter", 1, 1);
    manifest.policy.audit_ppm = 0;
    submitter.meet("a");
    submitter.meet("b");
    submitter.tell(Event::Submit { manifest: manifest.clone(), stamp: None, recalls: false });
    submitter.sync();
    let mut said = vec![];
    for (worker, other) in [(&mut a, "b"), (&mut b, "a")] {
        worker.meet("submitter");
        worker.meet(other);
        worker.learn("submitter", &manifest);
        let [(run, units)] = worker.runs().try_into().expect("one run");
        worker.finish(run, &units);
        worker.sync();
        said.push(worker.said());
    }
    for (worker, of_other) in [(&mut a, said[1].clone()), (&mut b, said[0].clone())] {
        worker.hear("submitter", Message::Steps(of_other));
        worker.sync();
        said.push(worker.said());
    }
    let mut levels = vec![];
    for steps in said {
        assert!(levels.is_empty(), "not before both are joined");
        submitter.hear("a", Message::Steps(steps));
        levels.extend(submitter.last.iter().filter_map(|effect| match effect {
            Effect::Announce { message: Message::Announce(new) } => Some(new.value().level),
            _ => None,
        }));
    }
    assert_eq!(levels, [protocol::limits::LEVEL_MAX]);
    assert!(!submitter.wait(60_000).contains(&"announce".to_owned()), "once is enough");
    assert!(submitter.engine.proof(manifest.job()).unwrap().open().is_ok());
}

#[test]
fn it_helps_if_nothing_comes_of_enough_peers_for_long_and_nobody_says_that_it_is_at_work() {
    let mut submitter = Told::new("submitter");
    submitter.meet("a");
    submitter.meet("b");
    let manifest = job_of("submitter", 2, 1);
    let claim =
        Claim { job: manifest.job(), shard: 0, stage: 0, batches: vec![0], span_ms: 100_000 };
    submitter.tell(Event::Submit { manifest, stamp: None, recalls: false });
    submitter.get_everything();
    submitter.hear("a", Message::Claim(key("a").sign(network(), claim)));
    let mut helps_after = (1..1000).filter(|_| {
        let told = submitter.wait(1_000);
        told.iter().any(|line| line.starts_with("run"))
    });
    let seconds = helps_after.next().expect("it helps in the end");
    assert!((160..170).contains(&seconds), "after {seconds} s");
}
