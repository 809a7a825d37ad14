//! `dugnad feed open`: a job file becomes a template, and its blobs go to the node.

use client::{JobFile, Template, show_duration_ms};

use crate::cli::args::{FeedOpenArgs, Output};
use crate::cli::door::running;
use crate::cli::entry::Context;
use crate::cli::failure::{End, Outcome};
use crate::cli::many::for_each;
use crate::cli::terminal::{data, json, talk};

/// Windows that live at the same time, beyond which nodes would refuse jobs; half of what they take.
const ALIVE_MAX: u64 = 2048;

pub(crate) fn run(context: &Context, args: &FeedOpenArgs) -> Outcome {
    let client = running(context)?;
    let job = JobFile::load(&args.job)?;
    let every = Some(args.every.max(1));
    let (template, blobs) = Template::new(job, args.name.clone(), args.count, every)?;
    let alive = template.draft.expires_after_ms / args.every.max(1);
    if ALIVE_MAX < alive {
        let expires = show_duration_ms(ALIVE_MAX.saturating_mul(args.every.max(1)));
        talk(format!(
            "warning: a window every {} makes up to {alive} live jobs, and nodes know 4096 at most; with \
             `expires = \"{expires}\"` in the job file there are fewer",
            show_duration_ms(args.every)
        ));
    }
    for_each(&blobs, |source| Ok(client.put(source)?))?;
    let feed = client.open_feed(template)?;
    match context.output {
        Output::Json => json(&serde_json::json!({ "feed": feed }))?,
        Output::Table => data(feed.to_string())?,
    }
    Ok(End::Done)
}
