//! The worker's threads: one reads orders, one runs guests, one watches.

use std::fs::File;
use std::io::{self, BufReader, Write};
use std::os::fd::AsFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::mpsc::channel;

use super::lockdown::{close_inherited, lock_down};
use super::outbox::Outbox;
use super::serve::Server;
use super::watch::Watch;
use crate::limits::THREAD_STACK_BYTES;
use crate::wire::{EXIT_CONFUSED, EXIT_PANIC, Order, Report, parse, read_frame};

/// The life of a worker process: what a program does when a [`crate::Pool`] has started it.
///
/// Takes the process over: it returns only when the process cannot be a worker, and ends the process
/// when the parent closes its stdin, whatever is running then. To be called before anything else.
pub fn worker_main() -> ExitCode {
    close_inherited();
    match work() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "sandbox worker: {error}");
            ExitCode::FAILURE
        }
    }
}

fn work() -> io::Result<()> {
    let orders = File::from(io::stdin().as_fd().try_clone_to_owned()?);
    let reports = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    let mut orders = BufReader::new(orders);
    let Some(first) = read_frame(&mut orders)? else {
        return Err(io::Error::other("this is for a parent process to start, not for people"));
    };
    let Ok(Order::Start(start)) = parse(&first) else {
        return Err(io::Error::other("the first frame is no start"));
    };
    let missing = lock_down();
    let outbox = Arc::new(Outbox::new(reports));
    let watch = Watch::start(outbox.clone())?;
    let (to_server, queue) = channel();
    let serve = move || {
        let serve = || match Server::new(start, outbox.clone(), watch) {
            Ok(server) => {
                outbox.send(&Report::Ready(missing));
                server.run(queue);
            }
            Err(why) => {
                let _ = writeln!(io::stderr(), "sandbox worker: {why}");
            }
        };
        let served = catch_unwind(AssertUnwindSafe(serve));
        end_process(if served.is_ok() { EXIT_CONFUSED } else { EXIT_PANIC })
    };
    std::thread::Builder::new()
        .name("guest".to_owned())
        .stack_size(THREAD_STACK_BYTES)
        .spawn(serve)?;

    // This thread always reads, whatever the others do, so that it notices when the parent is gone:
    // then the process ends at once. (A death signal would follow the parent's thread, not the parent.)
    while let Ok(Some(body)) = read_frame(&mut orders) {
        match parse(&body) {
            Ok(order) => {
                if to_server.send(order).is_err() {
                    end_process(EXIT_PANIC);
                }
            }
            Err(_) => end_process(EXIT_CONFUSED),
        }
    }
    end_process(0)
}

/// Ends the process without any farewell: another thread may be deep inside a guest.
pub(super) fn end_process(code: u8) -> ! {
    #[expect(unsafe_code, reason = "has no preconditions")]
    unsafe {
        libc::_exit(code.into())
    }
}
