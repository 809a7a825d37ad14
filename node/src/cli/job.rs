//! `dugnad job …`

mod check;
mod explain;
mod fetch;
mod follow;
mod get;
mod init;
mod list;
mod progress;
mod run;
mod show;
mod submit;
mod terms;
mod verbs;
mod watch;

pub(crate) use verbs::dispatch;
