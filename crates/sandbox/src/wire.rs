//! What parent and worker say to each other over the worker's stdin and stdout.
//!
//! A frame is a length (four bytes, little-endian) and one message in canonical CBOR. The parent must
//! not believe a worker: a guest may have broken out of its engine.

use std::ffi::OsString;
use std::io::{self, Read};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use protocol::{BlobId, BlobRef, DecodeError, Execution, Loss, Unit};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use serde_tuple::{Deserialize_tuple, Serialize_tuple};

use crate::limits::FRAME_BYTES_MAX;

/// A worker's exit code when the unit that it ran used up its time.
pub(crate) const EXIT_TIMEOUT: u8 = 91;
/// The same when compiling did.
pub(crate) const EXIT_COMPILE_TIMEOUT: u8 = 92;
/// A worker's exit code when something in it panicked.
pub(crate) const EXIT_PANIC: u8 = 93;
/// A worker's exit code when its parent said something else than it should.
pub(crate) const EXIT_CONFUSED: u8 = 94;

/// What a worker is told.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Order {
    /// The first of all.
    Start(Start),
    /// A request begins; the one before is over.
    Open(Open),
    /// Encoded [`Job`]s of the present request.
    Units(Vec<ByteBuf>),
}

#[derive(Debug, Serialize_tuple, Deserialize_tuple)]
pub(crate) struct Start {
    pub(crate) cache: WirePath,
    /// Files that nobody else sees; removed with the worker.
    pub(crate) scratch: WirePath,
    /// Where outputs go that are too large for a frame, each under a name with `serial` in front.
    pub(crate) outputs: WirePath,
    pub(crate) serial: u64,
}

#[derive(Debug, Serialize_tuple, Deserialize_tuple)]
pub(crate) struct Open {
    pub(crate) module: BlobId,
    pub(crate) bytes: WireSource,
    /// Whether units without and with a fuel limit follow.
    pub(crate) plain: bool,
    pub(crate) metered: bool,
    /// Inputs of all units, by path below `/in`.
    pub(crate) shared: Vec<(String, WireSource)>,
    /// Whether every unit is announced and answered on its own, to find out which one crashes.
    pub(crate) cautious: bool,
}

/// One unit to run.
#[derive(Debug, Serialize_tuple, Deserialize_tuple)]
pub(crate) struct Job {
    pub(crate) index: u32,
    pub(crate) unit: Unit,
    pub(crate) stdin: Option<WireSource>,
    pub(crate) files: Vec<(String, WireSource)>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum WireSource {
    Bytes(ByteBuf),
    Path(WirePath, u64),
}

/// What a worker says.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Report {
    /// It has started, without these layers of isolation.
    Ready(Vec<String>),
    /// The module of the request is compiled, or it is not and no unit can run.
    Module(Option<Loss>),
    /// This unit is running, and all before it have been answered.
    Running(u32),
    /// Encoded [`Done`]s, in order.
    Done(Vec<ByteBuf>),
}

#[derive(Debug, Serialize_tuple, Deserialize_tuple)]
pub(crate) struct Done {
    pub(crate) index: u32,
    pub(crate) result: Result<WireRan, Loss>,
}

#[derive(Debug, Serialize_tuple, Deserialize_tuple)]
pub(crate) struct WireRan {
    pub(crate) execution: Execution,
    pub(crate) outputs: Vec<(BlobRef, WireOutput)>,
    pub(crate) stderr: ByteBuf,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum WireOutput {
    Inline(ByteBuf),
    /// A file among the outputs, and where in it the blob begins.
    File(String, u64),
}

/// A path as the bytes that it is.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct WirePath(ByteBuf);

impl From<&Path> for WirePath {
    fn from(path: &Path) -> Self {
        Self(ByteBuf::from(path.as_os_str().as_bytes()))
    }
}

impl From<WirePath> for PathBuf {
    fn from(path: WirePath) -> Self {
        OsString::from_vec(path.0.into_vec()).into()
    }
}

/// The frame that carries `message`.
pub(crate) fn frame<T: Serialize>(message: &T) -> Vec<u8> {
    let body = protocol::encode(message);
    let mut frame = Vec::with_capacity(4 + body.len());
    frame.extend_from_slice(&(body.len() as u32).to_le_bytes());
    frame.extend(body);
    frame
}

/// The length of the frame's body that begins here, if it is one.
pub(crate) fn frame_len(header: [u8; 4]) -> Option<usize> {
    Some(u32::from_le_bytes(header) as usize).filter(|len| *len <= FRAME_BYTES_MAX)
}

pub(crate) fn parse<T: Serialize + DeserializeOwned>(body: &[u8]) -> Result<T, DecodeError> {
    protocol::decode(body, FRAME_BYTES_MAX)
}

/// Reads one frame's body; nothing at the end of the stream.
pub(crate) fn read_frame(from: &mut impl Read) -> io::Result<Option<Vec<u8>>> {
    let mut header = [0; 4];
    match from.read_exact(&mut header) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        other => other?,
    }
    let len = frame_len(header).ok_or_else(|| io::Error::other("a frame is too long"))?;
    let mut body = vec![0; len];
    from.read_exact(&mut body)?;
    Ok(Some(body))
}
