//! What a guest does to its folders: create, remove, rename.

use super::content::Content;
use super::node::{Filetype, Kind, NodeId, Times};
use super::tree::{Files, path_bytes};
use super::walk::Place;
use crate::errno::{Errno, Stop};
use crate::limits::{NAME_BYTES_MAX, PLACE_BYTES_MAX};

impl Files {
    /// A new empty file where `place` leads to nothing.
    pub(crate) fn create_file(&mut self, place: &Place<'_>) -> Result<NodeId, Stop> {
        if place.folder_meant {
            return Err(Errno::Isdir.into());
        }
        self.create(place, Some(Content::Memory(Vec::new())))
    }

    pub(crate) fn create_folder(&mut self, place: &Place<'_>) -> Result<NodeId, Stop> {
        self.create(place, None)
    }

    pub(crate) fn remove_file(&mut self, place: &Place<'_>) -> Result<(), Errno> {
        let id = place.node.ok_or(Errno::Noent)?;
        if self.is_folder(id) {
            return Err(Errno::Isdir);
        }
        if place.folder_meant {
            return Err(Errno::Notdir);
        }
        self.unlink(place)
    }

    pub(crate) fn remove_folder(&mut self, place: &Place<'_>) -> Result<(), Errno> {
        let id = place.node.ok_or(Errno::Noent)?;
        if !self.folder(id)?.entries.is_empty() {
            return Err(Errno::Notempty);
        }
        self.unlink(place)
    }

    pub(crate) fn rename(&mut self, from: &Place<'_>, to: &Place<'_>) -> Result<(), Errno> {
        let id = from.node.ok_or(Errno::Noent)?;
        let (from_folder, from_name) = from.entry.ok_or(Errno::Inval)?;
        let (to_folder, to_name) = to.entry.ok_or(Errno::Inval)?;
        let is_folder = self.is_folder(id);
        if !is_folder && (from.folder_meant || to.folder_meant) {
            return Err(Errno::Notdir);
        }
        if !self.is_writable(from_folder) || !self.is_writable(to_folder) {
            return Err(Errno::Rofs);
        }
        if !self.is_linked(to_folder) {
            return Err(Errno::Noent);
        }
        if to.node == Some(id) {
            return Ok(());
        }
        if is_folder && self.is_within(to_folder, id) {
            return Err(Errno::Inval);
        }
        if let Some(target) = to.node {
            match (is_folder, self.stat(target).filetype) {
                (true, Filetype::Folder) if !self.folder(target)?.entries.is_empty() => {
                    return Err(Errno::Notempty);
                }
                (true, Filetype::Folder) | (false, Filetype::File) => {}
                (true, _) => return Err(Errno::Notdir),
                (false, _) => return Err(Errno::Isdir),
            }
        }
        self.check_name(to_folder, to_name)?;
        let length = path_bytes(self.folder(to_folder)?.path_bytes, to_name);
        if is_folder && PLACE_BYTES_MAX < length + self.deepest(id) {
            return Err(Errno::Nametoolong);
        }
        if to.node.is_some() {
            self.unlink(to)?;
        }
        self.folder_mut(from_folder)?.entries.remove(from_name);
        self.folder_mut(to_folder)?.entries.insert(to_name.into(), id);
        if is_folder {
            self.folder_mut(id)?.parent = to_folder;
            self.measure_paths(id, length);
        }
        Ok(())
    }

    /// Sets what a guest sees as times.
    pub(crate) fn set_times(&mut self, id: NodeId, times: Times) -> Result<(), Errno> {
        if !self.is_writable(id) {
            return Err(Errno::Rofs);
        }
        self.node_mut(id).times = times;
        Ok(())
    }

    fn create(&mut self, place: &Place<'_>, file: Option<Content>) -> Result<NodeId, Stop> {
        if place.node.is_some() {
            return Err(Errno::Exist.into());
        }
        let (folder, name) = place.entry.expect("a path that ends in `.` leads to something");
        if !self.is_writable(folder) {
            return Err(Errno::Rofs.into());
        }
        if !self.is_linked(folder) {
            return Err(Errno::Noent.into());
        }
        self.check_name(folder, name)?;
        self.space.take_file()?;
        self.born += 1;
        Ok(self.add(folder, name, file))
    }

    /// Whether a name may stand in a tree of outputs.
    fn check_name(&self, folder: NodeId, name: &str) -> Result<(), Errno> {
        if NAME_BYTES_MAX < name.len()
            || PLACE_BYTES_MAX < path_bytes(self.folder(folder)?.path_bytes, name)
        {
            return Err(Errno::Nametoolong);
        }
        if name.chars().any(|c| c.is_control() || c == '\\') {
            return Err(Errno::Inval);
        }
        Ok(())
    }

    fn unlink(&mut self, place: &Place<'_>) -> Result<(), Errno> {
        let id = place.node.ok_or(Errno::Noent)?;
        let (folder, name) = place.entry.ok_or(Errno::Inval)?;
        if !self.is_writable(folder) {
            return Err(Errno::Rofs);
        }
        self.folder_mut(folder)?.entries.remove(name);
        self.node_mut(id).linked = false;
        self.forget_unused(id);
        Ok(())
    }

    fn is_within(&self, mut id: NodeId, folder: NodeId) -> bool {
        loop {
            if id == folder {
                return true;
            }
            match self.folder(id) {
                Ok(above) if above.parent != id => id = above.parent,
                Ok(_) | Err(_) => return false,
            }
        }
    }

    /// The most bytes that a path below a folder adds to the folder's own.
    fn deepest(&self, folder: NodeId) -> usize {
        let mut most = 0;
        let mut open = vec![(folder, 0)];
        while let Some((id, length)) = open.pop() {
            most = most.max(length);
            if let Kind::Folder(folder) = &self.node(id).kind {
                let below = folder.entries.iter();
                open.extend(below.map(|(name, child)| (*child, length + 1 + name.len())));
            }
        }
        most
    }

    fn measure_paths(&mut self, folder: NodeId, length: usize) {
        let mut open = vec![(folder, length)];
        while let Some((id, length)) = open.pop() {
            let Ok(folder) = self.folder_mut(id) else { continue };
            folder.path_bytes = length;
            let below: Vec<_> = folder
                .entries
                .iter()
                .map(|(name, child)| (*child, length + 1 + name.len()))
                .collect();
            open.extend(below.into_iter().filter(|(child, _)| self.is_folder(*child)));
        }
    }
}
