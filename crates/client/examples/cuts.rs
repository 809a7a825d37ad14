//! Measures what edits of a text move: of its parts, cut in several ways, and of its chunks.
//!
//! `cuts TEXT` edits the text itself, `cuts TEXT LATER` compares it with a later version. For each way it
//! prints the share of bytes in parts (or chunks) that were not there before: what would be executed (or
//! stored) again.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench for people who read its source"
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use client::{DraftSource, JobFile, prepare};
use protocol::{BlobId, BlobRef, Tree};

const PART: usize = 64 << 10;
const TRIES: u64 = 20;

/// A way to take a text to pieces.
type Way<'w> = (&'w str, Box<dyn Fn(&[u8]) -> Vec<BlobRef> + 'w>);
type Edit<'e> = (&'e str, Box<dyn Fn(u64) -> Vec<u8> + 'e>);

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let text = fs::read(args.first().expect("the path of a text")).unwrap();
    let lines: Vec<&[u8]> = text.split_inclusive(|byte| *byte == b'\n').collect();
    let folder = tempfile::tempdir().unwrap();
    let ways = ways(folder.path(), PART / (text.len() / lines.len()));
    println!("| pieces | count | mean KiB | largest KiB |\n|---|---|---|---|");
    let olds: Vec<BTreeSet<BlobId>> =
        ways.iter().map(|(name, way)| shape(name, &way(&text))).collect();
    let edits = match args.get(1) {
        Some(later) => vec![versions(later)],
        None => edits(&lines),
    };
    println!(
        "\n| new bytes, % | {} |",
        ways.iter().map(|way| way.0).collect::<Vec<_>>().join(" | ")
    );
    println!("|---{}|", "|---".repeat(ways.len()));
    for (name, edit) in edits {
        let tries = if args.len() == 2 { 1 } else { TRIES };
        let mut shares = vec![0.0; ways.len()];
        for after in (0..tries).map(edit) {
            for (at, (_, way)) in ways.iter().enumerate() {
                shares[at] += new_share(&olds[at], &way(&after)) * 100.0 / tries as f64;
            }
        }
        let shares: Vec<String> = shares.iter().map(|share| format!("{share:.2}")).collect();
        println!("| {name} | {} |", shares.join(" | "));
    }
}

fn versions(later: &str) -> Edit<'static> {
    let later = fs::read(later).unwrap();
    ("the later version", Box::new(move |_| later.clone()))
}

fn ways(folder: &Path, lines: usize) -> Vec<Way<'_>> {
    let parts = |keys: String| move |text: &[u8]| cut(folder, &keys, text);
    // A content-defined part has two thirds of its size.
    let stable = format!("\"{}B\"", PART * 3 / 2);
    vec![
        ("so many lines", Box::new(parts(format!("size = {lines}")))),
        ("so many bytes of lines", Box::new(parts(format!("size = \"{PART}B\", stable = false")))),
        ("stable lines", Box::new(parts(format!("size = {stable}")))),
        ("fixed chunks", Box::new(|text| text.chunks(PART).map(BlobRef::of).collect())),
        ("FastCDC 64 KiB", Box::new(|text| fastcdc(text, PART))),
        ("FastCDC 8 KiB", Box::new(|text| fastcdc(text, PART / 8))),
    ]
}

fn cut(folder: &Path, keys: &str, text: &[u8]) -> Vec<BlobRef> {
    fs::write(folder.join("m.wasm"), b"\0asm\x01\0\0\0").unwrap();
    fs::write(folder.join("text"), text).unwrap();
    let job = format!(
        "name = \"x\"\n[[stage]]\nname = \"s\"\nmodule = \"m.wasm\"\n\
         parts = {{ path = \"text\", by = \"lines\", {keys} }}"
    );
    let prepared = prepare(JobFile::parse(&folder.join("job.toml"), &job).unwrap()).unwrap();
    let DraftSource::Parts { tree, .. } = prepared.draft.stages[0].source else {
        panic!("no parts")
    };
    let tree = prepared.blobs.iter().find(|source| source.blob().id == tree.id).unwrap();
    let mut bytes = Vec::new();
    tree.reader().unwrap().read_to_end(&mut bytes).unwrap();
    Tree::from_bytes(&bytes).unwrap().entries().iter().map(|entry| entry.blob).collect()
}

fn fastcdc(text: &[u8], mean: usize) -> Vec<BlobRef> {
    let chunks = fastcdc::v2020::FastCDC::new(text, mean / 4, mean, mean * 4);
    chunks.map(|chunk| BlobRef::of(&text[chunk.offset..chunk.offset + chunk.length])).collect()
}

/// Prints how large the pieces are.
fn shape(name: &str, pieces: &[BlobRef]) -> BTreeSet<BlobId> {
    let total: u64 = pieces.iter().map(|piece| piece.size).sum();
    let largest = pieces.iter().map(|piece| piece.size).max().unwrap();
    let (mean, largest) = (total as f64 / pieces.len() as f64 / 1024.0, largest as f64 / 1024.0);
    println!("| {name} | {} | {mean:.1} | {largest:.1} |", pieces.len());
    pieces.iter().map(|piece| piece.id).collect()
}

fn new_share(old: &BTreeSet<BlobId>, pieces: &[BlobRef]) -> f64 {
    let total: u64 = pieces.iter().map(|piece| piece.size).sum();
    let new = pieces.iter().filter(|piece| !old.contains(&piece.id));
    new.map(|piece| piece.size).sum::<u64>() as f64 / total as f64
}

fn edits<'e>(lines: &'e [&'e [u8]]) -> Vec<Edit<'e>> {
    let with = |count: usize, change: fn(&mut Vec<&[u8]>, usize)| {
        move |seed: u64| {
            let mut after = lines.to_vec();
            let mut next = noise(seed);
            (0..count).for_each(|_| change(&mut after, next()));
            after.concat()
        }
    };
    let insert: fn(&mut Vec<&[u8]>, usize) = |lines, at| {
        let at = at % lines.len();
        lines.insert(at, b"a line that was not there\n");
    };
    let remove: fn(&mut Vec<&[u8]>, usize) = |lines, at| {
        let at = at % lines.len();
        lines.remove(at);
    };
    let change: fn(&mut Vec<&[u8]>, usize) = |lines, at| {
        let at = at % lines.len();
        lines[at] = b"a line that was another\n";
    };
    vec![
        ("a line inserted", Box::new(with(1, insert))),
        ("a line removed", Box::new(with(1, remove))),
        ("a line changed", Box::new(with(1, change))),
        ("ten lines changed", Box::new(with(10, change))),
        ("ten lines inserted", Box::new(with(10, insert))),
        (
            "a hundredth appended",
            Box::new(move |seed| {
                let from = noise(seed)() % (lines.len() * 9 / 10);
                [lines, &lines[from..from + lines.len() / 100]].concat().concat()
            }),
        ),
        ("a hundredth gone from the start", Box::new(move |_| lines[lines.len() / 100..].concat())),
    ]
}

/// Numbers without a pattern, the same every time.
fn noise(seed: u64) -> impl FnMut() -> usize {
    let mut state = seed;
    move || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize
    }
}
