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
use crate::work::{self, FileOf, example, fetch, follow, hand_over, output};
use crate::{Deadline, Fleet, Recipe, interrupt, table};

/// On two cores it takes a quarter of this.
const WITHIN: Duration = Duration::from_secs(150);
const NODES: usize = 5;
/// The example, and the file that it leaves.
const JOBS: [(&str, &str); 3] =
    [("fractal", "fractal.png"), ("options", "prices.csv"), ("kmers", "kmers.tsv")];

/// A job of the demonstration.
#[derive(Debug)]
struct Shown {
    name: &'static str,
    file: &'static str,
    /// The node that submits it.
    by: usize,
    job: JobId,
    took: Duration,
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
    for (by, (name, file)) in JOBS.into_iter().enumerate() {
        let client = fleet.member(by).client()?;
        let job = hand_over(client, &example(name)?)?;
        let last = client.job(&job.to_string())?;
        jobs.push(Shown { name, file, by, job, took: Duration::ZERO, last });
    }
    watch(fleet, &mut jobs, deadline)?;
    std::fs::create_dir_all(&args.to).with_context(|| args.to.display().to_string())?;
    for shown in &mut jobs {
        // The verdict may have gone on meanwhile.
        shown.last = fleet.member(shown.by).client()?.job(&shown.job.to_string())?;
        keep(fleet, shown, &args.to).with_context(|| format!("the results of {}", shown.name))?;
    }
    check(fleet, &jobs)?;
    jobs.iter().map(|shown| told(fleet, shown)).collect()
}

fn watch(fleet: &mut Fleet, jobs: &mut [Shown], deadline: Deadline) -> anyhow::Result<()> {
    let started = Instant::now();
    let mut progress = Progress::new(&JOBS.map(|(name, _)| name));
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
                            bail!("{}: {}", jobs[at].name, word(&status.state))
                        }
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    bail!("node {} says nothing more of {}", jobs[at].by, jobs[at].name)
                }
            }
        }
    }
    Ok(())
}

/// Writes the file and the stdout of a job's last stage.
fn keep(fleet: &Fleet, shown: &Shown, to: &Path) -> anyhow::Result<()> {
    let client = fleet.member(shown.by).client()?;
    let units = fetch(client, shown.job)?;
    let [unit] = units.as_slice() else { bail!("{} results instead of one", units.len()) };
    ensure!(unit.verified, "they are not verified");
    ensure!(unit.ending.is_success(), "the last stage ended with {}", unit.ending);
    let file = output(client, unit, FileOf::Path(shown.file))?;
    // The picture that comes with the example was made without dugnad.
    let known = work::examples().join(shown.name).join(shown.file);
    if let Ok(known) = std::fs::read(&known) {
        ensure!(file == known, "{} differs from the one in the repository", shown.file);
    }
    std::fs::write(to.join(shown.file), file)?;
    let stdout = output(client, unit, FileOf::Stdout)?;
    std::fs::write(to.join(format!("{}.txt", shown.name)), stdout)?;
    Ok(())
}

/// Every job is verified, the liar is named somewhere, and nobody else is anywhere.
fn check(fleet: &Fleet, jobs: &[Shown]) -> anyhow::Result<()> {
    let liar = fleet.member(NODES - 1).peer()?;
    let mut caught = false;
    for shown in jobs {
        ensure!(shown.last.state == JobState::Verified, "{} is not verified any more", shown.name);
        let convicted = shown.last.convicted.iter().map(|convicted| convicted.peer);
        let named = convicted.chain(shown.last.outvoted.iter().map(|outvoted| outvoted.peer));
        for peer in named {
            ensure!(peer == liar, "{} accuses an honest node: {peer}", shown.name);
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
        accusations.push(format!("{}: {who} is convicted: it {why}", shown.name));
    }
    for outvoted in &status.outvoted {
        let who = name(outvoted.peer);
        let what = format!("alone against the verified outcomes of {} units", outvoted.units);
        accusations.push(format!("{}: {who} stood {what}", shown.name));
        if !caught.contains(&who) {
            caught.push(who);
        }
    }
    let caught = if caught.is_empty() { "-".to_owned() } else { caught.join(", ") };
    let row = vec![
        shown.name.to_owned(),
        work::done(status).1.to_string(),
        status.executions.to_string(),
        verified.to_string(),
        status.disputed.to_string(),
        caught,
        format!("{:.1} s", shown.took.as_secs_f64()),
    ];
    Ok(Told { row, accusations })
}

fn print(told: &[Told], to: &Path) -> anyhow::Result<()> {
    let rows: Vec<Vec<String>> = told.iter().map(|told| told.row.clone()).collect();
    let heading =
        ["JOB", "UNITS", "EXECUTIONS", "VERIFIED", "DISPUTED", "CAUGHT LYING", "TIME"];
    table::print(&heading, &rows)?;
    for accusation in told.iter().flat_map(|told| &told.accusations) {
        table::talk(accusation);
    }
    let files = JOBS.map(|(_, file)| file).join(", ");
    table::talk(format!("{files} and what each job printed are in {}", to.display()));
    Ok(())
}
