//! What a person gets who types something that cannot work.

use std::path::Path;
use std::process::Output;

use crate::harness::{run, turn};

/// A job file of one range stage.
fn job_file(folder: &Path, name: &str, module: &str, to: u64, more: &str) -> String {
    let path = folder.join(name);
    let text = format!(
        "name = \"bad\"\n{more}\n[[stage]]\nname = \"one\"\nmodule = \"{module}\"\nrange = {{ from = 0, to = {to} }}\nargs = [\"{{index}}\"]\n"
    );
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

/// The command ends with this code, and says these words in an error and a hint.
fn expect(ran: &Output, code: i32, words: &str) {
    let said = String::from_utf8_lossy(&ran.stderr);
    assert_eq!(ran.status.code(), Some(code), "{said}");
    assert!(said.contains(words), "it does not say {words:?}: {said}");
    assert!(said.contains("error: ") && said.contains("hint: "), "{said}");
}

#[test]
fn every_mistake_has_its_exit_code_and_a_hint() {
    let _turn = turn();
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let data = folder.join("data");
    let data = data.to_str().unwrap();
    let trivial = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/trivial/trivial.wasm");
    std::fs::copy(trivial, folder.join("good.wasm")).unwrap();
    std::fs::write(folder.join("text.wasm"), "no module").unwrap();
    let check = |file: &str| run(&["job", "check", file, "--data-dir", data]);

    expect(&check(&job_file(folder, "a.toml", "text.wasm", 4, "")), 2, "text.wasm");
    expect(&check(&job_file(folder, "b.toml", "missing.wasm", 4, "")), 2, "missing.wasm");
    expect(&check(&job_file(folder, "c.toml", "good.wasm", 4, "speling = 1")), 2, "speling");
    expect(&check(&job_file(folder, "d.toml", "good.wasm", 0, "")), 2, "range");
    expect(&check("missing.toml"), 2, "missing.toml");
    expect(&run(&["job", "show", "bafkr4inothing", "--data-dir", data]), 5, "no node runs");
}

#[test]
fn a_job_without_any_peer_is_computed_and_called_unverified() {
    let _turn = turn();
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let trivial = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/trivial/trivial.wasm");
    std::fs::copy(trivial, folder.join("good.wasm")).unwrap();
    let file = job_file(folder, "job.toml", "good.wasm", 3, "");
    let data = folder.join("data");
    let ran = run(&[
        "job",
        "run",
        &file,
        "--data-dir",
        data.to_str().unwrap(),
        "--network",
        &format!("alone-{}", std::process::id()),
        "--mdns",
        "false",
        "--listen",
        "/ip4/127.0.0.1/tcp/0",
    ]);
    let said = String::from_utf8_lossy(&ran.stderr);
    assert_eq!(ran.status.code(), Some(4), "{said}");
    assert_eq!(String::from_utf8_lossy(&ran.stdout), "1\n2\n5\n", "{said}");
    assert!(said.contains("not verified"), "{said}");
}
