//! `dugnad job …`

mod check;
mod fetch;
mod follow;
mod get;
mod init;
mod list;
mod progress;
mod run;
mod show;
mod submit;
mod verbs;
mod watch;

pub(crate) use verbs::dispatch;
