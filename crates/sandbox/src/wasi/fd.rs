//! Calls about a descriptor: what it is, what it allows, what it is open on.

use super::descriptors::{Descriptor, Target, rights};
use super::io::resize;
use super::memory::{Call, Memory};
use crate::errno::{Errno, Stop};
use crate::files::{Filetype, Stat, Times};

const FDFLAGS: u32 = 0b1_1111;
const PREOPENED: &[u8] = b"/";

pub(super) fn fd_advise(
    call: &mut Call<'_>,
    fd: u32,
    _offset: u64,
    _len: u64,
    advice: u32,
) -> Result<(), Stop> {
    file(call, fd, rights::FD_ADVISE)?;
    if advice <= 5 { Ok(()) } else { Err(Errno::Inval.into()) }
}

pub(super) fn fd_allocate(call: &mut Call<'_>, fd: u32, offset: u64, len: u64) -> Result<(), Stop> {
    let node = file(call, fd, rights::FD_ALLOCATE)?;
    if len == 0 {
        return Err(Errno::Inval.into());
    }
    let end = offset.checked_add(len).ok_or(Errno::Fbig)?;
    if call.guest.files.stat(node).size < end { resize(call, node, end) } else { Ok(()) }
}

pub(super) fn fd_close(call: &mut Call<'_>, fd: u32) -> Result<(), Stop> {
    let descriptor = call.guest.descriptors.remove(fd)?;
    closed(call, descriptor);
    Ok(())
}

pub(super) fn fd_datasync(call: &mut Call<'_>, fd: u32) -> Result<(), Stop> {
    call.guest.descriptors.allowing(fd, rights::FD_DATASYNC)?;
    Ok(())
}

pub(super) fn fd_sync(call: &mut Call<'_>, fd: u32) -> Result<(), Stop> {
    call.guest.descriptors.allowing(fd, rights::FD_SYNC)?;
    Ok(())
}

pub(super) fn fd_fdstat_get(call: &mut Call<'_>, fd: u32, out: u32) -> Result<(), Stop> {
    let filetype = stat(call, fd)?.filetype;
    let descriptor = call.guest.descriptors.get(fd)?;
    let mut bytes = [0; 24];
    bytes[0] = filetype as u8;
    bytes[2..4].copy_from_slice(&descriptor.flags.to_le_bytes());
    bytes[8..16].copy_from_slice(&descriptor.rights.to_le_bytes());
    bytes[16..24].copy_from_slice(&descriptor.inheriting.to_le_bytes());
    Ok(call.memory.write(out, &bytes)?)
}

pub(super) fn fd_fdstat_set_flags(call: &mut Call<'_>, fd: u32, flags: u32) -> Result<(), Stop> {
    let descriptor = call.guest.descriptors.allowing(fd, rights::FD_FDSTAT_SET_FLAGS)?;
    descriptor.flags = fdflags(flags)?;
    Ok(())
}

/// Rights only ever shrink.
pub(super) fn fd_fdstat_set_rights(
    call: &mut Call<'_>,
    fd: u32,
    base: u64,
    inheriting: u64,
) -> Result<(), Stop> {
    let descriptor = call.guest.descriptors.get_mut(fd)?;
    if base & !descriptor.rights != 0 || inheriting & !descriptor.inheriting != 0 {
        return Err(Errno::Notcapable.into());
    }
    (descriptor.rights, descriptor.inheriting) = (base, inheriting);
    Ok(())
}

pub(super) fn fd_filestat_get(call: &mut Call<'_>, fd: u32, out: u32) -> Result<(), Stop> {
    call.guest.descriptors.allowing(fd, rights::FD_FILESTAT_GET)?;
    let stat = stat(call, fd)?;
    Ok(write_stat(&mut call.memory, out, &stat)?)
}

pub(super) fn fd_filestat_set_size(call: &mut Call<'_>, fd: u32, size: u64) -> Result<(), Stop> {
    let node = file(call, fd, rights::FD_FILESTAT_SET_SIZE)?;
    resize(call, node, size)
}

pub(super) fn fd_filestat_set_times(
    call: &mut Call<'_>,
    fd: u32,
    accessed: u64,
    modified: u64,
    flags: u32,
) -> Result<(), Stop> {
    let node = call.guest.descriptors.get(fd)?.node(Errno::Badf)?;
    let times = new_times(call, call.guest.files.stat(node).times, accessed, modified, flags)?;
    Ok(call.guest.files.set_times(node, times)?)
}

pub(super) fn fd_prestat_get(call: &mut Call<'_>, fd: u32, out: u32) -> Result<(), Stop> {
    preopened(call, fd)?;
    call.memory.write_u32(out, 0)?;
    Ok(call.memory.write_u32(out.saturating_add(4), PREOPENED.len() as u32)?)
}

pub(super) fn fd_prestat_dir_name(
    call: &mut Call<'_>,
    fd: u32,
    path: u32,
    len: u32,
) -> Result<(), Stop> {
    preopened(call, fd)?;
    if len < PREOPENED.len() as u32 {
        return Err(Errno::Nametoolong.into());
    }
    Ok(call.memory.write(path, PREOPENED)?)
}

pub(super) fn fd_renumber(call: &mut Call<'_>, from: u32, to: u32) -> Result<(), Stop> {
    let descriptors = &mut call.guest.descriptors;
    descriptors.get(from)?;
    descriptors.get(to)?;
    if from != to {
        let moved = descriptors.remove(from)?;
        let replaced = descriptors.remove(to)?;
        descriptors.put(to, moved);
        closed(call, replaced);
    }
    Ok(())
}

pub(super) fn write_stat(memory: &mut Memory<'_>, out: u32, stat: &Stat) -> Result<(), Errno> {
    let mut bytes = [0; 64];
    bytes[8..16].copy_from_slice(&stat.ino.to_le_bytes());
    bytes[16] = stat.filetype as u8;
    bytes[24..32].copy_from_slice(&stat.links.to_le_bytes());
    bytes[32..40].copy_from_slice(&stat.size.to_le_bytes());
    bytes[40..48].copy_from_slice(&stat.times.accessed.to_le_bytes());
    bytes[48..56].copy_from_slice(&stat.times.modified.to_le_bytes());
    bytes[56..64].copy_from_slice(&Times::START.to_le_bytes());
    memory.write(out, &bytes)
}

/// The times that a call asks for: each as it was, as given, or as the clock shows.
pub(super) fn new_times(
    call: &Call<'_>,
    before: Times,
    accessed: u64,
    modified: u64,
    flags: u32,
) -> Result<Times, Errno> {
    let now = call.guest.clock.now(super::clock::ClockId::Realtime);
    let choose = |flags: u32, before, given| match flags & 0b11 {
        0 => Ok(before),
        1 => Ok(given),
        2 => Ok(now),
        _ => Err(Errno::Inval),
    };
    if 0b1111 < flags {
        return Err(Errno::Inval);
    }
    Ok(Times {
        accessed: choose(flags, before.accessed, accessed)?,
        modified: choose(flags >> 2, before.modified, modified)?,
    })
}

pub(super) fn fdflags(flags: u32) -> Result<u16, Errno> {
    if flags & !FDFLAGS == 0 { Ok(flags as u16) } else { Err(Errno::Inval) }
}

/// What a descriptor is open on; a stream looks like a pipe.
fn stat(call: &Call<'_>, fd: u32) -> Result<Stat, Errno> {
    let descriptor = call.guest.descriptors.get(fd)?;
    Ok(match descriptor.target {
        Target::Node(node) => call.guest.files.stat(node),
        Target::Stdin | Target::Stdout | Target::Stderr => {
            Stat { ino: 0, filetype: Filetype::Unknown, links: 1, size: 0, times: Times::default() }
        }
    })
}

/// The file that a descriptor is open on, if it allows all of `rights`.
fn file(call: &mut Call<'_>, fd: u32, rights: u64) -> Result<crate::files::NodeId, Errno> {
    let node = call.guest.descriptors.get(fd)?.node(Errno::Spipe)?;
    if call.guest.files.is_folder(node) {
        return Err(Errno::Badf);
    }
    call.guest.descriptors.allowing(fd, rights)?;
    Ok(node)
}

fn preopened(call: &Call<'_>, fd: u32) -> Result<(), Errno> {
    if call.guest.descriptors.get(fd)?.is_preopen { Ok(()) } else { Err(Errno::Badf) }
}

fn closed(call: &mut Call<'_>, descriptor: Descriptor) {
    call.guest.listed_names -= descriptor.listing.map_or(0, |names| names.len());
    if let Target::Node(node) = descriptor.target {
        call.guest.files.close(node);
    }
}
