//! What comes back: a stream of results, each with the blobs that it names.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::sync::Arc;

use protocol::limits::STDERR_BYTES_MAX;
use protocol::{BlobRef, Execution, Loss};
use tokio::sync::mpsc;

use super::folders::{Folders, OutputFile};
use crate::wire::{WireOutput, WireRan};

/// A finished run of a unit.
#[derive(Debug)]
pub struct Ran {
    pub execution: Execution,
    /// After an exit: stdout, the tree of `/out` and every file in it, each blob once.
    pub outputs: Vec<Output>,
    /// The beginning of what the guest wrote to stderr; no part of its outcome.
    pub stderr: Vec<u8>,
}

/// A blob that a unit made. The worker computed its name; check it where that matters.
#[derive(Clone, Debug)]
pub struct Output {
    pub blob: BlobRef,
    pub bytes: OutputBytes,
}

/// Where an output's bytes are.
#[derive(Clone, Debug)]
pub enum OutputBytes {
    Here(Vec<u8>),
    /// `blob.size` bytes of a file, from an offset on.
    File(Arc<OutputFile>, u64),
}

impl Output {
    /// All bytes of it.
    ///
    /// # Errors
    /// If the file cannot be read, or is shorter than it should be.
    pub fn read(&self) -> io::Result<Vec<u8>> {
        match &self.bytes {
            OutputBytes::Here(bytes) => Ok(bytes.clone()),
            OutputBytes::File(file, offset) => file.read(*offset, self.blob.size),
        }
    }

    /// The file that its bytes are in, standing where they begin, and nothing when they are here.
    ///
    /// # Errors
    /// If the file cannot be opened.
    pub fn open(&self) -> io::Result<Option<File>> {
        match &self.bytes {
            OutputBytes::Here(_) => Ok(None),
            OutputBytes::File(file, offset) => file.open(*offset).map(Some),
        }
    }
}

impl Ran {
    /// Reads a worker's word; `None` if it names files that cannot be.
    pub(super) fn from_wire(ran: WireRan, folders: &Arc<Folders>) -> Option<Self> {
        let mut files: BTreeMap<String, Arc<OutputFile>> = BTreeMap::new();
        let mut outputs = Vec::with_capacity(ran.outputs.len());
        for (blob, output) in ran.outputs {
            let bytes = match output {
                WireOutput::Inline(bytes) if bytes.len() as u64 == blob.size => {
                    OutputBytes::Here(bytes.into_vec())
                }
                WireOutput::Inline(_) => return None,
                WireOutput::File(name, offset) => {
                    let file = match files.get(&name) {
                        Some(file) => file.clone(),
                        None => {
                            let file = Arc::new(OutputFile::new(folders, &name)?);
                            files.insert(name, file.clone());
                            file
                        }
                    };
                    OutputBytes::File(file, offset)
                }
            };
            outputs.push(Output { blob, bytes });
        }
        let mut stderr = ran.stderr.into_vec();
        stderr.truncate(STDERR_BYTES_MAX as usize);
        Some(Self { execution: ran.execution, outputs, stderr })
    }
}

/// The results of a request, in the order of its units. Dropping it stops the request.
#[derive(Debug)]
pub struct Run {
    pub(super) results: mpsc::Receiver<(usize, Result<Ran, Loss>)>,
}

impl Run {
    /// The next unit's index and result; nothing after the last one, or once it was cancelled.
    pub async fn next(&mut self) -> Option<(usize, Result<Ran, Loss>)> {
        self.results.recv().await
    }

    /// Stops the request: its worker is killed. Results that are there already can still be taken.
    pub fn cancel(&mut self) {
        self.results.close();
    }
}
