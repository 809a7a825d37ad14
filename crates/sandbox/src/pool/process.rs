//! One worker process: starting it, and finding out how it ended.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::AsyncReadExt;
use tokio::process::{Child, ChildStderr, Command};
use tokio::time::timeout;
use tracing::{debug, warn};

use super::folders::Folders;
use super::link::{Link, Turn};
use crate::limits::{START_WITHIN, WORKER_TALK_BYTES_MAX};
use crate::wire::{Order, Report, Start, frame};

/// Why there is no worker.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("{} cannot be started as a sandbox worker: {source}", program.display())]
    Spawn { program: PathBuf, source: io::Error },
    #[error("the sandbox worker {} ended at once ({status}){}", program.display(), quoted(said))]
    Ended { program: PathBuf, status: String, said: String },
    #[error(
        "{} does not answer as a sandbox worker; is it the right program, with the right arguments?",
        program.display()
    )]
    NoWorker { program: PathBuf },
    #[error("the sandbox cannot use its folder {}: {source}", path.display())]
    Folder { path: PathBuf, source: io::Error },
}

fn quoted(said: &str) -> String {
    if said.is_empty() { String::new() } else { format!(": {}", said.trim_end()) }
}

/// A running worker.
#[derive(Debug)]
pub(super) struct Worker {
    child: Child,
    pub(super) link: Link,
    pub(super) pid: u32,
    pub(super) missing: Vec<String>,
    scratch: PathBuf,
    said: Arc<Mutex<String>>,
    listener: tokio::task::JoinHandle<()>,
    // The worker's folder lies in these.
    _folders: Arc<Folders>,
}

/// How workers are started.
#[derive(Clone, Debug)]
pub(super) struct Recipe {
    pub(super) program: PathBuf,
    pub(super) args: Vec<OsString>,
    pub(super) cache: PathBuf,
    pub(super) folders: Arc<Folders>,
}

impl Recipe {
    /// Starts a worker and waits until it is ready.
    pub(super) async fn start(&self, serial: u64) -> Result<Worker, StartError> {
        let scratch = self
            .folders
            .worker(serial)
            .map_err(|source| StartError::Folder { path: self.folders.outputs(), source })?;
        let mut worker = self.spawn(&scratch)?;
        worker.link.send(&frame(&Order::Start(Start {
            cache: self.cache.as_path().into(),
            scratch: scratch.as_path().into(),
            outputs: self.folders.outputs().as_path().into(),
            serial,
        })));
        let program = || self.program.clone();
        let greeting = async {
            loop {
                match worker.link.turn().await {
                    Ok(Turn::Drained) => {}
                    other => return other,
                }
            }
        };
        match timeout(START_WITHIN, greeting).await {
            Ok(Ok(Turn::Said(Report::Ready(missing)))) => {
                debug!(pid = worker.pid, ?missing, "sandbox worker started");
                worker.missing = missing;
                Ok(worker)
            }
            Ok(Ok(Turn::Closed)) => {
                let status = worker.end().await.map_or_else(|e| e.to_string(), |s| s.to_string());
                Err(StartError::Ended { program: program(), status, said: worker.said() })
            }
            Ok(_) | Err(_) => Err(StartError::NoWorker { program: program() }),
        }
    }

    fn spawn(&self, scratch: &Path) -> Result<Worker, StartError> {
        let failed = |source| StartError::Spawn { program: self.program.clone(), source };
        let mut child = Command::new(&self.program)
            .args(&self.args)
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // An interrupt from the terminal is the parent's to handle.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(failed)?;
        let (Some(stdin), Some(stdout), Some(stderr)) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            unreachable!("all three streams are pipes");
        };
        let said = Arc::default();
        let listener = tokio::spawn(listen(stderr, Arc::clone(&said)));
        Ok(Worker {
            pid: child.id().unwrap_or(0),
            child,
            link: Link::new(stdin, stdout),
            missing: Vec::new(),
            scratch: scratch.to_owned(),
            said,
            listener,
            _folders: self.folders.clone(),
        })
    }
}

impl Worker {
    /// Waits for a worker that has closed its side, and helps if it does not end by itself.
    pub(super) async fn end(&mut self) -> io::Result<ExitStatus> {
        let patience = std::time::Duration::from_secs(1);
        let ended = timeout(patience, self.child.wait()).await;
        let status = match ended {
            Ok(status) => status,
            Err(_) => self.kill().await,
        };
        // Its last words may still be on their way; a grandchild may hold the pipe open for ever.
        let _ = timeout(patience, &mut self.listener).await;
        status
    }

    /// Whether it has not ended by itself.
    pub(super) fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Ends it now, whatever it does.
    pub(super) async fn kill(&mut self) -> io::Result<ExitStatus> {
        self.child.start_kill()?;
        self.child.wait().await
    }

    /// What it wrote to stderr at last.
    pub(super) fn said(&self) -> String {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // The child is killed with this value; what it was writing to is nobody's any more.
        let _ = self.child.start_kill();
        let _ = fs::remove_dir_all(&self.scratch);
    }
}

/// Keeps the end of what a worker says on stderr, and logs it. Guests have no access to it.
async fn listen(mut stderr: ChildStderr, said: Arc<Mutex<String>>) {
    let mut buffer = [0; 1024];
    while let Ok(count @ 1..) = stderr.read(&mut buffer).await {
        let text = String::from_utf8_lossy(&buffer[..count]);
        warn!(text = text.trim_end(), "a sandbox worker complains");
        let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
        if said.len() + text.len() <= WORKER_TALK_BYTES_MAX {
            said.push_str(&text);
        }
    }
}
