//! Jobs whose submitter goes away.

use anyhow::Context;
use testnet::{example, hand_over, until};

use crate::harness::{expect_picture, play};

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
