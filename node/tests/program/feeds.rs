//! Feeds over real nodes: lines in, verified results out in order, whoever is killed; and forks are shown.

#![allow(clippy::unwrap_used, reason = "a test that unwraps fails, as it should")]

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use client::Client;
use client::api::FeedStatus;
use tempfile::TempDir;

/// Long enough for a machine that builds something else at the same time.
const PATIENCE: Duration = Duration::from_secs(180);

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

/// A node on loopback, and the folder that it lives in.
struct Running {
    process: Child,
    flags: Vec<String>,
}

impl Running {
    fn start(folder: &Path, network: &str, bootstrap: Option<&str>) -> Self {
        let mut flags: Vec<String> = ["node", "run", "--cores", "1", "--mdns", "false"]
            .into_iter()
            .chain(["--listen", "/ip4/127.0.0.1/tcp/0", "--api", "127.0.0.1:0"])
            .chain(["--reachability", "public", "--network", network])
            .chain(bootstrap.into_iter().flat_map(|address| ["--bootstrap", address]))
            .map(str::to_owned)
            .collect();
        flags.extend(["--data-dir".to_owned(), folder.to_str().unwrap().to_owned()]);
        Self { process: up(&flags), flags }
    }

    fn again(&mut self) {
        self.kill();
        self.process = up(&self.flags);
    }

    fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn up(flags: &[String]) -> Child {
    let mut process = Command::new(env!("CARGO_BIN_EXE_dugnad"))
        .args(["--output", "json", "--log", "error"])
        .args(flags)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    // The first brace that closes says that the node is up.
    let mut out = BufReader::new(process.stdout.take().unwrap());
    let mut said = String::new();
    while !said.ends_with("}\n") {
        assert_ne!(out.read_line(&mut said).unwrap(), 0, "the node ended: {said}");
    }
    process
}

fn command(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dugnad"));
    command.args(["--data-dir", folder.to_str().unwrap()]).args(args);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn dugnad(folder: &Path, args: &[&str], input: &str) -> Output {
    let mut child = command(folder, args).spawn().unwrap();
    // Who refuses at once does not read.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

#[track_caller]
fn said(output: &Output, code: i32, words: &str) -> String {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{errors}");
    assert!(errors.contains(words), "it does not say {words:?}: {errors}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// Waits until a node sees a feed as it should be.
fn until(folder: &Path, feed: &str, what: &str, is_so: impl Fn(&FeedStatus) -> bool) -> FeedStatus {
    let begun = Instant::now();
    loop {
        let seen = Client::find(folder).and_then(|client| client.feed(feed));
        if let Ok(seen) = &seen
            && is_so(seen)
        {
            return seen.clone();
        }
        assert!(begun.elapsed() < PATIENCE, "it took too long until {what}: {seen:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn addresses(folder: &Path) -> String {
    Client::find(folder).unwrap().node().unwrap().addresses[0].clone()
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
    let opened = dugnad(
        folder,
        &[
            "feed",
            "open",
            "lines",
            "--job",
            job.to_str().unwrap(),
            "--count",
            count,
            "--every",
            "1h",
        ],
        "",
    );
    said(&opened, 0, "").trim().to_owned()
}

#[test]
fn lines_come_back_in_order_and_once_although_whoever_adds_them_is_killed() {
    let network = format!("feeds-{}", std::process::id());
    let (all, folders) = folders(3);
    let first = Running::start(&folders[1], &network, None);
    let address = addresses(&folders[1]);
    let mut ours = Running::start(&folders[0], &network, Some(&address));
    let third = Running::start(&folders[2], &network, Some(&address));
    let feed = open(&all, &folders[0], "2");

    // A follower that knows nothing but the id, from the beginning.
    let follower = command(&folders[2], &["feed", "follow", &feed]).spawn().unwrap();

    let mut adding = command(&folders[0], &["feed", "append", &feed]).spawn().unwrap();
    let mut lines = adding.stdin.take().unwrap();
    lines.write_all(b"one\ntwo\nthree\nfour\nlost\n").unwrap();
    let seen = until(&folders[0], &feed, "two windows were accepted", |feed| feed.next == 2);
    assert_eq!(seen.lines, 4);
    let second = dugnad(&folders[0], &["feed", "append", &feed], "x\n");
    said(&second, 2, "another process adds to the feed");
    adding.kill().unwrap();
    adding.wait().unwrap();
    ours.again();

    let rest = "five\nsix\nseven\neight\nnine\nten\n";
    let order = ["feed", "append", &feed, "--follow", "--until", "accepted"];
    let followed = dugnad(&folders[0], &order, rest);
    assert_eq!(said(&followed, 0, "window 4 accepted"), rest.to_uppercase());
    said(&dugnad(&folders[0], &["feed", "close", &feed], ""), 0, "closed with window 5");

    let expected = "one\ntwo\nthree\nfour\nfive\nsix\nseven\neight\nnine\nten\n".to_uppercase();
    let followed = follower.wait_with_output().unwrap();
    assert_eq!(said(&followed, 0, ""), expected);
    let seen =
        until(&folders[1], &feed, "everybody knows that it is closed", |feed| feed.is_closed);
    assert_eq!((seen.next, seen.lines, seen.forks.len()), (6, 10, 0), "{seen:?}");
    let numbers: Vec<u64> = seen.windows.iter().map(|window| window.number).collect();
    assert_eq!(numbers, [0, 1, 2, 3, 4, 5]);

    // Once it is closed nothing is added, here or elsewhere; and what is wrong is said.
    let append =
        |folder: &Path, feed: &str, input: &str| dugnad(folder, &["feed", "append", feed], input);
    said(&append(&folders[0], &feed, "more\n"), 2, "is closed after 10 lines");
    said(&append(&folders[1], &feed, "more\n"), 2, "was opened by another node");
    said(&append(&folders[0], "0123", "more\n"), 2, "knows no feed `0123`");
    let other = open(&all, &folders[0], "2");
    said(&append(&folders[0], &other, ""), 2, "there is no line in it");
    let long = format!("short\n{}\n", "x".repeat(2000));
    said(&append(&folders[0], &other, &long), 2, "window 0: line 2: it has more than the 1 KiB");
    assert_eq!(until(&folders[0], &other, "it is there", |_| true).next, 0);
    drop((first, third, all));
}

#[test]
fn a_feed_that_goes_on_from_a_backup_is_seen_to_fork() {
    let network = format!("forks-{}", std::process::id());
    let (all, folders) = folders(3);
    let witness = Running::start(&folders[0], &network, None);
    let address = addresses(&folders[0]);

    let alone = Running::start(&folders[1], &network, None);
    let feed = open(&all, &folders[1], "1");
    said(&dugnad(&folders[1], &["feed", "append", &feed], "start\n"), 0, "");
    drop(alone);
    copy(&folders[1], &folders[2]);

    let original = Running::start(&folders[1], &network, Some(&address));
    said(&dugnad(&folders[1], &["feed", "append", &feed], "left\n"), 0, "");
    until(&folders[0], &feed, "the witness knows two windows", |feed| feed.windows.len() == 2);
    drop(original);

    let restored = Running::start(&folders[2], &network, None);
    said(&dugnad(&folders[2], &["feed", "append", &feed], "right\n"), 0, "");
    drop(restored);
    let restored = Running::start(&folders[2], &network, Some(&address));
    let seen = until(&folders[0], &feed, "the fork is seen", |feed| !feed.forks.is_empty());
    assert_eq!(seen.forks.len(), 1, "{seen:?}");
    assert_eq!((seen.forks[0].number, seen.forks[0].jobs.len()), (1, 2));
    let shown = said(&dugnad(&folders[0], &["feed", "show", &feed], ""), 0, "");
    let fork = format!("fork       window 1 was signed 2 times by {}", seen.submitter.unwrap());
    assert!(shown.contains(&fork), "{shown}");
    for job in &seen.forks[0].jobs {
        assert!(shown.contains(&job.to_string()), "{shown}");
    }
    // Who has forked it cannot go on, and who follows it gets no order that is not one.
    until(&folders[2], &feed, "its node sees it, too", |feed| !feed.forks.is_empty());
    said(&dugnad(&folders[2], &["feed", "append", &feed], "more\n"), 2, "forks at window 1");
    let followed = dugnad(&folders[0], &["feed", "follow", &feed, "--until", "accepted"], "");
    assert_eq!(said(&followed, 3, "the feed forks: window 1"), "START\n");
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
