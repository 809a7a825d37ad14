//! The table of verification schemes: it agrees with theory, and with itself.

#![allow(clippy::unwrap_used, reason = "a test that unwraps fails, as it should")]

use sim::{
    Adversary, Extent, Outcome, Scheme, Setting, Size, Stop, Survey, Threat, Trial, of_so_many,
};

const ALWAYS: u64 = 1_000_000;

/// Several runs, added up.
fn play(scheme: Scheme, size: Size, percent: u64, adversary: Adversary, runs: u64) -> Outcome {
    let mut sum = Outcome::default();
    for seed in 0..runs {
        let outcome = scheme.run(Setting { size, adversary, percent, seed });
        sum.units += outcome.units;
        sum.executions += outcome.executions;
        sum.in_audits += outcome.in_audits;
        sum.wrong += outcome.wrong;
        sum.open += outcome.open;
        sum.convicted += outcome.convicted;
        sum.framed += outcome.framed;
    }
    sum
}

const MIDDLE: Size = Size { workers: 50, units: 5_000, batch: 10 };

#[test]
fn what_fixed_quorums_let_through_is_what_theory_says() {
    let size = Size { workers: 2_000, units: 20_000, batch: 1 };
    let stops = [
        Stop::First(2),
        Stop::Of { majority: 2, issued: 3 },
        Stop::First(3),
        Stop::Of { majority: 3, issued: 5 },
        Stop::Lead(2),
        Stop::Lead(3),
        Stop::Lead(4),
    ];
    for stop in stops {
        for (adversary, is_silent) in
            [(Adversary::Silent { ppm: ALWAYS }, true), (Adversary::Open, false)]
        {
            for percent in [10, 20, 30] {
                let seen = play(Scheme::Counted(stop), size, percent, adversary, 3);
                let liars = size.workers * percent as usize / 100;
                let expected = of_so_many(stop, liars, size.workers, is_silent);
                let error = (expected * (1.0 - expected) / seen.units as f64).sqrt();
                let apart = (seen.wrong_share() - expected).abs();
                assert!(
                    apart <= 4.0 * error,
                    "{stop:?}, {adversary:?}, {percent} %: {} and not {expected} ± {error}",
                    seen.wrong_share()
                );
            }
        }
    }
}

#[test]
fn rqa_without_audits_lets_through_what_a_quorum_of_its_size_does() {
    for quorum in 1..=3 {
        let seen = play(Scheme::rqa(quorum, 0), MIDDLE, 20, Adversary::Silent { ppm: ALWAYS }, 6);
        let expected = of_so_many(Stop::First(usize::from(quorum)), 10, MIDDLE.workers, true);
        // Liars are asked as often as they are fast, and hold whole batches: few, for three of them.
        let (share, least) = (seen.wrong_share(), expected / f64::from(quorum + 1));
        let range = least..expected * 1.5;
        assert!(range.contains(&share), "k = {quorum}: {share}, expected about {expected}");
        assert_eq!((seen.open, seen.convicted, seen.framed), (0, 0, 0));
    }
}

#[test]
fn an_honest_job_costs_two_executions_its_audits_and_what_gets_lost() {
    let seen = play(Scheme::rqa(2, 10), MIDDLE, 0, Adversary::Open, 3);
    let executions = seen.executions_per_unit();
    assert!((2.1..2.2).contains(&executions), "{executions}");
    let audits = seen.in_audits as f64 / seen.units as f64;
    assert!((0.09..0.115).contains(&audits), "{audits}");
    assert_eq!((seen.wrong, seen.open, seen.framed), (0, 0, 0));
}

#[test]
fn by_default_a_fifth_of_liars_gets_little_through_at_whatever_rate_they_lie() {
    for ppm in [ALWAYS, ALWAYS * 3 / 10, ALWAYS / 10, ALWAYS * 3 / 100] {
        let seen = play(Scheme::rqa(2, 10), MIDDLE, 20, Adversary::Silent { ppm }, 4);
        let (executions, wrong) = (seen.executions_per_unit(), seen.wrong_share());
        // A sixth of what two votes without audits let through.
        assert!(wrong <= 0.2 * 0.2 / 6.0, "{ppm} ppm: {wrong} wrong");
        assert!(executions <= 2.6, "{ppm} ppm: {executions} executions");
        assert_eq!((seen.open, seen.framed), (0, 0));
    }
}

#[test]
fn who_cannot_make_a_seal_gets_nothing_through() {
    for adversary in [Adversary::Copier, Adversary::Faulty, Adversary::Open] {
        let seen = play(Scheme::rqa(2, 10), MIDDLE, 20, adversary, 2);
        let wrong = seen.wrong_share();
        let most = if adversary == Adversary::Open { 2e-3 } else { 0.0 };
        assert!(wrong <= most, "{adversary:?}: {wrong}");
        assert_eq!(seen.framed, 0);
    }
}

#[test]
fn hosts_that_are_believed_alone_let_sleepers_through() {
    let adversary = Adversary::Sleeper { ppm: ALWAYS };
    let size = Size { workers: 200, units: 20_000, batch: 1 };
    let adaptive = play(Scheme::Adaptive, size, 20, adversary, 1).wrong_share();
    assert!((0.1..0.2).contains(&adaptive), "{adaptive}");
    let credible = play(Scheme::Credibility { one_in: 1000 }, size, 20, adversary, 1).wrong_share();
    assert!(credible < adaptive / 5.0, "{credible} and {adaptive}");
}

#[test]
fn the_same_seed_gives_the_same_table_in_any_number_of_threads() {
    let table = |seed, threads| {
        let mut extent = Extent::quick(seed, 1, threads);
        extent.size = Size { workers: 15, units: 300, batch: 8 };
        let survey = Survey::run(extent, |_| ());
        (survey.to_markdown(), survey.to_svg())
    };
    let (first, again, other) = (table(5, 1), table(5, 2), table(6, 2));
    assert_eq!(first, again);
    assert_ne!(first, other);
    assert!(first.0.contains("## Economy") && first.1.ends_with("</svg>\n"));
}

#[test]
fn a_cell_shows_the_rate_of_lying_that_leaves_most_wrong_results() {
    let size = Size { workers: 50, units: 2_000, batch: 1 };
    let trial = Trial { scheme: Scheme::first(2), threat: Threat::Silent, size, percent: 20 };
    let effort = Extent::full(1, 2, 1).effort;
    let cell = trial.run(&effort);
    assert_eq!(cell.worst.adversary, Adversary::Silent { ppm: ALWAYS });
    let rare = trial.sum(Adversary::Silent { ppm: ALWAYS / 10 }, 20, 1);
    assert!(rare.wrong.mean < cell.worst.wrong.mean / 5.0);
}
