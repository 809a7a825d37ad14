//! Where a running node says how it can be reached: `api.json` and `api.token` in its data folder.

use std::fs::File;
use std::io::Read;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// Both files are a line; whatever is longer is something else.
const FILE_BYTES_MAX: u64 = 4096;

/// The content of `api.json`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiFile {
    /// Where the HTTP API listens.
    pub address: SocketAddr,
    /// The node's process.
    pub pid: u32,
}

/// Where the node of this data folder writes its address; removed when it stops.
pub fn api_file(data_dir: &Path) -> PathBuf {
    data_dir.join("api.json")
}

/// Where the node of this data folder writes its bearer token, readable by its owner only.
pub fn token_file(data_dir: &Path) -> PathBuf {
    data_dir.join("api.token")
}

impl ApiFile {
    /// What a node has left in this data folder, if it has; it may not run any more.
    pub(super) fn read(data_dir: &Path) -> Option<(Self, String)> {
        let address = read(&api_file(data_dir))?;
        let token = read(&token_file(data_dir))?;
        Some((serde_json::from_str(&address).ok()?, token.trim().to_owned()))
    }
}

fn read(path: &Path) -> Option<String> {
    let mut text = String::new();
    File::open(path).ok()?.take(FILE_BYTES_MAX).read_to_string(&mut text).ok()?;
    Some(text)
}
