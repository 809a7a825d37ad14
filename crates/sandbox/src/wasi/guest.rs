//! Everything that belongs to one run of one guest, beside its memory.

use std::path::Path;

use protocol::limits::STDERR_BYTES_MAX;
use protocol::{Hash, Unit};

use super::clock::Clock;
use super::descriptors::Descriptors;
use crate::errno::End;
use crate::files::{Base, Content, Files, Reader, Space};
use crate::memory_limit::MemoryLimit;

/// The program's name in its own arguments: a module's name is no part of a unit.
const PROGRAM: &str = "program";

/// The state of one run.
#[derive(Debug)]
pub(crate) struct Guest {
    pub(super) args: Vec<u8>,
    pub(super) arg_count: u32,
    pub(super) env: Vec<u8>,
    pub(super) env_count: u32,
    pub(super) clock: Clock,
    pub(super) random: blake3::OutputReader,
    pub(super) descriptors: Descriptors,
    pub(super) listed_names: usize,
    pub(super) stdin: Stdin,
    pub(super) stdout: Content,
    pub(super) stderr: Vec<u8>,
    pub(super) files: Files,
    /// The exported memory, once the instance is there.
    pub(crate) memory: Option<wasmtime::Memory>,
    pub(crate) memory_limit: MemoryLimit,
    /// Whether the unit pays for host calls with fuel.
    pub(crate) is_metered: bool,
    /// Bytes that the present call moved.
    pub(super) moved: u64,
}

#[derive(Debug)]
pub(super) struct Stdin {
    pub(super) content: Content,
    pub(super) offset: u64,
    pub(super) reader: Option<Reader>,
}

/// What a unit finds when it starts.
#[derive(Debug)]
pub(crate) struct Mounts {
    pub(crate) base: Base,
    pub(crate) stdin: Option<Content>,
    /// Inputs of this unit alone, by their path below `/in`.
    pub(crate) files: Vec<(String, Content)>,
}

impl Guest {
    /// # Errors
    /// [`End::Refused`] if an input cannot be mounted where it should be.
    pub(crate) fn new(unit: &Unit, mounts: Mounts, scratch: &Path) -> Result<Self, End> {
        let space = Space::new(scratch, unit.limits.output_bytes, unit.limits.files);
        let mut files = Files::over(mounts.base, space);
        for (path, content) in mounts.files {
            files.mount(&path, content).map_err(End::Refused)?;
        }
        let args = std::iter::once(PROGRAM).chain(unit.args.iter().map(String::as_str));
        let (args, arg_count) = strings(args.map(|arg| (arg, "", "")));
        let (env, env_count) = strings(unit.env.iter().map(|(key, value)| (&**key, "=", &**value)));
        let stdin = mounts.stdin.unwrap_or(Content::Memory(Vec::new()));
        Ok(Self {
            args,
            arg_count,
            env,
            env_count,
            clock: Clock::default(),
            random: random(&unit.seed),
            descriptors: Descriptors::new(),
            listed_names: 0,
            stdin: Stdin { content: stdin, offset: 0, reader: None },
            stdout: Content::Memory(Vec::new()),
            stderr: Vec::new(),
            files,
            memory: None,
            memory_limit: MemoryLimit::new(unit.limits.memory_bytes),
            is_metered: unit.limits.fuel.is_some(),
            moved: 0,
        })
    }

    /// What is left when the guest has ended: stdout, the files, stderr.
    pub(crate) fn into_remains(self) -> (Content, Files, Vec<u8>) {
        (self.stdout, self.files, self.stderr)
    }

    /// Keeps what fits of a guest's words for people; they are no part of its outcome.
    pub(super) fn note(&mut self, bytes: &[u8]) {
        let room = STDERR_BYTES_MAX as usize - self.stderr.len();
        self.stderr.extend_from_slice(&bytes[..room.min(bytes.len())]);
    }
}

/// NUL-terminated strings, one after the other, and their number.
fn strings<'s>(list: impl Iterator<Item = (&'s str, &'s str, &'s str)>) -> (Vec<u8>, u32) {
    let (mut bytes, mut count) = (Vec::new(), 0);
    for (first, between, second) in list {
        bytes.extend_from_slice(first.as_bytes());
        bytes.extend_from_slice(between.as_bytes());
        bytes.extend_from_slice(second.as_bytes());
        bytes.push(0);
        count += 1;
    }
    (bytes, count)
}

fn random(seed: &Hash) -> blake3::OutputReader {
    let mut hasher = blake3::Hasher::new_derive_key("dugnad 1 guest random");
    hasher.update(seed.as_bytes());
    hasher.finalize_xof()
}
