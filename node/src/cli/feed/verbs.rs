//! Which verb of `dugnad feed` is which.

use crate::cli::args::FeedVerb;
use crate::cli::entry::Context;
use crate::cli::failure::Outcome;
use crate::cli::feed::{append, close, follow, open, show};

pub(crate) fn dispatch(context: &Context, verb: FeedVerb) -> Outcome {
    match verb {
        FeedVerb::Open(args) => open::run(context, &args),
        FeedVerb::Append(args) => append::run(context, &args),
        FeedVerb::Close { feed } => close::run(context, &feed),
        FeedVerb::List => show::list(context),
        FeedVerb::Show { feed } => show::run(context, &feed),
        FeedVerb::Follow(args) => follow::run(context, &args),
    }
}
