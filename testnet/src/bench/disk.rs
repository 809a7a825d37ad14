//! What this disk takes to make something durable: the floor under every latency here.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::time::Instant;

use anyhow::Context;

/// What a small journal entry takes.
const BYTES: usize = 4096;
const ROUNDS: usize = 50;

/// Milliseconds that three writes take, each followed by fdatasync; one number per round.
pub(super) fn three_syncs_ms(below: &Path) -> anyhow::Result<Vec<f64>> {
    let folder = tempfile::Builder::new().prefix("dugnad-sync-").tempdir_in(below)?;
    let path = folder.path().join("journal");
    let file = OpenOptions::new().create(true).append(true).open(&path);
    let mut file = file.with_context(|| path.display().to_string())?;
    let mut taken = Vec::new();
    for _ in 0..ROUNDS {
        let start = Instant::now();
        for _ in 0..3 {
            file.write_all(&[7; BYTES])?;
            file.sync_data()?;
        }
        taken.push(start.elapsed().as_secs_f64() * 1e3);
    }
    Ok(taken)
}
