//! Where the program begins: its own commands, and those of `dugnad` that it re-executes itself for.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use rustix::process::Signal;
use sim::LiarKind;

use crate::liar::LiarArgs;
use crate::{bench, demo, interrupt, liar, scenario, up};

/// Commands of `dugnad`, passed on as they are.
const OF_DUGNAD: [&str; 8] = ["node", "job", "credit", "exec", "blob", "peer", "config", "key"];

/// Networks of real nodes on this machine, on loopback.
#[derive(Debug, Parser)]
#[command(name = "testnet", version, arg_required_else_help = true)]
struct Program {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Run three jobs on five nodes, one of which lies, and see it caught
    Demo(DemoArgs),
    /// Start a network, say how to talk to it, and stop it on Ctrl-C
    Up(UpArgs),
    /// Measure one figure
    #[command(subcommand)]
    Bench(bench::Figure),
    #[command(hide = true)]
    Liar(LiarArgs),
}

#[derive(Clone, Debug, Args)]
pub(crate) struct DemoArgs {
    /// Where the results go
    #[arg(short = 'o', long = "to", env = "TESTNET_TO", default_value = "dugnad-demo")]
    pub(crate) to: PathBuf,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct UpArgs {
    /// Nodes, liars included [default: 3, or as the scenario says]
    #[arg(long, env = "TESTNET_NODES")]
    pub(crate) nodes: Option<usize>,
    /// How many of them lie [default: 0, or as the scenario says]
    #[arg(long, env = "TESTNET_LIARS")]
    pub(crate) liars: Option<usize>,
    /// How they lie: any kind that scenarios know [default: contester, or as the scenario says]
    #[arg(long, env = "TESTNET_KIND", value_parser = scenario::kind)]
    pub(crate) kind: Option<LiarKind>,
    /// Units that each node runs at the same time [default: 1, or as the scenario says]
    #[arg(long, env = "TESTNET_CORES")]
    pub(crate) cores: Option<usize>,
    /// A scenario of `sim`, by file or name: its nodes, liars, and planned crashes and restarts
    #[arg(long, env = "TESTNET_SCENARIO")]
    pub(crate) scenario: Option<PathBuf>,
}

/// The program.
pub fn main() -> ExitCode {
    let verb = std::env::args_os().nth(1).unwrap_or_default();
    let is = |name: &str| verb == name;
    if is("worker") {
        // Before anything is opened, read or started that a guest could find.
        return node::cli::main();
    }
    if is("node") || is("liar") {
        end_with_the_parent();
    }
    if OF_DUGNAD.into_iter().any(is) {
        return node::cli::main();
    }
    match run(Program::parse().verb) {
        Ok(code) => code,
        Err(error) => {
            // A person who has closed stderr does not want to hear it.
            let _ = writeln!(io::stderr().lock(), "error: {error:#}");
            if interrupt::is_asked() { ExitCode::from(130) } else { ExitCode::FAILURE }
        }
    }
}

fn run(verb: Verb) -> anyhow::Result<ExitCode> {
    match verb {
        Verb::Demo(args) => demo::run(&args),
        Verb::Up(args) => up::run(&args),
        Verb::Bench(figure) => bench::run(&figure),
        Verb::Liar(args) => liar::run(args),
    }
}

/// A network whose program was killed must not go on by itself.
fn end_with_the_parent() {
    // Where the system cannot do that, a killed testnet leaves its nodes behind.
    let _ = rustix::process::set_parent_process_death_signal(Some(Signal::TERM));
}
