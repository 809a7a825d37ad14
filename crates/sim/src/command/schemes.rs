//! `sim schemes`: the table of verification schemes, and its picture.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;
use sim::{Extent, Survey};

#[derive(Debug, Args)]
pub(crate) struct Schemes {
    /// Runs of each cell whose scheme keeps a ledger; of others five times as many.
    #[arg(long, env = "SIM_RUNS", default_value_t = 2)]
    runs: u64,
    #[arg(long, env = "SIM_SEED", default_value_t = 1)]
    seed: u64,
    /// Where the tables go, in place of standard output.
    #[arg(long, env = "SIM_MARKDOWN")]
    markdown: Option<PathBuf>,
    /// Where the picture goes.
    #[arg(long, env = "SIM_SVG")]
    svg: Option<PathBuf>,
    /// A tenth of the size, in less than a minute.
    #[arg(long, env = "SIM_QUICK")]
    quick: bool,
    /// The adversary's shares of the workers, in percent, in place of all.
    #[arg(long, env = "SIM_SHARES", value_delimiter = ',')]
    shares: Vec<u64>,
    /// Only schemes in whose names this occurs, for instance "RQA k = 2, 10 %".
    #[arg(long, env = "SIM_ONLY", default_value = "")]
    only: String,
    /// Cells at the same time, each in its own thread; the table does not hang on it.
    #[arg(long, env = "SIM_THREADS", default_value_t = 1)]
    threads: usize,
}

impl Schemes {
    pub(crate) fn run(&self) -> io::Result<bool> {
        let make = if self.quick { Extent::quick } else { Extent::full };
        let mut extent = make(self.seed, self.runs.max(1), self.threads);
        extent.only.clone_from(&self.only);
        if !self.shares.is_empty() {
            extent.percents.clone_from(&self.shares);
        }
        let survey = Survey::run(extent, |cell| {
            let trial = cell.trial;
            let (executions, wrong) = (cell.worst.executions.mean, cell.worst.wrong.mean);
            let _ = writeln!(
                io::stderr(),
                "{}, {:?}, {} % of {}: {executions:.3} executions, {wrong:.1e} wrong",
                trial.scheme.name(),
                trial.threat,
                trial.percent,
                trial.size.workers
            );
        });
        match &self.markdown {
            Some(path) => {
                std::fs::write(path, self.heading() + &survey.to_markdown())?;
                write!(io::stdout(), "{}", survey.economy())?;
            }
            None => write!(io::stdout(), "{}", survey.to_markdown())?,
        }
        if let Some(path) = &self.svg {
            std::fs::write(path, survey.to_svg())?;
        }
        Ok(true)
    }

    /// How to make the file again.
    fn heading(&self) -> String {
        let Self { runs, seed, quick, shares, only, .. } = self;
        let mut options = format!("--runs {runs} --seed {seed}");
        if *quick {
            options += " --quick";
        }
        if !shares.is_empty() {
            let shares: Vec<String> = shares.iter().map(u64::to_string).collect();
            options += &format!(" --shares {}", shares.join(","));
        }
        if !only.is_empty() {
            options += &format!(" --only '{only}'");
        }
        format!(
            "<!-- made by: cargo run --release -p sim -- schemes {options} --markdown FILE --svg FILE \
             -->\n"
        )
    }
}
