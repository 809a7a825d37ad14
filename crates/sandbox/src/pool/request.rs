//! What to run: a module and the units that run it.

use std::io;
use std::path::PathBuf;

use protocol::{BlobId, Unit};
use serde_bytes::ByteBuf;

use super::folders::{Folders, InputFile};
use crate::limits::FRAME_INPUT_BYTES;
use crate::wire::{Job, WireSource};

/// Bytes of a module or an input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileSource {
    Bytes(Vec<u8>),
    /// A file of the host, read as the guest reads it. It must not change meanwhile.
    Path {
        path: PathBuf,
        size: u64,
    },
}

/// A unit, and the bytes behind the names in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuestUnit {
    pub unit: Unit,
    pub stdin: Option<FileSource>,
    /// Inputs by their path below `/in`.
    pub files: Vec<(String, FileSource)>,
}

/// Units of one module, to be run one after the other by one worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunRequest {
    pub module: FileSource,
    /// Inputs that all units have, by their path below `/in`.
    pub shared_files: Vec<(String, FileSource)>,
    /// At most [`crate::REQUEST_UNITS_MAX`].
    pub units: Vec<GuestUnit>,
}

/// A request as a worker takes it.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) module: BlobId,
    pub(super) bytes: WireSource,
    pub(super) shared: Vec<(String, WireSource)>,
    pub(super) plain: bool,
    pub(super) metered: bool,
    pub(super) jobs: Vec<Job>,
    /// Inputs that were written to disk for this request.
    _written: Vec<InputFile>,
}

impl Prepared {
    /// Writes what is too large for frames to files; to be called where blocking is allowed.
    ///
    /// `None` for a request without units.
    pub(super) fn new(request: RunRequest, folders: &Folders) -> io::Result<Option<Self>> {
        let RunRequest { module, shared_files, units } = request;
        let Some(first) = units.first() else { return Ok(None) };
        let id = first.unit.module;
        let metered = units.iter().any(|unit| unit.unit.limits.fuel.is_some());
        let plain = units.iter().any(|unit| unit.unit.limits.fuel.is_none());
        let mut post = Post { folders, written: Vec::new(), room: FRAME_INPUT_BYTES };
        let bytes = post.source(module)?;
        let shared = post.files(shared_files)?;
        let mut jobs = Vec::with_capacity(units.len());
        for (index, GuestUnit { unit, stdin, files }) in (0..).zip(units) {
            post.room = FRAME_INPUT_BYTES;
            let stdin = stdin.map(|stdin| post.source(stdin)).transpose()?;
            jobs.push(Job { index, unit, stdin, files: post.files(files)? });
        }
        let _written = post.written;
        Ok(Some(Self { module: id, bytes, shared, plain, metered, jobs, _written }))
    }
}

struct Post<'f> {
    folders: &'f Folders,
    written: Vec<InputFile>,
    /// What may still go into the present frame.
    room: usize,
}

impl Post<'_> {
    fn source(&mut self, source: FileSource) -> io::Result<WireSource> {
        match source {
            FileSource::Path { path, size } => {
                Ok(WireSource::Path(std::path::absolute(path)?.as_path().into(), size))
            }
            FileSource::Bytes(bytes) => match self.room.checked_sub(bytes.len()) {
                Some(room) => {
                    self.room = room;
                    Ok(WireSource::Bytes(ByteBuf::from(bytes)))
                }
                None => {
                    let file = self.folders.put_input(&bytes)?;
                    let source = WireSource::Path(file.0.as_path().into(), bytes.len() as u64);
                    self.written.push(file);
                    Ok(source)
                }
            },
        }
    }

    fn files(&mut self, files: Vec<(String, FileSource)>) -> io::Result<Vec<(String, WireSource)>> {
        files.into_iter().map(|(path, source)| Ok((path, self.source(source)?))).collect()
    }
}
