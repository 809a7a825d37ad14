//! `dugnad feed follow`: the results of a feed, wherever it is, until it is closed.

use std::time::{Duration, Instant};

use protocol::FeedId;

use crate::cli::args::FeedFollowArgs;
use crate::cli::door::running;
use crate::cli::entry::Context;
use crate::cli::failure::{End, Failure, Outcome};
use crate::cli::feed::deliver::Delivery;
use crate::cli::job::follow::{Follow, News};

/// How long a feed is looked for.
const FIND_WITHIN: Duration = Duration::from_secs(60);
/// How often to look at what only time decides.
const LOOK_EVERY: Duration = Duration::from_secs(1);

pub(crate) fn run(context: &Context, args: &FeedFollowArgs) -> Outcome {
    let client = running(context)?;
    let feed = match args.feed.parse::<FeedId>() {
        Ok(feed) => feed,
        Err(_) => client.feed(&args.feed)?.feed,
    };
    let follow = Follow::feed(&client, feed)?;
    let mut delivery = Delivery::new(context, &client, args.order, args.from);
    let begun = Instant::now();
    loop {
        match follow.next(Some(LOOK_EVERY)) {
            News::Status(status) => delivery.take(*status),
            News::Interrupted => return Ok(End::Interrupted),
            News::Lost(error) => return Err(error.into()),
            News::Silence => {}
        }
        delivery.deliver()?;
        if delivery.is_done(None) {
            return Ok(delivery.end());
        }
        if !delivery.knows_it() && FIND_WITHIN <= begun.elapsed() {
            return Err(Failure::new(
                End::Undecided,
                format!("nobody who could be asked knows the feed {feed}"),
                "check the id, and try again when more peers are connected",
            ));
        }
    }
}
