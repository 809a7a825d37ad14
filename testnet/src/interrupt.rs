//! Ctrl-C and SIGTERM: the network is taken down first; a second time ends the program at once.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use anyhow::{Context, bail};
use tokio::signal::unix::{SignalKind, signal};

static ASKED: AtomicBool = AtomicBool::new(false);

/// Listens from now on, in a thread of its own.
pub(crate) fn listen() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let (mut interrupt, mut terminate) = {
        let _entered = runtime.enter();
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?)
    };
    let listen = async move {
        loop {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if ASKED.swap(true, Relaxed) {
                std::process::exit(130);
            }
        }
    };
    let thread = std::thread::Builder::new().name("signals".to_owned());
    thread.spawn(move || runtime.block_on(listen)).context("no thread for signals")?;
    Ok(())
}

/// Whether somebody wants the program to end.
pub(crate) fn is_asked() -> bool {
    ASKED.load(Relaxed)
}

/// An error once somebody wants the program to end.
pub(crate) fn check() -> anyhow::Result<()> {
    if is_asked() { bail!("interrupted") } else { Ok(()) }
}
