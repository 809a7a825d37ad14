//! Which figure is which.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::hostile::Wrong;
use super::{blob, dispatch, flood, idle, latency, million, segments, spread, tree, wire, words};
use crate::interrupt;

/// What can be measured.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Figure {
    /// Trivial units per second, each executed by two nodes and verified
    Dispatch(DispatchArgs),
    /// From submitting one trivial unit to its verified result
    Latency(LatencyArgs),
    /// A large blob from one node's store to another's
    Blob(BlobArgs),
    /// A large blob to many nodes at once
    Spread(SpreadArgs),
    /// Memory and CPU of nodes that have nothing to do
    Idle(IdleArgs),
    /// Bytes that nodes send each other for one verified unit
    Wire(WireArgs),
    /// A node that hostile peers flood with invalid statements, and an honest job meanwhile
    Flood(FloodArgs),
    /// Words of a large text, counted by a shuffle, each unit executed by two nodes and verified
    Words(WordsArgs),
    /// A million trivial units, one node killed and restarted in the middle
    Million(MillionArgs),
    /// Many outcomes reduced by a tree, sixteen at a time
    Tree(TreeArgs),
    /// One long unit cut into chains of verified segments
    Segments(SegmentsArgs),
}

#[derive(Clone, Debug, Args)]
pub(crate) struct Ground {
    /// Where data folders lie
    #[arg(long, env = "TESTNET_BELOW", default_value_os_t = std::env::temp_dir())]
    pub(crate) below: PathBuf,
    /// What nodes log
    #[arg(long, env = "TESTNET_LOG", default_value = "warn")]
    pub(crate) log: String,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct DispatchArgs {
    #[arg(long, env = "TESTNET_UNITS", default_value_t = 20_000)]
    pub(crate) units: u64,
    /// Runs, of which the median is told
    #[arg(long, env = "TESTNET_RUNS", default_value_t = 5)]
    pub(crate) runs: usize,
    /// A Python environment with Ray and Dask, to be measured in between
    #[arg(long, env = "TESTNET_PEERS", value_name = "VENV", requires = "programs")]
    pub(crate) peers: Option<PathBuf>,
    /// The folder of sys_ray.py and sys_dask.py
    #[arg(long, env = "TESTNET_PROGRAMS", value_name = "DIR")]
    pub(crate) programs: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) ground: Ground,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct LatencyArgs {
    #[arg(long, env = "TESTNET_UNITS", default_value_t = 200)]
    pub(crate) units: u64,
    /// The same in memory
    #[arg(long, env = "TESTNET_MEMORY", default_value = "/dev/shm")]
    pub(crate) memory: PathBuf,
    #[command(flatten)]
    pub(crate) ground: Ground,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct BlobArgs {
    #[arg(long, env = "TESTNET_SIZE", default_value = "1GiB", value_parser = client::parse_bytes)]
    pub(crate) size: u64,
    #[arg(long, env = "TESTNET_RUNS", default_value_t = 3)]
    pub(crate) runs: usize,
    /// Take the machine's memory as it is, be it that its host has to give it first
    #[arg(long, env = "TESTNET_COLD")]
    pub(crate) cold: bool,
    #[command(flatten)]
    pub(crate) ground: Ground,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct SpreadArgs {
    /// Nodes that fetch it, the one that has it not among them
    #[arg(long, env = "TESTNET_NODES", default_value_t = 8)]
    pub(crate) nodes: usize,
    #[arg(long, env = "TESTNET_SIZE", default_value = "1GiB", value_parser = client::parse_bytes)]
    pub(crate) size: u64,
    #[command(flatten)]
    pub(crate) ground: Ground,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct IdleArgs {
    #[arg(long, env = "TESTNET_NODES", default_value_t = 3)]
    pub(crate) nodes: usize,
    #[arg(long, env = "TESTNET_SECONDS", default_value_t = 20)]
    pub(crate) seconds: u64,
    #[command(flatten)]
    pub(crate) ground: Ground,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct WireArgs {
    #[arg(long, env = "TESTNET_UNITS", default_value_t = 20_000)]
    pub(crate) units: u64,
    #[command(flatten)]
    pub(crate) ground: Ground,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct FloodArgs {
    /// Hostile peers, of all kinds in turn
    #[arg(long, env = "TESTNET_PEERS", default_value_t = 20)]
    pub(crate) peers: usize,
    /// How long they flood, at least
    #[arg(long, env = "TESTNET_SECONDS", default_value_t = 20)]
    pub(crate) seconds: u64,
    /// They all do this
    #[arg(long, env = "TESTNET_ONLY", value_enum)]
    pub(crate) only: Option<Wrong>,
    /// Units of an honest job
    #[arg(long, env = "TESTNET_UNITS", default_value_t = 20_000)]
    pub(crate) units: u64,
    #[command(flatten)]
    pub(crate) ground: Ground,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct WordsArgs {
    /// Chunks of 4 MiB
    #[arg(long, env = "TESTNET_CHUNKS", default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..=1024))]
    pub(crate) chunks: u64,
    /// Runs, each on a network of its own, of which the median is told
    #[arg(long, env = "TESTNET_RUNS", default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=99))]
    pub(crate) runs: u64,
    /// A Python with Ray, to be measured in between
    #[arg(long, env = "TESTNET_RAY", value_name = "PYTHON", requires = "programs")]
    pub(crate) ray: Option<PathBuf>,
    /// The folder of sys_ray.py
    #[arg(long, env = "TESTNET_PROGRAMS", value_name = "DIR")]
    pub(crate) programs: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) ground: Ground,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct MillionArgs {
    #[arg(long, env = "TESTNET_UNITS", default_value_t = 1_000_000)]
    pub(crate) units: u64,
    #[command(flatten)]
    pub(crate) ground: Ground,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct TreeArgs {
    /// Outcomes that are reduced
    #[arg(long, env = "TESTNET_UNITS", default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(17..=1_000_000))]
    pub(crate) units: u64,
    #[command(flatten)]
    pub(crate) ground: Ground,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct SegmentsArgs {
    /// Runs of each chain, of which the median is told
    #[arg(long, env = "TESTNET_RUNS", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=99))]
    pub(crate) runs: u64,
    #[command(flatten)]
    pub(crate) ground: Ground,
}

pub(crate) fn run(figure: &Figure) -> anyhow::Result<ExitCode> {
    interrupt::listen()?;
    match figure {
        Figure::Dispatch(args) => dispatch::run(args)?,
        Figure::Latency(args) => latency::run(args)?,
        Figure::Blob(args) => blob::run(args)?,
        Figure::Spread(args) => spread::run(args)?,
        Figure::Idle(args) => idle::run(args)?,
        Figure::Wire(args) => wire::run(args)?,
        Figure::Flood(args) => flood::run(args)?,
        Figure::Words(args) => words::run(args)?,
        Figure::Million(args) => million::run(args)?,
        Figure::Tree(args) => tree::run(args)?,
        Figure::Segments(args) => segments::run(args)?,
    }
    Ok(ExitCode::SUCCESS)
}
