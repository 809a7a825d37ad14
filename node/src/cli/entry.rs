//! Where the program begins, and the only place where an error is printed.

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use clap::Parser;
use tracing_subscriber::EnvFilter;

use crate::cli::args::{Global, LogFormat, Noun, Output, Program};
use crate::cli::failure::{End, Failure, Outcome};
use crate::cli::{blob, config, credit, exec, feed, job, key, node, peer};
use crate::config::{Layers, Loaded, Origin, Setting};

/// These libraries log whole addresses, some of which are signed, and headers, one of which is the token.
const ADDRESSES: [&str; 2] = ["ureq=warn", "ureq_proto=warn"];

/// The program. Its first argument `worker` makes it a sandbox's worker and nothing else.
pub fn main() -> ExitCode {
    if std::env::args_os().nth(1).is_some_and(|verb| verb == "worker") {
        // Before anything is opened, read or started that a guest could find.
        return sandbox::worker_main();
    }
    match run(Program::parse()) {
        Ok(end) => end.into(),
        Err(failure) => {
            if failure.end != End::Done {
                // A person who has closed stderr does not want to hear it.
                let _ = io::stderr().lock().write_all(failure.text().as_bytes());
            }
            failure.end.into()
        }
    }
}

/// What every command needs to know.
#[derive(Clone, Debug)]
pub(crate) struct Context {
    global: Global,
    pub(crate) output: Output,
}

impl Context {
    /// The settings, with these flags on top; begins to log as they say, `quiet` by default.
    pub(crate) fn settings(&self, flags: &[(Setting, String)], quiet: bool) -> Outcome<Loaded> {
        let mut all = flags.to_vec();
        let given = [(Setting::DataDir, &self.global.data_dir), (Setting::Log, &self.global.log)];
        all.extend(given.into_iter().filter_map(|(key, value)| Some((key, value.clone()?))));
        let loaded = Layers::of_process(all).load()?;
        let by_default = loaded.origins.get(&Setting::Log) == Some(&Origin::Default);
        let filter = if quiet && by_default { "error" } else { &loaded.config.log };
        log(filter, self.global.log_format);
        Ok(loaded)
    }
}

fn run(program: Program) -> Outcome {
    let context = Context { output: program.global.output, global: program.global };
    match program.noun {
        Noun::Node(verb) => node::run(&context, verb),
        Noun::Job(verb) => job::dispatch(&context, verb),
        Noun::Feed(verb) => feed::dispatch(&context, verb),
        Noun::Exec(args) => exec::run(&context, &args),
        Noun::Credit(verb) => credit::run(&context, verb),
        Noun::Blob(verb) => blob::run(&context, verb),
        Noun::Peer(verb) => peer::run(&context, verb),
        Noun::Config(verb) => config::run(&context, verb),
        Noun::Key(verb) => key::run(&context, verb),
    }
}

fn log(filter: &str, format: LogFormat) {
    let mut filter = EnvFilter::try_new(filter).unwrap_or_else(|_| EnvFilter::new("info"));
    for quiet in ADDRESSES {
        filter = filter.add_directive(quiet.parse().expect("it is a directive"));
    }
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal());
    // A second command in one process, as in tests, logs as the first one did.
    let _ = match format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::of(End::BadInput, &error)
    }
}
