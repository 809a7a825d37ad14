//! The table of nodes: what all units of a request share, and what one unit changes over it.

use std::collections::BTreeMap;
use std::sync::Arc;

use protocol::limits::PATH_BYTES_MAX;

use super::content::Content;
use super::node::{Folder, Kind, Node, NodeId, Stat, Times};
use super::space::Space;
use crate::errno::{Errno, Stop};

pub(crate) const ROOT: NodeId = 0;
const IN: NodeId = 1;
pub(crate) const OUT: NodeId = 2;
const TMP: NodeId = 3;

/// The nodes that the units of a request share: the four fixed folders and the shared inputs.
#[derive(Clone, Debug)]
pub(crate) struct Base(Arc<[Node]>);

/// The files of one unit.
#[derive(Debug)]
pub(crate) struct Files {
    base: Base,
    /// Nodes of the base that this unit changed.
    changed: BTreeMap<NodeId, Node>,
    /// The unit's own nodes; their ids follow the base's.
    own: Vec<Node>,
    pub(super) free: Vec<NodeId>,
    pub(super) space: Space,
    /// How many nodes the guest has created: part of their inode numbers.
    pub(super) born: u64,
}

impl Files {
    /// The four fixed folders and nothing in them.
    pub(crate) fn new(space: Space) -> Self {
        let fixed = |name: &str, parent, path_bytes, writable, entries| Node {
            ino: ino_of(0, name, 0),
            times: Times::default(),
            kind: Kind::Folder(Folder { parent, entries, path_bytes }),
            linked: true,
            opens: 0,
            writable,
        };
        let entries = [("in", IN), ("out", OUT), ("tmp", TMP)];
        let entries = entries.into_iter().map(|(name, id)| (name.into(), id)).collect();
        let own = vec![
            fixed("", ROOT, 0, false, entries),
            fixed("in", ROOT, 2, false, BTreeMap::new()),
            fixed("out", ROOT, 3, true, BTreeMap::new()),
            fixed("tmp", ROOT, 3, true, BTreeMap::new()),
        ];
        Self { own, ..Self::over(Base(Arc::new([])), space) }
    }

    /// A unit's files over shared ones.
    pub(crate) fn over(base: Base, space: Space) -> Self {
        let (changed, own, free) = Default::default();
        Self { base, changed, own, free, space, born: 0 }
    }

    /// What is there now, for units to share.
    ///
    /// # Panics
    /// If a guest has written to it.
    pub(crate) fn share(self) -> Base {
        assert!(self.base.0.is_empty() && self.born == 0, "only inputs are shared");
        Base(self.own.into())
    }

    /// Mounts an input at `path` below `/in`, and the folders that lead to it.
    ///
    /// # Errors
    /// A sentence that names the path, if it cannot be a path or something else is in its place.
    pub(crate) fn mount(&mut self, path: &str, content: Content) -> Result<(), String> {
        let bad_part = |part: &str| part.is_empty() || part == "." || part == "..";
        let shown = || path.chars().take(100).collect::<String>();
        if PATH_BYTES_MAX < path.len()
            || path.split('/').any(bad_part)
            || path.chars().any(|c| c.is_control() || c == '\\')
        {
            return Err(format!("`{}` is not a path below /in", shown()));
        }
        let taken = || format!("the input `{}` lies where another input is", shown());
        let (folders, name) = path.rsplit_once('/').unwrap_or(("", path));
        let mut folder = IN;
        for part in folders.split('/').filter(|part| !part.is_empty()) {
            folder = match self.child(folder, part) {
                Some(id) if self.folder(id).is_ok() => id,
                Some(_) => return Err(taken()),
                None => self.add(folder, part, None),
            };
        }
        if self.child(folder, name).is_some() {
            return Err(taken());
        }
        self.add(folder, name, Some(content));
        Ok(())
    }

    pub(crate) fn stat(&self, id: NodeId) -> Stat {
        self.node(id).stat()
    }

    pub(crate) fn folder(&self, id: NodeId) -> Result<&Folder, Errno> {
        match &self.node(id).kind {
            Kind::Folder(folder) => Ok(folder),
            Kind::File(_) | Kind::Free => Err(Errno::Notdir),
        }
    }

    pub(crate) fn content(&self, id: NodeId) -> Result<&Content, Errno> {
        match &self.node(id).kind {
            Kind::File(content) => Ok(content),
            Kind::Folder(_) | Kind::Free => Err(Errno::Isdir),
        }
    }

    pub(crate) fn child(&self, folder: NodeId, name: &str) -> Option<NodeId> {
        self.folder(folder).ok()?.entries.get(name).copied()
    }

    pub(crate) fn is_folder(&self, id: NodeId) -> bool {
        matches!(self.node(id).kind, Kind::Folder(_))
    }

    /// Whether the guest may write to it: it lies in `/out` or `/tmp`.
    pub(crate) fn is_writable(&self, id: NodeId) -> bool {
        self.node(id).writable
    }

    /// Whether a folder still names it.
    pub(crate) fn is_linked(&self, id: NodeId) -> bool {
        self.node(id).linked
    }

    pub(crate) fn space_mut(&mut self) -> &mut Space {
        &mut self.space
    }

    /// Counts a descriptor on it.
    pub(crate) fn open(&mut self, id: NodeId) {
        if let Some(node) = self.own_mut(id) {
            node.opens += 1;
        }
    }

    /// A descriptor less; what nobody names and nobody holds is gone.
    pub(crate) fn close(&mut self, id: NodeId) {
        if let Some(node) = self.own_mut(id) {
            node.opens -= 1;
            self.forget_unused(id);
        }
    }

    /// Takes all files below a folder out of the table, as (path from the folder, content).
    pub(crate) fn into_outputs(mut self, folder: NodeId) -> Vec<(String, Content)> {
        let mut outputs = Vec::new();
        let mut open = vec![(folder, String::new())];
        while let Some((id, path)) = open.pop() {
            match &mut self.node_mut(id).kind {
                Kind::Folder(folder) => {
                    let slash = if path.is_empty() { "" } else { "/" };
                    let below = folder.entries.iter();
                    open.extend(below.map(|(name, id)| (*id, format!("{path}{slash}{name}"))));
                }
                Kind::File(content) => {
                    let content = std::mem::replace(content, Content::Memory(Vec::new()));
                    outputs.push((path, content));
                }
                Kind::Free => unreachable!("nothing leads to a free place"),
            }
        }
        outputs
    }

    pub(super) fn node(&self, id: NodeId) -> &Node {
        let shared = self.base.0.len();
        match (id as usize).checked_sub(shared) {
            Some(own) => &self.own[own],
            None => self.changed.get(&id).unwrap_or_else(|| &self.base.0[id as usize]),
        }
    }

    pub(super) fn node_mut(&mut self, id: NodeId) -> &mut Node {
        let base = &self.base.0;
        match (id as usize).checked_sub(base.len()) {
            Some(own) => &mut self.own[own],
            None => self.changed.entry(id).or_insert_with(|| base[id as usize].own_copy()),
        }
    }

    pub(super) fn folder_mut(&mut self, id: NodeId) -> Result<&mut Folder, Errno> {
        match &mut self.node_mut(id).kind {
            Kind::Folder(folder) => Ok(folder),
            Kind::File(_) | Kind::Free => Err(Errno::Notdir),
        }
    }

    /// A file's content to write to, beside the allowance that writing takes from.
    pub(crate) fn content_mut(&mut self, id: NodeId) -> Result<(&mut Content, &mut Space), Stop> {
        if !self.is_writable(id) {
            return Err(Errno::Rofs.into());
        }
        let base = &self.base.0;
        let node = match (id as usize).checked_sub(base.len()) {
            Some(own) => &mut self.own[own],
            None => self.changed.entry(id).or_insert_with(|| base[id as usize].own_copy()),
        };
        match &mut node.kind {
            Kind::File(content) => Ok((content, &mut self.space)),
            Kind::Folder(_) | Kind::Free => Err(Errno::Isdir.into()),
        }
    }

    fn own_mut(&mut self, id: NodeId) -> Option<&mut Node> {
        self.own.get_mut((id as usize).checked_sub(self.base.0.len())?)
    }

    /// Adds a file (with content) or a folder under a name that is not taken.
    pub(super) fn add(&mut self, parent: NodeId, name: &str, file: Option<Content>) -> NodeId {
        let above = self.node(parent);
        let (ino, writable) = (ino_of(above.ino, name, self.born), above.writable);
        let path_bytes = match &above.kind {
            Kind::Folder(folder) => path_bytes(folder.path_bytes, name),
            Kind::File(_) | Kind::Free => unreachable!("a parent is a folder"),
        };
        let kind = match file {
            Some(content) => Kind::File(content),
            None => Kind::Folder(Folder { parent, entries: BTreeMap::new(), path_bytes }),
        };
        let node = Node { ino, times: Times::default(), kind, linked: true, opens: 0, writable };
        let id = match self.free.pop() {
            Some(id) => {
                *self.node_mut(id) = node;
                id
            }
            None => {
                self.own.push(node);
                (self.base.0.len() + self.own.len() - 1) as NodeId
            }
        };
        let folder = self.folder_mut(parent).expect("a parent is a folder");
        folder.entries.insert(name.into(), id);
        id
    }

    /// Frees a node that nobody names or holds.
    pub(super) fn forget_unused(&mut self, id: NodeId) {
        let Some(node) = self.own_mut(id) else { return };
        if node.linked || 0 < node.opens {
            return;
        }
        let kind = std::mem::replace(&mut node.kind, Kind::Free);
        if let Kind::File(mut content) = kind {
            content.resize(0, &mut self.space).expect("shrinking takes nothing");
        }
        self.space.give_file();
        self.free.push(id);
    }
}

/// Bytes of the path of `name` in a folder.
pub(super) fn path_bytes(folder: usize, name: &str) -> usize {
    if folder == 0 { name.len() } else { folder + 1 + name.len() }
}

/// The inode number: for what was there from the start it follows from the path alone; `born`
/// tells apart what the guest creates under one path, one after the other.
fn ino_of(parent: u64, name: &str, born: u64) -> u64 {
    let bytes = parent.to_le_bytes().into_iter().chain(born.to_le_bytes()).chain(name.bytes());
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}
