//! Reading a job file: every key is known, every value is of its type and within its bounds.

use std::io::Read;
use std::path::{Path, PathBuf};

use protocol::limits::{
    BATCH_UNITS_MAX, STAGES_MAX, UNIT_CPU_MS_MAX, UNIT_FILES_MAX, UNIT_MEMORY_BYTES_MAX,
    UNIT_OUTPUT_BYTES_MAX,
};
use toml::de::DeTable;

use super::section::{Fault, Item, Section};
use super::{JobFile, JobFileError, RepeatSpec, StageSpec, StdinSpec};
use super::{source, verify};
use crate::draft::default_priority;
use crate::{DraftLimits, parse_bytes, parse_duration_ms};

/// A job file holds no data; a larger one is something else.
const JOB_FILE_BYTES_MAX: u64 = 256 << 10;
const EXPIRES_MS_DEFAULT: u64 = 7 * 86_400_000;
/// A job that nobody remembers after ten years will not be missed.
const EXPIRES_MS_MAX: u64 = 3653 * 86_400_000;

const JOB_KEYS: [&str; 7] =
    ["name", "description", "priority", "expires", "verify", "stage", "repeat"];
const STAGE_KEYS: [&str; 17] = [
    "name",
    "module",
    "range",
    "grid",
    "parts",
    "each",
    "gather",
    "by_name",
    "args",
    "env",
    "stdin",
    "files",
    "limits",
    "batch",
    "reads",
    "first_files",
    "segments",
];
const LIMIT_KEYS: [&str; 5] = ["cpu", "memory", "output", "files", "fuel"];

impl JobFile {
    /// Reads a job file; the files that it names are not looked at yet.
    ///
    /// # Errors
    /// [`JobFileError`] says in which file and line something is wrong, and what would be right.
    pub fn load(path: &Path) -> Result<Self, JobFileError> {
        let unreadable = |source| JobFileError::Unreadable { path: path.to_owned(), source };
        let mut text = String::new();
        let mut file = std::fs::File::open(path).map_err(unreadable)?.take(JOB_FILE_BYTES_MAX + 1);
        file.read_to_string(&mut text).map_err(unreadable)?;
        Self::parse(path, &text)
    }

    /// Reads a job file's text as if it lay at `path`.
    ///
    /// # Errors
    /// [`JobFileError::Refused`].
    pub fn parse(path: &Path, text: &str) -> Result<Self, JobFileError> {
        read(path, text).map_err(|fault| JobFileError::refused(path, text, fault))
    }
}

fn read(path: &Path, text: &str) -> Result<JobFile, Fault> {
    if JOB_FILE_BYTES_MAX < text.len() as u64 {
        let why = format!("a job file has at most {} KiB", JOB_FILE_BYTES_MAX >> 10);
        return Err(Fault::new(0, why, "data belongs into files that the job file names"));
    }
    let document = DeTable::parse(text).map_err(|error| Fault {
        at: error.span().map_or(0, |span| span.start),
        why: error.message().lines().collect::<Vec<_>>().join(", "),
        hint: None,
    })?;
    let job = Section::new("the job", 0..0, document.get_ref(), &JOB_KEYS)?;
    let stages: Vec<StageSpec> = job
        .need("stage", "at least one `[[stage]]`")?
        .list()?
        .iter()
        .map(read_stage)
        .collect::<Result<_, _>>()?;
    let (policy, goal) = optional(&job, "verify", verify::read)?.unwrap_or_default();
    Ok(JobFile {
        path: path.to_owned(),
        folder: path.parent().map_or_else(PathBuf::new, Path::to_owned),
        name: job.need("name", "`name = \"…\"` at the top")?.string()?.to_owned(),
        description: optional(&job, "description", Item::string)?.unwrap_or_default().to_owned(),
        priority: optional(&job, "priority", |item| item.integer(0, 9))?
            .map_or(default_priority(), |priority| priority as u8),
        expires_after_ms: optional(&job, "expires", |item| duration(item, EXPIRES_MS_MAX))?
            .unwrap_or(EXPIRES_MS_DEFAULT),
        policy,
        goal,
        stages,
        repeats: optional(&job, "repeat", read_repeats)?.unwrap_or_default(),
    })
}

fn read_repeats(item: &Item<'_>) -> Result<Vec<RepeatSpec>, Fault> {
    let read = |item: &Item<'_>| {
        let repeat = item.section("a `[[repeat]]`", &["stages", "times"])?;
        let stages = texts(&repeat.need("stages", "`stages = [\"…\"]`, in their order")?)?;
        let times = repeat.need("times", "`times = …`: how many rounds there are at most")?;
        Ok(RepeatSpec { stages, times: times.integer(1, STAGES_MAX as u64)? as u32 })
    };
    item.list()?.iter().map(read).collect()
}

fn read_stage(item: &Item<'_>) -> Result<StageSpec, Fault> {
    // The name first, so that what is wrong with the rest can be said of this stage.
    let called = item.inside("name").and_then(|name| name.string().ok());
    let called = called.map_or_else(|| "a stage".to_owned(), |name| format!("stage `{name}`"));
    let stage = item.section(called, &STAGE_KEYS)?;
    let name = stage.need("name", "`name = \"…\"` to the stage")?.string()?.to_owned();
    let module = stage.need("module", "`module = \"program.wasm\"`")?;
    Ok(StageSpec {
        module: path(&module)?,
        source: source::read(&stage)?,
        args: optional(&stage, "args", texts)?.unwrap_or_default(),
        env: optional(&stage, "env", read_env)?.unwrap_or_default(),
        stdin: optional(&stage, "stdin", read_stdin)?.unwrap_or(StdinSpec::Nothing),
        files: optional(&stage, "files", read_files)?.unwrap_or_default(),
        limits: optional(&stage, "limits", |item| read_limits(&name, item))?.unwrap_or_default(),
        batch: optional(&stage, "batch", |item| item.integer(1, u64::from(BATCH_UNITS_MAX)))?
            .map(|batch| batch as u32),
        reads: optional(&stage, "reads", texts)?.unwrap_or_default(),
        first_files: optional(&stage, "first_files", read_files)?.unwrap_or_default(),
        segments: optional(&stage, "segments", |item| item.integer(1, STAGES_MAX as u64))?
            .map_or(1, |segments| segments as u32),
        name,
    })
}

fn read_env(item: &Item<'_>) -> Result<Vec<(String, String)>, Fault> {
    item.entries()?.into_iter().map(|(key, value)| Ok((key.to_owned(), value.text()?))).collect()
}

fn read_stdin(item: &Item<'_>) -> Result<StdinSpec, Fault> {
    Ok(if item.string()? == "part" { StdinSpec::Part } else { StdinSpec::File(path(item)?) })
}

fn read_files(item: &Item<'_>) -> Result<Vec<(String, PathBuf)>, Fault> {
    item.entries()?.into_iter().map(|(mount, file)| Ok((mount.to_owned(), path(&file)?))).collect()
}

fn read_limits(stage: &str, item: &Item<'_>) -> Result<DraftLimits, Fault> {
    let limits = item.section(format!("[stage.limits] of stage `{stage}`"), &LIMIT_KEYS)?;
    let standard = DraftLimits::default();
    Ok(DraftLimits {
        cpu_ms: optional(&limits, "cpu", |item| duration(item, UNIT_CPU_MS_MAX))?
            .unwrap_or(standard.cpu_ms),
        memory_bytes: optional(&limits, "memory", |item| bytes(item, UNIT_MEMORY_BYTES_MAX))?
            .unwrap_or(standard.memory_bytes),
        output_bytes: optional(&limits, "output", |item| bytes(item, UNIT_OUTPUT_BYTES_MAX))?
            .unwrap_or(standard.output_bytes),
        files: optional(&limits, "files", |item| item.integer(0, u64::from(UNIT_FILES_MAX)))?
            .map_or(standard.files, |files| files as u32),
        fuel: optional(&limits, "fuel", |item| item.integer(1, u64::MAX / 4))?,
    })
}

pub(super) fn optional<'t, T>(
    section: &Section<'t>,
    key: &str,
    read: impl FnOnce(&Item<'t>) -> Result<T, Fault>,
) -> Result<Option<T>, Fault> {
    section.get(key).as_ref().map(read).transpose()
}

fn texts(item: &Item<'_>) -> Result<Vec<String>, Fault> {
    item.list()?.iter().map(Item::text).collect()
}

pub(super) fn path(item: &Item<'_>) -> Result<PathBuf, Fault> {
    match item.string()? {
        "" => item.refuse("is empty", "give a path, relative to the job file"),
        text => Ok(PathBuf::from(text)),
    }
}

pub(super) fn duration(item: &Item<'_>, max_ms: u64) -> Result<u64, Fault> {
    match parse_duration_ms(item.string()?) {
        Ok(ms) if (1..=max_ms).contains(&ms) => Ok(ms),
        Ok(_) => item.refuse(
            "is out of range",
            format!("allowed is 1ms to {}", crate::show_duration_ms(max_ms)),
        ),
        Err(error) => item.refuse("is not a duration", error.to_string()),
    }
}

pub(super) fn bytes(item: &Item<'_>, max: u64) -> Result<u64, Fault> {
    match parse_bytes(item.string()?) {
        Ok(bytes) if bytes <= max => Ok(bytes),
        Ok(_) => {
            item.refuse("is out of range", format!("allowed is up to {}", crate::show_bytes(max)))
        }
        Err(error) => item.refuse("is not a size", error.to_string()),
    }
}
