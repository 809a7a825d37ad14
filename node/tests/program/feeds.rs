//! Feeds over real nodes: lines in, verified results out in order, whoever is killed; and forks are shown.

use std::path::Path;

use client::api::FeedStatus;
use tempfile::TempDir;

use crate::process::{Process, assert_ends, dugnad, dugnad_reads, expect};
use crate::running::Running;

/// Writes what it reads, with capital letters.
const CAPITALS: &str = r#"(module
    (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 2)
    (func (export "_start") (local $at i32) (local $end i32)
        (loop $more
            (i32.store (i32.const 0) (i32.const 1024))
            (i32.store (i32.const 4) (i32.const 65536))
            (drop (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))
            (if (i32.load (i32.const 8)) (then
                (local.set $at (i32.const 1024))
                (local.set $end (i32.add (i32.const 1024) (i32.load (i32.const 8))))
                (loop $byte
                    (if (i32.lt_u (i32.sub (i32.load8_u (local.get $at)) (i32.const 97)) (i32.const 26))
                        (then (i32.store8 (local.get $at)
                            (i32.sub (i32.load8_u (local.get $at)) (i32.const 32)))))
                    (local.set $at (i32.add (local.get $at) (i32.const 1)))
                    (br_if $byte (i32.lt_u (local.get $at) (local.get $end))))
                (i32.store (i32.const 4) (i32.load (i32.const 8)))
                (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))
                (br $more))))))"#;

const JOB: &str = r#"
name = "template"
expires = "1h"
[[stage]]
name = "capitals"
module = "capitals.wasm"
parts = { path = "-", by = "lines", size = 1, max = "1KiB" }
stdin = "part"
[stage.limits]
cpu = "5s"
memory = "1MiB"
"#;

/// A node that others may call, which knows those at an address.
fn start(folder: &Path, network: &str, bootstrap: Option<&str>) -> Running {
    let known = bootstrap.into_iter().flat_map(|address| ["--bootstrap", address]);
    let flags: Vec<&str> = ["--reachability", "public"].into_iter().chain(known).collect();
    Running::start(folder, network, &flags)
}

/// Waits until a node sees a feed as it should be.
fn until(
    node: &Running,
    feed: &str,
    what: &str,
    is_so: impl Fn(&FeedStatus) -> bool,
) -> FeedStatus {
    node.until(what, || match node.client().feed(feed) {
        Ok(seen) if is_so(&seen) => Ok(seen),
        seen => Err(Box::new(seen)),
    })
}

/// Folders of so many nodes, and a template beside each.
fn folders(count: usize) -> (TempDir, Vec<std::path::PathBuf>) {
    let all = tempfile::tempdir().unwrap();
    std::fs::write(all.path().join("capitals.wasm"), wat::parse_str(CAPITALS).unwrap()).unwrap();
    std::fs::write(all.path().join("job.toml"), JOB).unwrap();
    let folders = (0..count).map(|n| all.path().join(format!("node-{n}"))).collect();
    (all, folders)
}

fn open(all: &TempDir, folder: &Path, count: &str) -> String {
    let job = all.path().join("job.toml");
    let job = job.to_str().unwrap();
    let open = ["feed", "open", "lines", "--job", job, "--count", count, "--every", "1h"];
    assert_ends(&dugnad(folder, &open), 0).trim().to_owned()
}

#[test]
fn lines_come_back_in_order_and_once_although_whoever_adds_them_is_killed() {
    let network = format!("feeds-{}", std::process::id());
    let (all, folders) = folders(3);
    let first = start(&folders[1], &network, None);
    let address = first.addresses();
    let ours = start(&folders[0], &network, Some(&address));
    let third = start(&folders[2], &network, Some(&address));
    let feed = open(&all, &folders[0], "2");

    // A follower that knows nothing but the id, from the beginning.
    let follower = Process::call(&folders[2], &["feed", "follow", &feed]);

    let mut adding = Process::call(&folders[0], &["feed", "append", &feed]);
    adding.write("one\ntwo\nthree\nfour\nlost\n");
    let seen = until(&ours, &feed, "two windows were accepted", |feed| feed.next == 2);
    assert_eq!(seen.lines, 4);
    let second = dugnad_reads(&folders[0], &["feed", "append", &feed], "x\n");
    expect(&second, 2, &["another process adds to the feed"]);
    // Who adds is killed, and so is its node.
    drop(adding);
    drop(ours);
    let ours = start(&folders[0], &network, Some(&address));

    let rest = "five\nsix\nseven\neight\nnine\nten\n";
    let order = ["feed", "append", &feed, "--follow", "--until", "accepted"];
    let followed = dugnad_reads(&folders[0], &order, rest);
    assert_eq!(expect(&followed, 0, &["window 4 accepted"]), rest.to_uppercase());
    expect(&dugnad(&folders[0], &["feed", "close", &feed]), 0, &["closed with window 5"]);

    let expected = "one\ntwo\nthree\nfour\nfive\nsix\nseven\neight\nnine\nten\n".to_uppercase();
    let followed = follower.end();
    assert_eq!(assert_ends(&followed, 0), expected);
    let seen = until(&first, &feed, "everybody knows that it is closed", |feed| feed.is_closed);
    assert_eq!((seen.next, seen.lines, seen.forks.len()), (6, 10, 0), "{seen:?}");
    let numbers: Vec<u64> = seen.windows.iter().map(|window| window.number).collect();
    assert_eq!(numbers, [0, 1, 2, 3, 4, 5]);

    // Once it is closed nothing is added, here or elsewhere; and what is wrong is said.
    let append = |folder: &Path, feed: &str, input: &str| {
        dugnad_reads(folder, &["feed", "append", feed], input)
    };
    expect(&append(&folders[0], &feed, "more\n"), 2, &["is closed after 10 lines"]);
    expect(&append(&folders[1], &feed, "more\n"), 2, &["was opened by another node"]);
    expect(&append(&folders[0], "0123", "more\n"), 2, &["knows no feed `0123`"]);
    let other = open(&all, &folders[0], "2");
    expect(&append(&folders[0], &other, ""), 2, &["there is no line in it"]);
    let long = format!("short\n{}\n", "x".repeat(2000));
    expect(
        &append(&folders[0], &other, &long),
        2,
        &["window 0: line 2: it has more than the 1 KiB"],
    );
    assert_eq!(until(&ours, &other, "it is there", |_| true).next, 0);
    drop((first, ours, third, all));
}

#[test]
fn a_feed_that_goes_on_from_a_backup_is_seen_to_fork() {
    let network = format!("forks-{}", std::process::id());
    let (all, folders) = folders(3);
    let witness = start(&folders[0], &network, None);
    let address = witness.addresses();

    let alone = start(&folders[1], &network, None);
    let feed = open(&all, &folders[1], "1");
    assert_ends(&dugnad_reads(&folders[1], &["feed", "append", &feed], "start\n"), 0);
    drop(alone);
    copy(&folders[1], &folders[2]);

    let original = start(&folders[1], &network, Some(&address));
    assert_ends(&dugnad_reads(&folders[1], &["feed", "append", &feed], "left\n"), 0);
    until(&witness, &feed, "the witness knows two windows", |feed| feed.windows.len() == 2);
    drop(original);

    let restored = start(&folders[2], &network, None);
    assert_ends(&dugnad_reads(&folders[2], &["feed", "append", &feed], "right\n"), 0);
    drop(restored);
    let restored = start(&folders[2], &network, Some(&address));
    let seen = until(&witness, &feed, "the fork is seen", |feed| !feed.forks.is_empty());
    assert_eq!(seen.forks.len(), 1, "{seen:?}");
    assert_eq!((seen.forks[0].number, seen.forks[0].jobs.len()), (1, 2));
    let shown = assert_ends(&dugnad(&folders[0], &["feed", "show", &feed]), 0);
    let fork = format!("fork       window 1 was signed 2 times by {}", seen.submitter.unwrap());
    assert!(shown.contains(&fork), "{shown}");
    for job in &seen.forks[0].jobs {
        assert!(shown.contains(&job.to_string()), "{shown}");
    }
    // Who has forked it cannot go on, and who follows it gets no order that is not one.
    until(&restored, &feed, "its node sees it, too", |feed| !feed.forks.is_empty());
    expect(
        &dugnad_reads(&folders[2], &["feed", "append", &feed], "more\n"),
        2,
        &["forks at window 1"],
    );
    let followed = dugnad(&folders[0], &["feed", "follow", &feed, "--until", "accepted"]);
    assert_eq!(expect(&followed, 3, &["the feed forks: window 1"]), "START\n");
    drop((witness, restored, all));
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}
