//! Delivering: results of windows are printed once they are sure enough, in order or as they come.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};
use std::time::{Duration, Instant};

use client::api::{FeedStatus, JobState, UnitResult, WindowStatus};
use client::{Client, ClientError};
use protocol::JobId;
use serde_json::json;

use crate::cli::args::{FeedOrderArgs, Output};
use crate::cli::assurance::outcome;
use crate::cli::entry::Context;
use crate::cli::failure::{End, Failure, Outcome};
use crate::cli::feed::show::forks;
use crate::cli::job::follow::{Next, Settled};
use crate::cli::show;
use crate::cli::terminal::{copy, json_line, talk};

/// Results asked for at a time.
const PAGE: u64 = 4096;
/// How long a feed's first windows are waited for once later ones are known: they may have expired.
const START_WITHIN: Duration = Duration::from_secs(20);

/// What has been printed of a feed, and what has not.
pub(crate) struct Delivery {
    client: Client,
    output: Output,
    in_order: bool,
    settled: Settled,
    /// The first window that was not printed, in order; of those before it nothing is wanted.
    next: u64,
    has_begun: bool,
    /// Since when later windows are known, and not this one.
    waits_since: Option<Instant>,
    waiting: BTreeMap<(u64, JobId), (WindowStatus, Settled)>,
    printed: BTreeSet<JobId>,
    numbers: BTreeSet<u64>,
    /// The closing window's number.
    last: Option<u64>,
    status: Option<FeedStatus>,
    told: BTreeSet<String>,
    worst: End,
}

impl Delivery {
    pub(crate) fn new(context: &Context, client: &Client, order: FeedOrderArgs, from: u64) -> Self {
        Self {
            client: client.clone(),
            output: context.output,
            in_order: !order.as_they_come,
            settled: Settled::new(client, order.until),
            next: from,
            has_begun: false,
            waits_since: None,
            waiting: BTreeMap::new(),
            printed: BTreeSet::new(),
            numbers: BTreeSet::new(),
            last: None,
            status: None,
            told: BTreeSet::new(),
            worst: End::Done,
        }
    }

    /// Takes in what has changed.
    pub(crate) fn take(&mut self, mut status: FeedStatus) {
        for window in std::mem::take(&mut status.windows) {
            if window.is_last {
                self.last = Some(window.number);
            } else if self.next <= window.number && !self.printed.contains(&window.job.job) {
                let key = (window.number, window.job.job);
                let settled = self.waiting.remove(&key).map(|(_, settled)| settled);
                let settled = settled.unwrap_or_else(|| self.settled.clone());
                self.waiting.insert(key, (window, settled));
            }
        }
        for fork in forks(&status) {
            if self.told.insert(fork.clone()) {
                talk(format!("warning: the feed forks: {fork}"));
            }
        }
        self.status = Some(status);
    }

    /// Prints what can be printed.
    pub(crate) fn deliver(&mut self) -> Outcome<()> {
        if !self.in_order {
            let all: Vec<(u64, JobId)> = self.waiting.keys().copied().collect();
            for key in all {
                self.print_if_settled(key)?;
            }
            return Ok(());
        }
        loop {
            self.skip_what_is_gone();
            self.refuse_a_fork()?;
            let next = self.waiting.range((self.next, JobId::new([0; 32]))..).next();
            let Some((&key, _)) = next.filter(|((number, _), _)| *number == self.next) else {
                return Ok(());
            };
            if !self.print_if_settled(key)? {
                return Ok(());
            }
        }
    }

    /// Whether everything before a window, or before the one that closes the feed, was printed.
    pub(crate) fn is_done(&self, until: Option<u64>) -> bool {
        let Some(until) = until.into_iter().chain(self.last).min() else { return false };
        let all = self.next..until;
        match self.in_order {
            true => all.is_empty(),
            false => {
                all.into_iter().all(|number| self.numbers.contains(&number))
                    && self.waiting.is_empty()
            }
        }
    }

    /// How it went with those that were printed.
    pub(crate) const fn end(&self) -> End {
        self.worst
    }

    /// Whether anything of the feed was seen.
    pub(crate) fn knows_it(&self) -> bool {
        self.status.as_ref().is_some_and(|status| status.name.is_some())
    }

    /// A feed's first windows may have expired long ago.
    fn skip_what_is_gone(&mut self) {
        let lowest = self.waiting.keys().next().map(|(number, _)| *number);
        let Some(lowest) = lowest.filter(|lowest| self.next < *lowest && !self.has_begun) else {
            self.waits_since = None;
            return;
        };
        let since = *self.waits_since.get_or_insert_with(Instant::now);
        if START_WITHIN <= since.elapsed() {
            talk(format!("nobody has the windows {} to {} any more", self.next, lowest - 1));
            (self.next, self.waits_since) = (lowest, None);
        }
    }

    fn refuse_a_fork(&self) -> Outcome<()> {
        let Some(status) = &self.status else { return Ok(()) };
        match status.forks.iter().position(|fork| fork.number == self.next) {
            Some(at) => Err(Failure::new(
                End::Undecided,
                format!("the feed forks: {}", forks(status)[at]),
                "no order is right from here on; `--as-they-come` prints both, and `dugnad job get` either",
            )),
            None => Ok(()),
        }
    }

    fn print_if_settled(&mut self, key: (u64, JobId)) -> Outcome<bool> {
        let Some((window, settled)) = self.waiting.get_mut(&key) else { return Ok(false) };
        if settled.look(&self.client, &window.job) != Next::Over {
            return Ok(false);
        }
        let window = window.clone();
        let end = match window.job.state {
            JobState::Verified | JobState::SelfExecuted => match self.print(&window) {
                Ok(end) => end,
                // It has just begun anew: there will be news.
                Err(Printed::NotYet) => return Ok(false),
                Err(Printed::Failed(failure)) => return Err(failure),
            },
            JobState::Failed { .. }
            | JobState::Stuck { .. }
            | JobState::Broken { .. }
            | JobState::Cancelled
            | JobState::Expired
            | JobState::Seeking
            | JobState::Fetching
            | JobState::Running => show::end(&window.job.state),
        };
        if end != End::Done {
            let job = show::short(window.job.job);
            talk(format!("window {} ({job}): {}", window.number, outcome(&window.job)));
            self.worst = end;
        }
        self.waiting.remove(&key);
        self.printed.insert(window.job.job);
        self.numbers.insert(window.number);
        self.has_begun = true;
        if self.in_order {
            self.next = window.number + 1;
        }
        Ok(true)
    }

    fn print(&self, window: &WindowStatus) -> Result<End, Printed> {
        let mut end = show::end(&window.job.state);
        let mut seen = 0;
        loop {
            let page = self.client.results(window.job.job, seen, PAGE)?;
            for unit in &page.units {
                self.print_unit(window, unit)?;
                if !unit.ending.is_success() {
                    end = End::Failed;
                }
            }
            seen += page.units.len() as u64;
            if page.units.is_empty() || page.total <= seen {
                return Ok(end);
            }
        }
    }

    fn print_unit(&self, window: &WindowStatus, unit: &UnitResult) -> Result<(), Printed> {
        let Some(blob) = unit.stdout.filter(|blob| 0 < blob.size) else { return Ok(()) };
        let mut reader = self.client.blob(blob.id)?;
        match self.output {
            Output::Table => Ok(copy(&mut reader)?),
            Output::Json => {
                for line in BufReader::new(reader).split(b'\n') {
                    let line = line.map_err(Failure::from)?;
                    json_line(&json!({
                        "window": window.number,
                        "job": window.job.job,
                        "unit": unit.index,
                        "verified": unit.verified,
                        "line": String::from_utf8_lossy(&line),
                    }))?;
                }
                Ok(())
            }
        }
    }
}

/// Why a window was not printed.
enum Printed {
    NotYet,
    Failed(Failure),
}

impl From<Failure> for Printed {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<ClientError> for Printed {
    fn from(error: ClientError) -> Self {
        match &error {
            ClientError::Refused { status: 409, .. } => Self::NotYet,
            ClientError::NoNode { .. }
            | ClientError::Refused { .. }
            | ClientError::Lost { .. }
            | ClientError::Malformed { .. }
            | ClientError::Source(_) => Self::Failed(error.into()),
        }
    }
}
