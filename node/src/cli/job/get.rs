//! `dugnad job get`: results of any job that can be found, from any node.

use std::time::{Duration, Instant};

use client::Client;
use client::api::{JobState, JobStatus};
use protocol::JobId;

use crate::cli::args::GetArgs;
use crate::cli::door::Door;
use crate::cli::entry::Context;
use crate::cli::failure::{End, Failure, Outcome};
use crate::cli::job::fetch;
use crate::cli::job::follow::{Follow, News, Next, Settled};
use crate::cli::job::progress::Progress;
use crate::cli::job::run::unfinished;
use crate::cli::job::sample::{Sampled, sample};
use crate::cli::job::verdict::Report;
use crate::cli::proof;
use crate::cli::save::Folder;
use crate::cli::show;
use crate::cli::terminal::talk;

/// How long a job is looked for by default.
const FIND_WITHIN: Duration = Duration::from_secs(60);
/// A node that is told of a job knows it at once.
const KNOWN_WITHIN: Duration = Duration::from_secs(5);

pub(crate) fn run(context: &Context, args: &GetArgs) -> Outcome {
    // A folder that cannot be written to is told before a node is started for it.
    args.to.as_deref().map(Folder::open).transpose()?;
    let door = Door::open(context, &args.settings)?;
    let ended = get(context, args, &door.client);
    door.close();
    ended
}

fn get(context: &Context, args: &GetArgs, client: &Client) -> Outcome {
    let job = open(client, &args.job)?;
    let status = wait(client, job, args)?;
    let end = show::end(&status.state);
    match &status.state {
        JobState::Verified | JobState::SelfExecuted => {}
        JobState::Failed { .. }
        | JobState::Stuck { .. }
        | JobState::Broken { .. }
        | JobState::Cancelled
        | JobState::Expired
        | JobState::Seeking
        | JobState::Fetching
        | JobState::Running => return Err(unfinished(&status)),
    }
    let (sampled, end) = match args.sample.sample {
        Some(_) => check(context, client, job, args, end)?,
        None => (None, end),
    };
    let to = args.to.as_deref();
    let fetched = fetch::results_and(context, client, &status, to, sampled.as_ref())?;
    let sampled = sampled.as_ref().map_or(End::Done, |sampled| {
        sampled.tell();
        sampled.end()
    });
    Ok(match (fetched.failed, end) {
        (0, End::Done) => sampled,
        (0, end) if sampled != End::Failed => end,
        (_, _) => End::Failed,
    })
}

/// Derives the verdict from signed steps, and executes a sample of its units again.
fn check(
    context: &Context,
    client: &Client,
    job: JobId,
    args: &GetArgs,
    said: End,
) -> Outcome<(Option<Sampled>, End)> {
    let (_, bundle) = proof::fetch(client, &job.to_string())?;
    let opened = proof::open(bundle)?;
    let shown = Report::new(&opened).end();
    if said == End::Done && shown != End::Done {
        talk("the node calls the job verified, and its signed steps do not show that");
    }
    let end = if said == End::Done { shown } else { said };
    Ok((Some(sample(context, client, &opened, &args.sample)?), end))
}

/// The job, which the node looks for if it does not know it.
fn open(client: &Client, text: &str) -> Outcome<JobId> {
    let unknown = match client.job(text) {
        Ok(status) => return Ok(status.job),
        Err(error) if error.is_not_found() => error,
        Err(error) => return Err(error.into()),
    };
    let Ok(job) = text.parse::<JobId>() else { return Err(unknown.into()) };
    client.open(job)?;
    let since = Instant::now();
    while since.elapsed() < KNOWN_WITHIN {
        if client.job(text).is_ok() {
            return Ok(job);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Err(unknown.into())
}

/// Waits until the job is found, and with `--wait` until it is over.
fn wait(client: &Client, job: JobId, args: &GetArgs) -> Outcome<JobStatus> {
    let patience = args.timeout.map(Duration::from_millis);
    let started = Instant::now();
    let follow = Follow::start(client, job)?;
    let mut progress = Progress::new();
    let mut settled = Settled::new(client, args.until);
    let mut last: Option<Box<JobStatus>> = None;
    loop {
        let found = last
            .as_ref()
            .is_some_and(|status| !matches!(status.state, JobState::Seeking | JobState::Fetching));
        let patience = if found { patience } else { Some(patience.unwrap_or(FIND_WITHIN)) };
        let left = patience.map(|patience| patience.saturating_sub(started.elapsed()));
        match follow.next(left) {
            News::Status(status) => {
                progress.show(&status);
                last = Some(status);
            }
            News::Interrupted => {
                return Err(Failure::new(
                    End::Interrupted,
                    "interrupted",
                    format!("the job goes on: `dugnad job get {}`", show::short(job)),
                ));
            }
            News::Lost(error) => return Err(error.into()),
            News::Silence => {
                progress.leave();
                let known = last.map_or_else(|| client.job(&job.to_string()), |last| Ok(*last));
                return Err(unfinished(&known?));
            }
        }
        let Some(status) = last.as_deref() else { continue };
        let is_underway = matches!(status.state, JobState::Seeking | JobState::Fetching);
        let over = settled.look(client, status) == Next::Over;
        if over || (!args.wait && !is_underway) {
            return last.map_or_else(|| Err(unfinished_nothing()), |last| Ok(*last));
        }
    }
}

fn unfinished_nothing() -> Failure {
    Failure::new(End::Undecided, "nothing is known of the job", "try again")
}
