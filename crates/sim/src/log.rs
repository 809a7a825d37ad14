//! The log of many seeds: one line each, taken up again by the next run, and what all of them come to.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;

use sim::{Rehearsal, SEEDS_ENOUGH, WANTED};

/// A file of lines; the first one says what was rehearsed.
#[derive(Debug)]
pub(crate) struct Log {
    file: File,
    seeds: BTreeSet<u64>,
}

impl Log {
    /// Opens a log, and adds what is in it to the sum.
    pub(crate) fn open(path: &Path, of: &str, sum: &mut Sum) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
        let mut log = Self { file, seeds: BTreeSet::new() };
        let head = format!("# {of}");
        for (number, line) in BufReader::new(log.file.try_clone()?).lines().enumerate() {
            let line = line?;
            if number == 0 && line != head {
                let text = format!(
                    "the log {} is of something else: {line}; begin another one, for {of}",
                    path.display()
                );
                return Err(io::Error::other(text));
            }
            // The last line may have been cut short; its seed is rehearsed again.
            if let Some(seed) = sum.read(&line) {
                log.seeds.insert(seed);
            }
        }
        if log.file.metadata()?.len() == 0 {
            writeln!(log.file, "{head}")?;
        }
        Ok(log)
    }

    pub(crate) fn has(&self, seed: u64) -> bool {
        self.seeds.contains(&seed)
    }

    pub(crate) fn write(&mut self, rehearsal: &Rehearsal) -> io::Result<()> {
        writeln!(self.file, "{}", line(rehearsal))
    }
}

/// What is told of one seed.
pub(crate) fn line(rehearsal: &Rehearsal) -> String {
    let Rehearsal { seed, trace, events, virtual_ms, calm_ms, units, executions, .. } = rehearsal;
    let end = match &rehearsal.violation {
        None => "kept".to_owned(),
        Some(violation) => violation.to_string().replace('\n', " "),
    };
    let marks = WANTED.iter().filter_map(|mark| Some((mark, rehearsal.marks.get(mark)?)));
    let marks: Vec<String> = marks.map(|(mark, count)| format!("{mark}={count}")).collect();
    format!(
        "seed {seed} trace {trace} events {events} virtual-ms {virtual_ms} calm-ms {calm_ms} \
         units {units} executions {executions} marks [{}] {end}.",
        marks.join(",")
    )
}

/// What many seeds came to.
#[derive(Debug, Default)]
pub(crate) struct Sum {
    pub(crate) seeds: u64,
    pub(crate) violations: u64,
    events: u64,
    virtual_ms: u64,
    units: u64,
    executions: u64,
    marks: BTreeMap<String, u64>,
}

impl Sum {
    pub(crate) fn add(&mut self, rehearsal: &Rehearsal) {
        self.seeds += 1;
        self.violations += u64::from(rehearsal.violation.is_some());
        self.events += rehearsal.events;
        self.virtual_ms += rehearsal.virtual_ms;
        self.units += rehearsal.units;
        self.executions += rehearsal.executions;
        for (mark, count) in &rehearsal.marks {
            *self.marks.entry((*mark).to_owned()).or_default() += count;
        }
    }

    /// Adds a line of a log and returns its seed, if it is a whole one.
    fn read(&mut self, line: &str) -> Option<u64> {
        let (numbers, rest) = line.strip_suffix('.')?.split_once(" marks [")?;
        let (marks, end) = rest.split_once("] ")?;
        let words: Vec<&str> = numbers.split(' ').collect();
        let number = |name: &str| {
            let at = words.iter().position(|word| *word == name)?;
            words.get(at + 1)?.parse::<u64>().ok()
        };
        let (seed, events) = (number("seed")?, number("events")?);
        let (virtual_ms, units) = (number("virtual-ms")?, number("units")?);
        self.executions += number("executions")?;
        (self.seeds, self.events) = (self.seeds + 1, self.events + events);
        (self.virtual_ms, self.units) = (self.virtual_ms + virtual_ms, self.units + units);
        self.violations += u64::from(end != "kept");
        for (mark, count) in marks.split(',').filter_map(|mark| mark.rsplit_once('=')) {
            *self.marks.entry(mark.to_owned()).or_default() += count.parse::<u64>().unwrap_or(0);
        }
        Some(seed)
    }

    /// Rare branches that none of the worlds went through.
    pub(crate) fn unseen(&self) -> Vec<&'static str> {
        WANTED.into_iter().filter(|mark| !self.marks.contains_key(*mark)).collect()
    }

    /// Whether as much was seen as so many drawn worlds must show: few need not show everything.
    pub(crate) fn is_covered(&self) -> bool {
        self.seeds < SEEDS_ENOUGH || self.unseen().is_empty()
    }

    pub(crate) fn print(&self, out: &mut impl Write) -> io::Result<()> {
        let marks: Vec<String> =
            self.marks.iter().map(|(mark, count)| format!("{count} {mark}")).collect();
        writeln!(out, "seen: {}", marks.join(", "))?;
        writeln!(
            out,
            "{} seeds, {} violations, {:.2} executions per unit, {} virtual s, {} events",
            self.seeds,
            self.violations,
            self.executions as f64 / self.units.max(1) as f64,
            self.virtual_ms / 1000,
            self.events,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Many worlds that have shown everything but one mark.
    fn all_but(mark: &str, seeds: u64) -> Sum {
        let seen = WANTED.into_iter().filter(|wanted| *wanted != mark);
        let marks = seen.map(|seen| (seen.to_owned(), 1)).collect();
        Sum { seeds, marks, ..Sum::default() }
    }

    #[test]
    fn a_mark_that_is_never_hit_is_named_and_fails_a_run_that_is_long_enough() {
        for mark in WANTED {
            let (short, long) = (all_but(mark, SEEDS_ENOUGH - 1), all_but(mark, SEEDS_ENOUGH));
            assert_eq!((short.unseen(), long.unseen()), (vec![mark], vec![mark]));
            assert!(short.is_covered() && !long.is_covered(), "{mark}");
        }
        assert!(all_but("none of them", SEEDS_ENOUGH).is_covered());
    }
}
