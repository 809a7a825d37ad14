//! The shell: does what the engine decides. One task owns the engine; each family of effects has a
//! file of its own.

mod changes;
mod clock;
mod counters;
mod courier;
mod dispatch;
mod fetch;
mod forget;
mod harvest;
mod hear;
mod journal;
mod kept;
mod known;
pub(crate) mod memory;
mod mint;
mod mount;
mod order;
mod pack;
mod probe;
mod provide;
mod refusals;
mod run;
mod serve;
mod shared;
mod stamps;
mod talk;

pub(crate) use changes::{CHANGES_BEHIND_MAX, Changes};
pub(crate) use clock::{Clock, unix_ms};
pub(crate) use counters::{Counters, line};
pub(crate) use courier::Courier;
pub(crate) use dispatch::{Ask, Dispatch, Inbox};
pub(crate) use fetch::pack as checked_pack;
pub(crate) use hear::hear;
pub(crate) use journal::{Journal, resumed};
pub(crate) use kept::{Kept, read_log};
pub(crate) use known::Known;
pub(crate) use mint::{kept as kept_stamp, mint, stay_stamped};
pub(crate) use order::{Prepared, prepare};
pub(crate) use provide::{forget_no_peers, remember, remembered, seek_feed};
pub(crate) use refusals::Refusals;
pub(crate) use run::Order;
pub(crate) use serve::Serve;
pub(crate) use shared::Shared;
pub(crate) use stamps::Stamps;
pub(crate) use talk::Receipts;
