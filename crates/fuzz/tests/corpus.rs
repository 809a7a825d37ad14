//! Replays the corpus on stable: what was once worth keeping, and some thousand inputs from fixed seeds.

#![allow(clippy::unwrap_used, reason = "a test that unwraps fails, as it should")]

use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

use fuzz::{Chance, TARGETS, Target};

/// Inputs that are made for each target, beside those of the corpus.
const MADE: usize = 2000;

#[test]
fn decoders_hold() {
    replay("decode");
}

#[test]
fn merging_holds() {
    replay("merge");
}

#[test]
fn the_verdict_is_safe() {
    replay("verdict");
}

#[test]
fn the_engine_holds() {
    replay("engine");
}

#[test]
fn job_files_are_read_or_refused() {
    replay("job_file");
}

#[test]
fn every_target_has_a_corpus_and_a_fuzzer() {
    for Target { name, .. } in TARGETS {
        assert!(!kept(name).is_empty(), "corpus/{name} is empty");
        let fuzzer = folder().join(format!("fuzz/fuzz_targets/{name}.rs"));
        assert!(fuzzer.exists(), "{} is missing", fuzzer.display());
    }
    let folders = fs::read_dir(folder().join("corpus")).unwrap().count();
    assert_eq!(folders, TARGETS.len(), "a folder of the corpus belongs to no target");
}

/// Every kept input, and made ones: noise, and kept ones with something changed.
fn replay(name: &str) {
    let target = TARGETS.into_iter().find(|target| target.name == name).expect("it is a target");
    let kept = kept(name);
    assert!(!kept.is_empty(), "corpus/{name} is empty");
    for (path, bytes) in &kept {
        run(target, bytes, &path.display().to_string());
    }
    let mut chance = Chance::new(1);
    for number in 0..MADE {
        let bytes = if number % 4 == 0 {
            let len = 1 + chance.below(target.bytes_max);
            chance.bytes(len)
        } else {
            let (_, bytes) = &kept[chance.below(kept.len())];
            change(bytes, &mut chance)
        };
        run(target, &bytes, &format!("made input {number}"));
    }
}

fn run(target: Target, bytes: &[u8], what: &str) {
    if catch_unwind(|| (target.run)(bytes)).is_err() {
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        panic!("{} breaks on {what}: {hex}", target.name);
    }
}

/// The bytes with a few things changed.
fn change(bytes: &[u8], chance: &mut Chance) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..=chance.below(4) {
        let at = chance.below(bytes.len() + 1);
        let noise = chance.number() as u8;
        match (chance.below(4), bytes.get_mut(at)) {
            (0, Some(byte)) => *byte ^= 1 << (noise % 8),
            (1, Some(byte)) => *byte = noise,
            (2, Some(_)) => drop(bytes.remove(at)),
            (_, _) => bytes.insert(at, noise),
        }
    }
    bytes
}

fn folder() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn kept(name: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let entries = fs::read_dir(folder().join("corpus").join(name));
    let mut paths: Vec<PathBuf> =
        entries.into_iter().flatten().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.into_iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}
