//! `dugnad job watch`: a job's progress, to its end.

use client::api::JobStatus;

use crate::cli::args::{Output, Until};
use crate::cli::assurance::outcome;
use crate::cli::door::running;
use crate::cli::entry::Context;
use crate::cli::failure::{End, Outcome};
use crate::cli::job::follow::{Follow, News, Next, Settled};
use crate::cli::job::progress::Progress;
use crate::cli::job::run::unfinished;
use crate::cli::show;
use crate::cli::terminal::{json, talk};

pub(crate) fn run(context: &Context, job: &str, until: Option<Until>) -> Outcome {
    let client = running(context)?;
    let job = client.job(job)?.job;
    let follow = Follow::start(&client, job)?;
    let mut progress = Progress::new();
    let mut settled = Settled::new(&client, until);
    let mut last = None;
    let mut within = None;
    loop {
        match follow.next(within) {
            News::Status(status) => {
                match context.output {
                    Output::Json => json(&status)?,
                    Output::Table => progress.show(&status),
                }
                last = Some(status);
            }
            News::Interrupted => {
                talk(format!("the job goes on; `dugnad job watch {}`", show::short(job)));
                return Ok(End::Interrupted);
            }
            News::Lost(error) => return Err(error.into()),
            News::Silence => {}
        }
        let Some(status) = last.as_deref() else { continue };
        within = match settled.look(&client, status) {
            Next::Over => break finish(status),
            Next::Wait(at_most) => at_most,
        };
    }
}

fn finish(status: &JobStatus) -> Outcome {
    let end = show::end(&status.state);
    match end {
        End::Done | End::Unverified => {
            talk(format!(
                "{}; results: `dugnad job get {} -o DIR`",
                outcome(status),
                show::short(status.job)
            ));
            Ok(end)
        }
        End::Failed
        | End::BadInput
        | End::Undecided
        | End::NoNode
        | End::Over
        | End::Interrupted => Err(unfinished(status)),
    }
}
