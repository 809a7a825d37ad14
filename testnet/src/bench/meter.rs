//! The meter: wall time, CPU time of everything that is ours, and how busy others kept the machine.

use std::time::{Duration, Instant};

use crate::{Fleet, procfs};

/// Runs from when it is made.
#[derive(Debug)]
pub(super) struct Meter {
    pids: Vec<u32>,
    at: Instant,
    cpu: Duration,
    busy: Duration,
}

/// What a meter shows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reading {
    pub(super) wall: Duration,
    /// Of the nodes, their workers, and this program as their client.
    pub(super) cpu: Duration,
    /// Cores that others kept busy meanwhile: 0 on a machine of one's own.
    pub(super) others: f64,
}

impl Meter {
    pub(super) fn start(fleet: &Fleet) -> Self {
        let pids = fleet.pids();
        let (cpu, busy) = (ours(&pids), procfs::busy());
        Self { pids, at: Instant::now(), cpu, busy }
    }

    pub(super) fn read(&self) -> Reading {
        let wall = self.at.elapsed();
        let cpu = ours(&self.pids).saturating_sub(self.cpu);
        let busy = procfs::busy().saturating_sub(self.busy);
        let others = busy.saturating_sub(cpu).as_secs_f64() / wall.as_secs_f64().max(1e-9);
        Reading { wall, cpu, others }
    }
}

fn ours(pids: &[u32]) -> Duration {
    procfs::trees(pids).cpu + procfs::own_cpu()
}
