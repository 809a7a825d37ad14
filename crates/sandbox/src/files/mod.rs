//! A unit's files: `/in` to read, `/out` and `/tmp` to write, in memory until they are large.

mod alter;
mod content;
mod node;
mod space;
mod tree;
mod walk;

pub(crate) use content::{Content, Reader};
pub(crate) use node::{Filetype, NodeId, Stat, Times};
pub(crate) use space::Space;
pub(crate) use tree::{Base, Files, OUT, ROOT};
