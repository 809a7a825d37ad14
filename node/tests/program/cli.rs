//! The program as people use it: what it prints where, and how it ends.

use serde_json::Value;
use tempfile::TempDir;

use crate::process::{Process, assert_ends, dugnad, text};

/// Prints its arguments, each with a zero byte after it; more than one is an error to it.
const ECHO: &str = r#"(module
    (import "wasi_snapshot_preview1" "args_sizes_get" (func $sizes (param i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "args_get" (func $args (param i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_write"
        (func $write (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
    (memory (export "memory") 1)
    (func (export "_start")
        (drop (call $sizes (i32.const 0) (i32.const 4)))
        (drop (call $args (i32.const 64) (i32.const 1024)))
        (i32.store (i32.const 16) (i32.load (i32.const 68)))
        (i32.store (i32.const 20)
            (i32.sub (i32.add (i32.const 1024) (i32.load (i32.const 4))) (i32.load (i32.const 68))))
        (drop (call $write (i32.const 1) (i32.const 16) (i32.const 1) (i32.const 24)))
        (call $exit
            (select (i32.const 3) (i32.const 0) (i32.gt_u (i32.load (i32.const 0)) (i32.const 2))))))"#;

const JOB: &str = r#"
name = "echo"
[[stage]]
name = "units"
module = "echo.wasm"
range = { from = 5, to = 8 }
args = ["{start}"]
[stage.limits]
cpu = "5s"
memory = "1MiB"
"#;

/// A folder with a module and a job, and a data folder beside them.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("echo.wasm"), wat::parse_str(ECHO).unwrap()).unwrap();
    std::fs::write(folder.path().join("job.toml"), JOB).unwrap();
    folder
}

#[test]
fn a_unit_runs_alone_and_says_what_became_of_it() {
    let folder = folder();
    let ran = dugnad(folder.path(), &["exec", "echo.wasm", "{7}"]);
    assert_ends(&ran, 0);
    assert_eq!(text(&ran.stdout), "{7}\0");
    assert!(text(&ran.stderr).contains("outcome exit 0\n"), "{}", text(&ran.stderr));
    let failed = dugnad(folder.path(), &["exec", "echo.wasm", "--", "-a", "b"]);
    assert_ends(&failed, 1);
    assert_eq!(text(&failed.stdout), "-a\0b\0");
    let json = |args: &[&str]| -> Value {
        serde_json::from_slice(&dugnad(folder.path(), args).stdout).unwrap()
    };
    let one = json(&["--output", "json", "exec", "echo.wasm", "7"]);
    let two = json(&["--output", "json", "exec", "echo.wasm", "7"]);
    assert_eq!((&one["digest"], &one["trace"]), (&two["digest"], &two["trace"]));
    assert_ne!(one["digest"], json(&["--output", "json", "exec", "echo.wasm", "8"])["digest"]);
    assert_eq!(one["ending"], serde_json::json!({ "kind": "exit", "code": 0 }));
}

#[test]
fn a_job_is_checked_before_anybody_sees_it() {
    let folder = folder();
    let checked = dugnad(folder.path(), &["job", "check", "job.toml"]);
    assert_ends(&checked, 0);
    assert!(text(&checked.stdout).contains("units  3"), "{}", text(&checked.stdout));
    assert!(text(&checked.stderr).contains("stage `units` unit 0: exit 0"), "{checked:?}");
    let promised =
        "policy: 2 votes, audits of 10 %, this node as the anchor; once final, at most 4 %";
    assert!(text(&checked.stderr).contains(promised), "{checked:?}");
    let wanted = "name = \"echo\"\n[verify]\ntarget = 1e-9";
    std::fs::write(folder.path().join("dear.toml"), JOB.replace("name = \"echo\"", wanted))
        .unwrap();
    let dear = dugnad(folder.path(), &["job", "check", "dear.toml"]);
    assert_ends(&dear, 2);
    assert!(text(&dear.stderr).contains("dear.toml: a target error of 1.0e-9 cannot"), "{dear:?}");
    std::fs::write(folder.path().join("bad.toml"), JOB.replace("args", "arg")).unwrap();
    let bad = dugnad(folder.path(), &["job", "check", "bad.toml"]);
    assert_ends(&bad, 2);
    assert!(bad.stdout.is_empty());
    let said = text(&bad.stderr);
    let lines: Vec<&str> = said.lines().collect();
    assert!(
        lines[0].starts_with("error: bad.toml:7: stage `units` has an unknown key `arg`"),
        "{said}"
    );
    assert!(lines[1].starts_with("hint: did you mean `args`?"), "{said}");
    assert_eq!(lines.len(), 2, "{said}");
}

#[test]
fn without_a_node_it_is_said_how_to_start_one() {
    let folder = folder();
    for args in [
        &["job", "list"][..],
        &["job", "show", "bafkr4i"],
        &["node", "status"],
        &["peer", "list"],
        &["blob", "list"],
        &["job", "submit", "job.toml"],
    ] {
        let output = dugnad(folder.path(), args);
        assert_ends(&output, 5);
        assert!(
            text(&output.stderr).contains("hint: start one with `dugnad node run`"),
            "{output:?}"
        );
    }
}

#[test]
fn what_is_typed_wrong_ends_with_two() {
    let folder = folder();
    for args in [
        &["job"][..],
        &["jobs"],
        &["job", "run"],
        &["blob", "get", "nonsense"],
        &["job", "run", "none.toml"],
        &["--output", "xml", "config", "show"],
        &["exec", "none.wasm"],
        &["node", "run", "--cores", "none"],
    ] {
        let output = dugnad(folder.path(), args);
        assert_ends(&output, 2);
        assert!(output.stdout.is_empty(), "{output:?}");
    }
}

#[test]
fn settings_and_key_are_shown() {
    let folder = folder();
    let shown = dugnad(folder.path(), &["--output", "json", "config", "show"]);
    assert_ends(&shown, 0);
    let shown: Value = serde_json::from_slice(&shown.stdout).unwrap();
    assert_eq!(shown["data_dir"]["origin"], "DUGNAD_DATA_DIR");
    let path = dugnad(folder.path(), &["config", "path"]);
    assert!(text(&path.stdout).ends_with("data/config.toml\n"), "{path:?}");
    let key = dugnad(folder.path(), &["key", "show"]);
    assert_ends(&key, 0);
    assert!(text(&key.stdout).starts_with("12D3KooW"), "{key:?}");
    assert_eq!(key.stdout, dugnad(folder.path(), &["key", "show"]).stdout);
}

#[test]
fn a_job_without_peers_is_computed_here_and_not_called_verified() {
    let folder = folder();
    let alone =
        ["--network", "cli-test-alone", "--listen", "/ip4/127.0.0.1/tcp/0", "--mdns", "false"];
    let run = |more: &[&str]| {
        let args: Vec<&str> = [&["job", "run", "job.toml"], &alone[..], more].concat();
        dugnad(folder.path(), &args)
    };
    let ran = run(&["-o", "out"]);
    assert_ends(&ran, 4);
    assert!(ran.stdout.is_empty(), "{ran:?}");
    let said = text(&ran.stderr);
    assert!(said.contains("self-executed, not verified") && said.contains("--bootstrap"), "{said}");
    for (index, printed) in [(0, "5\0"), (1, "6\0"), (2, "7\0")] {
        let file = folder.path().join(format!("out/units/{index}/stdout"));
        assert_eq!(std::fs::read_to_string(file).unwrap(), printed);
    }
    assert!(!folder.path().join("data/api.json").exists());
}

#[test]
fn who_interrupts_is_told_what_becomes_of_the_job_and_may_leave() {
    let folder = folder();
    let mut running = Process::call(
        folder.path(),
        &[
            &["job", "run", "job.toml", "--network", "cli-test-left", "--mdns", "false"][..],
            &["--listen", "/ip4/127.0.0.1/tcp/0"],
        ]
        .concat(),
    );
    // There are no peers, and the node looks for them for a while before it computes alone.
    running.says("0 of 3 units: running");
    running.interrupt();
    running.says("interrupt again to leave now");
    running.interrupt();
    running.says("it goes on with the next node here");
    assert_ends(&running.end(), 130);
    assert!(!folder.path().join("data/api.json").exists());
}
