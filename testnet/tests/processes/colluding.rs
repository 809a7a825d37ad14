//! Three of eight nodes that lie together.

use std::collections::BTreeSet;

use anyhow::{Context, ensure};
use client::DraftPolicy;
use client::api::{Assurance, JobState, JobStatus};
use protocol::{JobId, PeerId};
use serde_json::Value;
use sim::LiarKind;
use testnet::{Fleet, KNOWN, Member, Recipe, example, hand_over, known_file, until};

use crate::harness::{play_recipe, program, run, verified};

const LIARS: std::ops::Range<usize> = 5..8;

fn three_of_eight(kind: LiarKind) -> Recipe {
    let mut recipe = Recipe::honest(program(), 8);
    recipe.nodes[LIARS].fill(Some(kind));
    recipe
}

fn peers(members: &[Member]) -> anyhow::Result<BTreeSet<PeerId>> {
    members.iter().map(Member::peer).collect()
}

/// What `dugnad` prints when it is asked about a job at a node, however that ends.
fn asked(fleet: &Fleet, index: usize, verb: &str, job: JobId, output: &str) -> String {
    let folder = fleet.member(index).data_dir().display().to_string();
    let ran = run(&["job", verb, &job.to_string(), "--data-dir", &folder, "--output", output]);
    String::from_utf8_lossy(&ran.stdout).into_owned()
}

#[test]
fn three_of_eight_who_always_lie_together_get_nothing_sealed_and_are_named_with_evidence() {
    // Who lies about some units only can have luck, and be right wherever an anchor looks.
    let always = Recipe { lies_after: 0, lies_about: 100, ..three_of_eight(LiarKind::Sleeper) };
    play_recipe(always, |fleet, deadline| {
        let client = fleet.member(0).client()?;
        let mut kmers = example("kmers")?;
        // So many batches that two of the three surely make up a quorum somewhere, and fewer than an anchor audits.
        kmers.draft.stages[0].batch = 1;
        let job = hand_over(client, &kmers)?;
        let sealed = |status: &JobStatus| status.assurance == Assurance::Sealed;
        let status = until(client, job, deadline, "it was sealed", sealed)?;
        let kmers = KNOWN.into_iter().find(|known| known.example == "kmers");
        known_file(client, job, kmers.expect("it is among the examples"))?;
        ensure!(status.stages.iter().all(|stage| stage.contested == 0), "a dispute is open");

        // All of it anew from the signed steps.
        let told = asked(fleet, 0, "verify", job, "json");
        let told: Value = serde_json::from_str(&told).with_context(|| told.clone())?;
        let verdict = &told["verdict"];
        let liars = peers(&fleet.members()[LIARS])?;
        let [named, colluded] = named_with_evidence(verdict)?;
        ensure!(named.is_subset(&liars), "an honest node is convicted: {verdict}");
        ensure!(2 <= colluded.len(), "no two are named for one lie: {verdict}");
        let shown: BTreeSet<PeerId> = status.convicted.iter().map(|of| of.peer).collect();
        ensure!(shown == named, "the node names others: {status:?}");
        let says_why = status.convicted.iter().all(|of| of.why.contains(" decided units ("));
        ensure!(says_why, "the node does not say by what: {status:?}");
        // A third may have found no partner for a lie, or shown nobody what is under their root. It goes unnamed
        // then, and has nothing of it.
        ensure!(stand(verdict)?.is_disjoint(&liars), "a liar stands behind a result: {verdict}");
        Ok(())
    });
}

/// Who is convicted, each with units on which it stated something else than was decided; and of them those who did so
/// like others.
fn named_with_evidence(verdict: &Value) -> anyhow::Result<[BTreeSet<PeerId>; 2]> {
    let (mut named, mut colluded) = (BTreeSet::new(), BTreeSet::new());
    for convict in verdict["convicted"].as_array().context("a list of convicts")? {
        let units = convict["units"].as_array().context("a list of units")?;
        let is_wrong =
            |unit: &Value| unit["stated"].is_string() && unit["stated"] != unit["decided"];
        ensure!(!units.is_empty() && units.iter().all(is_wrong), "no evidence: {convict}");
        let peer = serde_json::from_value(convict["peer"].clone())?;
        named.insert(peer);
        if convict["colluded"] == true {
            colluded.insert(peer);
        }
    }
    Ok([named, colluded])
}

/// Who stands behind any accepted unit.
fn stand(verdict: &Value) -> anyhow::Result<BTreeSet<PeerId>> {
    let voters = verdict["voters"].as_array().context("a list of voters")?;
    let joined = voters.iter().filter(|voter| voter["joined"] != 0);
    Ok(joined
        .map(|voter| serde_json::from_value(voter["peer"].clone()))
        .collect::<Result<_, _>>()?)
}

#[test]
fn without_the_submitter_nothing_becomes_final_and_the_job_says_what_it_waits_for() {
    play_recipe(three_of_eight(LiarKind::Coalition), |fleet, deadline| {
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
        says_what_it_waits_for(&asked(fleet, 1, "show", job, "table"), submitter)
    });
}

/// The words of `dugnad job show` for a job of which everything is accepted and the anchor is gone: how many units
/// of which stages are no surer than that, whose audits they lack, and who could seal them. Where what the last
/// stage reads has failed, that stage is still open, and an anchor comes only later.
fn says_what_it_waits_for(shown: &str, anchor: PeerId) -> anyhow::Result<()> {
    let says = |what: &str| ensure_says(shown, what);
    let row = |name: &str| {
        let row = shown.lines().find(|line| line.split_whitespace().next() == Some(name));
        row.map(|row| row.split_whitespace().skip(1).flat_map(str::parse).collect::<Vec<u64>>())
    };
    let (counts, table) = (row("counts").context("a stage")?, row("table").context("a stage")?);
    ensure!(counts == [48, 0, 0, 48, 0, 0, 0, 0], "units, open … final, sealed: {shown}");
    let [units, open, .., finals, sealed] = table[..] else { anyhow::bail!("no row: {shown}") };
    ensure!((units, finals, sealed) == (1, 0, 0), "{shown}");
    says(&format!("anchor     {anchor}"))?;
    says(", provisional\n")?;
    says(&format!("{} units are provisional: ", 49 - open))?;
    says(" audits, by ")?;
    says(" of 6 different peers")?;
    if shown.contains("state      verified") {
        let name = anchor.to_string();
        let name = &name[name.len() - 8..];
        says(&format!("sealed as soon as an anchor (…{name}) is back and has audited them"))
    } else {
        says("they are sealed once every unit has an outcome and an anchor has audited them")
    }
}

fn ensure_says(shown: &str, what: &str) -> anyhow::Result<()> {
    ensure!(shown.contains(what), "it does not say `{what}`:\n{shown}");
    Ok(())
}

#[test]
fn where_four_votes_are_asked_for_three_liars_get_nothing_wrong_accepted() {
    play_recipe(three_of_eight(LiarKind::Coalition), |fleet, deadline| {
        let mut strict = example("kmers")?;
        strict.draft.policy = DraftPolicy::strict();
        let client = fleet.member(0).client()?;
        let job = hand_over(client, &strict)?;
        until(client, job, deadline, "everything was accepted", verified)?;
        let kmers = KNOWN.into_iter().find(|known| known.example == "kmers");
        known_file(client, job, kmers.expect("it is among the examples")).map(drop)
    });
}
