//! Names the sources that a rehearsal is about, so that a seed means one run and logs of different runs never mix.

use std::collections::BTreeSet;
use std::fs;
use std::hash::{DefaultHasher, Hasher};
use std::io;
use std::path::{Path, PathBuf};

const SOURCES: [&str; 3] = ["../../protocol/src", "../engine/src", "src"];
/// What no rehearsal goes through.
const OTHERS: [&str; 4] = ["src/command", "src/log.rs", "src/main.rs", "src/schemes"];

fn main() -> io::Result<()> {
    let mut files = BTreeSet::new();
    for folder in SOURCES {
        println!("cargo::rerun-if-changed={folder}");
        list(Path::new(folder), &mut files)?;
    }
    let mut hasher = DefaultHasher::new();
    for file in files {
        hasher.write(file.as_os_str().as_encoded_bytes());
        hasher.write(&fs::read(file)?);
    }
    println!("cargo::rustc-env=SOURCES={:016x}", hasher.finish());
    Ok(())
}

fn list(folder: &Path, files: &mut BTreeSet<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if OTHERS.iter().any(|other| path == Path::new(other)) {
            continue;
        }
        if path.is_dir() {
            list(&path, files)?;
        } else {
            files.insert(path);
        }
    }
    Ok(())
}
