//! Which verb of `dugnad job` is which.

use crate::cli::args::JobVerb;
use crate::cli::door::running;
use crate::cli::entry::Context;
use crate::cli::failure::{End, Outcome};
use crate::cli::job::{check, explain, get, init, list, prove, run, show, submit, verify, watch};
use crate::cli::terminal::talk;

pub(crate) fn dispatch(context: &Context, verb: JobVerb) -> Outcome {
    match verb {
        JobVerb::Init { file } => init::run(&file),
        JobVerb::Check { file, no_run } => check::run(context, &file, no_run),
        JobVerb::Run(args) => run::run(context, &args),
        JobVerb::Submit(args) => submit::run(context, &args),
        JobVerb::List => list::run(context),
        JobVerb::Show { job } => show::run(context, &job),
        JobVerb::Explain { job } => explain::run(context, &job),
        JobVerb::Watch { job, until } => watch::run(context, &job, until),
        JobVerb::Get(args) => get::run(context, &args),
        JobVerb::Prove { job, to } => prove::run(context, &job, &to),
        JobVerb::Verify(args) => verify::run(context, &args),
        JobVerb::Cancel { job } => cancel(context, &job),
    }
}

fn cancel(context: &Context, job: &str) -> Outcome {
    let client = running(context)?;
    let job = client.job(job)?.job;
    client.cancel(job)?;
    talk(format!("{job} is cancelled"));
    Ok(End::Done)
}
