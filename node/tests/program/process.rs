//! The program as a process: what it says, how it ends, and a deadline for every wait.

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions};
use serde_json::Value;

/// How long one wait may take: enough for a machine that builds something else at the same time.
pub(crate) const PATIENCE: Duration = Duration::from_secs(300);

/// Every pipe holds so much, so that who writes it waits for nobody.
const INPUT_MAX: usize = 4096;

/// The program, to be called with more arguments.
pub(crate) fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_dugnad"))
}

/// Runs the program to its end in a folder, with the data folder `data` in it.
#[track_caller]
pub(crate) fn dugnad(folder: &Path, args: &[&str]) -> Output {
    Process::call(folder, args).end()
}

/// Runs the program to its end with this on its standard input.
#[track_caller]
pub(crate) fn dugnad_reads(folder: &Path, args: &[&str], input: &str) -> Output {
    let mut process = Process::call(folder, args);
    process.write(input);
    process.end()
}

/// It ends with this code, and a refusal says what to do; returns what it says on stdout.
#[track_caller]
pub(crate) fn assert_ends(output: &Output, code: i32) -> String {
    let said = text(&output.stderr);
    let status = output.status;
    assert_eq!(status.code(), Some(code), "{status}\n{}\n{said}", text(&output.stdout));
    let is_refusal = said.lines().any(|line| line.starts_with("error: "));
    let is_helpful = said.lines().any(|line| line.starts_with("hint: ") || line.contains("--help"));
    assert!(!is_refusal || is_helpful, "{said}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// It ends like that and says all of these words on stderr, too.
#[track_caller]
pub(crate) fn expect(output: &Output, code: i32, words: &[&str]) -> String {
    let stdout = assert_ends(output, code);
    let said = text(&output.stderr);
    for word in words {
        assert!(said.contains(word), "it does not say {word:?}: {said}");
    }
    stdout
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A process of the program. Dropping it kills it, and a test that fails shows what it has said.
pub(crate) struct Process {
    child: Child,
    called: String,
    known: Arc<Known>,
    /// Up to where its stderr was waited for.
    heard: usize,
}

/// What three threads have seen of a process: one for each stream, and one for its end.
#[derive(Default)]
struct Known {
    seen: Mutex<Seen>,
    changed: Condvar,
}

#[derive(Default)]
struct Seen {
    stdout: Said,
    stderr: Said,
    has_ended: bool,
}

#[derive(Default)]
struct Said {
    bytes: Vec<u8>,
    is_closed: bool,
}

impl Process {
    /// Calls the program in a folder, with the data folder `data` in it.
    pub(crate) fn call(folder: &Path, args: &[&str]) -> Self {
        let data = folder.join("data");
        Self::start(program().current_dir(folder).env("DUGNAD_DATA_DIR", data).args(args))
    }

    pub(crate) fn start(command: &mut Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let known = Arc::new(Known::default());
        known.listen(child.stdout.take().unwrap(), |seen| &mut seen.stdout);
        known.listen(child.stderr.take().unwrap(), |seen| &mut seen.stderr);
        known.await_end(Pid::from_child(&child));
        Self { child, called: format!("{command:?}"), known, heard: 0 }
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Writes to its standard input, which stays open until its end is waited for.
    pub(crate) fn write(&mut self, input: &str) {
        assert!(input.len() <= INPUT_MAX, "a pipe may not hold this");
        // Who refuses at once does not read.
        let _ = self.child.stdin.as_mut().unwrap().write_all(input.as_bytes());
    }

    pub(crate) fn interrupt(&self) {
        rustix::process::kill_process(self.pid(), Signal::INT).unwrap();
    }

    /// Waits for a line on stderr with these words, after the one that was waited for last.
    #[track_caller]
    pub(crate) fn says(&mut self, words: &str) {
        let from = self.heard;
        let end = self.wait(&format!("until it says {words:?}"), |seen| {
            let mut end = from;
            for line in seen.stderr.bytes[from..].split_inclusive(|byte| *byte == b'\n') {
                end += line.len();
                if line.ends_with(b"\n") && text(line).contains(words) {
                    return Some(Some(end));
                }
            }
            seen.stderr.is_closed.then_some(None)
        });
        assert!(end.is_some(), "it never said {words:?}");
        self.heard = end.unwrap_or(from);
    }

    /// Waits for the first value that it prints; the first brace that closes a line ends it.
    #[track_caller]
    pub(crate) fn first_value(&self) -> Value {
        let value = self.wait("for the first value that it prints", |seen| {
            let said = &seen.stdout.bytes;
            match said.windows(2).position(|two| two == b"}\n") {
                Some(end) => Some(Some(said[..end + 1].to_vec())),
                None => seen.stdout.is_closed.then_some(None),
            }
        });
        serde_json::from_slice(&value.expect("it prints a value before it ends")).unwrap()
    }

    /// Closes its standard input and waits until it has ended and nobody holds its other ends.
    #[track_caller]
    pub(crate) fn end(mut self) -> Output {
        drop(self.child.stdin.take());
        let (stdout, stderr) = self.wait("until it ends", |seen| {
            let is_over = seen.has_ended && seen.stdout.is_closed && seen.stderr.is_closed;
            is_over.then(|| (seen.stdout.bytes.clone(), seen.stderr.bytes.clone()))
        });
        Output { status: self.child.wait().unwrap(), stdout, stderr }
    }

    pub(crate) fn ends_within(&self, span: Duration) -> bool {
        self.known.wait(span, |seen| seen.has_ended.then_some(())).is_some()
    }

    /// Waits until `look` sees something. A test that waits in vain fails, which kills the process.
    #[track_caller]
    fn wait<T>(&self, what: &str, look: impl FnMut(&Seen) -> Option<T>) -> T {
        match self.known.wait(PATIENCE, look) {
            Some(seen) => seen,
            None => panic!("waited {PATIENCE:?} in vain {what}: {}", self.called),
        }
    }
}

impl Drop for Process {
    #[expect(clippy::print_stderr, reason = "a test that fails shows it")]
    fn drop(&mut self) {
        // This fails only if it has ended. Its id is its own until it is waited for here.
        let _ = self.child.kill();
        if self.ends_within(PATIENCE) {
            let _ = self.child.wait();
        }
        if thread::panicking() {
            let seen = self.known.seen.lock().unwrap();
            let (out, err) = (text(&seen.stdout.bytes), text(&seen.stderr.bytes));
            eprintln!("{}\nhas said on stdout: {out}\nand on stderr: {err}", self.called);
        }
    }
}

impl Known {
    fn listen(
        self: &Arc<Self>,
        mut stream: impl Read + Send + 'static,
        of: impl Fn(&mut Seen) -> &mut Said + Send + 'static,
    ) {
        let known = Arc::clone(self);
        thread::spawn(move || {
            let mut part = [0; 4096];
            while let Ok(length @ 1..) = stream.read(&mut part) {
                known.tell(|seen| of(seen).bytes.extend(&part[..length]));
            }
            known.tell(|seen| of(seen).is_closed = true);
        });
    }

    /// Sees that a process has ended, and leaves its status and its id to who has started it.
    fn await_end(self: &Arc<Self>, pid: Pid) {
        let known = Arc::clone(self);
        thread::spawn(move || {
            let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
            let ended = || rustix::process::waitid(WaitId::Pid(pid), options);
            while ended().is_err_and(|error| error == rustix::io::Errno::INTR) {}
            known.tell(|seen| seen.has_ended = true);
        });
    }

    fn tell(&self, change: impl FnOnce(&mut Seen)) {
        change(&mut self.seen.lock().unwrap());
        self.changed.notify_all();
    }

    /// What `look` sees within this time.
    fn wait<T>(&self, span: Duration, mut look: impl FnMut(&Seen) -> Option<T>) -> Option<T> {
        let mut found = None;
        let looked = self.changed.wait_timeout_while(self.seen.lock().unwrap(), span, |seen| {
            found = look(seen);
            found.is_none()
        });
        drop(looked.unwrap());
        found
    }
}
