//! A large blob from one node's store to another's, beside a plain copy over TCP.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use client::api::Blob;
use client::{Client, DraftInput};
use serde_json::json;
use sim::Chance;

use super::figure::BlobArgs;
use super::ground::{deadline, fleet, median, through, trivial};
use super::meter::Meter;
use crate::work::hand_over;
use crate::{Deadline, Fleet, procfs, table};

const GIB: f64 = (1u64 << 30) as f64;
const MEBIBYTE: usize = 1 << 20;
/// Looking costs both sides CPU time, which counts.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// One transfer.
#[derive(Clone, Copy, Debug)]
struct Run {
    gib_per_s: f64,
    cpu_s_per_gib: f64,
}

/// Bytes that no two runs share.
#[derive(Debug)]
pub(super) struct Noise {
    chance: Chance,
    left: u64,
}

pub(super) fn run(args: &BlobArgs) -> anyhow::Result<()> {
    let deadline = deadline();
    let fleet = fleet(2, &args.ground.below, &args.ground.log, deadline)?;
    let from = fleet.member(0).client()?;
    through(from, &trivial(0, 8)?, deadline)?;
    let (mut ours, mut plain) = (Vec::new(), Vec::new());
    for run in 0..args.runs as u64 {
        plain.push(copy(args)?);
        ours.push(transfer(&fleet, from, args, run, deadline)?);
    }
    fleet.stop()?;
    show(args, middle(&ours), middle(&plain))
}

fn show(args: &BlobArgs, ours: Run, plain: Run) -> anyhow::Result<()> {
    let row = |name: &str, run: Run| {
        vec![
            name.to_owned(),
            format!("{:.2}", run.gib_per_s),
            format!("{:.2}", run.cpu_s_per_gib),
            format!("{:.2}x", run.gib_per_s / plain.gib_per_s.max(1e-9)),
        ]
    };
    let rows =
        [row("node to node, verified and encrypted", ours), row("plain TCP to a file", plain)];
    table::print(&["WHAT", "GiB/s", "CPU s/GiB", "OF PLAIN TCP"], &rows)?;
    table::json(&json!({
        "figure": "blob", "bytes": args.size, "runs": args.runs, "below": args.ground.below,
        "cold": args.cold,
        "gib_per_s": ours.gib_per_s, "cpu_s_per_gib": ours.cpu_s_per_gib,
        "plain_gib_per_s": plain.gib_per_s, "plain_cpu_s_per_gib": plain.cpu_s_per_gib,
        "of_plain": ours.gib_per_s / plain.gib_per_s.max(1e-9),
    }))?;
    Ok(())
}

/// A job has the blob as its input, so the other node fetches it.
fn transfer(
    fleet: &Fleet,
    from: &Client,
    args: &BlobArgs,
    run: u64,
    deadline: Deadline,
) -> anyhow::Result<Run> {
    let size = args.size;
    let mut noise = Noise::new(run, size);
    let blob: Blob = from.put_reader(&mut noise, Some(size))?;
    let mut job = trivial(run, run + 1)?;
    let stage = job.draft.stages.first_mut().context("the example `trivial` has a stage")?;
    stage.inputs.push(DraftInput { path: "large".to_owned(), blob, is_tree: false });
    let to = fleet.member(1).client()?;
    warm(args)?;
    let meter = Meter::start(fleet);
    let id = hand_over(from, &job)?;
    while to.blob_size(blob.id)?.is_none() {
        deadline.check("the blob was there")?;
        std::thread::sleep(LOOK_EVERY);
    }
    let read = meter.read();
    from.cancel(id)?;
    for client in [from, to] {
        // What was fetched for a job that is not wanted any more need not stay; it may be pinned.
        let _ = client.remove(blob.id);
    }
    let gib = size as f64 / GIB;
    Ok(Run {
        gib_per_s: gib / read.wall.as_secs_f64(),
        cpu_s_per_gib: read.cpu.as_secs_f64() / gib,
    })
}

/// Writes and removes a file as large as what is measured next.
///
/// A virtual machine gives memory that nobody uses back to its host, and getting it again can cost
/// more than everything that is measured here. It would be charged to whoever writes first.
fn warm(args: &BlobArgs) -> anyhow::Result<()> {
    if args.cold {
        return Ok(());
    }
    let mut file = tempfile::tempfile_in(&args.ground.below)?;
    io::copy(&mut io::repeat(7).take(args.size), &mut file)?;
    Ok(())
}

/// Memory to a file over loopback, neither encrypted nor checked.
fn copy(args: &BlobArgs) -> anyhow::Result<Run> {
    let size = args.size;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    let folder = tempfile::Builder::new().prefix("dugnad-copy-").tempdir_in(&args.ground.below)?;
    let mut file = File::create(folder.path().join("copy"))?;
    warm(args)?;
    let (start, cpu) = (Instant::now(), procfs::own_cpu());
    let sender = std::thread::spawn(move || -> io::Result<()> {
        let (mut stream, bytes) = (TcpStream::connect(address)?, vec![7; MEBIBYTE]);
        let mut left = size;
        while 0 < left {
            let len = left.min(MEBIBYTE as u64);
            stream.write_all(&bytes[..len as usize])?;
            left -= len;
        }
        Ok(())
    });
    let (mut stream, mut buffer) = (listener.accept()?.0, vec![0; MEBIBYTE]);
    loop {
        match stream.read(&mut buffer)? {
            0 => break,
            len => file.write_all(&buffer[..len])?,
        }
    }
    sender.join().map_err(|_| anyhow!("the sender panicked"))??;
    let (wall, cpu) = (start.elapsed(), procfs::own_cpu().saturating_sub(cpu));
    let gib = size as f64 / GIB;
    Ok(Run { gib_per_s: gib / wall.as_secs_f64(), cpu_s_per_gib: cpu.as_secs_f64() / gib })
}

fn middle(runs: &[Run]) -> Run {
    let of = |value: fn(&Run) -> f64| median(&runs.iter().map(value).collect::<Vec<_>>());
    Run { gib_per_s: of(|run| run.gib_per_s), cpu_s_per_gib: of(|run| run.cpu_s_per_gib) }
}

impl Noise {
    pub(super) fn new(run: u64, size: u64) -> Self {
        Self { chance: Chance::fork(run, "blob", size), left: size }
    }
}

impl Read for Noise {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        for piece in buffer[..len].chunks_mut(8) {
            piece.copy_from_slice(&self.chance.next().to_le_bytes()[..piece.len()]);
        }
        self.left -= len as u64;
        Ok(len)
    }
}
