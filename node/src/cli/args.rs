//! What can be typed.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use protocol::{BlobId, PeerId};

use crate::cli::flags::SettingFlags;

const EXIT_CODES: &str = "\
Exit codes:
    0  done; results are verified
    1  the job failed: a guest ended with an error
    2  wrong usage, or input that cannot be used
    3  not decided: the job is stuck, or not finished yet
    4  not verified: one peer alone has computed it
    5  no node runs, or it cannot be reached
    6  the job was cancelled, or has expired
  130  interrupted";

const VERIFY: &str = "\
Derive every verdict of a job anew from its signed steps, believing nobody.

Every signature is checked and all steps are folded here. A file needs no node. What is left out of a \
bundle cannot be seen in it: a contest that is withheld is not missed, but what an anchor has sealed \
stays sealed. With --sample, units are executed again here, which needs nobody's word at all.

Ends with 0 only if every unit is verified (and all of a sample agrees), with 1 if a unit of the \
sample has another outcome here, 2 if the bundle was changed or forged, 3 if units are open or \
contested, seals differ from the votes, or a sample gave no outcome, 4 if one peer alone has computed \
some, 5 if the node or bytes cannot be reached.";

/// Lend a computer, and borrow many: jobs of WebAssembly units, executed by peers that check each
/// other.
#[derive(Debug, Parser)]
#[command(name = "dugnad", version, after_help = EXIT_CODES, arg_required_else_help = true)]
pub(crate) struct Program {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) noun: Noun,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct Global {
    /// The folder of key, store and settings [env: DUGNAD_DATA_DIR]
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) data_dir: Option<String>,
    /// How data is written to stdout
    #[arg(long, global = true, env = "DUGNAD_OUTPUT", value_enum, default_value_t = Output::Table)]
    pub(crate) output: Output,
    /// How the log is written to stderr
    #[arg(long, global = true, env = "DUGNAD_LOG_FORMAT", value_enum, default_value_t = LogFormat::Text)]
    pub(crate) log_format: LogFormat,
    /// What is logged, such as `info` or `net=debug,info` [env: DUGNAD_LOG]
    #[arg(long, global = true, value_name = "FILTER")]
    pub(crate) log: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    Table,
    Json,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    Text,
    Json,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Noun {
    /// Run a node, and look after it
    #[command(subcommand)]
    Node(NodeVerb),
    /// Check, run and fetch jobs
    #[command(subcommand)]
    Job(JobVerb),
    /// Run a job again and again, on lines as they come
    #[command(subcommand)]
    Feed(FeedVerb),
    /// Show and check verified work: for display only, it buys nothing and proves no person
    #[command(subcommand)]
    Credit(CreditVerb),
    /// Run one unit here, exactly as a peer would
    Exec(ExecArgs),
    /// Put blobs into the running node, and take them out
    #[command(subcommand)]
    Blob(BlobVerb),
    /// Look at the running node's peers
    #[command(subcommand)]
    Peer(PeerVerb),
    /// Look at the settings
    #[command(subcommand)]
    Config(ConfigVerb),
    /// Look at this node's key
    #[command(subcommand)]
    Key(KeyVerb),
}

#[derive(Debug, Subcommand)]
pub(crate) enum NodeVerb {
    /// Run a node until it is interrupted
    Run(SettingFlags),
    /// Show the running node
    Status,
    /// Stop working on jobs, and stay connected
    Pause,
    /// Work on jobs again
    Resume,
    /// End the running node
    Stop,
}

#[derive(Debug, Subcommand)]
pub(crate) enum JobVerb {
    /// Write a job file to start from
    Init {
        /// Where to
        #[arg(default_value = "job.toml")]
        file: PathBuf,
    },
    /// Check a job file, its data and modules, and try a unit of each stage
    Check {
        file: PathBuf,
        /// Do not run anything
        #[arg(long, env = "DUGNAD_NO_RUN")]
        no_run: bool,
    },
    /// Submit a job, wait for it and fetch its results
    Run(RunArgs),
    /// Submit a job, print its id, and wait until it is safe to leave
    Submit(SubmitArgs),
    /// List the jobs that the node knows
    List,
    /// Show a job
    Show {
        /// Its id, or the beginning of it
        job: String,
    },
    /// Say what a job waits for, and why
    Explain {
        /// Its id, or the beginning of it
        job: String,
    },
    /// Show a job's progress until it is over
    Watch {
        /// Its id, or the beginning of it
        job: String,
        /// How sure its outcomes must be [default: sealed for an anchor's node, else accepted]
        #[arg(long, env = "DUGNAD_UNTIL", value_enum)]
        until: Option<Until>,
    },
    /// Fetch a job's results from wherever they are
    Get(GetArgs),
    /// Write a job's signed steps into a file that anybody can check
    Prove {
        /// Its id, or the beginning of it
        job: String,
        /// Into this file
        #[arg(short = 'o', long = "to", env = "DUGNAD_TO", value_name = "FILE")]
        to: PathBuf,
    },
    /// Derive every verdict of a job anew from its signed steps, believing nobody
    #[command(long_about = VERIFY)]
    Verify(VerifyArgs),
    /// Call a job off
    Cancel {
        /// Its id, or the beginning of it
        job: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    pub(crate) file: PathBuf,
    /// Write results into this folder, not to stdout
    #[arg(short = 'o', long = "to", env = "DUGNAD_TO", value_name = "DIR")]
    pub(crate) to: Option<PathBuf>,
    /// How sure the results must be [default: sealed for an anchor's node, else accepted]
    #[arg(long, env = "DUGNAD_UNTIL", value_enum)]
    pub(crate) until: Option<Until>,
    /// Execute everything, also what an earlier job of yours has verified
    #[arg(long, env = "DUGNAD_NO_MEMO")]
    pub(crate) no_memo: bool,
    #[command(flatten, next_help_heading = "Settings of the node, where none runs yet")]
    pub(crate) settings: SettingFlags,
}

/// How sure outcomes are to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Until {
    /// A quorum stands behind each
    Accepted,
    /// And its voters have passed their hidden audits
    Final,
    /// Or an anchor has audited and latched them
    Sealed,
}

#[derive(Debug, Args)]
pub(crate) struct SubmitArgs {
    pub(crate) file: PathBuf,
    /// Do not wait until the job is safe to leave
    #[arg(long, env = "DUGNAD_NO_WAIT")]
    pub(crate) no_wait: bool,
    /// Execute everything, also what an earlier job of yours has verified
    #[arg(long, env = "DUGNAD_NO_MEMO")]
    pub(crate) no_memo: bool,
}

#[derive(Debug, Args)]
pub(crate) struct GetArgs {
    /// Its id; the beginning is enough if the node knows the job
    pub(crate) job: String,
    /// Write results into this folder, not to stdout
    #[arg(short = 'o', long = "to", env = "DUGNAD_TO", value_name = "DIR")]
    pub(crate) to: Option<PathBuf>,
    /// Wait until the job is over
    #[arg(long, env = "DUGNAD_WAIT")]
    pub(crate) wait: bool,
    /// With --wait, how sure the results must be [default: sealed for an anchor's node, else accepted]
    #[arg(long, env = "DUGNAD_UNTIL", value_enum)]
    pub(crate) until: Option<Until>,
    /// How long to look for the job, and with --wait to wait for its end
    #[arg(long, env = "DUGNAD_TIMEOUT", value_name = "DURATION", value_parser = client::parse_duration_ms)]
    pub(crate) timeout: Option<u64>,
    #[command(flatten)]
    pub(crate) sample: SampleArgs,
    #[command(flatten, next_help_heading = "Settings of the node, where none runs yet")]
    pub(crate) settings: SettingFlags,
}

#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// A file that `job prove` has written, or a job's id or the beginning of it
    #[arg(value_name = "JOB|FILE")]
    pub(crate) what: String,
    #[command(flatten)]
    pub(crate) sample: SampleArgs,
}

#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct SampleArgs {
    /// Execute so many units of all stages again here, drawn at random, and compare
    #[arg(long, env = "DUGNAD_SAMPLE", value_name = "N")]
    pub(crate) sample: Option<u64>,
    /// Draw no more units once the sample has taken so much CPU time
    #[arg(long, env = "DUGNAD_BUDGET", value_name = "DURATION", value_parser = client::parse_duration_ms)]
    pub(crate) budget: Option<u64>,
}

#[derive(Debug, Args)]
pub(crate) struct ExecArgs {
    /// A WASI preview1 command
    pub(crate) module: PathBuf,
    /// Its arguments
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub(crate) args: Vec<String>,
    /// An environment variable, KEY=VALUE
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) env: Vec<String>,
    /// A file or folder to mount below /in, PLACE=PATH
    #[arg(long = "file", value_name = "PLACE=PATH")]
    pub(crate) files: Vec<String>,
    /// Where files of /out go
    #[arg(short = 'o', long = "to", env = "DUGNAD_TO", value_name = "DIR")]
    pub(crate) to: Option<PathBuf>,
    /// CPU time
    #[arg(long, env = "DUGNAD_EXEC_CPU", value_name = "DURATION", default_value = "60s", value_parser = client::parse_duration_ms)]
    pub(crate) cpu: u64,
    /// Memory
    #[arg(long = "unit-memory", env = "DUGNAD_EXEC_MEMORY", value_name = "SIZE", default_value = "256MiB", value_parser = client::parse_bytes)]
    pub(crate) memory: u64,
    /// stdout and files together
    #[arg(long = "unit-output", env = "DUGNAD_EXEC_OUTPUT", value_name = "SIZE", default_value = "64MiB", value_parser = client::parse_bytes)]
    pub(crate) output_bytes: u64,
    /// Deterministic fuel
    #[arg(long, env = "DUGNAD_EXEC_FUEL")]
    pub(crate) fuel: Option<u64>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum FeedVerb {
    /// Open a feed, and print its id
    Open(FeedOpenArgs),
    /// Add the lines of standard input, window by window, until they end
    Append(FeedAppendArgs),
    /// Close a feed: nothing can be added to it any more
    Close {
        /// Its id, or the beginning of it
        feed: String,
    },
    /// List the feeds that the node knows
    List,
    /// Show a feed and its windows
    Show {
        /// Its id, or the beginning of it
        feed: String,
    },
    /// Print a feed's verified results as its windows come, from any node
    Follow(FeedFollowArgs),
}

#[derive(Debug, Args)]
pub(crate) struct FeedOpenArgs {
    /// What it is called; its windows are jobs of this name
    pub(crate) name: String,
    /// A job file of which one stage has parts with `path = "-"`
    #[arg(long, env = "DUGNAD_JOB", value_name = "FILE")]
    pub(crate) job: PathBuf,
    /// End a window after so many lines
    #[arg(long, env = "DUGNAD_COUNT", value_name = "LINES", default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..=client::COUNT_MAX))]
    pub(crate) count: u64,
    /// Or so long after its first line, whichever comes first
    #[arg(long, env = "DUGNAD_EVERY", value_name = "DURATION", default_value = "10s", value_parser = client::parse_duration_ms)]
    pub(crate) every: u64,
}

#[derive(Debug, Args)]
pub(crate) struct FeedAppendArgs {
    /// Its id, or the beginning of it
    pub(crate) feed: String,
    /// Stop reading while so many windows have no verified results yet
    #[arg(long, env = "DUGNAD_IN_FLIGHT", value_name = "WINDOWS", default_value_t = 8, value_parser = clap::value_parser!(u64).range(1..=1024))]
    pub(crate) in_flight: u64,
    /// Print the results of these windows, and wait for the last one
    #[arg(long, env = "DUGNAD_FOLLOW")]
    pub(crate) follow: bool,
    #[command(flatten)]
    pub(crate) order: FeedOrderArgs,
}

#[derive(Debug, Args)]
pub(crate) struct FeedFollowArgs {
    /// Its id; the beginning is enough if the node knows the feed
    pub(crate) feed: String,
    /// Begin with this window
    #[arg(long, env = "DUGNAD_FROM", value_name = "NUMBER", default_value_t = 0)]
    pub(crate) from: u64,
    #[command(flatten)]
    pub(crate) order: FeedOrderArgs,
}

#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct FeedOrderArgs {
    /// Print windows as their results come, not in their order
    #[arg(long, env = "DUGNAD_AS_THEY_COME")]
    pub(crate) as_they_come: bool,
    /// How sure results must be [default: sealed for an anchor's node, else accepted]
    #[arg(long, env = "DUGNAD_UNTIL", value_enum)]
    pub(crate) until: Option<Until>,
}

/// Verified work, for display only: a made-up network of one person's own peers can verify anything.
#[derive(Debug, Subcommand)]
pub(crate) enum CreditVerb {
    /// Show this node's verified work for others, by submitter
    Show,
    /// Write the proof of it into a file that anybody can check
    Export {
        /// Into this file
        #[arg(short = 'o', long = "to", env = "DUGNAD_TO", value_name = "FILE")]
        to: PathBuf,
    },
    /// Check such a file without a node, and show whose work it proves
    Verify {
        file: PathBuf,
        /// Only this peer's work, by submitter
        #[arg(long, env = "DUGNAD_PEER")]
        peer: Option<PeerId>,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum BlobVerb {
    /// Put a file, or a tree of files and folders, into the node, pin it, and print its id
    Add {
        /// Files and folders, or `-` for stdin; more than one file make a tree
        #[arg(required = true)]
        paths: Vec<PathBuf>,
    },
    /// Write a blob to stdout or into a file, or a tree into a folder
    Get {
        blob: BlobId,
        /// Into this file; a tree's files, into this folder
        #[arg(short = 'o', long = "to", env = "DUGNAD_TO", value_name = "PATH")]
        to: Option<PathBuf>,
        /// A tree as the blob that it is
        #[arg(long, env = "DUGNAD_RAW")]
        raw: bool,
    },
    /// List the blobs that the node has
    List,
    /// Keep a blob from being evicted
    Pin {
        blob: BlobId,
        /// And the files that it lists
        #[arg(long, env = "DUGNAD_TREE")]
        tree: bool,
    },
    /// Let a blob be evicted again
    Unpin {
        blob: BlobId,
        /// And the files that it lists
        #[arg(long, env = "DUGNAD_TREE")]
        tree: bool,
    },
    /// Remove a blob
    Remove { blob: BlobId },
}

#[derive(Debug, Subcommand)]
pub(crate) enum PeerVerb {
    /// List the connected peers
    List,
    /// Measure the way to a connected peer and back
    Ping { peer: PeerId },
}

#[derive(Clone, Copy, Debug, Subcommand)]
pub(crate) enum ConfigVerb {
    /// Show every setting, and where it comes from
    Show,
    /// Print where the settings file is
    Path,
}

#[derive(Clone, Copy, Debug, Subcommand)]
pub(crate) enum KeyVerb {
    /// Print this node's peer id
    Show,
}
