//! The table of preview1's functions and how a guest's call reaches one.

use wasmparser::ValType;
use wasmtime::{Caller, Extern, Linker};

use super::abi::Param;
use super::guest::Guest;
use super::memory::{Call, Memory};
use super::{clock, fd, io, path, poll, process};
use crate::errno::{End, Stop};

/// The module that the functions are imported from.
pub(crate) const MODULE: &str = "wasi_snapshot_preview1";

/// Fuel of one call, beside one for each byte that it moves.
const CALL_FUEL: u64 = 100;

macro_rules! functions {
    ($($name:ident => $function:path { $($param:ident: $type:ty),* })*) => {
        /// The parameters of every function but `proc_exit`, which alone returns nothing.
        pub(super) const PARAMS: &[(&str, &[ValType])] =
            &[$((stringify!($name), &[$(<$type as Param>::TYPE),*])),*];

        /// Offers all functions to modules.
        pub(crate) fn link(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
            $(linker.func_wrap(
                MODULE,
                stringify!($name),
                |mut caller: Caller<'_, Guest>, $($param: $type),*| {
                    serve(&mut caller, |call| $function(call, $($param),*))
                },
            )?;)*
            let exit = |_: Caller<'_, Guest>, code: u32| -> wasmtime::Result<()> {
                Err(End::Exit(code).into())
            };
            linker.func_wrap(MODULE, "proc_exit", exit)?;
            Ok(())
        }
    };
}

functions! {
    args_get => process::args_get { list: u32, bytes: u32 }
    args_sizes_get => process::args_sizes_get { count: u32, bytes: u32 }
    clock_res_get => clock::clock_res_get { id: u32, out: u32 }
    clock_time_get => clock::clock_time_get { id: u32, precision: u64, out: u32 }
    environ_get => process::environ_get { list: u32, bytes: u32 }
    environ_sizes_get => process::environ_sizes_get { count: u32, bytes: u32 }
    fd_advise => fd::fd_advise { fd: u32, offset: u64, len: u64, advice: u32 }
    fd_allocate => fd::fd_allocate { fd: u32, offset: u64, len: u64 }
    fd_close => fd::fd_close { fd: u32 }
    fd_datasync => fd::fd_datasync { fd: u32 }
    fd_fdstat_get => fd::fd_fdstat_get { fd: u32, out: u32 }
    fd_fdstat_set_flags => fd::fd_fdstat_set_flags { fd: u32, flags: u32 }
    fd_fdstat_set_rights => fd::fd_fdstat_set_rights { fd: u32, base: u64, inheriting: u64 }
    fd_filestat_get => fd::fd_filestat_get { fd: u32, out: u32 }
    fd_filestat_set_size => fd::fd_filestat_set_size { fd: u32, size: u64 }
    fd_filestat_set_times => fd::fd_filestat_set_times { fd: u32, accessed: u64, modified: u64, flags: u32 }
    fd_pread => io::fd_pread { fd: u32, buffers: u32, count: u32, offset: u64, out: u32 }
    fd_prestat_dir_name => fd::fd_prestat_dir_name { fd: u32, path: u32, len: u32 }
    fd_prestat_get => fd::fd_prestat_get { fd: u32, out: u32 }
    fd_pwrite => io::fd_pwrite { fd: u32, buffers: u32, count: u32, offset: u64, out: u32 }
    fd_read => io::fd_read { fd: u32, buffers: u32, count: u32, out: u32 }
    fd_readdir => path::fd_readdir { fd: u32, buffer: u32, len: u32, cookie: u64, out: u32 }
    fd_renumber => fd::fd_renumber { from: u32, to: u32 }
    fd_seek => io::fd_seek { fd: u32, by: i64, whence: u32, out: u32 }
    fd_sync => fd::fd_sync { fd: u32 }
    fd_tell => io::fd_tell { fd: u32, out: u32 }
    fd_write => io::fd_write { fd: u32, buffers: u32, count: u32, out: u32 }
    path_create_directory => path::path_create_directory { fd: u32, path: u32, len: u32 }
    path_filestat_get => path::path_filestat_get { fd: u32, follow: u32, path: u32, len: u32, out: u32 }
    path_filestat_set_times => path::path_filestat_set_times { fd: u32, follow: u32, path: u32, len: u32, accessed: u64, modified: u64, flags: u32 }
    path_link => path::path_link { fd: u32, follow: u32, path: u32, len: u32, to_fd: u32, to_path: u32, to_len: u32 }
    path_open => path::path_open { fd: u32, follow: u32, path: u32, len: u32, how: u32, base: u64, inheriting: u64, flags: u32, out: u32 }
    path_readlink => path::path_readlink { fd: u32, path: u32, len: u32, buffer: u32, room: u32, out: u32 }
    path_remove_directory => path::path_remove_directory { fd: u32, path: u32, len: u32 }
    path_rename => path::path_rename { fd: u32, path: u32, len: u32, to_fd: u32, to_path: u32, to_len: u32 }
    path_symlink => path::path_symlink { target: u32, target_len: u32, fd: u32, path: u32, len: u32 }
    path_unlink_file => path::path_unlink_file { fd: u32, path: u32, len: u32 }
    poll_oneoff => poll::poll_oneoff { subscriptions: u32, events: u32, count: u32, out: u32 }
    proc_raise => process::proc_raise { signal: u32 }
    random_get => process::random_get { buffer: u32, len: u32 }
    sched_yield => process::sched_yield { }
    sock_accept => process::sock_accept { fd: u32, flags: u32, out: u32 }
    sock_recv => process::sock_recv { fd: u32, buffers: u32, count: u32, flags: u32, out: u32, out_flags: u32 }
    sock_send => process::sock_send { fd: u32, buffers: u32, count: u32, flags: u32, out: u32 }
    sock_shutdown => process::sock_shutdown { fd: u32, how: u32 }
}

fn serve(
    caller: &mut Caller<'_, Guest>,
    function: impl FnOnce(&mut Call<'_>) -> Result<(), Stop>,
) -> wasmtime::Result<u32> {
    let memory = match caller.data().memory {
        Some(memory) => memory,
        // A module's start function runs before its instance is known.
        None => match caller.get_export("memory") {
            Some(Extern::Memory(memory)) => memory,
            Some(_) | None => return Err(End::Refused("the memory is gone".into()).into()),
        },
    };
    let (bytes, guest) = memory.data_and_store_mut(&mut *caller);
    guest.moved = 0;
    let answer = function(&mut Call { memory: Memory(bytes), guest });
    if caller.data().is_metered {
        charge(caller)?;
    }
    match answer {
        Ok(()) => Ok(0),
        Err(Stop::Errno(errno)) => Ok(errno as u32),
        Err(Stop::End(end)) => Err(end.into()),
    }
}

fn charge(caller: &mut Caller<'_, Guest>) -> wasmtime::Result<()> {
    let cost = CALL_FUEL + caller.data().moved;
    match caller.get_fuel()?.checked_sub(cost) {
        Some(left) => caller.set_fuel(left),
        None => Err(End::OutOfFuel.into()),
    }
}
