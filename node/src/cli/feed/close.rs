//! `dugnad feed close`: one more window, which says that there are no others.

use client::Client;
use client::api::{FeedStatus, NewWindow};

use crate::cli::entry::Context;
use crate::cli::failure::{End, Failure, Outcome};
use crate::cli::feed::lock::Lock;
use crate::cli::many::for_each;
use crate::cli::terminal::talk;

pub(crate) fn run(context: &Context, feed: &str) -> Outcome {
    let config = context.settings(&[], true)?.config;
    let client = Client::find(&config.data_dir)?;
    let status = own(&client, feed)?;
    let _lock = Lock::take(&config.data_dir, status.feed)?;
    let Some(template) = &status.template else { return Err(not_ours(&status)) };
    let (draft, blobs) = template.last()?;
    for_each(&blobs, |source| Ok(client.put(source)?))?;
    let window = NewWindow { draft, lines: 0, is_last: true };
    let added = client.add_window(status.feed, &window)?;
    talk(format!("closed with window {} after {} lines", added.number, added.lines));
    Ok(End::Done)
}

/// A feed that this node can add to.
pub(crate) fn own(client: &Client, feed: &str) -> Outcome<FeedStatus> {
    let status = client.feed(feed)?;
    if status.template.is_none() {
        return Err(not_ours(&status));
    }
    if status.is_closed {
        return Err(Failure::new(
            End::BadInput,
            format!("the feed {} is closed after {} lines", status.feed, status.lines),
            "open another: `dugnad feed open`",
        ));
    }
    Ok(status)
}

fn not_ours(status: &FeedStatus) -> Failure {
    let error = format!("the feed {} was opened by another node", status.feed);
    Failure::new(
        End::BadInput,
        error,
        "only that node can add to it; `dugnad feed follow` reads it",
    )
}
