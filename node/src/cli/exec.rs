//! `dugnad exec`: one unit, here and now, exactly as a peer would run it.

use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};

use client::api::Ending;
use client::{DraftLimits, DraftPolicy, Goal, JobFile, SourceSpec, StageSpec, StdinSpec, prepare};
use protocol::{BlobId, BlobRef, Exit, Outcome as UnitOutcome, Tree, Unit};
use sandbox::Ran;
use serde_json::json;
use tempfile::NamedTempFile;

use crate::cli::args::{ExecArgs, Output};
use crate::cli::entry::Context;
use crate::cli::failure::{End, Failure, Outcome};
use crate::cli::save::Folder;
use crate::cli::terminal::{self, copy, talk};
use crate::cli::trial::{Trial, cost, lost};

pub(crate) fn run(context: &Context, args: &ExecArgs) -> Outcome {
    let config = context.settings(&[], true)?.config;
    let stdin = spool_stdin()?;
    let prepared = prepare(job_of_one(args, stdin.as_ref().map(NamedTempFile::path))?)?;
    let trial = Trial::new(&prepared, &config)?;
    trial.inspect(0)?;
    let Some(unit) = trial.unit(0) else {
        return Err(Failure::new(End::BadInput, "there is nothing to run", "name a module"));
    };
    let ran = trial.run(unit.clone())?.map_err(|loss| lost(&loss))?;
    let files = files(&ran)?;
    if let Some(folder) = &args.to {
        let folder = Folder::open(folder)?;
        for (path, blob) in &files {
            folder.write(path, (*blob).into(), &mut output(&ran, blob.id)?.as_slice())?;
        }
    }
    match context.output {
        Output::Json => tell_json(&unit, &ran, &files)?,
        Output::Table => tell(&unit, &ran, &files)?,
    }
    Ok(if ran.execution.outcome.is_success() { End::Done } else { End::Failed })
}

/// stdin as a file, if there is any: a unit has none, or a blob.
fn spool_stdin() -> Outcome<Option<NamedTempFile>> {
    let mut stdin = io::stdin().lock();
    if stdin.is_terminal() {
        return Ok(None);
    }
    let mut file = NamedTempFile::new()?;
    let len = io::copy(&mut stdin, file.as_file_mut())?;
    Ok((0 < len).then_some(file))
}

/// The job whose only unit this is.
fn job_of_one(args: &ExecArgs, stdin: Option<&Path>) -> Outcome<JobFile> {
    // Nothing is a template here.
    let plain = |text: &str| text.replace('{', "{{").replace('}', "}}");
    let pair = |text: &String, what: &str| match text.split_once('=') {
        Some((key, value)) => Ok((key.to_owned(), value.to_owned())),
        None => {
            Err(Failure::new(End::BadInput, format!("`{text}` is not {what}"), "write the `=`"))
        }
    };
    let env = args.env.iter().map(|text| pair(text, "KEY=VALUE"));
    let files = args.files.iter().map(|text| pair(text, "PLACE=PATH"));
    let stage = StageSpec {
        name: "exec".to_owned(),
        module: args.module.clone(),
        source: SourceSpec::Range { from: 0, to: 1, block: 1 },
        args: args.args.iter().map(|arg| plain(arg)).collect(),
        env: env
            .map(|pair| pair.map(|(key, value)| (key, plain(&value))))
            .collect::<Result<_, _>>()?,
        stdin: stdin.map_or(StdinSpec::Nothing, |path| StdinSpec::File(path.to_owned())),
        files: files
            .map(|pair| pair.map(|(place, path)| (place, PathBuf::from(path))))
            .collect::<Result<_, _>>()?,
        limits: DraftLimits {
            cpu_ms: args.cpu,
            memory_bytes: args.memory,
            output_bytes: args.output_bytes,
            fuel: args.fuel,
            ..DraftLimits::default()
        },
        batch: Some(1),
        reads: Vec::new(),
        first_files: Vec::new(),
        segments: 1,
    };
    Ok(JobFile {
        path: args.module.clone(),
        folder: PathBuf::new(),
        name: "exec".to_owned(),
        description: String::new(),
        priority: 0,
        expires_after_ms: 1,
        policy: DraftPolicy::default(),
        goal: Goal::default(),
        stages: vec![stage],
        repeats: Vec::new(),
    })
}

fn tell(unit: &Unit, ran: &Ran, files: &[(String, BlobRef)]) -> Outcome<()> {
    if let Some(exit) = exit(ran) {
        copy(&mut output(ran, exit.stdout.id)?.as_slice())?;
    }
    for line in String::from_utf8_lossy(&ran.stderr).lines() {
        talk(format!("stderr: {line}"));
    }
    let execution = &ran.execution;
    talk(format!("outcome {}", Ending::from(&execution.outcome)));
    talk(format!("cost    {}", cost(execution)));
    talk(format!("unit    {}", unit.id()));
    talk(format!("digest  {}", execution.outcome.digest()));
    for (path, blob) in files {
        talk(format!("file    {path} ({} bytes, {})", blob.size, blob.id));
    }
    Ok(())
}

fn tell_json(unit: &Unit, ran: &Ran, files: &[(String, BlobRef)]) -> Outcome<()> {
    let execution = &ran.execution;
    let blob = |blob: BlobRef| client::api::Blob::from(blob);
    let files: Vec<_> =
        files.iter().map(|(path, file)| json!({ "path": path, "blob": blob(*file) })).collect();
    terminal::json(&json!({
        "unit": unit.id(),
        "ending": Ending::from(&execution.outcome),
        "digest": execution.outcome.digest(),
        "trace": execution.trace,
        "cpu_us": execution.cost.cpu_us,
        "memory_bytes": execution.cost.memory_bytes,
        "fuel": execution.cost.fuel,
        "stdout": exit(ran).map(|exit| blob(exit.stdout)),
        "files": files,
        "stderr": String::from_utf8_lossy(&ran.stderr),
    }))
}

fn exit(ran: &Ran) -> Option<Exit> {
    match ran.execution.outcome {
        UnitOutcome::Exit(exit) => Some(exit),
        UnitOutcome::Trap(_) | UnitOutcome::OutOfFuel | UnitOutcome::OutputTooLarge => None,
    }
}

/// The files of `/out`; trees within it are opened.
fn files(ran: &Ran) -> Outcome<Vec<(String, BlobRef)>> {
    let mut found = Vec::new();
    let mut open: Vec<(String, BlobRef)> =
        exit(ran).map(|exit| (String::new(), exit.out)).into_iter().collect();
    while let Some((folder, tree)) = open.pop() {
        let tree = Tree::from_bytes(&output(ran, tree.id)?)
            .map_err(|error| Failure::of(End::BadInput, &error))?;
        for entry in tree.entries() {
            let path = format!("{folder}{}", entry.path);
            if entry.is_tree {
                open.push((format!("{path}/"), entry.blob));
            } else {
                found.push((path, entry.blob));
            }
        }
    }
    found.sort_by(|(a, _), (b, _)| a.cmp(b));
    Ok(found)
}

fn output(ran: &Ran, id: BlobId) -> Outcome<Vec<u8>> {
    match ran.outputs.iter().find(|output| output.blob.id == id) {
        Some(output) => Ok(output.read()?),
        None => {
            Err(Failure::new(End::NoNode, format!("the sandbox did not give {id}"), "try again"))
        }
    }
}
