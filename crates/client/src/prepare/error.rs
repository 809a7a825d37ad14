//! Why a job cannot be prepared: which file, what is wrong with it, and the remedy.

use std::path::{Path, PathBuf};

use protocol::limits::{MODULE_BYTES_MAX, STAGES_MAX, TREE_BYTES_MAX, TREE_ENTRIES_MAX};
use protocol::{ManifestError, TreeError};

use crate::Unreachable;
use crate::fetch::FetchError;

/// Why a job cannot be prepared; the text names the file or key, [`Self::hint`] the remedy.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// A file cannot be read.
    #[error("{}: {source}", path.display())]
    Unreadable { path: PathBuf, source: std::io::Error },
    /// A file did not stay as it was while it was read.
    #[error("{}: it changed while it was being read", path.display())]
    Changed { path: PathBuf },
    /// A folder where a file is needed, or the other way round, or neither.
    #[error("{}: it is not a {wanted}", path.display())]
    WrongKind { path: PathBuf, wanted: &'static str },
    /// What can be read only once, or never ends.
    #[error("{}: it is a pipe, a socket or a device", path.display())]
    Special { path: PathBuf },
    /// A file name that cannot be carried to other systems; quoted, for a terminal would obey it.
    #[error("{path:?}: its name is not valid UTF-8, or has a backslash or a control character")]
    Name { path: PathBuf },
    #[error("{}: {why}", path.display())]
    Module { path: PathBuf, why: &'static str, hint: &'static str },
    #[error("{}: it makes more than {TREE_ENTRIES_MAX} parts or files", path.display())]
    TooMany { path: PathBuf },
    #[error("{}: there is nothing in it", path.display())]
    Empty { path: PathBuf },
    #[error("{}: {source}", path.display())]
    Tree { path: PathBuf, source: TreeError },
    #[error("{}: the list of its files takes more than {} MiB", path.display(), TREE_BYTES_MAX >> 20)]
    TreeTooLarge { path: PathBuf },
    /// Folders within folders without end.
    #[error("{}: a link leads in a circle, or folders lie too deep", path.display())]
    Circle { path: PathBuf },
    #[error("{} and {} would both be called `{name}`", other.display(), path.display())]
    SameName { path: PathBuf, other: PathBuf, name: String },
    #[error("{}: {why}", path.display())]
    Pattern { path: PathBuf, why: String },
    /// The bytes are not what they are said to be.
    #[error("{}: {why}", path.display())]
    Data { path: PathBuf, why: String, hint: &'static str },
    /// There is no standard input, or it was read already.
    #[error("standard input: there is none")]
    NoStdin,
    /// What comes once cannot be kept until it is sent.
    #[error("{}: {source} (while it is kept in {})", path.display(), folder.display())]
    Spool { path: PathBuf, folder: PathBuf, source: std::io::Error },
    #[error("stage `{stage}` reads `{wanted}`, which is not an earlier stage")]
    NoSuchStage { stage: String, wanted: String, earlier: Vec<String> },
    #[error("stage `{stage}` mounts two files at `/in/{path}`, or one below the other")]
    Mounts { stage: String, path: String },
    #[error(
        "a `[[repeat]]` has the stages {}, which do not stand in that order, one after the other, or are \
         repeated twice", stages.join(", ")
    )]
    Repeat { stages: Vec<String> },
    #[error("two stages are named `{stage}`")]
    TwoStages { stage: String },
    #[error("stage `{stage}` has `first_files` and is in no `[[repeat]]`")]
    NoLoop { stage: String },
    #[error("loops, levels of trees and segments make more than {STAGES_MAX} stages together")]
    TooManyStages,
    /// The finished manifest breaks a rule.
    #[error("{}: {source}", path.display())]
    Manifest { path: PathBuf, source: ManifestError },
    /// The target of `[verify]` is more than can be promised.
    #[error("{}: {source}", path.display())]
    Unreachable { path: PathBuf, source: Box<Unreachable> },
}

impl PrepareError {
    /// What to do about it.
    pub fn hint(&self) -> String {
        match self {
            Self::Unreadable { source, .. } => unreadable_hint(source),
            Self::Changed { .. } => "submit when nothing writes to it any more".into(),
            Self::Special { .. } => {
                "save what comes out of it to a file, or give it on standard input".into()
            }
            Self::WrongKind { .. } => {
                "docs/JOBS.md says which key takes a file and which a folder".into()
            }
            Self::Name { .. } | Self::Tree { .. } => "rename the file".into(),
            Self::SameName { .. } => "rename one, or give the folder above them".into(),
            Self::Module { hint, .. } => (*hint).into(),
            Self::TooMany { .. } => {
                "make the parts larger, put several files into one, or split the data among jobs"
                    .into()
            }
            Self::Circle { .. } => "remove the link, or name the folders themselves".into(),
            Self::Pattern { .. } => {
                "`*` stands for any part of a name, `**` for folders; the path is relative to the \
                 folder of the job file"
                    .into()
            }
            Self::Data { hint, .. } => (*hint).into(),
            Self::NoStdin => {
                "give data: `dugnad job run job.toml < data`; one stage can read it".into()
            }
            Self::Spool { .. } => {
                "set TMPDIR to a folder with room for all of it, or save it to a file first".into()
            }
            Self::Empty { .. } => "a stage needs at least one part, and a tree one file".into(),
            Self::TreeTooLarge { .. } => "use shorter names, or put several files into one".into(),
            Self::NoSuchStage { earlier, .. } if earlier.is_empty() => {
                "the first stage can read no other: put the one that it reads above it; stages that read each other \
                 in a circle need a `[[repeat]]` and `reads`"
                    .into()
            }
            Self::Mounts { .. } => "mount each at a path of its own".into(),
            Self::TwoStages { .. } => "give each stage a name of its own".into(),
            Self::NoLoop { .. } => "put them into `files`, or the stage into a loop".into(),
            Self::TooManyStages => {
                "take fewer rounds or segments with more work in each, or cut the job into several"
                    .into()
            }
            Self::Repeat { .. } => {
                "list neighbouring stages in the order in which they stand in the job file".into()
            }
            Self::NoSuchStage { earlier, .. } => {
                format!(
                    "stages above it are {}; stages that read each other in a circle need a `[[repeat]]` and `reads`",
                    earlier.join(", ")
                )
            }
            Self::Unreachable { source, .. } => source.hint(),
            Self::Manifest { .. } => "docs/JOBS.md has the limits of every key".into(),
        }
    }

    /// A file's name, if other systems can have it, too.
    pub(super) fn name_of(path: &Path) -> Result<String, Self> {
        let name = path.file_name().and_then(|name| name.to_str());
        let carried = name.filter(|name| !name.contains(|c: char| c.is_control() || c == '\\'));
        carried.map(str::to_owned).ok_or_else(|| Self::Name { path: path.to_owned() })
    }

    pub(super) fn unreadable(path: &Path) -> impl Fn(std::io::Error) -> Self + '_ {
        |source| Self::Unreadable { path: path.to_owned(), source }
    }

    pub(super) fn module(path: &Path, bytes: &[u8], size: u64) -> Option<Self> {
        let refuse = |why, hint| Some(Self::Module { path: path.to_owned(), why, hint });
        match bytes {
            _ if MODULE_BYTES_MAX < size => {
                refuse("a module has at most 32 MiB", "strip it, or mount its data as a file")
            }
            [0, b'a', b's', b'm', 1, 0, 0, 0, ..] => None,
            [0, b'a', b's', b'm', ..] => refuse(
                "it is a component or of an unknown version, not a core WebAssembly module",
                "build a command for WASI preview1, such as Rust's target wasm32-wasip1",
            ),
            _ => refuse(
                "it is not a WebAssembly module",
                "build a command for WASI preview1, such as Rust's target wasm32-wasip1",
            ),
        }
    }
}

fn unreadable_hint(source: &std::io::Error) -> String {
    use std::io::ErrorKind;
    if let Some(error) = source.get_ref().and_then(|inner| inner.downcast_ref::<FetchError>()) {
        return error.hint().into();
    }
    match source.kind() {
        ErrorKind::PermissionDenied => "let this user read it".into(),
        ErrorKind::InvalidInput | ErrorKind::InvalidData | ErrorKind::UnexpectedEof => {
            "its gzip is damaged or cut short: bring it again".into()
        }
        ErrorKind::NotFound => {
            "it is not there, or not any more; paths in a job file are relative to the folder that it lies in"
                .into()
        }
        _ => "see what another program says that reads it".into(),
    }
}
