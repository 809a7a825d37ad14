//! Resolving a guest's path: it starts at an open folder and never leads above it.

use super::node::NodeId;
use super::tree::Files;
use crate::errno::Errno;
use crate::limits::GUEST_PATH_BYTES_MAX;

/// Where a path leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place<'p> {
    /// What is there, if anything.
    pub(crate) node: Option<NodeId>,
    /// The folder and the name in it; nothing when the path ends in `.` or `..`.
    pub(crate) entry: Option<(NodeId, &'p str)>,
    /// Whether the path ends in a slash, so that only a folder can be meant.
    pub(crate) folder_meant: bool,
}

impl Files {
    /// Follows `path` from `start`.
    ///
    /// # Errors
    /// `NOTCAPABLE` for a path that is absolute or leads above `start`, and what POSIX says for the
    /// others.
    pub(crate) fn walk<'p>(&self, start: NodeId, path: &'p str) -> Result<Place<'p>, Errno> {
        if path.is_empty() {
            return Err(Errno::Noent);
        }
        if path.starts_with('/') {
            return Err(Errno::Notcapable);
        }
        if GUEST_PATH_BYTES_MAX < path.len() as u32 {
            return Err(Errno::Nametoolong);
        }
        if path.contains('\0') {
            return Err(Errno::Inval);
        }
        let mut trail = vec![start];
        let mut last: Option<&str> = None;
        for part in path.split('/') {
            if part.is_empty() {
                continue;
            }
            if let Some(name) = last.take() {
                trail.push(self.step(&trail, name)?);
            }
            match part {
                "." => {
                    self.folder(*trail.last().expect("never empty"))?;
                }
                ".." => {
                    self.folder(*trail.last().expect("never empty"))?;
                    trail.pop();
                    if trail.is_empty() {
                        return Err(Errno::Notcapable);
                    }
                }
                name => last = Some(name),
            }
        }
        let folder = *trail.last().expect("never empty");
        self.folder(folder)?;
        let folder_meant = path.ends_with('/');
        Ok(match last {
            Some(name) => {
                Place { node: self.child(folder, name), entry: Some((folder, name)), folder_meant }
            }
            None => Place { node: Some(folder), entry: None, folder_meant },
        })
    }

    fn step(&self, trail: &[NodeId], name: &str) -> Result<NodeId, Errno> {
        let folder = *trail.last().expect("never empty");
        self.folder(folder)?.entries.get(name).copied().ok_or(Errno::Noent)
    }

    /// Follows `path` to something that exists.
    pub(crate) fn find(&self, start: NodeId, path: &str) -> Result<NodeId, Errno> {
        let place = self.walk(start, path)?;
        let node = place.node.ok_or(Errno::Noent)?;
        if place.folder_meant {
            self.folder(node)?;
        }
        Ok(node)
    }
}
