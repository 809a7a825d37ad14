//! Three of eight nodes that lie together, and a submitter that stays.

use std::collections::BTreeSet;

use anyhow::ensure;
use client::api::{Assurance, JobStatus};
use protocol::PeerId;
use sim::LiarKind;
use testnet::{KNOWN, Recipe, example, hand_over, known_file, until};

use crate::harness::{play_recipe, program};

const LIARS: std::ops::Range<usize> = 5..8;

#[test]
fn three_of_eight_who_collude_are_named_and_nothing_wrong_is_sealed() {
    let mut recipe = Recipe::honest(program(), 8);
    recipe.nodes[LIARS].fill(Some(LiarKind::Coalition));
    play_recipe(recipe, |fleet, deadline| {
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
