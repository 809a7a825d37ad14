//! Datasets as people hand them in: trees of files, pipes, and addresses that the submitter fetches.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::process::Output;

use serde_json::Value;
use tempfile::TempDir;

use crate::process::{dugnad, dugnad_reads, expect, text};
use crate::running::Running;

/// Writes its standard input to its standard output, up to 4 KiB of it.
const CAT: &str = r#"(module
    (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (func (export "_start")
        (i32.store (i32.const 0) (i32.const 64))
        (i32.store (i32.const 4) (i32.const 4096))
        (drop (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 4)))
        (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))"#;

/// A folder with a module, these files, and a job whose parts are cut like this.
fn folder(parts: &str, files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let job = format!(
        "name = \"cat\"\n[[stage]]\nname = \"units\"\nmodule = \"cat.wasm\"\nstdin = \"part\"\n\
         parts = {{ {parts} }}\n[stage.limits]\ncpu = \"5s\"\nmemory = \"1MiB\"\n"
    );
    fs::write(folder.path().join("job.toml"), job).unwrap();
    fs::write(folder.path().join("cat.wasm"), wat::parse_str(CAT).unwrap()).unwrap();
    for (path, text) in files {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    folder
}

fn stdout(output: &Output) -> String {
    text(&output.stdout).trim_end().to_owned()
}

#[test]
fn files_and_folders_become_a_tree_and_are_restored_from_it() {
    let files = [("d/a", "1"), ("d/e/b", "2"), ("c", "3"), ("e/c", "4")];
    let folder = folder("path = \"c\", by = \"lines\", size = 1", &files);
    let _node = Running::start(folder.path(), "datasets", &[]);
    let run = |args: &[&str]| dugnad(folder.path(), args);
    let added = run(&["blob", "add", "d", "c"]);
    expect(&added, 0, &["a tree of 3 files, 3 B, pinned"]);
    let id = stdout(&added);
    expect(&run(&["blob", "get", &id, "-o", "back"]), 0, &[]);
    let read = |path: &str| fs::read_to_string(folder.path().join(path)).unwrap();
    assert_eq!(
        (read("back/d/a"), read("back/d/e/b"), read("back/c")),
        ("1".into(), "2".into(), "3".into())
    );
    expect(&run(&["blob", "get", &id, "-o", "c"]), 2, &["this blob is a tree", "--raw"]);
    expect(&run(&["blob", "get", &id, "-o", "tree", "--raw"]), 0, &[]);
    assert_eq!(stdout(&run(&["blob", "add", "tree"])), id, "a tree is a blob");

    // What a folder is called is not part of what it holds.
    let whole = run(&["--output", "json", "blob", "add", "back/d"]);
    let told: Value = serde_json::from_slice(&whole.stdout).unwrap();
    assert_eq!((&told["files"], &told["bytes"]), (&2.into(), &2.into()));
    assert_eq!(told["id"].as_str(), Some(stdout(&run(&["blob", "add", "d"])).as_str()));
    expect(&run(&["blob", "get", &stdout(&run(&["blob", "add", "c"])), "-o", "file"]), 0, &[]);
    assert_eq!(read("file"), "3");

    let pinned = || {
        let list = run(&["--output", "json", "blob", "list"]);
        let list: Vec<Value> = serde_json::from_slice(&list.stdout).unwrap();
        list.iter().filter(|blob| blob["pinned"] == true).count()
    };
    assert_eq!(pinned(), 5, "two trees and three files");
    expect(&run(&["blob", "unpin", "--tree", &id]), 0, &[]);
    assert_eq!(pinned(), 1, "the other tree");
    expect(
        &run(&["blob", "add", "c", "e/c"]),
        2,
        &["c and e/c would both be called `c`", "rename"],
    );
    expect(&run(&["blob", "add", "c", "-"]), 2, &["stdin has no name in a tree"]);
    expect(&run(&["blob", "add", "none"]), 2, &["none: No such file"]);
}

#[test]
fn what_a_node_has_no_room_for_is_refused_with_a_remedy() {
    let folder = folder("path = \"large\", by = \"bytes\", size = \"65MiB\"", &[]);
    File::create(folder.path().join("large")).unwrap().set_len(65 << 20).unwrap();
    let _node = Running::start(folder.path(), "datasets", &["--storage", "64MiB"]);
    let words = ["setting `storage`"];
    expect(&dugnad(folder.path(), &["blob", "add", "large"]), 2, &words);
    expect(&dugnad(folder.path(), &["job", "submit", "job.toml"]), 2, &words);
}

#[test]
fn a_pipe_is_cut_and_every_part_computed() {
    let folder = folder("path = \"-\", by = \"lines\", size = 2", &[]);
    let run = |verb: &[&str], data: &str| dugnad_reads(folder.path(), verb, data);
    let alone = ["job", "run", "--listen", "/ip4/127.0.0.1/tcp/0", "--mdns", "false", "job.toml"];
    let ran = run(&alone, "a\nb\r\n\nlast");
    expect(&ran, 4, &["2 units"]);
    assert_eq!(stdout(&ran), "a\nb\r\n\nlast");
    expect(&run(&["job", "check", "job.toml"], ""), 2, &["standard input: there is nothing in it"]);
}

/// Answers every request with this body, and once with the half of it.
fn serve(body: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for (number, stream) in listener.incoming().enumerate() {
            let mut stream = stream.unwrap();
            let mut lines = BufReader::new(stream.try_clone().unwrap());
            let mut head = String::new();
            while lines.read_line(&mut head).unwrap() > 2 {}
            let sent = if number == 0 { &body[..body.len() / 2] } else { body };
            let length = body.len();
            let _ = write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{sent}");
        }
    });
    format!("http://user:pa55word@{address}/x.txt?signature=secret")
}

#[test]
fn the_submitter_fetches_what_lies_elsewhere_and_keeps_its_keys_to_itself() {
    let url = serve("a\nb\nc\n");
    let parts =
        |blake3: &str| format!("url = \"{url}\", blake3 = \"{blake3}\", by = \"lines\", size = 1");
    let right = blake3::hash(b"a\nb\nc\n").to_hex();
    let folder = folder(&parts(&right), &[]);
    let check = || {
        let args = ["--log", "trace", "--output", "json", "job", "check", "--no-run", "job.toml"];
        dugnad(folder.path(), &args)
    };
    let checked = check();
    expect(&checked, 0, &[]);
    let told: Value = serde_json::from_slice(&checked.stdout).unwrap();
    assert_eq!(told["draft"]["stages"][0]["source"]["parts"]["count"], 3);

    let job = fs::read_to_string(folder.path().join("job.toml")).unwrap();
    let other = blake3::hash(b"other").to_hex();
    fs::write(folder.path().join("job.toml"), job.replace(right.as_str(), &other)).unwrap();
    let refused = check();
    expect(&refused, 2, &["/x.txt: its BLAKE3 is ", "correct `blake3`"]);
    for output in [checked, refused] {
        let said = text(&output.stderr);
        assert!(!said.contains("pa55word") && !said.contains("secret"), "{said}");
    }
}
