//! `dugnad feed …`

mod append;
mod close;
mod deliver;
mod follow;
mod lock;
mod open;
mod show;
mod verbs;

pub(crate) use verbs::dispatch;
