//! `dugnad exec`: one unit, here and now, exactly as a peer would run it.

use crate::cli::args::ExecArgs;
use crate::cli::entry::Context;
use crate::cli::failure::{End, Failure, Outcome};

pub(crate) fn run(_: &Context, _: &ExecArgs) -> Outcome {
    Err(Failure::new(End::BadInput, "exec is not in this version", "wait"))
}
