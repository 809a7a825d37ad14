//! `dugnad feed list` and `dugnad feed show`.

use client::api::FeedStatus;

use crate::cli::args::Output;
use crate::cli::assurance::outcome;
use crate::cli::door::running;
use crate::cli::entry::Context;
use crate::cli::failure::{End, Outcome};
use crate::cli::show;
use crate::cli::terminal::{data, json, table};

/// Enough of a feed's id to tell it from others.
const SHORT: usize = 12;

pub(crate) fn list(context: &Context) -> Outcome {
    let feeds = running(context)?.feeds()?;
    if context.output == Output::Json {
        json(&feeds)?;
        return Ok(End::Done);
    }
    let row = |status: &FeedStatus| {
        vec![
            status.feed.to_string().chars().take(SHORT).collect(),
            status.name.clone().unwrap_or_default(),
            state(status).to_owned(),
            status.next.to_string(),
            status.lines.to_string(),
            status.submitter.map(show::short_peer).unwrap_or_default(),
        ]
    };
    let rows: Vec<Vec<String>> = feeds.iter().map(row).collect();
    table(&["FEED", "NAME", "STATE", "WINDOWS", "LINES", "SUBMITTER"], &rows)?;
    Ok(End::Done)
}

pub(crate) fn run(context: &Context, feed: &str) -> Outcome {
    let status = running(context)?.feed(feed)?;
    if context.output == Output::Json {
        json(&status)?;
        return Ok(End::Done);
    }
    data(format!("feed       {}", status.feed))?;
    data(format!("name       {}", status.name.as_deref().unwrap_or("not known yet")))?;
    if let Some(submitter) = status.submitter {
        data(format!("submitter  {submitter}"))?;
    }
    data(format!("state      {}", state(&status)))?;
    data(format!("windows    {}, with {} lines", status.next, status.lines))?;
    for fork in forks(&status) {
        data(format!("fork       {fork}"))?;
    }
    data("")?;
    let rows: Vec<Vec<String>> = status
        .windows
        .iter()
        .map(|window| {
            let (done, units) = show::done(&window.job);
            let state = outcome(&window.job);
            let state = if window.is_last { format!("closes the feed; {state}") } else { state };
            vec![
                window.number.to_string(),
                show::short(window.job.job),
                window.lines.to_string(),
                format!("{done}/{units}"),
                state,
            ]
        })
        .collect();
    table(&["WINDOW", "JOB", "LINES UP TO IT", "UNITS", "STATE"], &rows)?;
    Ok(End::Done)
}

fn state(status: &FeedStatus) -> &'static str {
    match (status.forks.is_empty(), status.is_closed) {
        (false, _) => "forked",
        (true, true) => "closed",
        (true, false) => "open",
    }
}

/// Every fork, and who signed it, in words.
pub(crate) fn forks(status: &FeedStatus) -> Vec<String> {
    let signer = status.submitter.map(|peer| format!(" by {peer}")).unwrap_or_default();
    let words = |fork: &client::api::FeedFork| {
        let jobs: Vec<String> = fork.jobs.iter().map(ToString::to_string).collect();
        format!(
            "window {} was signed {} times{signer}: {}",
            fork.number,
            jobs.len(),
            jobs.join(" and ")
        )
    };
    status.forks.iter().map(words).collect()
}
