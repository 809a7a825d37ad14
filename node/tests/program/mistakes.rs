//! What people get who ask for what cannot work: a message that names cause and remedy, an exit code.
//!
//! What bad input meets further in is tested where it is met:
//!
//! | what | tests |
//! |---|---|
//! | modules that are none, or want what is not offered | `sandbox` bad_modules |
//! | guests that loop, allocate, trap or say too much | `sandbox` deaths, bad_units, outputs |
//! | unknown keys, missing files, empty and endless ranges | `client` jobfile, prepare |
//! | datasets that are cut short, change, hold too long records or lie nowhere | `client` cut, data, fetch; datasets |
//! | corrupt blobs | `store` corrupt, blobs; `net` blobs |
//! | frames that are cut, too long or noise | `net` talk, blobs; `testnet` noise |
//! | statements with a bad signature or of another network | `protocol` hostile; shell messages_are_opened_at_the_door; `net` meeting |
//! | ports in use, folders that cannot be used | `net` meeting; shell one_owner_has_the_folder; `store` opening |
//! | a full disk | `store` full_disk, opening, quota; api |
//! | unknown jobs, no peers | api; cli; `testnet` bad_input |

use std::net::{TcpListener, UdpSocket};

use protocol::BlobId;
use tempfile::TempDir;

use crate::process::{dugnad, expect};
use crate::running::Running;

/// A guest, around its `_start`.
fn guest(imports: &str, body: &str) -> Vec<u8> {
    let text = format!(
        "(module {imports} (memory (export \"memory\") 2) (func (export \"_start\") {body}))"
    );
    wat::parse_str(text).unwrap()
}

/// Prints 64 KiB of zeros again and again.
fn chatty() -> Vec<u8> {
    guest(
        "(import \"wasi_snapshot_preview1\" \"fd_write\"
            (func $write (param i32 i32 i32 i32) (result i32)))",
        "(i32.store (i32.const 0) (i32.const 16)) (i32.store (i32.const 4) (i32.const 65536))
        (loop (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8))) (br 0))",
    )
}

/// Takes memory until there is none, and gives up.
fn greedy() -> Vec<u8> {
    guest("", "(loop (br_if 0 (i32.ne (memory.grow (i32.const 16)) (i32.const -1)))) unreachable")
}

fn job(module: &str, more: &str) -> String {
    format!("name = \"bad\"\n[[stage]]\nname = \"one\"\nmodule = \"{module}\"\n{more}\n")
}

fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let foreign = "(import \"env\" \"launch\" (func $launch))";
    for (name, module) in [
        ("good.wasm", guest("", "")),
        ("foreign.wasm", guest(foreign, "(call $launch)")),
        ("loop.wasm", guest("", "(loop (br 0))")),
        ("trap.wasm", guest("", "unreachable")),
        ("chatty.wasm", chatty()),
        ("greedy.wasm", greedy()),
        ("text.wasm", b"no module".to_vec()),
    ] {
        std::fs::write(folder.path().join(name), module).unwrap();
    }
    folder
}

#[test]
fn a_job_that_cannot_be_is_refused_before_anybody_sees_it() {
    let folder = folder();
    let range = "range = { from = 0, to = 4 }";
    for (module, more, words) in [
        ("text.wasm", range, &["text.wasm"][..]),
        ("none.wasm", range, &["none.wasm"]),
        ("foreign.wasm", range, &["stage `one`", "env", "launch"]),
        ("good.wasm", "range = { from = 0, to = 0 }", &["`to` is 0"]),
        ("good.wasm", "range = { from = 0, to = 9223372036854775807 }", &["16777216"]),
        ("good.wasm", "range = { from = 0, to = 9223372036854775808 }", &["job.toml:5"]),
        ("good.wasm", &format!("{range}\nfils = {{}}"), &["`fils`", "job.toml:6"]),
        ("good.wasm", &format!("{range}\nfiles = {{ \"a\" = \"none.csv\" }}"), &["none.csv"]),
        ("good.wasm", &format!("{range}\nstdin = \"none.txt\""), &["none.txt"]),
    ] {
        std::fs::write(folder.path().join("job.toml"), job(module, more)).unwrap();
        for verb in ["check", "run"] {
            let output = dugnad(folder.path(), &["job", verb, "job.toml"]);
            // What only a look into the module shows, `run` hears from its node.
            expect(&output, 2, words);
            assert!(output.stdout.is_empty(), "{output:?}");
        }
    }
}

#[test]
fn a_folder_that_cannot_be_is_refused_before_anything_is_computed_for_it() {
    let folder = folder();
    let text = job("good.wasm", "range = { from = 0, to = 4 }");
    std::fs::write(folder.path().join("job.toml"), text).unwrap();
    let output = dugnad(folder.path(), &["job", "run", "job.toml", "-o", "good.wasm"]);
    expect(&output, 2, &["good.wasm", "choose a folder"]);
    assert!(!folder.path().join("data").exists(), "a node was started");
    let id = BlobId::of(b"nobody has this").to_string();
    expect(&dugnad(folder.path(), &["job", "get", &id, "-o", "good.wasm"]), 2, &["good.wasm"]);
}

#[test]
fn a_guest_that_misbehaves_is_ended_and_named() {
    let folder = folder();
    for (args, code, words) in [
        (&["loop.wasm", "--cpu", "200ms"][..], 3, &["CPU"][..]),
        (&["trap.wasm"], 1, &["outcome trap"]),
        (&["greedy.wasm", "--unit-memory", "8MiB"], 1, &["outcome trap"]),
        (&["chatty.wasm", "--unit-output", "1MiB"], 1, &["output too large"]),
        (&["text.wasm"], 2, &["text.wasm"]),
        (&["foreign.wasm"], 2, &["env", "launch"]),
    ] {
        let (module, flags) = args.split_first().unwrap();
        let args = [&["exec"], flags, &[*module]].concat();
        expect(&dugnad(folder.path(), &args), code, words);
    }
}

#[test]
fn a_node_that_cannot_start_says_why() {
    let folder = folder();
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = tcp.local_addr().unwrap();
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let listen = format!("/ip4/127.0.0.1/tcp/{}", taken.port());
    let quic = format!("/ip4/127.0.0.1/udp/{}/quic-v1", udp.local_addr().unwrap().port());
    let api = taken.to_string();
    let free = "/ip4/127.0.0.1/tcp/0";
    let run = |flags: &[&str]| {
        let args = [&["node", "run", "--mdns", "false", "--network", "mistakes"], flags].concat();
        dugnad(folder.path(), &args)
    };
    expect(&run(&["--listen", &listen]), 5, &[&listen, "in use"]);
    expect(&run(&["--listen", &quic]), 5, &[&quic, "in use"]);
    expect(&run(&["--listen", free, "--api", &api]), 5, &[&api, "in use", "port 0"]);
    expect(&run(&["--listen", free, "--api", "0.0.0.0:0"]), 5, &["loopback only"]);
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let file = file.to_str().unwrap();
    expect(&run(&["--listen", free, "--data-dir", file]), 2, &[file, "is no folder"]);
    let below = format!("{file}/below");
    expect(&run(&["--listen", free, "--data-dir", &below]), 2, &[file, "is no folder"]);
}

#[test]
fn a_running_node_is_asked_for_what_it_does_not_have() {
    let folder = folder();
    let node = Running::start(folder.path(), "mistakes", &[]);
    let nothing = BlobId::of(b"nobody has this").to_string();
    let ask = |args: &[&str]| dugnad(folder.path(), args);
    expect(&ask(&["job", "show", "bafkr4iqqqq"]), 2, &["knows no job `bafkr4iqqqq`"]);
    expect(&ask(&["job", "show", &nothing]), 2, &["knows no job"]);
    expect(&ask(&["job", "cancel", &nothing]), 2, &["knows no job"]);
    expect(&ask(&["job", "get", &nothing, "--timeout", "1s"]), 3, &["nobody", "knows the job"]);
    expect(&ask(&["blob", "get", &nothing]), 2, &[&nothing]);
    expect(&ask(&["peer", "ping", "12D3KooW"]), 2, &["12D3KooW"]);
    let second = ask(&["node", "run", "--listen", "/ip4/127.0.0.1/tcp/0", "--mdns", "false"]);
    expect(&second, 5, &[&node.process().pid().to_string()]);
    expect(&ask(&["peer", "list"]), 0, &[]);
    expect(&ask(&["node", "status"]), 0, &[]);
}
