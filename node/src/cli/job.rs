//! `dugnad job …`

mod check;
mod explain;
mod fetch;
pub(crate) mod follow;
mod get;
mod init;
mod larder;
mod leaves;
mod list;
mod progress;
mod prove;
pub(crate) mod run;
mod sample;
mod show;
pub(crate) mod submit;
mod terms;
mod verbs;
mod verdict;
mod verify;
mod watch;

pub(crate) use verbs::dispatch;
