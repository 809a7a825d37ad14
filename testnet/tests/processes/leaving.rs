//! Jobs whose submitter goes away.

use anyhow::Context;
use client::api::JobStatus;
use testnet::{example, hand_over, until};

use crate::harness::{expect_picture, play, verified};

#[test]
fn a_job_that_is_safe_to_leave_is_finished_and_fetched_without_its_submitter() {
    play(4, |fleet, deadline| {
        let submitter = 3;
        let client = fleet.member(submitter).client()?;
        let job = hand_over(client, &example("fractal")?)?;
        until(client, job, deadline, "it was safe to leave", |status| status.safe_to_leave)?;
        fleet.kill(submitter);
        let other = fleet.member(1).client()?;
        other.open(job).context("another node is asked for the job")?;
        expect_picture(other, job, deadline)
    });
}

#[test]
fn results_stay_while_one_keeper_is_left_that_has_executed_nothing() {
    play(4, |fleet, deadline| {
        let (keeper, submitter) = (1, 3);
        fleet.member(keeper).client()?.pause()?;
        let client = fleet.member(submitter).client()?;
        let job = hand_over(client, &example("fractal")?)?;
        let all_keep = |status: &JobStatus| verified(status) && status.results_kept == Some(3);
        let status = until(client, job, deadline, "all others held the results", all_keep)?;
        let own = fleet.member(keeper).peer()?;
        anyhow::ensure!(status.workers.iter().all(|worker| worker.peer != own), "it has worked");
        for gone in [0, 2, submitter] {
            fleet.kill(gone);
        }
        expect_picture(fleet.member(keeper).client()?, job, deadline)
    });
}
