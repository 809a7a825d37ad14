//! Progress of several jobs: redrawn on a terminal, a plain line now and then elsewhere.

use std::io::{self, IsTerminal, Write};

use client::api::{JobState, JobStatus};

use crate::{table, work};

const BAR: u64 = 32;
/// A plain line is worth a quarter of a job.
const STEPS: u64 = 4;

/// What has been shown.
#[derive(Debug)]
pub(crate) struct Progress {
    on_terminal: bool,
    lines: Vec<String>,
    said: Vec<(u64, String)>,
    drawn: bool,
}

impl Progress {
    /// Of jobs with these names.
    pub(crate) fn new(names: &[&str]) -> Self {
        Self {
            on_terminal: io::stderr().is_terminal(),
            lines: names.iter().map(|name| format!("{name}: handed in")).collect(),
            said: vec![(0, String::new()); names.len()],
            drawn: false,
        }
    }

    pub(crate) fn show(&mut self, at: usize, status: &JobStatus) {
        self.lines[at] = line(status);
        if self.on_terminal {
            self.draw();
            return;
        }
        let (done, units) = work::done(status);
        let step = (done * STEPS).checked_div(units).unwrap_or(0);
        let now = (step, word(&status.state));
        if self.said[at] != now {
            table::talk(&self.lines[at]);
            self.said[at] = now;
        }
    }

    fn draw(&mut self) {
        let up = if self.drawn { format!("\u{1b}[{}A", self.lines.len()) } else { String::new() };
        let lines = self.lines.iter().map(|line| format!("\u{1b}[2K{line}\n"));
        let text = up + &lines.collect::<String>();
        self.drawn = true;
        // A person who has closed stderr does not want to see it.
        let _ = io::stderr().lock().write_all(text.as_bytes());
    }
}

/// A job's state in a word or two.
pub(crate) fn word(state: &JobState) -> String {
    match state {
        JobState::Seeking => "being looked for".to_owned(),
        JobState::Fetching => "being fetched".to_owned(),
        JobState::Running => "running".to_owned(),
        JobState::Verified => "verified".to_owned(),
        JobState::SelfExecuted => "not verified".to_owned(),
        JobState::Failed { stage, failed } => format!("{failed} units of `{stage}` failed"),
        JobState::Stuck { units } => format!("stuck on {} units", units.len()),
        JobState::Broken { why } => format!("broken: {why}"),
        JobState::Cancelled => "cancelled".to_owned(),
        JobState::Expired => "expired".to_owned(),
    }
}

fn line(status: &JobStatus) -> String {
    let (done, units) = work::done(status);
    let full = (done * BAR).checked_div(units).unwrap_or(0);
    let bar: String = (0..BAR).map(|at| if at < full { '#' } else { '.' }).collect();
    let mut line = format!("{:8} [{bar}] {done}/{units} {}", status.name, word(&status.state));
    if 0 < status.disputed {
        line += &format!(", {} disputed", status.disputed);
    }
    line
}
