//! The demonstration: three jobs on five nodes, one of which lies and is caught.

use std::path::Path;
use std::process::ExitCode;
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use client::api::{JobState, JobStatus};
use protocol::JobId;
use sim::LiarKind;

use crate::entry::DemoArgs;
use crate::progress::{Progress, word};
use crate::work::{
    self, FileOf, KNOWN, Known, example, fetch, follow, hand_over, known_file, output,
};
use crate::{Deadline, Fleet, Recipe, interrupt, table};

/// On two cores it takes a quarter of this.
const WITHIN: Duration = Duration::from_secs(150);
const NODES: usize = 5;

/// A job of the demonstration.
#[derive(Debug)]
struct Shown {
    known: Known,
    /// The node that submits it.
    by: usize,
    job: JobId,
    took: Duration,
    /// Units that were in dispute at one time.
    disputed: u64,
    last: JobStatus,
}

pub(crate) fn run(args: &DemoArgs) -> anyhow::Result<ExitCode> {
    interrupt::listen()?;
    let deadline = Deadline::within(WITHIN);
    let mut recipe = Recipe::of_this_program(NODES)?;
    recipe.nodes[NODES - 1] = Some(LiarKind::Contester);
    table::talk(format!("starting {NODES} nodes on loopback, the last of which lies"));
    let mut fleet = Fleet::start(recipe, deadline)?;
    let shown = play(&mut fleet, args, deadline);
    let shown = shown.map_err(|error| {
        if !interrupt::is_asked() {
            table::talk(fleet.last_words());
        }
        error.context("the demonstration did not come to its end")
    });
    let stopped = fleet.stop();
    print(&shown?, &args.to)?;
    stopped?;
    Ok(ExitCode::SUCCESS)
}

/// Runs the jobs, checks what came of them, and keeps their results.
fn play(fleet: &mut Fleet, args: &DemoArgs, deadline: Deadline) -> anyhow::Result<Vec<Told>> {
    fleet.formed(deadline)?;
    let mut jobs = Vec::new();
    for (by, known) in KNOWN.into_iter().enumerate() {
        let client = fleet.member(by).client()?;
        let job = hand_over(client, &example(known.example)?)?;
        let last = client.job(&job.to_string())?;
        jobs.push(Shown { known, by, job, took: Duration::ZERO, disputed: 0, last });
    }
    watch(fleet, &mut jobs, deadline)?;
    std::fs::create_dir_all(&args.to).with_context(|| args.to.display().to_string())?;
    for shown in &mut jobs {
        // The verdict may have gone on meanwhile.
        shown.last = fleet.member(shown.by).client()?.job(&shown.job.to_string())?;
        let name = shown.known.example;
        keep(fleet, shown, &args.to).with_context(|| format!("the results of {name}"))?;
    }
    check(fleet, &jobs)?;
    jobs.iter().map(|shown| told(fleet, shown)).collect()
}

fn watch(fleet: &mut Fleet, jobs: &mut [Shown], deadline: Deadline) -> anyhow::Result<()> {
    let started = Instant::now();
    let mut progress = Progress::new(&KNOWN.map(|known| known.example));
    let mut news = Vec::new();
    for shown in &*jobs {
        news.push(Some(follow(fleet.member(shown.by).client()?, shown.job)));
    }
    while news.iter().any(Option::is_some) {
        deadline.check("all jobs were verified")?;
        let lost = fleet.lost();
        ensure!(lost.is_empty(), "{} ended by itself", lost.join(", "));
        for (at, waiting) in news.iter_mut().enumerate() {
            let Some(open) = waiting else { continue };
            match open.recv_timeout(Duration::from_millis(30)) {
                Ok(status) => {
                    let status = status?;
                    progress.show(at, &status);
                    // Whoever is convicted takes its disputes along.
                    jobs[at].disputed = jobs[at].disputed.max(status.disputed);
                    match &status.state {
                        JobState::Verified => {
                            jobs[at].took = started.elapsed();
                            *waiting = None;
                        }
                        JobState::Seeking
                        | JobState::Fetching
                        | JobState::Running
                        | JobState::SelfExecuted
                        | JobState::Stuck { .. } => {}
                        JobState::Failed { .. }
                        | JobState::Broken { .. }
                        | JobState::Cancelled
                        | JobState::Expired => {
                            bail!("{}: {}", jobs[at].known.example, word(&status.state))
                        }
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    bail!("node {} says nothing more of {}", jobs[at].by, jobs[at].known.example)
                }
            }
        }
    }
    Ok(())
}

/// Writes the file and the stdout of a job's last stage.
fn keep(fleet: &Fleet, shown: &Shown, to: &Path) -> anyhow::Result<()> {
    let client = fleet.member(shown.by).client()?;
    let file = known_file(client, shown.job, shown.known)?;
    std::fs::write(to.join(shown.known.file), file)?;
    let unit = fetch(client, shown.job)?.pop().context("no result")?;
    let stdout = output(client, &unit, FileOf::Stdout)?;
    std::fs::write(to.join(format!("{}.txt", shown.known.example)), stdout)?;
    Ok(())
}

/// Every job is verified, the liar is named somewhere, and nobody else is anywhere.
fn check(fleet: &Fleet, jobs: &[Shown]) -> anyhow::Result<()> {
    let liar = fleet.member(NODES - 1).peer()?;
    let mut caught = false;
    for shown in jobs {
        ensure!(
            shown.last.state == JobState::Verified,
            "{} is not verified any more",
            shown.known.example
        );
        let convicted = shown.last.convicted.iter().map(|convicted| convicted.peer);
        let named = convicted.chain(shown.last.outvoted.iter().map(|outvoted| outvoted.peer));
        for peer in named {
            ensure!(peer == liar, "{} accuses an honest node: {peer}", shown.known.example);
            caught = true;
        }
    }
    ensure!(caught, "the liar was not named in any job");
    Ok(())
}

/// A row of the table, and what is said below it.
#[derive(Debug)]
struct Told {
    row: Vec<String>,
    accusations: Vec<String>,
}

fn told(fleet: &Fleet, shown: &Shown) -> anyhow::Result<Told> {
    let status = &shown.last;
    let verified: u64 = status.stages.iter().map(|stage| stage.accepted).sum();
    let name = |peer| {
        let mut members = fleet.members().iter();
        let member = members.find(|member| member.peer().is_ok_and(|known| known == peer));
        member.map_or_else(|| peer.to_string(), |member| member.name().to_owned())
    };
    let mut caught: Vec<String> = Vec::new();
    let mut accusations = Vec::new();
    for convicted in &status.convicted {
        caught.push(name(convicted.peer));
        let (who, why) = (name(convicted.peer), &convicted.why);
        accusations.push(format!("{}: {who} is convicted: it {why}", shown.known.example));
    }
    for outvoted in &status.outvoted {
        let who = name(outvoted.peer);
        let what = format!("alone against the verified outcomes of {} units", outvoted.units);
        accusations.push(format!("{}: {who} stood {what}", shown.known.example));
        if !caught.contains(&who) {
            caught.push(who);
        }
    }
    let caught = if caught.is_empty() { "-".to_owned() } else { caught.join(", ") };
    let row = vec![
        shown.known.example.to_owned(),
        work::done(status).1.to_string(),
        status.executions.to_string(),
        verified.to_string(),
        shown.disputed.max(status.disputed).to_string(),
        caught,
        format!("{:.1} s", shown.took.as_secs_f64()),
    ];
    Ok(Told { row, accusations })
}

fn print(told: &[Told], to: &Path) -> anyhow::Result<()> {
    let rows: Vec<Vec<String>> = told.iter().map(|told| told.row.clone()).collect();
    let heading = ["JOB", "UNITS", "EXECUTIONS", "VERIFIED", "DISPUTED", "CAUGHT LYING", "TIME"];
    table::print(&heading, &rows)?;
    for accusation in told.iter().flat_map(|told| &told.accusations) {
        table::talk(accusation);
    }
    let files = KNOWN.map(|known| known.file).join(", ");
    table::talk(format!("{files} and what each job printed are in {}", to.display()));
    Ok(())
}
