//! Nodes that are killed in the middle of a job, and come back.

use anyhow::ensure;
use client::api::JobStatus;
use testnet::{example, hand_over, until};

use crate::harness::{accepted, expect_picture, play};

const BOOTSTRAP: usize = 0;
const WORKER: usize = 1;
const SUBMITTER: usize = 2;

#[test]
fn whoever_is_killed_comes_back_and_executes_nothing_again_that_it_voted_on() {
    play(3, |fleet, deadline| {
        let job = hand_over(fleet.member(SUBMITTER).client()?, &example("fractal")?)?;
        // It may be asked before it has heard of the job.
        fleet.member(WORKER).client()?.open(job)?;
        let mut killed = Vec::new();
        for (victim, witness, fifths) in
            [(BOOTSTRAP, WORKER, 1), (SUBMITTER, WORKER, 2), (WORKER, SUBMITTER, 3)]
        {
            let peer = fleet.member(victim).peer()?;
            let due = |status: &JobStatus| {
                let units = status.stages.first().map_or(0, |stage| stage.units);
                0 < units && fifths * units <= 5 * accepted(status)
            };
            let client = fleet.member(witness).client()?;
            let seen = until(client, job, deadline, "its share of units was accepted", due)?;
            let voted = seen.workers.iter().find(|worker| worker.peer == peer);
            killed.push((victim, voted.map_or(0, |worker| worker.units)));
            fleet.kill(victim);
            fleet.restart(victim, deadline)?;
        }
        for (victim, voted) in killed {
            let member = fleet.member(victim);
            expect_picture(member.client()?, job, deadline)?;
            let again = member.metric("dugnad_units_executed_total")?;
            let units = example("fractal")?.manifest().unit_count();
            ensure!(
                again + voted <= units,
                "{} had voted on {voted} of {units} units and executed {again} after its return",
                member.name()
            );
        }
        Ok(())
    });
}
