//! Rehearsals: one seed from beginning to end, and what came of it.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use protocol::Hash;

use crate::promise::{Promise, Violation};
use crate::scenario::Scenario;
use crate::world::World;

/// One in this many seeds is rehearsed twice, to see that nothing but the seed matters.
const CANARY: u64 = 50;

/// One in this many seeds is read once more for marks.
const CHRONICLE: u64 = 2;

/// What came of one seed.
#[derive(Clone, Debug)]
pub struct Rehearsal {
    pub seed: u64,
    pub scenario: Scenario,
    pub violation: Option<Violation>,
    pub trace: Hash,
    pub events: u64,
    pub virtual_ms: u64,
    /// How long it took from the end of the faults until all was finished.
    pub calm_ms: u64,
    /// Units of all jobs, and how often honest nodes have executed one.
    pub units: u64,
    pub executions: u64,
    pub marks: BTreeMap<&'static str, u64>,
}

/// Rehearses `scenario`, or the one that the seed stands for; some seeds twice, or all if `twice`.
pub fn rehearse(seed: u64, scenario: Option<&Scenario>, twice: bool) -> Rehearsal {
    let is_read = scenario.is_some() || seed.is_multiple_of(CHRONICLE);
    let scenario = scenario.cloned().unwrap_or_else(|| Scenario::drawn(seed));
    let mut first = once(seed, &scenario, is_read);
    if (twice || seed.is_multiple_of(CANARY)) && first.violation.is_none() {
        let second = once(seed, &scenario, false);
        if second.trace != first.trace {
            let what = format!("{} and then {}", first.trace, second.trace);
            first.violation =
                Some(Violation { promise: Promise::Deterministic, what, at_ms: first.virtual_ms });
        }
    }
    first
}

fn once(seed: u64, scenario: &Scenario, is_read: bool) -> Rehearsal {
    let mut world = World::new(scenario.clone(), seed);
    let end = catch_unwind(AssertUnwindSafe(|| world.run()));
    if let Err(panic) = end {
        let text = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied())
            .unwrap_or("without a word");
        world.broken(Promise::NoPanic, text.to_owned());
    }
    if world.violation().is_none() && is_read {
        world.read_chronicle();
    }
    let units = scenario.jobs.iter().map(|job| job.units * (1 + job.then.len() as u64)).sum();
    Rehearsal {
        seed,
        scenario: scenario.clone(),
        violation: world.violation().cloned(),
        trace: world.trace_hash(),
        events: world.events,
        virtual_ms: world.now_us / 1000,
        calm_ms: world.calm_since_us.map_or(0, |since_us| (world.now_us - since_us) / 1000),
        units,
        executions: world.watch.executions,
        marks: world.watch.marks.clone(),
    }
}
