//! Worlds that must keep every promise: two hundred drawn ones, and the named scenarios.

#![allow(clippy::unwrap_used, reason = "a test that unwraps fails, as it should")]

use std::collections::BTreeMap;
use std::sync::mpsc;

use sim::{Rehearsal, Scenario, rehearse};

#[test]
fn two_hundred_worlds_keep_every_promise() {
    check_all((0..200).map(|seed| (seed, None)).collect());
}

#[test]
fn every_named_scenario_keeps_every_promise() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios");
    let mut scenarios = Vec::new();
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_some_and(|ending| ending == "toml") {
            let text = std::fs::read_to_string(path).unwrap();
            scenarios.push(Scenario::parse(&text).unwrap());
        }
    }
    assert!(30 <= scenarios.len(), "the folder {folder} is nearly empty");
    let seeds = |scenario: &Scenario| {
        let scenario = scenario.clone();
        (0..2).map(move |seed| (seed, Some(scenario.clone())))
    };
    check_all(scenarios.iter().flat_map(seeds).collect());
}

#[test]
fn a_seed_gives_the_same_trace_twice_and_another_seed_another_one() {
    let traces: Vec<_> = [3, 3, 4].map(|seed| rehearse(seed, None, false).trace).into();
    assert_eq!(traces[0], traces[1]);
    assert_ne!(traces[0], traces[2]);
}

#[test]
fn a_submitter_that_may_leave_is_not_needed_any_more() {
    let seen = marks("the-submitter-leaves");
    assert_eq!(seen.get("departures"), Some(&1), "{seen:?}");
}

#[test]
fn a_contest_is_fought_with_ballots() {
    let seen = marks_of_many("a-liar-among-five");
    assert!(seen.contains_key("contests by ballots") && seen.contains_key("ballots"), "{seen:?}");
}

#[test]
fn a_crash_of_everybody_loses_writes_and_no_work() {
    let seen = marks("everybody-crashes");
    assert!(seen.contains_key("crashes that lost writes"), "{seen:?}");
}

#[test]
fn a_staged_job_frames_honest_workers_and_only_inside_itself() {
    let seen = marks_of_many("09-a-job-is-staged");
    assert!(seen.contains_key("honest peers framed in a staged job"), "{seen:?}");
}

#[test]
fn seals_hold_what_late_forks_take_away() {
    let seen = marks_of_many("27-late-forks");
    assert!(seen.contains_key("forks seen"), "{seen:?}");
}

#[test]
fn honest_audits_make_a_job_sure_and_put_nothing_in_question() {
    let seen = marks("23-honest-audits");
    assert!(seen.contains_key("audits confirmed"), "{seen:?}");
    assert!(!seen.contains_key("contests by rival roots"), "{seen:?}");
}

#[test]
fn who_hears_of_a_job_from_an_impostor_first_is_not_misled() {
    let seen = marks_of_many("30-jobs-of-others-are-announced");
    assert!(seen.contains_key("jobs first heard of falsely"), "{seen:?}");
}

/// What came to pass in one world of a named scenario.
fn marks(name: &str) -> BTreeMap<&'static str, u64> {
    let path = format!("{}/scenarios/{name}.toml", env!("CARGO_MANIFEST_DIR"));
    let scenario = Scenario::parse(&std::fs::read_to_string(path).unwrap()).unwrap();
    let rehearsal = rehearse(1, Some(&scenario), false);
    assert_eq!(rehearsal.violation.as_ref().map(ToString::to_string), None);
    rehearsal.marks
}

/// What came to pass in a dozen worlds of a named scenario, together.
fn marks_of_many(name: &str) -> BTreeMap<&'static str, u64> {
    let path = format!("{}/scenarios/{name}.toml", env!("CARGO_MANIFEST_DIR"));
    let scenario = Scenario::parse(&std::fs::read_to_string(path).unwrap()).unwrap();
    let mut seen = BTreeMap::new();
    for seed in 0..12 {
        let rehearsal = rehearse(seed, Some(&scenario), false);
        assert_eq!(rehearsal.violation.as_ref().map(ToString::to_string), None, "seed {seed}");
        for (mark, count) in rehearsal.marks {
            *seen.entry(mark).or_default() += count;
        }
    }
    seen
}

/// Rehearses all worlds on two threads and tells every one that broke a promise.
fn check_all(worlds: Vec<(u64, Option<Scenario>)>) {
    let (sender, done) = mpsc::channel();
    let broken: Vec<String> = std::thread::scope(|scope| {
        for half in 0..2 {
            let (sender, worlds) = (sender.clone(), &worlds);
            scope.spawn(move || {
                for (seed, scenario) in worlds.iter().skip(half).step_by(2) {
                    let rehearsal = rehearse(*seed, scenario.as_ref(), false);
                    sender.send(tell(&rehearsal)).unwrap();
                }
            });
        }
        drop(sender);
        done.into_iter().flatten().collect()
    });
    assert!(broken.is_empty(), "{} worlds:\n{}", broken.len(), broken.join("\n"));
}

fn tell(rehearsal: &Rehearsal) -> Option<String> {
    let violation = rehearsal.violation.as_ref()?;
    let (seed, name) = (rehearsal.seed, &rehearsal.scenario.name);
    Some(format!("{name} with seed {seed} (sim replay {seed} --trace): {violation}"))
}
