//! What a policy promises, against the table that the model was fitted to, and what is refused.

use super::*;
use crate::api::Blob;
use crate::{DraftLimits, DraftStage, DraftStdin};
use protocol::BlobId;

fn stage(name: &str, source: DraftSource, batch: u32) -> DraftStage {
    DraftStage {
        name: name.to_owned(),
        source,
        module: Blob { id: BlobId::of(b"m"), size: 1 },
        args: vec![],
        env: vec![],
        stdin: DraftStdin::Nothing,
        inputs: vec![],
        limits: DraftLimits::default(),
        batch,
        links: crate::DraftLinks::default(),
    }
}

/// `units` units in batches of `batch`, and `gathers` stages that gather one another.
fn draft(units: u64, batch: u32, gathers: u16) -> Draft {
    let map = stage("map", DraftSource::Range { from: 0, to: units, block: 1 }, batch);
    let gather =
        |n: u16| stage(&format!("g{n}"), DraftSource::Gather { stage: n, fan_in: None }, 1);
    Draft {
        name: "x".to_owned(),
        description: String::new(),
        expires_after_ms: 1,
        priority: 5,
        policy: DraftPolicy::default(),
        stages: std::iter::once(map).chain((0..gathers).map(gather)).collect(),
        no_memo: false,
    }
}

fn shape(units: u64, batch: u32, gathers: u16) -> Shape {
    Shape::of(&draft(units, batch, gathers))
}

#[test]
fn the_model_is_above_what_the_simulations_left_wrong() {
    // quorum, audits, liars, peers, units; the residual that was measured.
    for (quorum, audit, liars, peers, units, measured) in [
        (2, 0, 0.05, 200, 20_000, 2.2e-3),
        (2, 0, 0.2, 200, 20_000, 3.4e-2),
        (2, 0, 0.3, 200, 20_000, 8.3e-2),
        (2, 20_000, 0.1, 200, 20_000, 2.4e-3),
        (2, 50_000, 0.2, 200, 20_000, 1.3e-3),
        (2, 50_000, 0.3, 200, 20_000, 1.4e-3),
        (2, 100_000, 0.1, 200, 20_000, 1.0e-3),
        (2, 100_000, 0.2, 200, 20_000, 1.3e-3),
        (2, 100_000, 0.3, 200, 20_000, 1.3e-3),
        (2, 200_000, 0.1, 200, 20_000, 9.5e-4),
        (2, 200_000, 0.3, 200, 20_000, 8.8e-4),
        (3, 50_000, 0.3, 200, 20_000, 2.3e-3),
        (3, 100_000, 0.3, 200, 20_000, 1.0e-3),
        (3, 200_000, 0.2, 200, 20_000, 7.5e-4),
        (4, 20_000, 0.3, 200, 20_000, 7.3e-3),
        (4, 50_000, 0.3, 200, 20_000, 1.6e-3),
        (4, 100_000, 0.3, 200, 20_000, 1.1e-3),
        (2, 100_000, 0.2, 200, 2_000, 8.0 / 2e3),
        (2, 100_000, 0.2, 50, 20_000, 5.0 / 2e4),
        (2, 100_000, 0.2, 1_000, 20_000, 30.0 / 2e4),
        (1, 100_000, 0.3, 200, 20_000, 9.0e-3),
        (1, 200_000, 0.2, 200, 20_000, 3.7e-3),
        (1, 200_000, 0.3, 200, 20_000, 4.8e-3),
        (1, 400_000, 0.3, 200, 20_000, 1.9e-3),
    ] {
        let e = unit_error(quorum, audit, liars, peers, units);
        let row = format!("k {quorum}, audits {audit}, f {liars}, N {peers}, U {units}: {e:e}");
        assert!(measured <= e, "{row} is below {measured:e}");
        assert!(e <= measured * 6.0, "{row} is far above {measured:e}");
    }
}

#[test]
fn an_error_of_one_unit_is_an_error_of_whatever_reads_it() {
    let map = shape(1000, 64, 0);
    assert_eq!((map.units, map.ancestry), (1000, 1));
    let gathered = shape(1000, 64, 1);
    assert_eq!((gathered.units, gathered.ancestry), (1001, 1001));
    // A chain of gathers of one unit each adds one unit per link.
    assert_eq!(shape(1000, 64, 3).ancestry, 1003);
    assert!((composed(0.1, 2) - 0.19).abs() < 1e-12);
    assert!((composed(1e-12, 1000) - 1e-9).abs() < 1e-14);
    assert_eq!((composed(1.0, 3), composed(0.0, 1_000_000)), (1.0, 0.0));
}

#[test]
fn a_policy_is_the_cheapest_that_reaches_its_target() {
    // units, gathers, target, liars; quorum and audits.
    for (units, gathers, target, liars, want) in [
        (20_000, 0, 1e-3, 0.2, (2, 350_000)),
        (20_000, 0, 3e-3, 0.2, (2, 150_000)),
        (1_000_000, 0, 1e-3, 0.2, (2, 100_000)),
        (64, 0, 5e-2, 0.2, (2, 100_000)),
        (64, 0, 1e-2, 0.2, (3, 100_000)),
        (64, 0, 1e-3, 0.2, (5, 100_000)),
        (64, 1, 1e-3, 0.2, (7, 100_000)),
        (64, 0, 1e-3, 0.05, (3, 100_000)),
    ] {
        let goal = Goal { target: Some(target), liars, ..Goal::default() };
        let shape = shape(units, 64.min(units as u32 / 16), gathers);
        let policy = settle(&shape, DraftPolicy::default(), &goal, Some(500)).unwrap();
        let row = format!("{units} units, {gathers} gathers, target {target}, liars {liars}");
        assert_eq!((policy.quorum, policy.audit_ppm), want, "{row}");
        assert!(Promise::of(&shape, &policy, liars, Some(500)).error <= target, "{row}");
    }
}

#[test]
fn what_cannot_be_promised_is_refused_with_what_could_be() {
    let shape = shape(1_000_000, 64, 1);
    let goal = Goal { target: Some(1e-3), ..Goal::default() };
    let refused = settle(&shape, DraftPolicy::default(), &goal, None).unwrap_err();
    assert_eq!((refused.best.quorum, refused.free), (9, None));
    let (text, hint) = (refused.to_string(), refused.hint());
    assert!(text.contains("0.1 %") && text.contains("1000001 units"), "{text}");
    assert!(text.contains("quorum 9") && text.contains("20 % of the peers"), "{text}");
    for part in ["`target = 4.1e-1`", "anchors", "job get --sample"] {
        assert!(hint.contains(part), "{hint}");
    }
    let again = Goal { target: Some(0.41), ..goal };
    assert!(settle(&shape, DraftPolicy::default(), &again, None).is_ok());
}

#[test]
fn what_the_author_has_fixed_stays_and_is_named_where_it_is_in_the_way() {
    let shape = shape(640, 16, 0);
    let fixed = DraftPolicy { quorum: 2, audit_ppm: 0, ..DraftPolicy::default() };
    let goal =
        Goal { target: Some(1e-3), keeps_quorum: true, keeps_audit: true, ..Goal::default() };
    let refused = settle(&shape, fixed.clone(), &goal, None).unwrap_err();
    assert!((refused.best.error - 0.04).abs() < 1e-9);
    assert!(
        refused.hint().contains("quorum = 5 with audit = 0.1 reaches it"),
        "{}",
        refused.hint()
    );
    let more = Goal { keeps_quorum: false, ..goal };
    let policy = settle(&shape, fixed.clone(), &more, None).unwrap();
    assert_eq!((policy.quorum, policy.audit_ppm), (5, 0));
    let none = Goal { target: None, ..goal };
    assert_eq!(settle(&shape, fixed.clone(), &none, None).unwrap(), fixed);
}

#[test]
fn of_unknown_peers_as_many_are_reckoned_with_as_could_vote() {
    let shape = shape(20_000, 64, 0);
    let policy = DraftPolicy::default();
    let of = |peers| Promise::of(&shape, &policy, 0.2, peers);
    assert_eq!((of(None).peers, of(None).are_known), (2 * shape.batches, false));
    assert_eq!((of(Some(0)).peers, of(Some(0)).are_known), (2 * shape.batches, false));
    assert_eq!((of(Some(50)).peers, of(Some(50)).are_known), (50, true));
    assert_eq!(of(Some(1_000_000)).peers, 2 * shape.batches);
    assert!(of(Some(50)).error < of(None).error);
}

#[test]
fn shares_are_shown_with_two_digits() {
    for (share, want) in [
        (0.0, "0 %"),
        (1.0, "100 %"),
        (0.2, "20 %"),
        (0.041, "4.1 %"),
        (0.04, "4 %"),
        (1e-3, "0.1 %"),
        (6.1e-4, "0.061 %"),
        (5.12e-7, "5.1e-7"),
    ] {
        assert_eq!(show_share(share), want, "{share}");
    }
    assert_eq!((show_up(5.12e-7), show_up(0.04)), ("5.2e-7".to_owned(), "4.0e-2".to_owned()));
}
