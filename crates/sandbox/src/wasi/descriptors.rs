//! A guest's table of descriptors, and what each allows.

use std::sync::Arc;

use crate::errno::Errno;
use crate::files::{NodeId, ROOT, Reader};
use crate::limits::DESCRIPTORS_MAX;

/// What a descriptor allows; the bits of preview1.
pub(super) mod rights {
    pub(crate) const FD_DATASYNC: u64 = 1 << 0;
    pub(crate) const FD_READ: u64 = 1 << 1;
    pub(crate) const FD_SEEK: u64 = 1 << 2;
    pub(crate) const FD_FDSTAT_SET_FLAGS: u64 = 1 << 3;
    pub(crate) const FD_SYNC: u64 = 1 << 4;
    pub(crate) const FD_TELL: u64 = 1 << 5;
    pub(crate) const FD_WRITE: u64 = 1 << 6;
    pub(crate) const FD_ADVISE: u64 = 1 << 7;
    pub(crate) const FD_ALLOCATE: u64 = 1 << 8;
    pub(crate) const PATH_CREATE_DIRECTORY: u64 = 1 << 9;
    pub(crate) const PATH_CREATE_FILE: u64 = 1 << 10;
    pub(crate) const PATH_LINK_SOURCE: u64 = 1 << 11;
    pub(crate) const PATH_LINK_TARGET: u64 = 1 << 12;
    pub(crate) const PATH_OPEN: u64 = 1 << 13;
    pub(crate) const FD_READDIR: u64 = 1 << 14;
    pub(crate) const PATH_READLINK: u64 = 1 << 15;
    pub(crate) const PATH_RENAME_SOURCE: u64 = 1 << 16;
    pub(crate) const PATH_RENAME_TARGET: u64 = 1 << 17;
    pub(crate) const PATH_FILESTAT_GET: u64 = 1 << 18;
    pub(crate) const PATH_FILESTAT_SET_SIZE: u64 = 1 << 19;
    pub(crate) const PATH_FILESTAT_SET_TIMES: u64 = 1 << 20;
    pub(crate) const FD_FILESTAT_GET: u64 = 1 << 21;
    pub(crate) const FD_FILESTAT_SET_SIZE: u64 = 1 << 22;
    pub(crate) const FD_FILESTAT_SET_TIMES: u64 = 1 << 23;
    pub(crate) const PATH_SYMLINK: u64 = 1 << 24;
    pub(crate) const PATH_REMOVE_DIRECTORY: u64 = 1 << 25;
    pub(crate) const PATH_UNLINK_FILE: u64 = 1 << 26;
    pub(crate) const POLL_FD_READWRITE: u64 = 1 << 27;

    /// Changing a file's bytes.
    pub(crate) const ALTER: u64 = FD_WRITE | FD_ALLOCATE | FD_FILESTAT_SET_SIZE;
    /// What every file's descriptor allows, asked for or not: none of it alters anything.
    pub(crate) const FILE_ALWAYS: u64 = FD_DATASYNC
        | FD_SEEK
        | FD_FDSTAT_SET_FLAGS
        | FD_SYNC
        | FD_TELL
        | FD_ADVISE
        | FD_FILESTAT_GET
        | POLL_FD_READWRITE;
    /// Everything that makes sense for a file.
    pub(crate) const FILE: u64 = FILE_ALWAYS | FD_READ | ALTER | FD_FILESTAT_SET_TIMES;
    /// What every folder's descriptor allows, asked for or not.
    pub(crate) const FOLDER_ALWAYS: u64 = FD_DATASYNC | FD_SYNC | FD_FILESTAT_GET;
    /// Everything that makes sense for a folder.
    pub(crate) const FOLDER: u64 = FOLDER_ALWAYS
        | FD_FDSTAT_SET_FLAGS
        | PATH_CREATE_DIRECTORY
        | PATH_CREATE_FILE
        | PATH_LINK_SOURCE
        | PATH_LINK_TARGET
        | PATH_OPEN
        | FD_READDIR
        | PATH_READLINK
        | PATH_RENAME_SOURCE
        | PATH_RENAME_TARGET
        | PATH_FILESTAT_GET
        | PATH_FILESTAT_SET_SIZE
        | PATH_FILESTAT_SET_TIMES
        | FD_FILESTAT_SET_TIMES
        | PATH_SYMLINK
        | PATH_REMOVE_DIRECTORY
        | PATH_UNLINK_FILE;
    const STREAM: u64 =
        FD_DATASYNC | FD_SYNC | FD_FDSTAT_SET_FLAGS | FD_FILESTAT_GET | POLL_FD_READWRITE;
    pub(crate) const STDIN: u64 = STREAM | FD_READ;
    pub(crate) const STDOUT: u64 = STREAM | FD_WRITE;
}

/// What a descriptor is open on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    Stdin,
    Stdout,
    Stderr,
    Node(NodeId),
}

#[derive(Debug)]
pub(super) struct Descriptor {
    pub(super) target: Target,
    pub(super) rights: u64,
    /// What descriptors opened below this folder may be given.
    pub(super) inheriting: u64,
    pub(super) flags: u16,
    pub(super) offset: u64,
    pub(super) reader: Option<Reader>,
    /// The names in the folder when its reading began.
    pub(super) listing: Option<Vec<Arc<str>>>,
    pub(super) is_preopen: bool,
}

impl Descriptor {
    pub(super) fn new(target: Target, rights: u64, inheriting: u64) -> Self {
        Self {
            target,
            rights,
            inheriting,
            flags: 0,
            offset: 0,
            reader: None,
            listing: None,
            is_preopen: false,
        }
    }

    /// The node it is open on; `not_a_node` says what a stream is instead.
    pub(super) fn node(&self, not_a_node: Errno) -> Result<NodeId, Errno> {
        match self.target {
            Target::Node(node) => Ok(node),
            Target::Stdin | Target::Stdout | Target::Stderr => Err(not_a_node),
        }
    }
}

/// Descriptors by number. 0, 1 and 2 are the streams, 3 is the root folder.
#[derive(Debug)]
pub(super) struct Descriptors(Vec<Option<Descriptor>>);

impl Descriptors {
    pub(super) fn new() -> Self {
        let mut root =
            Descriptor::new(Target::Node(ROOT), rights::FOLDER, rights::FOLDER | rights::FILE);
        root.is_preopen = true;
        let stdin = Descriptor::new(Target::Stdin, rights::STDIN, 0);
        let stdout = Descriptor::new(Target::Stdout, rights::STDOUT, 0);
        let stderr = Descriptor::new(Target::Stderr, rights::STDOUT, 0);
        Self([stdin, stdout, stderr, root].into_iter().map(Some).collect())
    }

    pub(super) fn get(&self, fd: u32) -> Result<&Descriptor, Errno> {
        self.0.get(fd as usize).and_then(Option::as_ref).ok_or(Errno::Badf)
    }

    pub(super) fn get_mut(&mut self, fd: u32) -> Result<&mut Descriptor, Errno> {
        self.0.get_mut(fd as usize).and_then(Option::as_mut).ok_or(Errno::Badf)
    }

    /// A descriptor that allows all of `rights`.
    pub(super) fn allowing(&mut self, fd: u32, rights: u64) -> Result<&mut Descriptor, Errno> {
        let descriptor = self.get_mut(fd)?;
        if rights & !descriptor.rights == 0 { Ok(descriptor) } else { Err(Errno::Notcapable) }
    }

    /// Gives a descriptor the lowest number that is free, as POSIX does.
    pub(super) fn insert(&mut self, descriptor: Descriptor) -> Result<u32, Errno> {
        let free = self.0.iter().position(Option::is_none).unwrap_or(self.0.len());
        if DESCRIPTORS_MAX <= free {
            return Err(Errno::Mfile);
        }
        if free == self.0.len() {
            self.0.push(None);
        }
        self.0[free] = Some(descriptor);
        Ok(free as u32)
    }

    pub(super) fn remove(&mut self, fd: u32) -> Result<Descriptor, Errno> {
        self.0.get_mut(fd as usize).and_then(Option::take).ok_or(Errno::Badf)
    }

    /// Puts a descriptor where another one was.
    pub(super) fn put(&mut self, fd: u32, descriptor: Descriptor) {
        self.0[fd as usize] = Some(descriptor);
    }
}
