//! Calls about the process itself: arguments, environment, chance, signals, and the absent sockets.

use super::memory::{Call, Memory};
use crate::errno::{End, Errno, Stop};

pub(super) fn args_get(call: &mut Call<'_>, list: u32, bytes: u32) -> Result<(), Stop> {
    Ok(write_strings(&mut call.memory, &call.guest.args, list, bytes)?)
}

pub(super) fn args_sizes_get(call: &mut Call<'_>, count: u32, bytes: u32) -> Result<(), Stop> {
    call.memory.write_u32(count, call.guest.arg_count)?;
    Ok(call.memory.write_u32(bytes, call.guest.args.len() as u32)?)
}

pub(super) fn environ_get(call: &mut Call<'_>, list: u32, bytes: u32) -> Result<(), Stop> {
    Ok(write_strings(&mut call.memory, &call.guest.env, list, bytes)?)
}

pub(super) fn environ_sizes_get(call: &mut Call<'_>, count: u32, bytes: u32) -> Result<(), Stop> {
    call.memory.write_u32(count, call.guest.env_count)?;
    Ok(call.memory.write_u32(bytes, call.guest.env.len() as u32)?)
}

pub(super) fn random_get(call: &mut Call<'_>, buffer: u32, len: u32) -> Result<(), Stop> {
    call.guest.random.fill(call.memory.bytes_mut(buffer, len)?);
    call.guest.moved += u64::from(len);
    Ok(())
}

pub(super) fn sched_yield(_: &mut Call<'_>) -> Result<(), Stop> {
    Ok(())
}

/// There is nobody to catch a signal: most end the run as a shell would report it.
pub(super) fn proc_raise(_: &mut Call<'_>, signal: u32) -> Result<(), Stop> {
    const IGNORED: [u32; 5] = [0, 16, 17, 22, 27]; // none, CHLD, CONT, URG, WINCH
    match signal {
        31.. => Err(Errno::Inval.into()),
        ignored if IGNORED.contains(&ignored) => Ok(()),
        deadly => Err(End::Exit(128 + deadly).into()),
    }
}

pub(super) fn sock_accept(call: &mut Call<'_>, fd: u32, _: u32, _: u32) -> Result<(), Stop> {
    no_socket(call, fd)
}

pub(super) fn sock_recv(
    call: &mut Call<'_>,
    fd: u32,
    _: u32,
    _: u32,
    _: u32,
    _: u32,
    _: u32,
) -> Result<(), Stop> {
    no_socket(call, fd)
}

pub(super) fn sock_send(
    call: &mut Call<'_>,
    fd: u32,
    _: u32,
    _: u32,
    _: u32,
    _: u32,
) -> Result<(), Stop> {
    no_socket(call, fd)
}

pub(super) fn sock_shutdown(call: &mut Call<'_>, fd: u32, _: u32) -> Result<(), Stop> {
    no_socket(call, fd)
}

fn no_socket(call: &Call<'_>, fd: u32) -> Result<(), Stop> {
    call.guest.descriptors.get(fd)?;
    Err(Errno::Notsock.into())
}

/// NUL-terminated strings one after the other, and a list of where each begins.
fn write_strings(
    memory: &mut Memory<'_>,
    strings: &[u8],
    list: u32,
    bytes: u32,
) -> Result<(), Errno> {
    memory.write(bytes, strings)?;
    let (mut at, mut list) = (bytes, list);
    for string in strings.split_inclusive(|byte| *byte == 0) {
        memory.write_u32(list, at)?;
        at = at.saturating_add(string.len() as u32);
        list = list.checked_add(4).ok_or(Errno::Fault)?;
    }
    Ok(())
}
