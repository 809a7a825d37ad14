//! A worker hears of a job, executes a batch, votes, and certifies who agrees.

use engine::{Event, JobState};
use protocol::{Announcement, Heads, Message};

use crate::told::{Told, job_of, key, network};

#[test]
fn it_fetches_runs_packs_and_votes_only_when_the_vote_is_on_disk() {
    let mut worker = Told::new("worker");
    worker.meet("submitter");
    let manifest = job_of("submitter", 1, 1);
    let told = worker.learn("submitter", &manifest);
    assert_eq!(told, ["record", "fetch manifest", "join", "send heads", "fetch inputs", "run [0]"]);
    let [(run, units)] = worker.runs().try_into().expect("one run");
    let told = worker.finish(run, &units);
    assert_eq!(told, ["pack [0]", "record, and say when"], "nothing is said before it is on disk");
    assert_eq!(worker.sync(), ["tell all vote"]);
}

#[test]
fn two_who_agree_certify_each_other_and_the_job_is_verified() {
    let (mut a, mut b) = (Told::new("a"), Told::new("b"));
    let manifest = job_of("submitter", 1, 1);
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
    assert_eq!(a.hear("b", Message::Steps(of_b)), ["record", "record, and say when"]);
    assert_eq!(a.sync(), ["tell all certificate"]);
    let certificate_of_a = a.said();
    b.hear("a", Message::Steps(of_a));
    b.sync();
    let certificate_of_b = b.said();
    assert_eq!(a.engine.job(manifest.job()).unwrap().state, JobState::Running);
    a.hear("b", Message::Steps(certificate_of_b));
    b.hear("a", Message::Steps(certificate_of_a));
    for worker in [&a, &b] {
        assert_eq!(worker.engine.job(manifest.job()).unwrap().state, JobState::Verified);
    }
}

#[test]
fn a_peer_that_is_not_among_the_first_waits_for_those_that_are() {
    // With three more workers than the quorum needs, one of them has the highest rank for the batch.
    let names = ["a", "b", "c", "d", "e"];
    let manifest = job_of("submitter", 1, 1);
    let mut started = vec![];
    for name in names {
        let mut worker = Told::new(name);
        for other in names.iter().filter(|other| **other != name) {
            worker.meet(other);
        }
        worker.meet("submitter");
        worker.learn("submitter", &manifest);
        started.push((!worker.runs().is_empty(), worker));
    }
    assert_eq!(
        started.iter().filter(|(now, _)| *now).count(),
        2,
        "as many as the quorum start at once"
    );
    let (_, patient) = started.iter_mut().find(|(now, _)| !now).unwrap();
    let told = patient.wait(1_000);
    assert!(
        told.contains(&"run [0]".to_owned()),
        "without a word from them it starts itself: {told:?}"
    );
}

#[test]
fn work_that_is_paused_is_not_taken() {
    let mut worker = Told::new("worker");
    worker.meet("submitter");
    worker.tell(Event::Work { on: false });
    let manifest = job_of("submitter", 1, 1);
    let told = worker.learn("submitter", &manifest);
    assert_eq!(told, ["record"]);
    assert!(worker.engine.job(manifest.job()).unwrap().idle_reason.unwrap().contains("paused"));
    worker.tell(Event::Work { on: true });
    worker.get_everything();
    let told = worker.hear_nothing_known("submitter", &manifest);
    assert!(told.contains(&"run [0]".to_owned()), "{told:?}");
}

#[test]
fn a_newcomer_executes_nothing_before_it_has_heard_what_is_known() {
    let manifest = job_of("submitter", 1, 1);
    let waiting = || {
        let mut worker = Told::new("worker");
        worker.meet("submitter");
        worker.meet("other");
        worker.knows(&manifest);
        let announcement = key("submitter").sign(network(), Announcement::of(&manifest));
        worker.hear("submitter", Message::Announce(announcement));
        let told = worker.get_everything();
        assert!(!told.contains(&"run [0]".to_owned()), "{told:?}");
        worker
    };
    assert!(waiting().hear_nothing_known("submitter", &manifest).contains(&"run [0]".to_owned()));
    // Nobody answers.
    let mut worker = waiting();
    assert!(!worker.wait(499).contains(&"run [0]".to_owned()));
    assert!(worker.wait(1).contains(&"run [0]".to_owned()));
}

#[test]
fn only_the_submitter_says_that_nothing_is_known() {
    let manifest = job_of("submitter", 1, 1);
    let (job, heads, forked) = (manifest.job(), vec![], vec![]);
    let ask = || {
        Message::Heads(Heads { job, heads: heads.clone(), forked: forked.clone(), answer: true })
    };
    let mut submitter = Told::new("submitter");
    submitter.tell(Event::Submit { manifest: manifest.clone(), stamp: None, recalls: false });
    submitter.meet("worker");
    assert_eq!(submitter.hear("worker", ask()), ["send heads"]);
    let mut other = Told::new("other");
    other.meet("submitter");
    other.learn("submitter", &manifest);
    assert!(!other.hear("worker", ask()).contains(&"send heads".to_owned()));
}
