//! kill -9 at random points: nothing acknowledged is lost.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;

use protocol::BlobId;
use store::{Batch, Pin, Store};

use crate::ground::{Ground, MIB, as_child, child, noise, open, pick};

const KILLS: u64 = 24;
/// Each process uses its own numbers.
const NUMBERS: u64 = 100_000;
const THREADS: u64 = 3;

const CHILD: &str = "crash::as_a_child_it_writes_until_it_is_killed";

#[test]
fn a_killed_process_loses_nothing_it_acknowledged() {
    let ground = Ground::new();
    let mut acked: BTreeMap<u64, usize> = BTreeMap::new();
    for life in 0..KILLS {
        let before = acked.len();
        live_and_die(&ground, life, &mut acked);
        let store = ground.open();
        store.adopt_strays().unwrap();
        for (number, len) in &acked {
            let id = BlobId::of(&noise(*number, *len));
            let record = store.record(&number.to_be_bytes()).unwrap();
            assert_eq!(record.as_deref(), Some(&id.as_bytes()[..]), "record {number}, life {life}");
            assert!(store.contains(id), "blob {number}, life {life}");
        }
        for held in store.list() {
            store.verify(held.blob.id).unwrap();
        }
        assert!(before <= acked.len());
        assert_eq!(ground.files("tmp").len(), 0);
        clear(&store);
        acked.clear();
    }
}

/// Starts a child, kills it after a number of acknowledgements, and notes all that it got out.
fn live_and_die(ground: &Ground, life: u64, acked: &mut BTreeMap<u64, usize>) {
    let mut command = child(CHILD, ground.path());
    let mut child = command.spawn().expect("this program can be run again");
    let mut to_child = child.stdin.take().expect("it is piped");
    writeln!(to_child, "{}", life * NUMBERS).expect("the child reads");
    let lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
    let mut left = pick(life, 60);
    for line in lines.map_while(Result::ok) {
        let Some((number, len)) = line.strip_prefix("ack ").and_then(|line| line.split_once(' '))
        else {
            continue;
        };
        acked.insert(number.parse().expect("a number"), len.parse().expect("a length"));
        match left {
            // It may be dead already; what it said before is still in the pipe.
            0 => child.kill().expect("it is ours"),
            1.. => left -= 1,
        }
    }
    child.wait().expect("it ends");
}

/// Keeps the test's disk small.
fn clear(store: &Store) {
    for held in store.list() {
        for owner in held.pins {
            store.unpin(held.blob.id, owner).expect("the store writes");
        }
        store.remove(held.blob.id).expect("the store writes");
    }
}

#[test]
fn as_a_child_it_writes_until_it_is_killed() {
    let Some(dir) = as_child() else { return };
    let mut first = String::new();
    std::io::stdin().read_line(&mut first).unwrap();
    let first: u64 = first.trim().parse().unwrap();
    let store = open(&dir);
    println!();
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (store, dir) = (&store, &dir);
            scope.spawn(move || {
                for number in
                    (first..first + NUMBERS).skip(thread as usize).step_by(THREADS as usize)
                {
                    let len = write(store, dir, number);
                    // One write, so that a kill cuts no line that is then misread.
                    std::io::stdout()
                        .write_all(format!("ack {number} {len}\n").as_bytes())
                        .unwrap();
                }
            });
        }
    });
}

/// Stores a blob in one of the ways there are, and a record that names it.
fn write(store: &Store, dir: &Path, number: u64) -> usize {
    let len = [100, 5_000, 60_000, 70_000, MIB + 9, 2 * MIB][pick(number, 6) as usize];
    let bytes = noise(number, len);
    let id = BlobId::of(&bytes);
    let mut batch = Batch::default();
    match pick(number + 1, 3) {
        0 => drop(store.put(&bytes).expect("there is room")),
        1 => drop(batch.blob(bytes)),
        _ => {
            let path = dir.join(format!("output-{number}"));
            std::fs::write(&path, &bytes).expect("there is room");
            store.adopt(&path, protocol::BlobRef::of(&bytes)).expect("there is room");
        }
    }
    batch.write(number.to_be_bytes().to_vec(), id.as_bytes().to_vec()).pin(id, Pin::User);
    store.commit(batch).expect("there is room");
    len
}
