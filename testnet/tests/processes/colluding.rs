//! Three of eight nodes that lie together.

use std::collections::BTreeSet;

use anyhow::ensure;
use client::DraftPolicy;
use client::api::{Assurance, JobState, JobStatus};
use protocol::PeerId;
use sim::LiarKind;
use testnet::{KNOWN, Recipe, example, hand_over, known_file, until};

use crate::harness::{play_recipe, program, verified};

const LIARS: std::ops::Range<usize> = 5..8;

fn three_of_eight() -> Recipe {
    let mut recipe = Recipe::honest(program(), 8);
    recipe.nodes[LIARS].fill(Some(LiarKind::Coalition));
    recipe
}

#[test]
fn three_of_eight_who_collude_are_named_and_nothing_wrong_is_sealed() {
    play_recipe(three_of_eight(), |fleet, deadline| {
        let client = fleet.member(0).client()?;
        let job = hand_over(client, &example("kmers")?)?;
        let sealed = |status: &JobStatus| status.assurance == Assurance::Sealed;
        let status = until(client, job, deadline, "it was sealed", sealed)?;
        let kmers = KNOWN.into_iter().find(|known| known.example == "kmers");
        known_file(client, job, kmers.expect("it is among the examples"))?;
        let honest: BTreeSet<PeerId> =
            (0..LIARS.start).map(|index| fleet.member(index).peer()).collect::<Result<_, _>>()?;
        ensure!(!status.convicted.is_empty(), "nobody is convicted: {status:?}");
        for convicted in &status.convicted {
            ensure!(!honest.contains(&convicted.peer), "an honest node: {convicted:?}");
            ensure!(convicted.why.contains("decided"), "no evidence: {convicted:?}");
        }
        ensure!(status.stages.iter().all(|stage| stage.contested == 0), "a dispute is open");
        Ok(())
    });
}

#[test]
fn without_the_submitter_nothing_becomes_final_and_the_job_says_what_it_waits_for() {
    play_recipe(three_of_eight(), |fleet, deadline| {
        let submitter = fleet.member(0).peer()?;
        let client = fleet.member(0).client()?;
        let job = hand_over(client, &example("kmers")?)?;
        until(client, job, deadline, "it was safe to leave", |status| status.safe_to_leave)?;
        fleet.kill(0);
        let other = fleet.member(1).client()?;
        other.open(job)?;
        // Two votes may both be lies, and what reads them may fail. That is why they count for no more than
        // they are.
        let ended = |status: &JobStatus| {
            verified(status) || matches!(status.state, JobState::Failed { .. })
        };
        let status = until(other, job, deadline, "everything was accepted", ended)?;
        ensure!(status.assurance == Assurance::Provisional, "{status:?}");
        let is_sure = status.stages.iter().any(|stage| stage.finals + stage.sealed != 0);
        ensure!(!is_sure, "six others cannot have audited anybody here: {status:?}");
        ensure!(status.anchors == [submitter], "who could seal it: {status:?}");
        ensure!(!status.unaudited.is_empty(), "whose audits are missing: {status:?}");
        let lacks = status.unaudited.iter().all(|of| of.auditors < of.auditors_wanted);
        ensure!(lacks, "somebody who passed is said to lack audits: {status:?}");
        Ok(())
    });
}

#[test]
fn where_four_votes_are_asked_for_three_liars_get_nothing_wrong_accepted() {
    play_recipe(three_of_eight(), |fleet, deadline| {
        let mut strict = example("kmers")?;
        strict.draft.policy = DraftPolicy::strict();
        let client = fleet.member(0).client()?;
        let job = hand_over(client, &strict)?;
        until(client, job, deadline, "everything was accepted", verified)?;
        let kmers = KNOWN.into_iter().find(|known| known.example == "kmers");
        known_file(client, job, kmers.expect("it is among the examples")).map(drop)
    });
}
