//! Progress for people: a bar per stage on a terminal, a plain line now and then elsewhere.

use std::io::{self, IsTerminal, Write};

use client::api::{JobStatus, StageStatus};

use crate::cli::assurance::{counts, outcome, progress};
use crate::cli::show;
use crate::cli::terminal::{clean, talk};

const BAR: u64 = 24;
/// Stages beyond are told in one line.
const BARS_MAX: usize = 12;
/// A plain line is worth a tenth of the job.
const STEPS: u64 = 10;

/// What has been shown.
#[derive(Debug)]
pub(crate) struct Progress {
    on_terminal: bool,
    /// Lines that are drawn over.
    drawn: usize,
    /// What the last plain line was about.
    said: Option<(String, u64, bool, u64)>,
}

impl Progress {
    pub(crate) fn new() -> Self {
        Self { on_terminal: io::stderr().is_terminal(), drawn: 0, said: None }
    }

    pub(crate) fn show(&mut self, status: &JobStatus) {
        if self.on_terminal {
            self.draw(&bars(status));
        } else {
            let (done, units) = show::done(status);
            let steps = (done * STEPS).checked_div(units).unwrap_or(0);
            let [_, finals, sealed] = counts(status);
            let sure = (finals + 2 * sealed).saturating_mul(STEPS).checked_div(units).unwrap_or(0);
            let now = (outcome(status), steps, status.safe_to_leave, sure);
            if self.said.as_ref() != Some(&now) {
                let safe = if status.safe_to_leave { ", safe to leave" } else { "" };
                talk(line(status) + safe);
                self.said = Some(now);
            }
        }
    }

    /// Lets what is shown stand; the next words go below it.
    pub(crate) fn leave(&mut self) {
        self.drawn = 0;
    }

    fn draw(&mut self, lines: &[String]) {
        // A line that is too long for the terminal is cut: wrapped, it would be two to draw over.
        let mut text = "\u{1b}[?7l".to_owned();
        if 0 < self.drawn {
            text += &format!("\u{1b}[{}A", self.drawn);
        }
        for line in lines {
            text += &format!("\u{1b}[2K{}\n", clean(line));
        }
        // Fewer lines than before leave no rest standing.
        text += "\u{1b}[J\u{1b}[?7h";
        self.drawn = lines.len();
        // A person who has closed stderr does not want to see it.
        let _ = io::stderr().lock().write_all(text.as_bytes());
    }
}

fn line(status: &JobStatus) -> String {
    let (done, units) = show::done(status);
    let mut line = format!("{done} of {}: {}", show::units(units), outcome(status));
    if let Some(progress) = progress(status) {
        line += &format!(" ({progress})");
    }
    if let Some(why) = &status.idle_reason {
        line += &format!(" (this node does not work on it: {why})");
    }
    line
}

fn bars(status: &JobStatus) -> Vec<String> {
    let width = status.stages.iter().map(|stage| stage.name.chars().count()).max().unwrap_or(0);
    let mut lines: Vec<String> =
        status.stages.iter().take(BARS_MAX).map(|stage| bar(stage, width)).collect();
    lines.push(format!("{}, {}", line(status), show::keepers(status)));
    lines
}

fn bar(stage: &StageStatus, width: usize) -> String {
    let part = |units: u64| (units * BAR).checked_div(stage.units).unwrap_or(0);
    let full = part(stage.done());
    let running = part(stage.done() + stage.running) - full;
    let bar: String = (0..BAR)
        .map(|at| match at {
            at if at < full => '#',
            at if at < full + running => '-',
            _ => '.',
        })
        .collect();
    let mut line = format!("{:width$}  [{bar}] {}/{}", stage.name, stage.done(), stage.units);
    for (count, what) in [
        (stage.running, "running"),
        (stage.contested, "contested"),
        (stage.self_executed, "not verified"),
        (stage.finals, "final"),
        (stage.sealed, "sealed"),
    ] {
        if 0 < count {
            line += &format!("  {count} {what}");
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_shows_what_is_done_and_what_is_running() {
        let stage = StageStatus {
            name: "tiles".into(),
            units: 48,
            open: 16,
            running: 8,
            self_executed: 0,
            accepted: 24,
            contested: 2,
            finals: 6,
            sealed: 12,
        };
        let want =
            "tiles    [############----........] 24/48  8 running  2 contested  6 final  12 sealed";
        assert_eq!(bar(&stage, 7), want);
        assert!(bar(&StageStatus::default(), 0).contains("0/0"));
    }
}
