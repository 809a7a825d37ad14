//! What no lint knows: which package may use which, and that every file says what it is for.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Every package, its folder, and the packages of this workspace that it may depend on.
const GRAPH: &[(&str, &str, &[&str])] = &[
    ("protocol", "protocol", &[]),
    ("engine", "crates/engine", &["protocol"]),
    ("net", "crates/net", &["protocol"]),
    ("store", "crates/store", &["protocol"]),
    ("sandbox", "crates/sandbox", &["protocol"]),
    ("client", "crates/client", &["protocol"]),
    ("sim", "crates/sim", &["engine", "protocol"]),
    ("fuzz", "crates/fuzz", &["client", "engine", "protocol"]),
    ("node", "node", &["client", "engine", "net", "protocol", "sandbox", "store"]),
    ("testnet", "testnet", &["client", "engine", "net", "node", "protocol", "sim", "store"]),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("testnet lies in the workspace")
}

#[test]
fn no_package_uses_another_that_it_may_not() {
    for (name, folder, allowed) in GRAPH {
        let manifest =
            fs::read_to_string(root().join(folder).join("Cargo.toml")).expect("it is a package");
        let section = manifest.split("[dependencies]").nth(1).expect("it has dependencies");
        let section = section.split("\n[").next().unwrap_or_default();
        let used: BTreeSet<&str> =
            section.lines().filter_map(|line| line.split(['.', ' ', '=']).next()).collect();
        let ours = GRAPH.iter().map(|(name, ..)| *name).filter(|other| used.contains(other));
        let stray: Vec<&str> = ours.filter(|other| !allowed.contains(other)).collect();
        assert!(
            stray.is_empty(),
            "{name} uses {stray:?}; docs/ARCHITECTURE.md says what it may use"
        );
    }
}

#[test]
fn every_file_says_first_what_it_is_for() {
    let mut sources = Vec::new();
    for (_, folder, _) in GRAPH {
        for part in ["src", "tests", "examples", "benches"] {
            collect(&root().join(folder).join(part), &mut sources);
        }
    }
    assert!(100 < sources.len(), "only {} files were found", sources.len());
    let captioned =
        |path: &PathBuf| fs::read_to_string(path).is_ok_and(|text| text.starts_with("//! "));
    let bare: Vec<PathBuf> = sources.into_iter().filter(|path| !captioned(path)).collect();
    assert!(bare.is_empty(), "files without a caption: {bare:#?}");
}

/// Rust files below a folder; guests' own sources are programs of somebody else.
fn collect(folder: &Path, into: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for path in entries.flatten().map(|entry| entry.path()) {
        if path.is_dir() && !path.ends_with("guests") {
            collect(&path, into);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            into.push(path);
        }
    }
}
