//! One file or folder.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::content::Content;

/// A place in the table of nodes.
pub(crate) type NodeId = u32;

#[derive(Debug)]
pub(crate) struct Node {
    pub(super) ino: u64,
    pub(super) times: Times,
    pub(super) kind: Kind,
    /// Whether a folder still names it.
    pub(super) linked: bool,
    /// Descriptors on it; only a guest's own nodes count them.
    pub(super) opens: u32,
    /// Whether it lies in `/out` or `/tmp`.
    pub(super) writable: bool,
}

#[derive(Debug)]
pub(super) enum Kind {
    Folder(Folder),
    File(Content),
    /// A place in the table that waits for a new node.
    Free,
}

#[derive(Clone, Debug)]
pub(crate) struct Folder {
    pub(crate) parent: NodeId,
    pub(crate) entries: BTreeMap<Arc<str>, NodeId>,
    /// Bytes of its path from the root.
    pub(super) path_bytes: usize,
}

/// What a guest sees as times: a constant until it sets them itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Times {
    pub(crate) accessed: u64,
    pub(crate) modified: u64,
}

impl Times {
    /// The instant at which every guest's clock starts, in nanoseconds: 2020-01-01T00:00:00Z.
    pub(crate) const START: u64 = 1_577_836_800_000_000_000;
}

impl Default for Times {
    fn default() -> Self {
        Self { accessed: Self::START, modified: Self::START }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Filetype {
    Unknown = 0,
    Folder = 3,
    File = 4,
}

/// What a guest sees of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stat {
    pub(crate) ino: u64,
    pub(crate) filetype: Filetype,
    pub(crate) links: u64,
    pub(crate) size: u64,
    pub(crate) times: Times,
}

impl Node {
    pub(super) fn stat(&self) -> Stat {
        let (filetype, size) = match &self.kind {
            Kind::Folder(_) => (Filetype::Folder, 0),
            Kind::File(content) => (Filetype::File, content.len()),
            Kind::Free => unreachable!("nothing leads to a free place"),
        };
        Stat { ino: self.ino, filetype, links: self.linked.into(), size, times: self.times }
    }

    /// A copy of a node that units share, for one unit to change.
    pub(super) fn own_copy(&self) -> Self {
        let kind = match &self.kind {
            Kind::Folder(folder) => Kind::Folder(folder.clone()),
            Kind::File(content) => {
                Kind::File(content.shared().expect("units share nothing but inputs"))
            }
            Kind::Free => unreachable!("nothing leads to a free place"),
        };
        let Self { ino, times, linked, opens, writable, .. } = *self;
        Self { ino, times, kind, linked, opens, writable }
    }
}
