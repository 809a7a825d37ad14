//! One node of a fleet: where it lives, who it is, and its process while it runs.

use std::path::{Path, PathBuf};

use anyhow::Context;
use client::Client;
use client::api::NodeInfo;
use protocol::PeerId;
use sim::LiarKind;

use super::process::{Process, last_lines};

/// Lines of a log that are shown when something went wrong.
const LINES: usize = 25;

/// One node of a fleet.
#[derive(Debug)]
pub struct Member {
    pub(super) name: String,
    pub(super) lies: Option<LiarKind>,
    pub(super) data_dir: PathBuf,
    pub(super) log: PathBuf,
    /// What it said when it was ready the last time.
    pub(super) info: Option<NodeInfo>,
    pub(super) client: Option<Client>,
    pub(super) process: Option<Process>,
}

impl Member {
    pub(super) fn new(root: &Path, index: usize, lies: Option<LiarKind>) -> Self {
        let name = format!("node {index}");
        let (data_dir, log) =
            (root.join(format!("node-{index}")), root.join(format!("node-{index}.log")));
        Self { name, lies, data_dir, log, info: None, client: None, process: None }
    }

    /// `node 3`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How it lies, if it does.
    pub fn lies(&self) -> Option<LiarKind> {
        self.lies
    }

    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// Its process, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(Process::id)
    }

    /// Its name in the network.
    ///
    /// # Errors
    /// If it never was ready.
    pub fn peer(&self) -> anyhow::Result<PeerId> {
        Ok(self.info.as_ref().with_context(|| format!("{} was never ready", self.name))?.peer)
    }

    /// Multiaddresses at which it listens, or listened.
    pub fn addresses(&self) -> &[String] {
        self.info.as_ref().map_or(&[], |info| &info.addresses)
    }

    /// Its HTTP API; liars have none.
    ///
    /// # Errors
    /// If it does not run, or lies.
    pub fn client(&self) -> anyhow::Result<&Client> {
        self.client.as_ref().with_context(|| format!("{} has no HTTP API now", self.name))
    }

    /// One of its metrics.
    ///
    /// # Errors
    /// If it does not answer, or has no such metric.
    pub fn metric(&self, name: &str) -> anyhow::Result<u64> {
        let text = self.client()?.metrics()?;
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        let value = value.with_context(|| format!("{} has no metric {name}", self.name))?;
        Ok(value.trim().parse()?)
    }

    pub(super) fn last_words(&self) -> String {
        let state = if self.process.is_some() { "" } else { " (not running)" };
        let words = match &self.process {
            Some(process) => process.last_words(LINES),
            None => last_lines(&self.log, LINES),
        };
        format!("--- {}{state}: {}\n{words}", self.name, self.log.display())
    }
}
