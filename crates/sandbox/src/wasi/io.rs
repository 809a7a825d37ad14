//! Calls that move bytes: read, write, seek.

use super::descriptors::{Target, rights};
use super::memory::{Buffer, Call};
use crate::errno::{End, Errno, Stop};
use crate::files::NodeId;

const APPEND: u16 = 1;

pub(super) fn fd_read(
    call: &mut Call<'_>,
    fd: u32,
    buffers: u32,
    count: u32,
    out: u32,
) -> Result<(), Stop> {
    let buffers = call.memory.buffers(buffers, count)?;
    let descriptor = readable(call, fd)?;
    let (target, offset) = (descriptor.target, descriptor.offset);
    let done = match target {
        Target::Stdin => read_stdin(call, &buffers)?,
        Target::Node(node) => {
            let done = read(call, fd, node, &buffers, offset)?;
            call.guest.descriptors.get_mut(fd)?.offset = offset + u64::from(done);
            done
        }
        Target::Stdout | Target::Stderr => return Err(Errno::Badf.into()),
    };
    Ok(call.memory.write_u32(out, done)?)
}

pub(super) fn fd_pread(
    call: &mut Call<'_>,
    fd: u32,
    buffers: u32,
    count: u32,
    offset: u64,
    out: u32,
) -> Result<(), Stop> {
    let buffers = call.memory.buffers(buffers, count)?;
    let node = readable(call, fd)?.node(Errno::Spipe)?;
    let done = read(call, fd, node, &buffers, offset)?;
    Ok(call.memory.write_u32(out, done)?)
}

pub(super) fn fd_write(
    call: &mut Call<'_>,
    fd: u32,
    buffers: u32,
    count: u32,
    out: u32,
) -> Result<(), Stop> {
    let buffers = call.memory.buffers(buffers, count)?;
    let descriptor = writable(call, fd)?;
    let (target, appends, offset) =
        (descriptor.target, descriptor.flags & APPEND != 0, descriptor.offset);
    let done = match target {
        Target::Stdout => write_stdout(call, &buffers)?,
        Target::Stderr => write_stderr(call, &buffers)?,
        Target::Node(node) => {
            let offset = if appends { call.guest.files.stat(node).size } else { offset };
            let done = write(call, node, &buffers, offset)?;
            call.guest.descriptors.get_mut(fd)?.offset = offset + u64::from(done);
            done
        }
        Target::Stdin => return Err(Errno::Badf.into()),
    };
    Ok(call.memory.write_u32(out, done)?)
}

pub(super) fn fd_pwrite(
    call: &mut Call<'_>,
    fd: u32,
    buffers: u32,
    count: u32,
    offset: u64,
    out: u32,
) -> Result<(), Stop> {
    let buffers = call.memory.buffers(buffers, count)?;
    let node = writable(call, fd)?.node(Errno::Spipe)?;
    let done = write(call, node, &buffers, offset)?;
    Ok(call.memory.write_u32(out, done)?)
}

pub(super) fn fd_seek(
    call: &mut Call<'_>,
    fd: u32,
    by: i64,
    whence: u32,
    out: u32,
) -> Result<(), Stop> {
    let node = call.guest.descriptors.get(fd)?.node(Errno::Spipe)?;
    let size = call.guest.files.content(node).map_err(|_| Errno::Badf)?.len();
    let descriptor = call.guest.descriptors.allowing(fd, rights::FD_SEEK)?;
    let from = match whence {
        0 => 0,
        1 => descriptor.offset,
        2 => size,
        _ => return Err(Errno::Inval.into()),
    };
    let to = from.checked_add_signed(by).filter(|to| i64::try_from(*to).is_ok());
    let to = to.ok_or(Errno::Inval)?;
    descriptor.offset = to;
    Ok(call.memory.write_u64(out, to)?)
}

pub(super) fn fd_tell(call: &mut Call<'_>, fd: u32, out: u32) -> Result<(), Stop> {
    fd_seek(call, fd, 0, 1, out)
}

fn readable<'c>(
    call: &'c mut Call<'_>,
    fd: u32,
) -> Result<&'c mut super::descriptors::Descriptor, Errno> {
    allowed(call, fd, rights::FD_READ)
}

fn writable<'c>(
    call: &'c mut Call<'_>,
    fd: u32,
) -> Result<&'c mut super::descriptors::Descriptor, Errno> {
    allowed(call, fd, rights::FD_WRITE)
}

/// A descriptor opened for the other direction is a bad one to POSIX, and programs test for that.
fn allowed<'c>(
    call: &'c mut Call<'_>,
    fd: u32,
    right: u64,
) -> Result<&'c mut super::descriptors::Descriptor, Errno> {
    if let Target::Node(node) = call.guest.descriptors.get(fd)?.target
        && call.guest.files.is_folder(node)
    {
        return Err(Errno::Isdir);
    }
    call.guest.descriptors.allowing(fd, right).map_err(|_| Errno::Badf)
}

fn read(
    call: &mut Call<'_>,
    fd: u32,
    node: NodeId,
    buffers: &[Buffer],
    offset: u64,
) -> Result<u32, Stop> {
    let Call { memory, guest } = call;
    let content = guest.files.content(node)?;
    let reader = &mut guest.descriptors.get_mut(fd)?.reader;
    let mut done = 0u32;
    for buffer in buffers {
        let into = memory.bytes_mut(buffer.at, buffer.len)?;
        let at = offset.saturating_add(u64::from(done));
        let count = content.read_at(reader, at, into)? as u32;
        done = done.checked_add(count).ok_or(Errno::Overflow)?;
        if count < buffer.len {
            break;
        }
    }
    guest.moved += u64::from(done);
    Ok(done)
}

fn read_stdin(call: &mut Call<'_>, buffers: &[Buffer]) -> Result<u32, Stop> {
    let Call { memory, guest } = call;
    let stdin = &mut guest.stdin;
    let mut done = 0u32;
    for buffer in buffers {
        let into = memory.bytes_mut(buffer.at, buffer.len)?;
        let count = stdin.content.read_at(&mut stdin.reader, stdin.offset, into)?;
        stdin.offset += count as u64;
        done = done.checked_add(count as u32).ok_or(Errno::Overflow)?;
        if (count as u32) < buffer.len {
            break;
        }
    }
    guest.moved += u64::from(done);
    Ok(done)
}

fn write(call: &mut Call<'_>, node: NodeId, buffers: &[Buffer], offset: u64) -> Result<u32, Stop> {
    let total = total(buffers)?;
    if i64::try_from(offset.saturating_add(u64::from(total))).is_err() {
        return Err(Errno::Fbig.into());
    }
    let Call { memory, guest } = call;
    let (content, space) = guest.files.content_mut(node)?;
    let mut at = offset;
    for buffer in buffers {
        let bytes = memory.bytes(buffer.at, buffer.len)?;
        content.write_at(at, bytes, space)?;
        at += u64::from(buffer.len);
    }
    guest.moved += u64::from(total);
    Ok(total)
}

fn write_stdout(call: &mut Call<'_>, buffers: &[Buffer]) -> Result<u32, Stop> {
    let total = total(buffers)?;
    let Call { memory, guest } = call;
    for buffer in buffers {
        let bytes = memory.bytes(buffer.at, buffer.len)?;
        let end = guest.stdout.len();
        guest.stdout.write_at(end, bytes, guest.files.space_mut())?;
    }
    guest.moved += u64::from(total);
    Ok(total)
}

fn write_stderr(call: &mut Call<'_>, buffers: &[Buffer]) -> Result<u32, Stop> {
    let total = total(buffers)?;
    let Call { memory, guest } = call;
    for buffer in buffers {
        guest.note(memory.bytes(buffer.at, buffer.len)?);
    }
    guest.moved += u64::from(total);
    Ok(total)
}

/// Bytes of all buffers together; buffers may overlap, so that their sum can be anything.
fn total(buffers: &[Buffer]) -> Result<u32, Errno> {
    let sum = buffers.iter().try_fold(0u32, |sum, buffer| sum.checked_add(buffer.len));
    sum.ok_or(Errno::Inval)
}

/// Sets a file's size, which needs the right to write it.
pub(super) fn resize(call: &mut Call<'_>, node: NodeId, size: u64) -> Result<(), Stop> {
    if i64::try_from(size).is_err() {
        return Err(Errno::Fbig.into());
    }
    let (content, space) = call.guest.files.content_mut(node)?;
    let grown = size.saturating_sub(content.len());
    content.resize(size, space)?;
    call.guest.moved += grown;
    Ok::<(), End>(()).map_err(Stop::from)
}
