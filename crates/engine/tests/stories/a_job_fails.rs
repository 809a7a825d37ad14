//! Outcomes of a stage are failures, so that nobody runs the stage that reads them.

use engine::{Effect, Event, Got, JobState, Want};
use protocol::{Gather, Manifest, Message, Source, Stage};

use crate::told::{Told, job_of};

/// A job of one unit, whose outcome a second stage reads.
fn job_with_a_gather() -> Manifest {
    let mut manifest = job_of("submitter", 1, 1);
    let source = Source::Gather(Gather { stage: 0, fan_in: None });
    let gather = Stage { name: "gather".to_owned(), source, ..manifest.stages[0].clone() };
    manifest.stages.push(gather);
    manifest
}

#[test]
fn who_has_voted_and_works_no_more_still_learns_of_it() {
    let (mut a, mut b) = (Told::new("a"), Told::new("b"));
    let manifest = job_with_a_gather();
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
    a.tell(Event::Work { on: false });
    let [of_a, of_b] = votes.try_into().expect("two votes");
    a.hear("b", Message::Steps(of_b));
    a.sync();
    b.hear("a", Message::Steps(of_a));
    b.sync();
    let told = a.hear("b", Message::Steps(b.said()));
    assert!(
        !told.contains(&"fetch 1 packs".to_owned()),
        "it will not run what reads them: {told:?}"
    );
    // Nothing new comes any more.
    let fetches = |told: &Told| {
        told.last.iter().find_map(|effect| match effect {
            Effect::Fetch { fetch, want: Want::Packs { .. }, .. } => Some(*fetch),
            _ => None,
        })
    };
    let fetch = (0..10).find_map(|_| {
        a.wait(1_000);
        fetches(&a)
    });
    let got = Ok(Got::Packs { packs: vec![], failed: 1 });
    a.tell(Event::Fetched { fetch: fetch.expect("it looks at the outcomes"), got });
    let state = a.engine.job(manifest.job()).unwrap().state;
    assert_eq!(state, JobState::Failed { stage: 0, failed: 1 });
}
