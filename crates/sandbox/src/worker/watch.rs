//! The watch: a second thread that ends the worker when a unit uses up its time.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::outbox::Outbox;
use super::process::end_process;
use crate::cpu::CpuClock;
use crate::limits::{COMPILE_CPU, TICK, wall_limit};
use crate::wire::{EXIT_COMPILE_TIMEOUT, EXIT_TIMEOUT, Report};

/// What the watch looks after.
#[derive(Debug, Default)]
pub(super) struct Watch {
    state: Mutex<State>,
    busy: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Whether there are units to run: only then does the watch tick.
    is_busy: bool,
    task: Option<Task>,
}

#[derive(Debug)]
struct Task {
    what: What,
    clock: CpuClock,
    cpu: Duration,
    start: Instant,
    wall: Duration,
    announced: bool,
}

#[derive(Clone, Copy, Debug)]
enum What {
    Compiling,
    Unit(u32),
}

impl Watch {
    /// Begins to watch.
    pub(super) fn start(outbox: Arc<Outbox>) -> std::io::Result<Arc<Self>> {
        let watch = Arc::new(Self::default());
        let watched = watch.clone();
        std::thread::Builder::new()
            .name("watch".to_owned())
            .spawn(move || watched.keep(&outbox))?;
        Ok(watch)
    }

    /// Whether there is work; without it the watch sleeps.
    pub(super) fn set_busy(&self, is_busy: bool) {
        let mut state = self.lock();
        if is_busy && !state.is_busy {
            self.busy.notify_one();
        }
        state.is_busy = is_busy;
    }

    /// The calling thread compiles a module from now on.
    pub(super) fn compiling(&self, clock: &CpuClock) {
        self.set(What::Compiling, clock, COMPILE_CPU, 4 * COMPILE_CPU);
    }

    /// The calling thread runs a unit from now on.
    pub(super) fn running(&self, index: u32, clock: &CpuClock, cpu_ms: u64) {
        let cpu = Duration::from_millis(cpu_ms);
        self.set(What::Unit(index), clock, cpu, wall_limit(cpu_ms));
    }

    /// It is done.
    pub(super) fn done(&self) {
        self.lock().task = None;
    }

    fn set(&self, what: What, clock: &CpuClock, cpu: Duration, wall: Duration) {
        let (clock, start) = (clock.again(), Instant::now());
        let mut state = self.lock();
        state.task = Some(Task { what, clock, cpu, start, wall, announced: false });
        if !state.is_busy {
            self.busy.notify_one();
        }
    }

    fn keep(&self, outbox: &Outbox) {
        let mut state = self.lock();
        loop {
            // A unit that runs is watched, whatever else is said about being busy.
            while !state.is_busy && state.task.is_none() {
                state = self.busy.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            drop(state);
            std::thread::sleep(TICK);
            outbox.flush_old();
            state = self.lock();
            let Some(task) = &mut state.task else { continue };
            if task.cpu < task.clock.elapsed() || task.wall < task.start.elapsed() {
                // The unit stays the running one while the results before it leave.
                outbox.flush();
                end_process(match task.what {
                    What::Compiling => EXIT_COMPILE_TIMEOUT,
                    What::Unit(_) => EXIT_TIMEOUT,
                });
            }
            if let What::Unit(index) = task.what
                && !task.announced
                && TICK <= task.start.elapsed()
            {
                task.announced = true;
                // Still under the lock: once said, it is true until the unit's result is sent.
                outbox.send(&Report::Running(index));
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
