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
    /// Cells at the same time, each in its own thread; the table does not hang on it.
    #[arg(long, env = "SIM_THREADS", default_value_t = 1)]
    threads: usize,
}

impl Schemes {
    pub(crate) fn run(&self) -> io::Result<bool> {
        let make = if self.quick { Extent::quick } else { Extent::full };
        let extent = make(self.seed, self.runs.max(1), self.threads);
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
        let Self { runs, seed, quick, .. } = self;
        let quick = if *quick { " --quick" } else { "" };
        format!(
            "<!-- made by: cargo run --release -p sim -- schemes --runs {runs} --seed {seed}{quick} \
             --markdown FILE --svg FILE -->\n"
        )
    }
}
