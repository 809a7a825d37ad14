//! What an engine is told once, at its start.

use protocol::{Keypair, NetworkId, Report, Stamp};

/// Who this node is and what its owner lends.
#[derive(Clone, Debug)]
pub struct Config {
    pub keypair: Keypair,
    pub network: NetworkId,
    /// Units that may run at the same time.
    pub cores: usize,
    /// Memory that one unit may ask for, in bytes.
    pub memory_bytes: u64,
    /// Whether to work on others' jobs.
    pub works: bool,
    /// Whether to keep others' jobs.
    pub keeps: bool,
    /// Our identity stamp, if one is made already.
    pub stamp: Option<Stamp>,
    /// Bits of a job's stamp beyond what its work costs, without which we do not work for a stranger; no
    /// stamps are asked for if absent.
    pub job_stamp_base: Option<u8>,
    /// A secret random number: private choices follow from it.
    pub seed: u64,
    /// What executes, for diagnosis.
    pub report: Report,
}
