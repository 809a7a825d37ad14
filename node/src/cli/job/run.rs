//! `dugnad job run`: submit a job, follow it to its end, and bring its results.

use client::api::{JobState, JobStatus};
use protocol::JobId;

use crate::cli::args::{Output, RunArgs, Until};
use crate::cli::assurance::outcome;
use crate::cli::door::Door;
use crate::cli::entry::Context;
use crate::cli::failure::{End, Failure, Outcome};
use crate::cli::job::fetch;
use crate::cli::job::follow::{Follow, News, Next, Settled};
use crate::cli::job::progress::Progress;
use crate::cli::job::submit::{hand_over, load};
use crate::cli::save::Folder;
use crate::cli::show;
use crate::cli::terminal::{json, talk};

pub(crate) fn run(context: &Context, args: &RunArgs) -> Outcome {
    // Mistakes in the job are told before a node is started for it.
    let mut prepared = load(&args.file)?;
    prepared.draft.no_memo = args.no_memo;
    // So is a folder that cannot be written to.
    args.to.as_deref().map(Folder::open).transpose()?;
    let door = Door::open(context, &args.settings)?;
    let ended = hand_over(&door.client, &prepared).and_then(|job| {
        talk(format!("job {job}"));
        match follow(&door, job, args.until)? {
            Ended::Over(status) => finish(context, args, &door, &status),
            Ended::Left => Ok(End::Interrupted),
        }
    });
    door.close();
    ended
}

/// How following a job has ended.
enum Ended {
    Over(Box<JobStatus>),
    /// The person went away before.
    Left,
}

fn follow(door: &Door, job: JobId, until: Option<Until>) -> Outcome<Ended> {
    let follow = Follow::start(&door.client, job)?;
    let mut progress = Progress::new();
    let mut settled = Settled::new(&door.client, until);
    let mut last: Option<Box<JobStatus>> = None;
    let mut within = None;
    let mut asked_to_leave = false;
    loop {
        match follow.next(within) {
            News::Status(status) => {
                progress.show(&status);
                last = Some(status);
            }
            News::Interrupted => {
                progress.leave();
                if leave(door, job, last.as_deref(), asked_to_leave) {
                    return Ok(Ended::Left);
                }
                asked_to_leave = true;
            }
            News::Lost(error) => return Err(error.into()),
            News::Silence => {}
        }
        let Some(status) = last.as_deref() else { continue };
        if asked_to_leave && status.safe_to_leave {
            talk(come_back(job, status));
            return Ok(Ended::Left);
        }
        match settled.look(&door.client, status) {
            Next::Over => return Ok(last.map_or(Ended::Left, Ended::Over)),
            Next::Wait(at_most) => within = at_most,
        }
    }
}

/// Says what becomes of the job; whether to go now.
fn leave(door: &Door, job: JobId, status: Option<&JobStatus>, again: bool) -> bool {
    if !door.is_own() {
        talk(format!("the job goes on; come back with `dugnad job watch {}`", show::short(job)));
        return true;
    }
    let safe = status.is_some_and(|status| status.safe_to_leave);
    let held = status.map_or_else(|| "nobody else holds it yet".to_owned(), show::keepers);
    if safe || again {
        talk(held);
        talk(format!("it goes on with the next node here; its results: `dugnad job get {job}`"));
        return true;
    }
    talk(held);
    talk("waiting until it is safe to leave; interrupt again to leave now");
    false
}

fn come_back(job: JobId, status: &JobStatus) -> String {
    format!("{}; its results: `dugnad job get {job}`", show::keepers(status))
}

fn finish(context: &Context, args: &RunArgs, door: &Door, status: &JobStatus) -> Outcome {
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
        | JobState::Running => {
            if context.output == Output::Json {
                json(status)?;
            }
            return Err(unfinished(status));
        }
    }
    let fetched = fetch::results(context, &door.client, status, args.to.as_deref())?;
    if status.state == JobState::SelfExecuted {
        talk(
            "the results are self-executed, not verified: no other peer has computed them and stayed to vouch for them",
        );
        talk(
            "add peers with --bootstrap, or run `dugnad node run` on a second machine of this network",
        );
    }
    Ok(if fetched.failed == 0 { end } else { End::Failed })
}

/// Why a job has no results, and what can be done.
pub(crate) fn unfinished(status: &JobStatus) -> Failure {
    let end = show::end(&status.state);
    let hint = match &status.state {
        JobState::Failed { .. } => {
            "run one of its units here with `dugnad exec`; stages that read this one were not run"
                .to_owned()
        }
        JobState::Stuck { units } => {
            let reasons: Vec<String> = units
                .iter()
                .take(3)
                .map(|unit| {
                    let why = unit.reasons.first().map_or("unknown", |first| first.reason.as_str());
                    format!("stage `{}` unit {}: {why}", unit.stage, unit.unit)
                })
                .collect();
            format!("{}; `dugnad job check` tries a unit here", reasons.join("; "))
        }
        JobState::Broken { .. } => "submit it again".to_owned(),
        JobState::Expired => "submit it again with a later `expires`".to_owned(),
        JobState::Cancelled => "submit it again if it is wanted".to_owned(),
        JobState::Seeking => "check the id, and try again when more peers are connected".to_owned(),
        JobState::Fetching | JobState::Running | JobState::Verified | JobState::SelfExecuted => {
            format!("`dugnad job get --wait {}` waits for it", status.job)
        }
    };
    let (done, units) = show::done(status);
    let error = if status.state == JobState::Seeking {
        "nobody who could be asked knows the job".to_owned()
    } else {
        format!("{done} of {}: {}", show::units(units), outcome(status))
    };
    Failure::new(end, error, hint)
}
