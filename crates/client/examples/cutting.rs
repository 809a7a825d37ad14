//! Measures how fast a dataset is cut, and in how much memory.
//!
//! `cutting make lines|fastq|fasta FILE MIB` writes data; `cutting FILE 'by = "lines", size = "1MiB"' …` cuts it in
//! each of these ways, and prints a row for each. The peak of memory is that of the process so far.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench for people who read its source"
)]

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::time::Instant;

use client::{JobFile, prepare};

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["make", form, file, mib] => make(form, Path::new(file), mib.parse::<u64>().unwrap() << 20),
        [file, cuts @ ..] => {
            println!(
                "| `parts = {{ …, }}` | parts | MiB/s | MiB/CPU s | peak MiB |\n|---|---|---|---|---|"
            );
            cuts.iter().for_each(|keys| cut(Path::new(file), keys));
        }
        [] => panic!("read the first lines of this program"),
    }
}

fn cut(file: &Path, keys: &str) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("m.wasm"), b"\0asm\x01\0\0\0").unwrap();
    let file = file.canonicalize().unwrap();
    let job = format!(
        "name = \"x\"\n[[stage]]\nname = \"s\"\nmodule = \"m.wasm\"\n\
         parts = {{ path = \"{}\", {keys} }}",
        file.display()
    );
    let job = JobFile::parse(&folder.path().join("job.toml"), &job).unwrap();
    let (begun, cpu_begun) = (Instant::now(), cpu_s());
    let parts = prepare(job).unwrap().draft.unit_counts()[0];
    let mib = file.metadata().unwrap().len() as f64 / 1048576.0;
    let (rate, cpu_rate) = (mib / begun.elapsed().as_secs_f64(), mib / (cpu_s() - cpu_begun));
    println!("| `{keys}` | {parts} | {rate:.0} | {cpu_rate:.0} | {:.1} |", peak_mib());
}

/// What the processor has spent on this thread, which does everything.
fn cpu_s() -> f64 {
    let spent = std::fs::read_to_string("/proc/self/schedstat").unwrap();
    spent.split(' ').next().unwrap().parse::<f64>().unwrap() / 1e9
}

fn peak_mib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() / 1024.0
}

/// Lines of 2 to 140 letters, reads of 100 bases, or sequences of 1,000 lines.
fn make(form: &str, file: &Path, bytes: u64) {
    let mut out = BufWriter::new(File::create(file).unwrap());
    let mut next = noise();
    let letters = |count: usize, of: &[u8], next: &mut dyn FnMut() -> usize| {
        let all = (0..count).map(|_| of[next() % of.len()]);
        String::from_utf8(all.collect()).unwrap()
    };
    let (mut written, mut number) = (0, 0);
    while written < bytes {
        let record = match form {
            "lines" => {
                letters(1 + next() % 140, b"abcdefghijklmnopqrstuvwxyz       ", &mut next) + "\n"
            }
            "fastq" => {
                let bases = letters(100, b"ACGT", &mut next);
                format!("@read{number}\n{bases}\n+\n{}\n", letters(100, b"FGHI", &mut next))
            }
            _ if number % 1000 == 0 => format!(">sequence{number}\n"),
            _ => letters(60, b"ACGT", &mut next) + "\n",
        };
        out.write_all(record.as_bytes()).unwrap();
        written += record.len() as u64;
        number += 1;
    }
}

/// Numbers without a pattern, the same every time.
fn noise() -> impl FnMut() -> usize {
    let mut state: u64 = 1;
    move || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize
    }
}
