//! Nodes of the program on loopback, which know nobody but those whom they are told of.

use std::fmt::Debug;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use client::Client;
use rustix::process::{Pid, Signal};
use serde_json::Value;

use crate::process::{PATIENCE, Process, dugnad, program};

/// How often a node is asked for what it does not report.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// A node on the data folder that `dugnad` uses in the same folder. Dropping it kills it.
pub(crate) struct Running {
    process: Process,
    folder: PathBuf,
    /// What it has said when it was up.
    told: Value,
}

impl Running {
    /// Returns once the node is up.
    #[track_caller]
    pub(crate) fn start(folder: &Path, network: &str, flags: &[&str]) -> Self {
        std::fs::create_dir_all(folder).unwrap();
        let process = Process::start(
            program()
                .args(["--data-dir".as_ref(), folder.join("data").as_os_str()])
                .args(["--output", "json", "--log", "error", "node", "run", "--cores", "1"])
                .args(["--listen", "/ip4/127.0.0.1/tcp/0", "--mdns", "false"])
                .args(["--network", network])
                .args(flags),
        );
        let told = process.first_value();
        Self { process, folder: folder.to_owned(), told }
    }

    pub(crate) fn process(&self) -> &Process {
        &self.process
    }

    pub(crate) fn peer(&self) -> &str {
        self.told["peer"].as_str().unwrap()
    }

    /// Where it listens, for `--bootstrap`.
    pub(crate) fn addresses(&self) -> String {
        let addresses = self.told["addresses"].as_array().unwrap();
        let addresses: Vec<&str> = addresses.iter().map(|one| one.as_str().unwrap()).collect();
        addresses.join(",")
    }

    /// Runs another process that asks this node.
    #[track_caller]
    pub(crate) fn run(&self, args: &[&str]) -> Output {
        dugnad(&self.folder, args)
    }

    /// A client for the next few questions.
    #[track_caller]
    pub(crate) fn client(&self) -> Asking<'_> {
        // This asks the node already whether it is there.
        let watch = Watch::over(&self.process);
        Asking { client: Client::find(&self.folder.join("data")).unwrap(), _watch: watch }
    }

    /// Looks until this node has brought something about; what is there instead is an error.
    #[track_caller]
    pub(crate) fn until<T, E: Debug>(&self, what: &str, look: impl Fn() -> Result<T, E>) -> T {
        let begun = Instant::now();
        loop {
            let seen = match look() {
                Ok(found) => return found,
                Err(seen) => seen,
            };
            let waited = begun.elapsed();
            assert!(waited < PATIENCE, "waited {PATIENCE:?} in vain until {what}: {seen:?}");
            assert!(!self.process.ends_within(LOOK_EVERY), "it ended before {what}: {seen:?}");
        }
    }

    /// Waits for the end of a node that was told to end.
    #[track_caller]
    pub(crate) fn end(self) -> Output {
        self.process.end()
    }
}

/// A client of a node that is killed if the answers take too long.
pub(crate) struct Asking<'a> {
    client: Client,
    _watch: Watch<'a>,
}

impl Deref for Asking<'_> {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

/// Kills a process if it is not dropped in time: who waits for its answer gets an error instead.
struct Watch<'a> {
    /// What ends the thread when it is dropped, and the thread.
    thread: Option<(Sender<()>, JoinHandle<()>)>,
    /// While it is watched, its id belongs to no other process.
    _process: &'a Process,
}

impl<'a> Watch<'a> {
    fn over(process: &'a Process) -> Self {
        let (over, ends) = mpsc::channel();
        let pid = process.pid();
        let thread = thread::spawn(move || {
            if ends.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
                kill_silent(pid);
            }
        });
        Self { thread: Some((over, thread)), _process: process }
    }
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        if let Some((over, thread)) = self.thread.take() {
            drop(over);
            // A panic in a drop would hide the one that led to it.
            let _ = thread.join();
        }
    }
}

#[expect(clippy::print_stderr, reason = "a test that fails shows it")]
fn kill_silent(node: Pid) {
    eprintln!("waited {PATIENCE:?} in vain for the answers of node {}", node.as_raw_pid());
    // This fails only if it has ended.
    let _ = rustix::process::kill_process(node, Signal::KILL);
}
