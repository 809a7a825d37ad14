//! The command: rehearses many seeds, or shows one of them at work.

mod command;
mod log;

use std::io::{self, Write};
use std::ops::Range;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

use clap::{Args, Parser, Subcommand};
use sim::{Rehearsal, SEEDS_ENOUGH, Scenario, WANTED, World, rehearse};

use log::{Log, Sum, line};

/// Rehearse networks of engines under faults and liars.
#[derive(Debug, Parser)]
#[command(name = "sim", args_conflicts_with_subcommands = true, after_help = exit_codes())]
struct Command {
    #[command(subcommand)]
    task: Option<Task>,
    #[command(flatten)]
    many: Many,
}

#[derive(Debug, Args)]
struct Many {
    /// Which seeds, for instance 0..200.
    #[arg(long, env = "SIM_SEEDS", default_value = "0..200", value_parser = seeds)]
    seeds: Range<u64>,
    /// A scenario file, in place of one drawn from each seed.
    #[arg(long, env = "SIM_SCENARIO")]
    scenario: Option<PathBuf>,
    /// Where every seed's outcome is written, one line each. Seeds that are there already are not rehearsed
    /// again, and count in the sum.
    #[arg(long, env = "SIM_LOG")]
    log: Option<PathBuf>,
    /// Rehearse every seed twice and compare.
    #[arg(long, env = "SIM_TWICE")]
    twice: bool,
    /// Worlds at the same time, each in its own thread.
    #[arg(long, env = "SIM_THREADS", default_value_t = 1)]
    threads: u64,
    /// Stop at the first broken promise.
    #[arg(long, env = "SIM_FIRST")]
    first: bool,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Measure verification schemes side by side.
    Schemes(command::Schemes),
    /// Rehearse one seed again.
    Replay {
        seed: u64,
        #[arg(long)]
        scenario: Option<PathBuf>,
        /// Print every event and effect.
        #[arg(long)]
        trace: bool,
    },
    /// Count what one job costs on networks of up to thousands of peers.
    Scale(command::Scale),
}

fn exit_codes() -> String {
    format!(
        "Drawn worlds are watched for {} marks, rare branches that must have been gone through. Those that \
         were never seen are listed; in {SEEDS_ENOUGH} worlds or more each of them is a failure. A log's \
         earlier seeds count.\n\n\
         Exit codes: 0 all promises were kept; 1 one was broken, or a mark was never seen in {SEEDS_ENOUGH} \
         worlds; 2 nothing could be rehearsed.",
        WANTED.len()
    )
}

/// Names what was rehearsed; the same seed and sources are the same run.
const SOURCES: &str = env!("SOURCES");

fn main() -> ExitCode {
    let Command { task, many } = Command::parse();
    let done = match task {
        Some(Task::Replay { seed, scenario, trace }) => replay_one(seed, scenario, trace),
        Some(Task::Scale(scale)) => scale.run(),
        Some(Task::Schemes(schemes)) => schemes.run(),
        None => rehearse_many(&many),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            let _ = writeln!(io::stderr(), "error: {error}");
            ExitCode::from(2)
        }
    }
}

fn seeds(text: &str) -> Result<Range<u64>, String> {
    let hint = "expected two numbers such as 0..200, the first one smaller";
    let (from, to) = text.split_once("..").ok_or(hint)?;
    let (from, to) = (from.parse().map_err(|_| hint)?, to.parse().map_err(|_| hint)?);
    if from < to { Ok(from..to) } else { Err(hint.to_owned()) }
}

fn read(path: Option<&PathBuf>) -> io::Result<Option<Scenario>> {
    let Some(path) = path else { return Ok(None) };
    let text = std::fs::read_to_string(path)?;
    Scenario::parse(&text).map(Some).map_err(io::Error::other)
}

fn replay_one(seed: u64, path: Option<PathBuf>, trace: bool) -> io::Result<bool> {
    let scenario = read(path.as_ref())?.unwrap_or_else(|| Scenario::drawn(seed));
    writeln!(io::stderr(), "{}", scenario.to_toml())?;
    if trace {
        let mut world = World::new(scenario.clone(), seed);
        world.tell_trace(|line| {
            // A reader that has gone away, as `head` does, ends the replay.
            if writeln!(io::stdout(), "{line}").is_err() {
                std::process::exit(0);
            }
        });
        world.run();
        for line in world.autopsy() {
            writeln!(io::stderr(), "{line}")?;
        }
    }
    let rehearsal = rehearse(seed, Some(&scenario), false);
    writeln!(io::stderr(), "{}", line(&rehearsal))?;
    Ok(rehearsal.violation.is_none())
}

fn rehearse_many(many: &Many) -> io::Result<bool> {
    std::panic::set_hook(Box::new(|_| {}));
    let scenario = read(many.scenario.as_ref())?;
    let mut sum = Sum::default();
    let of = scenario.as_ref().map_or("drawn worlds", |scenario| &scenario.name);
    let of = format!("{of}, sources {SOURCES}");
    let mut log = many.log.as_ref().map(|path| Log::open(path, &of, &mut sum)).transpose()?;
    let todo: Vec<u64> =
        many.seeds.clone().filter(|seed| log.as_ref().is_none_or(|log| !log.has(*seed))).collect();
    let next = AtomicUsize::new(0);
    let (sender, done) = mpsc::sync_channel(16);
    std::thread::scope(|scope| -> io::Result<()> {
        for _ in 0..many.threads.max(1) {
            let (sender, scenario, todo, next) = (sender.clone(), scenario.as_ref(), &todo, &next);
            scope.spawn(move || {
                while let Some(seed) = todo.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if sender.send(rehearse(*seed, scenario, many.twice)).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        for rehearsal in done {
            if let Some(log) = &mut log {
                log.write(&rehearsal)?;
            }
            let broken = rehearsal.violation.is_some();
            if broken {
                tell_failure(&rehearsal, many.scenario.as_ref())?;
            }
            sum.add(&rehearsal);
            if broken && many.first {
                break;
            }
        }
        Ok(())
    })?;
    let mut out = io::stdout().lock();
    sum.print(&mut out)?;
    if scenario.is_some() {
        return Ok(sum.violations == 0);
    }
    let unseen = sum.unseen();
    if !unseen.is_empty() {
        writeln!(out, "never seen in {} worlds: {}", sum.seeds, unseen.join(", "))?;
    }
    Ok(sum.violations == 0 && sum.is_covered())
}

fn tell_failure(rehearsal: &Rehearsal, scenario: Option<&PathBuf>) -> io::Result<()> {
    let Some(violation) = &rehearsal.violation else { return Ok(()) };
    let seed = rehearsal.seed;
    let file = scenario.map_or(String::new(), |path| format!(" --scenario {}", path.display()));
    let mut out = io::stdout().lock();
    writeln!(out, "seed {seed}: {violation}")?;
    if scenario.is_none() {
        writeln!(out, "{}", rehearsal.scenario.to_toml())?;
    }
    writeln!(
        out,
        "  again, at sources {SOURCES}: cargo run --release -p sim -- replay {seed}{file} --trace"
    )
}
