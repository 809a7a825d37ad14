//! The values that a node runs with, and what they are if nobody says otherwise.

use std::ffi::OsString;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use net::Reachability;
use protocol::NetworkId;
use protocol::limits::UNIT_MEMORY_BYTES_MAX;

/// Everything that can be set. [`crate::config::Setting`] has the same keys as text.
#[derive(Clone, Debug)]
pub struct Config {
    /// The folder that holds key, store and settings; one process at a time.
    pub data_dir: PathBuf,
    /// The network's name; everybody who uses the name is in it.
    pub network: String,
    /// Multiaddresses to listen on; port 0 lets the system choose.
    pub listen: Vec<String>,
    /// Multiaddresses of the ways in.
    pub bootstrap: Vec<String>,
    /// Addresses at which others reach this node although it does not listen on them.
    pub external: Vec<String>,
    /// Whether to look for peers on the local network.
    pub mdns: bool,
    /// Whether others can reach this node.
    pub reachability: Reachability,
    /// Units that may run at the same time.
    pub cores: usize,
    /// Memory that one unit may ask for, in bytes.
    pub memory_bytes: u64,
    /// What all blobs together may take on disk, in bytes.
    pub storage_bytes: u64,
    /// Bytes of blobs per second that go out; `None` is no limit.
    pub upload_limit: Option<u64>,
    /// Bytes of blobs per second that are asked for; `None` is no limit.
    pub download_limit: Option<u64>,
    /// Whether to work on others' jobs.
    pub works: bool,
    /// Whether to keep others' jobs.
    pub keeps: bool,
    /// Bits of the stamp that identities need in jobs submitted here, and that this node's own stamp has;
    /// 0 asks for none. All nodes of a network should have the same.
    pub stamp_bits: u8,
    /// Bits of a job's stamp beyond a thousandth of its work, without which this node does not work for a
    /// stranger; `None` asks for no stamps and makes none.
    pub job_stamp: Option<u8>,
    /// Where the HTTP API listens. With port 0 the system chooses; `api.json` tells.
    pub api: SocketAddr,
    /// What is logged, as `tracing` filters it.
    pub log: String,
    /// What executes guests. No setting: it is this very program.
    pub worker: Program,
}

/// A program and its arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    pub path: PathBuf,
    pub args: Vec<OsString>,
}

impl Config {
    /// What a volunteer gets who sets nothing.
    pub fn new(data_dir: PathBuf) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            data_dir,
            network: "dugnad".to_owned(),
            listen: owned(&["/ip4/0.0.0.0/tcp/4114", "/ip4/0.0.0.0/udp/4114/quic-v1"]),
            bootstrap: Vec::new(),
            external: Vec::new(),
            mdns: true,
            reachability: Reachability::Auto,
            cores,
            memory_bytes: memory_default(cores as u64),
            storage_bytes: 10 << 30,
            upload_limit: None,
            download_limit: None,
            works: true,
            keeps: true,
            stamp_bits: 0,
            job_stamp: None,
            api: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            // A node that knows nobody yet is no reason to warn.
            log: "info,libp2p_kad=error".to_owned(),
            worker: Program::worker(),
        }
    }

    /// A node of a test network: loopback only, ports chosen by the system, knowing nobody.
    pub fn loopback(data_dir: PathBuf, network: &str) -> Self {
        Self {
            network: network.to_owned(),
            listen: owned(&["/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/udp/0/quic-v1"]),
            mdns: false,
            reachability: Reachability::Public,
            ..Self::new(data_dir)
        }
    }

    /// The network as statements name it.
    pub fn network_id(&self) -> NetworkId {
        NetworkId::named(&self.network)
    }

    /// Where the settings of a data folder are.
    pub fn file_in(data_dir: &Path) -> PathBuf {
        data_dir.join("config.toml")
    }
}

impl Program {
    /// This program itself, asked to be a worker.
    pub fn worker() -> Self {
        let path = std::env::current_exe().unwrap_or_else(|_| PathBuf::from("dugnad"));
        Self { path, args: vec![OsString::from("worker")] }
    }
}

fn owned(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|&text| text.to_owned()).collect()
}

/// Half of the machine's memory shared among the cores, within what the protocol allows.
fn memory_default(cores: u64) -> u64 {
    let info = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let total = info.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kib = total.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
    let share = kib.map_or(1 << 30, |kib| kib.saturating_mul(1024) / 2 / cores.max(1));
    share.clamp(256 << 20, UNIT_MEMORY_BYTES_MAX)
}
