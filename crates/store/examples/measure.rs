//! How fast the store is on this disk: `cargo run --release -p store --example measure [FOLDER]`.

#![expect(clippy::print_stdout, reason = "its figures are what it is for")]

use std::error::Error;
use std::time::Instant;

use store::{Batch, Options, Store};

const GIB: u64 = 1 << 30;
const COMMITS: u32 = 300;
const THREADS: u32 = 64;

fn main() -> Result<(), Box<dyn Error>> {
    let parent = std::env::args_os().nth(1).unwrap_or_else(|| ".".into());
    let dir = tempfile::tempdir_in(parent)?;
    let store = Store::open(dir.path(), Options::new(64 * GIB))?.store;
    alone(&store)?;
    together(&store)?;
    lazily(&store)?;
    large(&store)?;
    drop(store);
    let start = Instant::now();
    drop(Store::open(dir.path(), Options::new(64 * GIB))?);
    println!("reopen: {:.3} s", start.elapsed().as_secs_f64());
    Ok(())
}

fn record(number: u32) -> Vec<(Vec<u8>, Option<Vec<u8>>)> {
    vec![(number.to_be_bytes().to_vec(), Some(vec![7; 500]))]
}

fn alone(store: &Store) -> Result<(), Box<dyn Error>> {
    let start = Instant::now();
    for number in 0..COMMITS {
        store.commit(record(number))?;
    }
    println!("1 thread: {:.0} commits/s", f64::from(COMMITS) / start.elapsed().as_secs_f64());

    let start = Instant::now();
    for number in 0..COMMITS {
        let mut batch = Batch::default();
        batch.blob([number.to_le_bytes().as_slice(), &[7; 20_000]].concat());
        batch.write(number.to_be_bytes().to_vec(), vec![7; 500]);
        store.commit(batch)?;
    }
    let rate = f64::from(COMMITS) / start.elapsed().as_secs_f64();
    println!("1 thread, vote and pack of 20 kB: {rate:.0} commits/s");
    Ok(())
}

fn together(store: &Store) -> Result<(), Box<dyn Error>> {
    let before = store.commits();
    let start = Instant::now();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| {
                scope.spawn(move || {
                    (0..COMMITS).try_for_each(|n| store.commit(record(thread * COMMITS + n)))
                })
            })
            .collect();
        threads.into_iter().try_for_each(|t| t.join().expect("a thread that commits ends"))
    })?;
    let rate = f64::from(THREADS * COMMITS) / start.elapsed().as_secs_f64();
    println!("{THREADS} threads: {rate:.0} commits/s in {} fsyncs", store.commits() - before);
    Ok(())
}

fn lazily(store: &Store) -> Result<(), Box<dyn Error>> {
    let start = Instant::now();
    for number in 0..200_000 {
        store.write_soon(record(number))?;
    }
    store.flush()?;
    println!("lazy: {:.0} records/s", 200_000.0 / start.elapsed().as_secs_f64());
    Ok(())
}

fn large(store: &Store) -> Result<(), Box<dyn Error>> {
    let rate = |start: Instant| GIB as f64 / 1e9 / start.elapsed().as_secs_f64();
    let mut bytes = vec![0; GIB as usize];
    for (number, chunk) in bytes.chunks_mut(4096).enumerate() {
        chunk[..8].copy_from_slice(&number.to_le_bytes());
    }
    let start = Instant::now();
    let blob = store.put(&bytes)?;
    println!("put of 1 GiB: {:.2} GB/s", rate(start));
    drop(bytes);
    let start = Instant::now();
    store.verify(blob.id)?;
    println!("checked reading of 1 GiB: {:.2} GB/s", rate(start));
    Ok(())
}
