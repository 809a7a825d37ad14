//! Calls that take a path, and the reading of folders.

use super::descriptors::{Descriptor, Target, rights};
use super::fd::{fdflags, new_times, write_stat};
use super::memory::Call;
use crate::errno::{Errno, Stop};
use crate::files::NodeId;
use crate::limits::LISTED_NAMES_MAX;

const CREATE: u32 = 1;
const FOLDER: u32 = 2;
const EXCLUSIVE: u32 = 4;
const TRUNCATE: u32 = 8;

#[expect(clippy::too_many_arguments, reason = "preview1 has them so")]
pub(super) fn path_open(
    call: &mut Call<'_>,
    fd: u32,
    _follow: u32,
    path: u32,
    len: u32,
    how: u32,
    base: u64,
    inheriting: u64,
    flags: u32,
    out: u32,
) -> Result<(), Stop> {
    if how & !(CREATE | FOLDER | EXCLUSIVE | TRUNCATE) != 0
        || how & (CREATE | FOLDER) == CREATE | FOLDER
    {
        return Err(Errno::Inval.into());
    }
    let flags = fdflags(flags)?;
    let create = if how & CREATE == 0 { 0 } else { rights::PATH_CREATE_FILE };
    let truncate = if how & TRUNCATE == 0 { 0 } else { rights::PATH_FILESTAT_SET_SIZE };
    let start = folder(call, fd, rights::PATH_OPEN | create | truncate)?;
    let most = call.guest.descriptors.get(fd)?.inheriting;
    let (base, inheriting) = (base & (rights::FILE | rights::FOLDER), inheriting & most);
    if base & !most != 0 {
        return Err(Errno::Notcapable.into());
    }

    // The number is taken first, so that a full table leaves no file behind.
    let descriptor = Descriptor::new(Target::Stdin, 0, 0);
    let new = call.guest.descriptors.insert(descriptor)?;
    let opened = open(call, start, path, len, how, base);
    let node = opened.inspect_err(|_| {
        call.guest.descriptors.remove(new).expect("it was just put in");
    })?;

    let rights = if call.guest.files.is_folder(node) {
        base & rights::FOLDER | rights::FOLDER_ALWAYS
    } else {
        base & rights::FILE | rights::FILE_ALWAYS
    };
    call.guest.files.open(node);
    let mut descriptor = Descriptor::new(Target::Node(node), rights, inheriting);
    descriptor.flags = flags;
    call.guest.descriptors.put(new, descriptor);
    Ok(call.memory.write_u32(out, new)?)
}

fn open(
    call: &mut Call<'_>,
    start: NodeId,
    path: u32,
    len: u32,
    how: u32,
    base: u64,
) -> Result<NodeId, Stop> {
    let files = &mut call.guest.files;
    let place = files.walk(start, call.memory.path(path, len)?)?;
    let Some(node) = place.node else {
        if how & CREATE == 0 {
            return Err(Errno::Noent.into());
        }
        return files.create_file(&place);
    };
    if how & CREATE != 0 && how & EXCLUSIVE != 0 {
        return Err(Errno::Exist.into());
    }
    if files.is_folder(node) {
        if base & rights::FD_WRITE != 0 || how & (TRUNCATE | CREATE) != 0 {
            return Err(Errno::Isdir.into());
        }
        return Ok(node);
    }
    if how & FOLDER != 0 || place.folder_meant {
        return Err(Errno::Notdir.into());
    }
    if (base & rights::ALTER != 0 || how & TRUNCATE != 0) && !files.is_writable(node) {
        return Err(Errno::Rofs.into());
    }
    if how & TRUNCATE != 0 {
        let (content, space) = files.content_mut(node)?;
        content.resize(0, space)?;
    }
    Ok(node)
}

pub(super) fn path_create_directory(
    call: &mut Call<'_>,
    fd: u32,
    path: u32,
    len: u32,
) -> Result<(), Stop> {
    let start = folder(call, fd, rights::PATH_CREATE_DIRECTORY)?;
    let files = &mut call.guest.files;
    let place = files.walk(start, call.memory.path(path, len)?)?;
    files.create_folder(&place)?;
    Ok(())
}

pub(super) fn path_filestat_get(
    call: &mut Call<'_>,
    fd: u32,
    _follow: u32,
    path: u32,
    len: u32,
    out: u32,
) -> Result<(), Stop> {
    let start = folder(call, fd, rights::PATH_FILESTAT_GET)?;
    let node = call.guest.files.find(start, call.memory.path(path, len)?)?;
    let stat = call.guest.files.stat(node);
    Ok(write_stat(&mut call.memory, out, &stat)?)
}

#[expect(clippy::too_many_arguments, reason = "preview1 has them so")]
pub(super) fn path_filestat_set_times(
    call: &mut Call<'_>,
    fd: u32,
    _follow: u32,
    path: u32,
    len: u32,
    accessed: u64,
    modified: u64,
    flags: u32,
) -> Result<(), Stop> {
    let start = folder(call, fd, rights::PATH_FILESTAT_SET_TIMES)?;
    let node = call.guest.files.find(start, call.memory.path(path, len)?)?;
    let times = new_times(call, call.guest.files.stat(node).times, accessed, modified, flags)?;
    Ok(call.guest.files.set_times(node, times)?)
}

pub(super) fn path_remove_directory(
    call: &mut Call<'_>,
    fd: u32,
    path: u32,
    len: u32,
) -> Result<(), Stop> {
    let start = folder(call, fd, rights::PATH_REMOVE_DIRECTORY)?;
    let files = &mut call.guest.files;
    let place = files.walk(start, call.memory.path(path, len)?)?;
    Ok(files.remove_folder(&place)?)
}

pub(super) fn path_unlink_file(
    call: &mut Call<'_>,
    fd: u32,
    path: u32,
    len: u32,
) -> Result<(), Stop> {
    let start = folder(call, fd, rights::PATH_UNLINK_FILE)?;
    let files = &mut call.guest.files;
    let place = files.walk(start, call.memory.path(path, len)?)?;
    Ok(files.remove_file(&place)?)
}

pub(super) fn path_rename(
    call: &mut Call<'_>,
    fd: u32,
    path: u32,
    len: u32,
    to_fd: u32,
    to_path: u32,
    to_len: u32,
) -> Result<(), Stop> {
    let start = folder(call, fd, rights::PATH_RENAME_SOURCE)?;
    let to_start = folder(call, to_fd, rights::PATH_RENAME_TARGET)?;
    let files = &mut call.guest.files;
    let from = files.walk(start, call.memory.path(path, len)?)?;
    let to = files.walk(to_start, call.memory.path(to_path, to_len)?)?;
    Ok(files.rename(&from, &to)?)
}

/// A file has one name here.
#[expect(clippy::too_many_arguments, reason = "the ABI has as many")]
pub(super) fn path_link(
    call: &mut Call<'_>,
    fd: u32,
    _follow: u32,
    path: u32,
    len: u32,
    to_fd: u32,
    to_path: u32,
    to_len: u32,
) -> Result<(), Stop> {
    let start = folder(call, fd, rights::PATH_LINK_SOURCE)?;
    let to_start = folder(call, to_fd, rights::PATH_LINK_TARGET)?;
    call.guest.files.find(start, call.memory.path(path, len)?)?;
    call.guest.files.walk(to_start, call.memory.path(to_path, to_len)?)?;
    Err(Errno::Notsup.into())
}

/// There are no symbolic links: a tree of outputs has none.
pub(super) fn path_symlink(
    call: &mut Call<'_>,
    target: u32,
    target_len: u32,
    fd: u32,
    path: u32,
    len: u32,
) -> Result<(), Stop> {
    let start = folder(call, fd, rights::PATH_SYMLINK)?;
    call.memory.path(target, target_len)?;
    call.guest.files.walk(start, call.memory.path(path, len)?)?;
    Err(Errno::Notsup.into())
}

pub(super) fn path_readlink(
    call: &mut Call<'_>,
    fd: u32,
    path: u32,
    len: u32,
    _buffer: u32,
    _room: u32,
    _out: u32,
) -> Result<(), Stop> {
    let start = folder(call, fd, rights::PATH_READLINK)?;
    call.guest.files.find(start, call.memory.path(path, len)?)?;
    Err(Errno::Inval.into())
}

/// Entries in order of their names, after `.` and `..`. A cookie counts the entries before it in a
/// listing that is made when the reading begins, so that removing what one has read skips nothing.
pub(super) fn fd_readdir(
    call: &mut Call<'_>,
    fd: u32,
    buffer: u32,
    len: u32,
    cookie: u64,
    out: u32,
) -> Result<(), Stop> {
    let node = folder(call, fd, rights::FD_READDIR)?;
    call.memory.bytes(buffer, len)?;
    let Call { memory, guest } = call;
    let folder = guest.files.folder(node)?;
    let descriptor = guest.descriptors.get_mut(fd)?;
    if cookie == 0 || descriptor.listing.is_none() {
        guest.listed_names -= descriptor.listing.take().map_or(0, |names| names.len());
        if LISTED_NAMES_MAX < guest.listed_names + folder.entries.len() {
            return Err(Errno::Nomem.into());
        }
        guest.listed_names += folder.entries.len();
        descriptor.listing = Some(folder.entries.keys().cloned().collect());
    }
    let names = descriptor.listing.as_deref().unwrap_or_default();
    let mut used = 0u32;
    for next in cookie.. {
        let (id, name) = match next {
            0 => (node, "."),
            1 => (folder.parent, ".."),
            _ => {
                let at = usize::try_from(next - 2).map_err(|_| Errno::Inval)?;
                let Some(name) = names.get(at) else { break };
                let Some(id) = folder.entries.get(name) else { continue };
                (*id, &**name)
            }
        };
        let stat = guest.files.stat(id);
        let mut entry = [0; 24];
        entry[0..8].copy_from_slice(&(next + 1).to_le_bytes());
        entry[8..16].copy_from_slice(&stat.ino.to_le_bytes());
        entry[16..20].copy_from_slice(&(name.len() as u32).to_le_bytes());
        entry[20] = stat.filetype as u8;
        for part in [&entry, name.as_bytes()] {
            // A full buffer with a cut entry tells the guest to come again.
            let room = ((len - used) as usize).min(part.len());
            memory.write(buffer.saturating_add(used), &part[..room])?;
            used += room as u32;
        }
        if used == len {
            break;
        }
    }
    guest.moved += u64::from(used);
    Ok(memory.write_u32(out, used)?)
}

/// The folder that a descriptor is open on, if it allows all of `rights`.
fn folder(call: &mut Call<'_>, fd: u32, rights: u64) -> Result<NodeId, Errno> {
    let node = call.guest.descriptors.get(fd)?.node(Errno::Notdir)?;
    call.guest.files.folder(node)?;
    call.guest.descriptors.allowing(fd, rights)?;
    Ok(node)
}
