//! How far a guest's memory and tables may grow, the same on every machine.

use wasmtime::{ResourceLimiter, Result};

use crate::errno::End;
use crate::limits::TABLE_ELEMENTS_MAX;

/// A unit's memory limit and the most it has used.
#[derive(Debug)]
pub(crate) struct MemoryLimit {
    limit: u64,
    peak: u64,
}

impl MemoryLimit {
    pub(crate) fn new(limit: u64) -> Self {
        Self { limit, peak: 0 }
    }

    pub(crate) fn peak(&self) -> u64 {
        self.peak
    }
}

impl ResourceLimiter for MemoryLimit {
    fn memory_growing(&mut self, _: usize, desired: usize, most: Option<usize>) -> Result<bool> {
        let allowed = desired as u64 <= self.limit && most.is_none_or(|most| desired <= most);
        if allowed {
            self.peak = self.peak.max(desired as u64);
        }
        Ok(allowed)
    }

    /// What was allowed and still fails is this machine's doing: the guest must not see it.
    fn memory_grow_failed(&mut self, error: wasmtime::Error) -> Result<()> {
        Err(End::HostMemory(error.to_string()).into())
    }

    fn table_growing(&mut self, _: usize, desired: usize, most: Option<usize>) -> Result<bool> {
        Ok(desired <= TABLE_ELEMENTS_MAX && most.is_none_or(|most| desired <= most))
    }

    fn table_grow_failed(&mut self, error: wasmtime::Error) -> Result<()> {
        Err(End::HostMemory(error.to_string()).into())
    }
}
