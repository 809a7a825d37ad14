//! Plays one story on one network under one deadline, and shows the logs if it ends badly.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use client::Client;
use client::api::{JobState, JobStatus};
use protocol::JobId;
use testnet::{Deadline, Fleet, KNOWN, Recipe, known_file, until};

const WITHIN: Duration = Duration::from_secs(300);

/// Plays `story` on a network of so many honest nodes.
pub(crate) fn play(nodes: usize, story: impl FnOnce(&mut Fleet, Deadline) -> anyhow::Result<()>) {
    play_recipe(Recipe::honest(program(), nodes), story);
}

/// Plays `story` on a network with liars.
pub(crate) fn play_recipe(
    recipe: Recipe,
    story: impl FnOnce(&mut Fleet, Deadline) -> anyhow::Result<()>,
) {
    let _turn = turn();
    let deadline = Deadline::within(WITHIN);
    let mut fleet = Fleet::start(recipe, deadline)
        .unwrap_or_else(|error| panic!("the network did not start: {error:#}"));
    let played = fleet.formed(deadline).and_then(|()| story(&mut fleet, deadline));
    if let Err(error) = played {
        panic!("{error:#}\n{}", fleet.last_words());
    }
    fleet.stop().unwrap();
}

/// Runs the program as a person would.
pub(crate) fn run(args: &[&str]) -> Output {
    let mut command = Command::new(program());
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("DUGNAD_")) {
            command.env_remove(name);
        }
    }
    command.args(args).output().unwrap()
}

/// Only one network at a time, whatever runs the tests.
pub(crate) fn turn() -> File {
    let file = File::create(Path::new(env!("CARGO_TARGET_TMPDIR")).join("turn")).unwrap();
    file.lock().unwrap();
    file
}

pub(crate) fn verified(status: &JobStatus) -> bool {
    status.state == JobState::Verified
}

/// How many units of a job's first stage are accepted.
pub(crate) fn accepted(status: &JobStatus) -> u64 {
    status.stages.first().map_or(0, |stage| stage.accepted)
}

/// Waits for the job's verified end on this node, and compares its picture with the native one.
pub(crate) fn expect_picture(
    client: &Client,
    job: JobId,
    deadline: Deadline,
) -> anyhow::Result<()> {
    until(client, job, deadline, "the picture was verified", verified)?;
    known_file(client, job, KNOWN[0]).map(drop)
}

pub(crate) fn program() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_testnet"))
}
