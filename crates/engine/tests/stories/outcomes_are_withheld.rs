//! Outcomes were agreed on, and nobody delivers them: they are made again.

use engine::{Effect, Event, FetchLoss, JobState, Want};
use protocol::{Announcement, Manifest, Message};

use crate::told::{Told, executed, job_of, key, network};

fn job_without_audits() -> Manifest {
    let mut manifest = job_of("submitter", 1, 1);
    manifest.policy.audit_ppm = 0;
    manifest
}

/// A node that was asked for a job which two others have finished, and has all of it but the results.
fn opener(manifest: &Manifest) -> Told {
    let (mut a, mut b) = (Told::new("a"), Told::new("b"));
    let mut votes = vec![];
    for (worker, other) in [(&mut a, "b"), (&mut b, "a")] {
        worker.meet("submitter");
        worker.meet(other);
        worker.learn("submitter", manifest);
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
    let mut opener = Told::new("opener");
    opener.tell(Event::Open { job: manifest.job() });
    opener.meet("a");
    opener.knows(manifest);
    let announcement = key("submitter").sign(network(), Announcement::of(manifest));
    opener.hear("submitter", Message::Announce(announcement));
    let fetch = std::mem::take(&mut opener.last);
    for worker in [of_a, of_b, a.said(), b.said()] {
        opener.hear("a", Message::Steps(worker));
    }
    opener.last = fetch;
    opener.tell_fetches(withheld);
    opener
}

fn withheld(want: &Want) -> Option<FetchLoss> {
    match want {
        Want::Packs { .. } => Some(FetchLoss::Outcomes { stage: 0, first_unit: 0 }),
        _ => None,
    }
}

/// Lets fetches of packs fail until something is run.
fn until_it_runs(opener: &mut Told) -> u32 {
    for losses in 0..40 {
        if opener.runs().iter().any(|(_, units)| units == &[0]) {
            return losses;
        }
        opener.tell_fetches(withheld);
        if opener.runs().is_empty() {
            opener.wait(1_000);
        }
    }
    panic!("nothing is made again");
}

#[test]
fn whoever_wants_them_executes_their_units_once_and_votes_on_nothing() {
    let manifest = job_without_audits();
    let mut opener = opener(&manifest);
    let losses = until_it_runs(&mut opener);
    assert!(3 <= losses, "others are given time to deliver: {losses}");
    let [(run, units)] = opener.runs().try_into().expect("one run");
    let told = opener.finish(run, &units);
    assert!(told.contains(&"pack [0]".to_owned()), "{told:?}");
    assert!(told.contains(&"fetch 1 packs with outputs".to_owned()), "{told:?}");
    assert!(!told.iter().any(|line| line.contains("record, and say when")), "{told:?}");
    let made = protocol::BlobRef::of(&0_u64.to_le_bytes());
    let first = opener.last.iter().find_map(|effect| match effect {
        Effect::Fetch { want: Want::Packs { wants, .. }, .. } => wants[0].packs.first().copied(),
        _ => None,
    });
    assert_eq!(first, Some(made), "the pack that was made here comes first");
    opener.get_everything();
    assert_eq!(opener.engine.job(manifest.job()).unwrap().state, JobState::Verified);
}

#[test]
fn what_comes_out_otherwise_is_no_pack_and_is_not_tried_for_ever() {
    let manifest = job_without_audits();
    let mut opener = opener(&manifest);
    let mut runs = 0;
    for _ in 0..400 {
        for (run, units) in opener.runs() {
            runs += 1;
            let wrong = units.iter().map(|unit| (*unit, Ok(executed(unit + 7)))).collect();
            let told = opener.tell(Event::Ran { run, units: wrong });
            assert!(!told.iter().any(|line| line.starts_with("pack")), "{told:?}");
            assert!(told.contains(&"release [0]".to_owned()), "{told:?}");
        }
        opener.tell_fetches(withheld);
        if opener.runs().is_empty() {
            opener.wait(1_000);
        }
    }
    assert_eq!(runs, 3);
}

#[test]
fn whoever_delivers_after_all_spares_the_work() {
    let manifest = job_without_audits();
    let mut opener = opener(&manifest);
    opener.tell_fetches(withheld);
    opener.wait(1_000);
    opener.get_everything();
    for _ in 0..100 {
        opener.wait(1_000);
        assert!(opener.runs().is_empty());
    }
    assert!(opener.engine.job(manifest.job()).is_some_and(|view| view.state == JobState::Verified));
}
