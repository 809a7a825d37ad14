//! Rust's standard library over preview1: files, folders, time, a hash map, a panic's exit.

use std::collections::HashMap;
use std::fs;
use std::io::{Read, Seek, SeekFrom, Write};

fn main() -> std::io::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    println!("{args:?} {:?}", std::env::var("WHO"));
    fs::create_dir_all("/out/a/b/c")?;
    fs::write("/out/a/b/c/deep", "deep")?;
    fs::copy("/in/hello.txt", "/out/copy")?;
    let mut file = fs::OpenOptions::new().read(true).write(true).open("/out/copy")?;
    file.seek(SeekFrom::End(0))?;
    file.write_all(b", world")?;
    file.rewind()?;
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    println!("{text}");
    fs::rename("/out/a/b", "/out/z")?;
    let mut names: Vec<_> = fs::read_dir("/out")?.map(|e| e.unwrap().file_name()).collect();
    println!("{names:?}");
    names.clear();
    fs::remove_dir_all("/out/z")?;
    println!("{:?}", fs::metadata("/out/z").map_err(|e| e.kind()));
    println!("{:?}", fs::write("/in/x", "").map_err(|e| e.to_string()));
    println!("{:?}", fs::metadata("/out/copy")?.modified()?.duration_since(std::time::UNIX_EPOCH));
    let map: HashMap<u32, u32> = (0..8).map(|n| (n, n * n)).collect();
    let order: Vec<u32> = map.keys().copied().collect();
    println!("{order:?}");
    let began = std::time::Instant::now();
    std::thread::sleep(std::time::Duration::from_secs(5));
    println!("{:?}", began.elapsed().as_secs());
    std::process::exit(if args.is_empty() { 0 } else { 3 })
}
