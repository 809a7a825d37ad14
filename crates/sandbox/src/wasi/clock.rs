//! Virtual time: it starts at a constant and moves by a microsecond whenever it is looked at.

use super::memory::Call;
use crate::errno::{Errno, Stop};
use crate::files::Times;

const STEP_NS: u64 = 1_000;

/// Nanoseconds since the guest's start.
#[derive(Debug, Default)]
pub(super) struct Clock {
    elapsed: u64,
}

/// Which clock a guest asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ClockId {
    Realtime,
    /// The monotonic clock and both CPU clocks: they show the same time.
    Elapsed,
}

impl ClockId {
    pub(super) fn parse(id: u32) -> Result<Self, Errno> {
        match id {
            0 => Ok(Self::Realtime),
            1..=3 => Ok(Self::Elapsed),
            _ => Err(Errno::Inval),
        }
    }

    /// What the clock shows at the guest's start. Not zero: programs take that for "unset".
    fn start(self) -> u64 {
        match self {
            Self::Realtime => Times::START,
            Self::Elapsed => 1_000_000_000,
        }
    }
}

impl Clock {
    /// What the clock shows.
    pub(super) fn now(&self, id: ClockId) -> u64 {
        id.start().saturating_add(self.elapsed)
    }

    /// Moves on by a step: a loop that waits for time to pass comes to its end.
    pub(super) fn step(&mut self) {
        self.elapsed = self.elapsed.saturating_add(STEP_NS);
    }

    /// Moves on to when `id` shows `time`, if it does not already.
    pub(super) fn advance_to(&mut self, id: ClockId, time: u64) {
        self.elapsed = self.elapsed.max(time.saturating_sub(id.start()));
    }
}

pub(super) fn clock_res_get(call: &mut Call<'_>, id: u32, out: u32) -> Result<(), Stop> {
    ClockId::parse(id)?;
    Ok(call.memory.write_u64(out, STEP_NS)?)
}

pub(super) fn clock_time_get(
    call: &mut Call<'_>,
    id: u32,
    _precision: u64,
    out: u32,
) -> Result<(), Stop> {
    let now = call.guest.clock.now(ClockId::parse(id)?);
    call.guest.clock.step();
    Ok(call.memory.write_u64(out, now)?)
}
