//! A child process that says on stdout when it is ready, logs into a file, and can be ended.

use std::fs::OpenOptions;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail};
use client::api::NodeInfo;
use rustix::process::{Pid, Signal};

use crate::{Deadline, interrupt};

/// How much of a log's end is looked at for its last lines.
const TAIL_BYTES: u64 = 16 << 10;
/// How often to look whether a process has ended, or somebody pressed Ctrl-C.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// A node's process; killed when it is dropped.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `command` apart from the terminal's Ctrl-C, with stderr at the end of the file `log`.
    pub(super) fn start(mut command: Command, log: &Path) -> anyhow::Result<(Self, ChildStdout)> {
        let file = OpenOptions::new().create(true).append(true).open(log);
        let file = file.with_context(|| log.display().to_string())?;
        for (name, _) in std::env::vars_os() {
            // What this shell says about the user's own node is not meant for these.
            if name.to_str().is_some_and(|name| name.starts_with("DUGNAD_")) {
                command.env_remove(name);
            }
        }
        command.env("NO_COLOR", "1").process_group(0);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(file);
        let mut child = command.spawn().with_context(|| format!("{command:?}"))?;
        let stdout = child.stdout.take().context("a child without stdout")?;
        Ok((Self { child, log: log.to_owned() }, stdout))
    }

    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until the process has said who it is.
    pub(super) fn ready(
        &mut self,
        stdout: ChildStdout,
        deadline: Deadline,
    ) -> anyhow::Result<NodeInfo> {
        let (sender, said) = mpsc::channel();
        std::thread::spawn(move || {
            let reader = BufReader::new(stdout);
            let mut values = serde_json::Deserializer::from_reader(reader).into_iter::<NodeInfo>();
            // Whoever waits may have given up.
            let _ = sender.send(values.next());
        });
        loop {
            interrupt::check()?;
            match said.recv_timeout(deadline.left().min(Duration::from_millis(100))) {
                Ok(Some(Ok(info))) => return Ok(info),
                Ok(Some(Err(error))) => return Err(anyhow!(error).context("it says no JSON")),
                Ok(None) | Err(RecvTimeoutError::Disconnected) => bail!("it has ended by itself"),
                Err(RecvTimeoutError::Timeout) => deadline.check("a node was ready")?,
            }
        }
    }

    /// Whether it has ended by itself.
    pub(super) fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// Asks it to end.
    pub(super) fn terminate(&self) {
        if let Some(pid) = i32::try_from(self.id()).ok().and_then(Pid::from_raw) {
            // A process that has ended already is as good.
            let _ = rustix::process::kill_process(pid, Signal::TERM);
        }
    }

    /// Waits until it has ended, and kills it at `until`. Whether it ended by itself.
    pub(super) fn end(mut self, until: Instant) -> bool {
        while Instant::now() < until {
            if self.has_ended() {
                return true;
            }
            std::thread::sleep(LOOK_EVERY);
        }
        false
    }

    /// The last lines of its log.
    pub(super) fn last_words(&self, lines: usize) -> String {
        last_lines(&self.log, lines)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // SIGKILL; both fail only if the process has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The last lines of a file.
pub(super) fn last_lines(path: &Path, lines: usize) -> String {
    let mut bytes = Vec::new();
    let read = std::fs::File::open(path).and_then(|mut file| {
        let size = file.metadata()?.len();
        file.seek(SeekFrom::Start(size.saturating_sub(TAIL_BYTES)))?;
        file.take(TAIL_BYTES).read_to_end(&mut bytes)
    });
    if let Err(error) = read {
        return format!("{}: {error}", path.display());
    }
    let text = String::from_utf8_lossy(&bytes);
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}
