//! `dugnad job init`: a job file to start from.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::Path;

use crate::cli::failure::{End, Failure, Outcome};
use crate::cli::terminal::talk;

pub(crate) const TEMPLATE: &str = r#"name = "example"
description = "what this job computes"

# Every [[stage]] is a module for WASI preview1 and how its units arise: one of
#   range  = { from = 0, to = 64 }                              one unit per integer
#   grid   = { strike = [80, 90], vol = [0.1, 0.2] }            one unit per combination
#   parts  = { path = "lines.txt", by = "lines", size = 100 }   one unit per piece of a file
#   gather = "stage"                                            one unit that reads a whole stage
# docs/JOBS.md describes every key.

[[stage]]
name = "units"
module = "unit.wasm"
range = { from = 0, to = 64 }
args = ["{index}"]

[stage.limits]
cpu = "30s"
memory = "64MiB"
output = "1MiB"

[[stage]]
name = "summary"
module = "summary.wasm"
gather = "units"
args = ["/in/units"]
"#;

pub(crate) fn run(path: &Path) -> Outcome {
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(path)
        .and_then(|mut file| file.write_all(TEMPLATE.as_bytes()));
    match written {
        Ok(()) => {
            let file = path.display();
            talk(format!("{file} is there; next: edit it, then `dugnad job check {file}`"));
            Ok(End::Done)
        }
        Err(error) => {
            let hint = match error.kind() {
                io::ErrorKind::AlreadyExists => "name another file; nothing is overwritten",
                _ => "name a file in a folder in which this user can write",
            };
            Err(Failure::new(End::BadInput, format!("{}: {error}", path.display()), hint))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_job_file_to_start_from_is_a_job_file() {
        let job = client::JobFile::parse(Path::new("job.toml"), TEMPLATE).unwrap();
        assert_eq!(job.stages.len(), 2);
    }

    #[test]
    fn nothing_is_overwritten() {
        let temp = tempfile::tempdir().unwrap();
        let file = temp.path().join("job.toml");
        assert_eq!(run(&file), Ok(End::Done));
        let failure = run(&file).unwrap_err();
        assert_eq!(failure.end, End::BadInput);
        assert!(failure.hint.is_some_and(|hint| hint.contains("another file")));
    }
}
