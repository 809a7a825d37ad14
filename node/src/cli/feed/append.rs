//! `dugnad feed append`: lines become windows while earlier windows still run.

use std::collections::BTreeSet;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use client::api::{AddedWindow, FeedStatus, NewWindow};
use client::{Client, Filled, Lines, Template};

use crate::cli::args::{FeedAppendArgs, Output};
use crate::cli::entry::Context;
use crate::cli::failure::{End, Failure, Outcome};
use crate::cli::feed::close::own;
use crate::cli::feed::deliver::Delivery;
use crate::cli::feed::lock::Lock;
use crate::cli::job::follow::{Follow, News};
use crate::cli::many::for_each;
use crate::cli::terminal::{data, json_line, talk};

/// How often to look at what only time decides.
const LOOK_EVERY: Duration = Duration::from_secs(1);

pub(crate) fn run(context: &Context, args: &FeedAppendArgs) -> Outcome {
    let config = context.settings(&[], true)?.config;
    let client = Client::find(&config.data_dir)?;
    let id = own(&client, &args.feed)?.feed;
    let _lock = Lock::take(&config.data_dir, id)?;
    // Looked at again: somebody else may have added to it, or closed it, before.
    let mut status = own(&client, &id.to_string())?;
    let Some(template) = status.template.take() else { return Ok(End::Done) };
    let flight = Arc::new(Flight::new(status.next));
    let delivery = args.follow.then(|| Delivery::new(context, &client, args.order, status.next));
    let watcher = watch(&client, &status, delivery, &flight)?;
    let added = add_all(context, args, &client, &template, &status, &flight);
    flight.lock().all = true;
    let followed = match (args.follow, &added) {
        (true, Ok(_)) => join(watcher),
        (true, Err(_)) | (false, _) => Ok(End::Done),
    };
    let windows = added?;
    if windows == 0 {
        let hint =
            "write lines to it: `dugnad feed append ID < lines`; `dugnad feed close` closes a feed";
        return Err(Failure::new(End::BadInput, "standard input: there is no line in it", hint));
    }
    followed
}

/// Adds windows until the lines end; returns how many.
fn add_all(
    context: &Context,
    args: &FeedAppendArgs,
    client: &Client,
    template: &Template,
    status: &FeedStatus,
    flight: &Flight,
) -> Outcome<u64> {
    let mut lines = Lines::new(std::io::stdin());
    let mut windows = 0;
    loop {
        flight.wait_for_room(args.in_flight)?;
        let number = status.next + windows;
        let filled = lines.fill(template, number).map_err(|error| told(error.into(), number))?;
        let Some(Filled { draft, blobs, lines }) = filled else { return Ok(windows) };
        for_each(&blobs, |source| Ok(client.put(source)?))?;
        let window = NewWindow { draft, lines, is_last: false };
        let added = client.add_window(status.feed, &window)?;
        flight.lock().added = added.number + 1;
        windows += 1;
        tell(context, args, &added)?;
    }
}

/// What was accepted before stays so.
fn told(failure: Failure, next: u64) -> Failure {
    talk(format!("no line from window {next} on was accepted"));
    failure
}

fn tell(context: &Context, args: &FeedAppendArgs, added: &AddedWindow) -> Outcome<()> {
    let AddedWindow { number, job, lines } = added;
    match (args.follow, context.output) {
        (true, _) => {
            talk(format!("window {number} accepted, {lines} lines up to it: {job}"));
            Ok(())
        }
        (false, Output::Json) => json_line(added),
        (false, Output::Table) => data(format!("{number} {job}")),
    }
}

/// Windows between being added and being done.
#[derive(Debug)]
struct Flight {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    /// The number of the next window.
    added: u64,
    first: u64,
    done: BTreeSet<u64>,
    /// Whether no more will be added.
    all: bool,
    /// Why nobody watches any more.
    lost: Option<Failure>,
}

impl Flight {
    fn new(first: u64) -> Self {
        let state = State { added: first, first, done: BTreeSet::new(), all: false, lost: None };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until fewer than so many windows are under way.
    fn wait_for_room(&self, most: u64) -> Outcome<()> {
        let mut state = self.lock();
        loop {
            if let Some(lost) = &state.lost {
                return Err(lost.clone());
            }
            if state.added - state.first < most + state.done.len() as u64 {
                return Ok(());
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn take(&self, status: &FeedStatus) {
        let over = status.windows.iter().filter(|window| window.job.state.is_over());
        let mut state = self.lock();
        let first = state.first;
        state.done.extend(over.map(|window| window.number).filter(|number| first <= *number));
        self.changed.notify_all();
    }
}

/// Watches the windows, and prints their results if somebody wants them.
fn watch(
    client: &Client,
    status: &FeedStatus,
    mut delivery: Option<Delivery>,
    flight: &Arc<Flight>,
) -> Outcome<JoinHandle<Outcome>> {
    let follow = Follow::feed(client, status.feed)?;
    let flight = Arc::clone(flight);
    Ok(std::thread::spawn(move || {
        let ended = watch_on(&follow, delivery.as_mut(), &flight);
        if let Err(failure) = &ended {
            flight.lock().lost = Some(failure.clone());
            flight.changed.notify_all();
        }
        ended
    }))
}

fn watch_on(
    follow: &Follow<FeedStatus>,
    mut delivery: Option<&mut Delivery>,
    flight: &Flight,
) -> Outcome {
    loop {
        match follow.next(Some(LOOK_EVERY)) {
            News::Status(status) => {
                flight.take(&status);
                if let Some(delivery) = &mut delivery {
                    delivery.take(*status);
                }
            }
            News::Interrupted => {
                let state = flight.lock();
                talk(format!(
                    "{} windows were accepted and go on; what was read beyond them was not",
                    state.added - state.first
                ));
                // Whoever reads standard input cannot be woken.
                std::process::exit(End::Interrupted as i32);
            }
            News::Lost(error) => return Err(error.into()),
            News::Silence => {}
        }
        let Some(delivery) = &mut delivery else { continue };
        delivery.deliver()?;
        let until = {
            let state = flight.lock();
            state.all.then_some(state.added)
        };
        if until.is_some() && delivery.is_done(until) {
            return Ok(delivery.end());
        }
    }
}

fn join(watcher: JoinHandle<Outcome>) -> Outcome {
    match watcher.join() {
        Ok(ended) => ended,
        Err(panicked) => std::panic::resume_unwind(panicked),
    }
}
