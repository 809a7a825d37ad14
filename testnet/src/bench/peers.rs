//! What users would pick instead, measured by its own program in the same run.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};
use serde::Deserialize;

use super::ground::median;
use crate::table;

/// The programs, as the folder of the peers calls them.
const PROGRAMS: [&str; 2] = ["sys_ray.py", "sys_dask.py"];
/// Runs of each variant.
const RUNS: &str = "3";

/// One way of running 20,000 tiny tasks; each runs once, and nothing is verified.
#[derive(Clone, Debug)]
pub(super) struct PeerRun {
    pub(super) system: String,
    pub(super) variant: String,
    pub(super) tasks_per_s: f64,
    pub(super) cpu_us_per_task: f64,
}

/// A line of such a program.
#[derive(Clone, Debug, Deserialize)]
struct Line {
    system: String,
    workload: String,
    variant: String,
    tasks_per_s: f64,
    cpu_us_per_task: f64,
}

/// One count of the words of 256 MiB; each task runs once, and nothing is verified.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct WordsRun {
    pub(super) variant: String,
    pub(super) wall_s: f64,
    pub(super) cpu_s: f64,
    /// The digest of all words and counts, how many words differ, and how many there are.
    pub(super) check: (String, u64, u64),
}

/// Runs the first workload of every peer.
pub(super) fn w1(venv: &Path, programs: &Path) -> anyhow::Result<Vec<PeerRun>> {
    let lab = tempfile::Builder::new().prefix("peers-").tempdir()?;
    let python = venv.join("bin/python");
    let mut found = Vec::new();
    for program in PROGRAMS {
        found.extend(medians(&printed(&python, programs, [program, "w1"], lab.path())?));
    }
    Ok(found)
}

/// Counts with Ray the words of the text below `lab`.
pub(super) fn w7(python: &Path, programs: &Path, lab: &Path) -> anyhow::Result<Vec<WordsRun>> {
    let text = printed(python, programs, ["sys_ray.py", "w7"], lab)?;
    let runs: Vec<WordsRun> =
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    ensure!(!runs.is_empty(), "sys_ray.py has printed no run of w7: {text}");
    Ok(runs)
}

fn printed(
    python: &Path,
    programs: &Path,
    [program, workload]: [&str; 2],
    lab: &Path,
) -> anyhow::Result<String> {
    // A relative name of a program is looked up after the change of folder.
    let python = std::path::absolute(python)?;
    table::talk(format!("measuring {program}"));
    let output = Command::new(&python)
        .args([program, workload])
        .current_dir(programs)
        .env("PEERS_LAB", lab)
        .env("PEERS_REPS", RUNS)
        // They run under the same load as we do.
        .env("PEERS_QUIET_S", "0")
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("{} {program}", python.display()))?;
    ensure!(output.status.success(), "{program} ended with {}", output.status);
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Several runs of one variant become one.
fn medians(text: &str) -> Vec<PeerRun> {
    let lines: Vec<Line> = text
        .lines()
        .filter_map(|line| serde_json::from_str::<Line>(line).ok())
        .filter(|line| line.workload == "W1")
        .collect();
    let mut variants: Vec<&str> = lines.iter().map(|line| line.variant.as_str()).collect();
    variants.dedup();
    let of = |variant: &str| {
        let own: Vec<&Line> = lines.iter().filter(|line| line.variant == variant).collect();
        let middle = |value: fn(&Line) -> f64| {
            median(&own.iter().map(|line| value(line)).collect::<Vec<_>>())
        };
        PeerRun {
            system: own[0].system.clone(),
            variant: variant.to_owned(),
            tasks_per_s: middle(|line| line.tasks_per_s),
            cpu_us_per_task: middle(|line| line.cpu_us_per_task),
        }
    };
    variants.into_iter().map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_of_one_variant_become_their_median() {
        let line = |variant: &str, per_s: u32| {
            format!(
                r#"{{"system": "ray", "workload": "W1", "variant": "{variant}", "n": 5, "tasks_per_s": {per_s}, "cpu_us_per_task": 9.5}}"#
            )
        };
        let text = [line("a", 10), "noise".into(), line("a", 30), line("a", 20), line("b", 7)];
        let found = medians(&text.join("\n"));
        assert_eq!(found.len(), 2);
        assert_eq!((found[0].tasks_per_s, found[1].tasks_per_s), (20.0, 7.0));
    }
}
