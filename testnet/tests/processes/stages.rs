//! Jobs whose stages read each other: a shuffle, a loop that ends early, long units in segments.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use client::Client;
use client::api::JobStatus;
use protocol::JobId;
use testnet::{FileOf, Fleet, Known, example, hand_over, known_file, only_output, until};

use crate::harness::{play, verified};

/// `reads.tsv` of the native programs, as the example's page says.
const READS: Known = Known {
    example: "reads",
    file: "reads.tsv",
    id: "bafkr4if7dja5la2jtw7yhpdo4zj2ydenknznfywoablgsl6qiq5q3mvnua",
};

#[test]
fn words_are_counted_by_a_shuffle_as_by_a_single_pass() {
    play(4, |fleet, deadline| {
        let client = fleet.member(3).client()?;
        let job = hand_over(client, &example("words")?)?;
        until(client, job, deadline, "the words were verified", verified)?;
        let table = only_output(client, job, FileOf::Path("words.txt"))?;
        ensure!(String::from_utf8(table)? == counted()?, "the table is another one");
        Ok(())
    });
}

#[test]
fn reads_are_placed_in_their_genome_as_by_the_native_program() {
    play(3, |fleet, deadline| {
        let client = fleet.member(2).client()?;
        let job = hand_over(client, &example("reads")?)?;
        until(client, job, deadline, "the places were verified", verified)?;
        known_file(client, job, READS).map(drop)
    });
}

#[test]
fn a_loop_ends_early_and_its_other_rounds_are_not_executed() {
    play(4, |fleet, deadline| {
        let client = fleet.member(3).client()?;
        let job = hand_over(client, &example("kmeans")?)?;
        let status = until(client, job, deadline, "the clusters were verified", verified)?;
        expect_clusters(client, job)?;
        let units: u64 = status.stages.iter().map(|stage| stage.units).sum();
        let executed = executed(fleet)?;
        // Twelve of 25 rounds; two votes for each unit, and audits.
        ensure!(executed < 3 * units / 2, "{executed} executions of {units} units");
        Ok(())
    });
}

#[test]
fn a_job_goes_on_when_its_submitter_and_half_of_its_workers_die_between_two_stages() {
    play(5, |fleet, deadline| {
        let (submitter, other) = (4, 1);
        let client = fleet.member(submitter).client()?;
        let job = hand_over(client, &example("kmeans")?)?;
        until(client, job, deadline, "it was safe to leave", |status| status.safe_to_leave)?;
        let witness = fleet.member(other).client()?;
        witness.open(job)?;
        let seen = until(witness, job, deadline, "the second round was over", is_over("update.2"))?;
        ensure!(!verified(&seen), "it is over before anybody was killed");
        for victim in [submitter, 2, 3] {
            fleet.kill(victim);
        }
        let witness = fleet.member(other).client()?;
        until(witness, job, deadline, "two workers of four have ended it", verified)?;
        let third = fleet.member(0).client()?;
        third.open(job)?;
        until(third, job, deadline, "another node has the result", verified)?;
        expect_clusters(third, job)
    });
}

#[test]
fn others_go_on_from_the_checkpoints_of_a_worker_that_was_killed() {
    play(4, |fleet, deadline| {
        let (victim, submitter) = (1, 3);
        let job = hand_over(fleet.member(submitter).client()?, &example("heat")?)?;
        let client = fleet.member(submitter).client()?;
        until(client, job, deadline, "the first segment was over", is_over("plate.1"))?;
        fleet.kill(victim);
        let client = fleet.member(submitter).client()?;
        until(client, job, deadline, "the plates were verified", verified)?;
        let picture = only_output(client, job, FileOf::Path("heat.png"))?;
        let right = std::fs::read(of_example("heat/heat.png"))?;
        ensure!(picture == right, "the picture is another one");
        Ok(())
    });
}

/// Whether all units of a stage have an outcome that stands.
fn is_over(stage: &str) -> impl Fn(&JobStatus) -> bool {
    move |status| {
        let found = status.stages.iter().find(|found| found.name == stage);
        found.is_some_and(|stage| stage.accepted == stage.units)
    }
}

/// What was printed is what the example's page shows, which its own script has checked.
fn expect_clusters(client: &Client, job: JobId) -> anyhow::Result<()> {
    let printed = String::from_utf8(only_output(client, job, FileOf::Stdout)?)?;
    let page = std::fs::read_to_string(of_example("kmeans/README.md"))?;
    ensure!(page.contains(&format!("```text\n{printed}```")), "the page does not show:\n{printed}");
    Ok(())
}

/// Units that were executed on all nodes.
fn executed(fleet: &Fleet) -> anyhow::Result<u64> {
    let of = |member: &testnet::Member| member.metric("dugnad_units_executed_total");
    fleet.members().iter().map(of).sum()
}

/// The words of the whole text, counted here.
fn counted() -> anyhow::Result<String> {
    let text = std::fs::read_to_string(of_example("words/data/text.txt")).context("the text")?;
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for word in text.split_whitespace() {
        *counts.entry(word).or_default() += 1;
    }
    Ok(counts.iter().map(|(word, count)| format!("{word} {count}\n")).collect())
}

fn of_example(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples").join(file)
}
