//! Our own WASI preview1: every function of it, deterministic, with nothing of the host behind it.

mod abi;
mod clock;
mod descriptors;
mod fd;
mod guest;
mod io;
mod link;
mod memory;
mod path;
mod poll;
mod process;

pub(crate) use abi::signature;
pub(crate) use guest::{Guest, Mounts};
pub(crate) use link::{MODULE, link};
