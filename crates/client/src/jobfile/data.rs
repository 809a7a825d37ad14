//! A dataset in a job file: where it comes from, and how it is cut into parts.

use std::time::Duration;

use protocol::Hash;
use serde::{Deserialize, Serialize};

/// `parts = { … }`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartsSpec {
    pub data: DataSpec,
    pub cut: Cut,
}

/// Where a dataset comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DataSpec {
    /// A file, a folder, or the files that a pattern matches; relative to the job file.
    Path(String),
    /// Standard input of the command that prepares the job.
    Stdin,
    /// Something that the submitter fetches.
    Url(UrlSpec),
}

/// Something to be fetched over HTTP, or from a store that speaks S3.
#[derive(Clone, PartialEq, Eq)]
pub struct UrlSpec {
    pub url: String,
    /// The BLAKE3 of the bytes as they are stored there.
    pub blake3: Option<Hash>,
    /// More than this is refused.
    pub limit_bytes: u64,
    /// Everything must have come by then.
    pub within: Duration,
}

impl std::fmt::Debug for UrlSpec {
    /// Without the address, which may hold a key.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UrlSpec").field("blake3", &self.blake3).finish_non_exhaustive()
    }
}

/// How a dataset becomes parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// Each file is a part; `recursive` is about folders within a folder.
    File { recursive: bool },
    /// So many bytes to a part, whatever they are.
    Bytes(u64),
    /// Whole records to a part.
    Records { form: Form, fill: Fill },
}

/// What a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A line, with what ends it.
    Lines,
    /// So many bytes.
    Fixed(u64),
    /// A sequence with its `>` line.
    Fasta,
    /// A read of four lines.
    Fastq,
    /// A row, whose quoted fields may hold line ends; with `header`, the first one goes into every part.
    Csv { separator: u8, header: bool },
}

/// When a part of whole records is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fill {
    pub size: Amount,
    /// Whether the records themselves say where parts end, so that an edit moves few of them.
    pub stable: bool,
    /// No part is larger; a record that is, is an error.
    pub max_bytes: u64,
}

/// How much at most goes into a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Amount {
    Records(u64),
    Bytes(u64),
}
