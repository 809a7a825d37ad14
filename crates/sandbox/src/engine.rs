//! The engine's configuration: everything that a guest could observe is fixed here.

use std::hash::{Hash, Hasher};

use protocol::limits::UNIT_MEMORY_BYTES_MAX;
use wasmtime::{
    Config, Enabled, Engine, Linker, OperatorCost, OptLevel, PoolingAllocationConfig, Strategy,
    VariableOperatorCost,
};

use crate::limits::{GUEST_STACK_BYTES, TABLE_ELEMENTS_MAX, TABLES_MAX};
use crate::wasi::{self, Guest};

/// What of a guest's memory stays mapped between two units, so that the next one need not fault it
/// in again. It is set back to what it was all the same.
const KEEP_RESIDENT_BYTES: usize = 1 << 20;
/// A module's own bookkeeping; 32 MiB of module need some.
const INSTANCE_BYTES: usize = 64 << 20;

/// Which of the engine's configurations a run needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Variant {
    pub(crate) metered: bool,
    pub(crate) canonicalise: bool,
}

/// An engine and what it offers to modules.
pub(crate) struct Host {
    pub(crate) engine: Engine,
    pub(crate) linker: Linker<Guest>,
}

impl std::fmt::Debug for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Host").finish_non_exhaustive()
    }
}

impl Host {
    pub(crate) fn new(variant: Variant) -> wasmtime::Result<Self> {
        let engine = Engine::new(&config(variant))?;
        let mut linker = Linker::new(&engine);
        wasi::link(&mut linker)?;
        Ok(Self { engine, linker })
    }

    /// Tells apart what was compiled by another engine, for another CPU or with another setting.
    pub(crate) fn fingerprint(&self) -> u64 {
        let mut hasher = std::hash::DefaultHasher::new();
        self.engine.precompile_compatibility_hash().hash(&mut hasher);
        hasher.finish()
    }
}

fn config(variant: Variant) -> Config {
    let mut config = Config::new();
    config.strategy(Strategy::Cranelift);
    config.cranelift_opt_level(OptLevel::Speed);
    config.cranelift_nan_canonicalization(variant.canonicalise);
    config.consume_fuel(variant.metered);
    config.operator_cost(operator_cost());
    config.wasm_relaxed_simd(false);
    config.wasm_memory64(false);
    config.wasm_multi_memory(false);
    config.max_wasm_stack(GUEST_STACK_BYTES);
    // Never used, for nothing here is asynchronous; but it may not be smaller.
    config.async_stack_size(GUEST_STACK_BYTES);
    // A memory's whole place is reserved and guarded, so that accesses need no check of their own.
    config.memory_reservation(4 << 30);
    config.memory_guard_size(32 << 20);
    config.memory_may_move(false);
    config.allocation_strategy(pool());
    config
}

/// One unit runs at a time; a second place lets an instance be made before the last is gone.
fn pool() -> PoolingAllocationConfig {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_core_instances(2);
    pool.total_memories(2);
    pool.total_tables(2 * TABLES_MAX);
    pool.total_component_instances(1);
    pool.max_memories_per_module(1);
    pool.max_tables_per_module(TABLES_MAX);
    pool.table_elements(TABLE_ELEMENTS_MAX);
    pool.max_memory_size(UNIT_MEMORY_BYTES_MAX as usize);
    pool.max_core_instance_size(INSTANCE_BYTES);
    pool.max_unused_warm_slots(1);
    pool.linear_memory_keep_resident(KEEP_RESIDENT_BYTES);
    pool.table_keep_resident(64 << 10);
    pool.pagemap_scan(Enabled::Auto);
    pool
}

/// The price of each operator in fuel. Part of the semantics version: the engine's defaults have
/// changed before, so they are written out here where they may, and pinned by a test.
fn operator_cost() -> OperatorCost {
    let variable = VariableOperatorCost {
        memory_copy_per_byte: 1,
        memory_fill_per_byte: 1,
        memory_init_per_byte: 1,
        memory_grow_per_page: 100,
        table_copy_per_element: 1,
        table_fill_per_element: 1,
        table_init_per_element: 1,
        table_grow_per_element: 1,
        ..VariableOperatorCost::new()
    };
    OperatorCost { variable, ..OperatorCost::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prices_in_fuel_are_those_of_this_semantics_version() {
        let table = blake3::hash(format!("{:?}", operator_cost()).as_bytes());
        let pinned = "dbd22d9f51cd36b55ae6cb3d5442bef8527af5de84523c084b0df88f4bf1feec";
        assert_eq!(
            table.to_hex().as_str(),
            pinned,
            "a change of prices is a new semantics version"
        );
    }
}
