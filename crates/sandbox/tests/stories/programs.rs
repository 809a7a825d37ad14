//! Programs as compilers make them: C, C++ and Rust, unmodified.

use protocol::Hash;

use crate::harness::{Lab, bytes, code, files, stdout, unit};

const HELLO: &str = "hello";

#[tokio::test]
async fn a_c_program_finds_arguments_environment_and_stdin() {
    let module = include_bytes!("../guests/stdio.wasm");
    let mut unit = unit(module);
    unit.unit.args = vec!["one".to_owned(), "zwei Wörter".to_owned()];
    unit.unit.env = vec![("WHO".to_owned(), "me=you".to_owned())];
    unit.stdin = Some(bytes("first\nsecond"));
    let ran = Lab::new().await.run(module, unit).await.unwrap();
    assert_eq!(
        stdout(&ran),
        "arg 1: one\narg 2: zwei Wörter\nWHO=me=you NONE=-\n1 <first>\n2 <second>\n\
         eof=1 isatty=00\n"
    );
    assert_eq!(ran.stderr, b"for people\n");
    assert_eq!(code(&ran), 7);
}

#[tokio::test]
async fn a_c_program_does_with_files_what_posix_says() {
    let module = include_bytes!("../guests/files.wasm");
    let mut unit = unit(module);
    unit.files =
        vec![("hello.txt".to_owned(), bytes(HELLO)), ("deep/er/data".to_owned(), bytes("data"))];
    let ran = Lab::new().await.run(module, unit).await.unwrap();
    assert_eq!(stdout(&ran), include_str!("../guests/files.expected"));
    assert_eq!(files(&ran), [("a.txt".to_owned(), b"one TWO three four".to_vec())]);
}

#[tokio::test]
async fn preview1_keeps_to_its_letter() {
    let module = include_bytes!("../guests/abi.wasm");
    let ran = Lab::new().await.run(module, unit(module)).await.unwrap();
    assert_eq!(stdout(&ran), include_str!("../guests/abi.expected"));
    assert_eq!(code(&ran), 128 + 6, "a deadly signal ends it");
}

#[tokio::test]
async fn time_passes_only_for_those_who_look() {
    let module = include_bytes!("../guests/time.wasm");
    let lab = Lab::new().await;
    let ran = lab.run(module, unit(module)).await.unwrap();
    let text = stdout(&ran);
    let (time, entropy) = text.split_once("entropy: ").unwrap();
    assert_eq!(
        time,
        "it is 1577836800\na look costs 1000 ns\nslept: 0\n3600 s later\nbusy waiting ends\n\
         poll: 2 1 2\n"
    );
    let mut other = unit(module);
    other.unit.seed = Hash::new([1; 32]);
    let ran = lab.run(module, other).await.unwrap();
    assert_ne!(stdout(&ran).split_once("entropy: ").unwrap().1, entropy, "chance has a seed");
}

#[tokio::test]
async fn a_cpp_program_uses_streams_and_mathematics() {
    let module = include_bytes!("../guests/iostream.wasm");
    let mut unit = unit(module);
    unit.stdin = Some(bytes("b a b c"));
    let ran = Lab::new().await.run(module, unit).await.unwrap();
    assert_eq!(stdout(&ran), "3 words\n1.7105699519491193\n");
    assert_eq!(files(&ran), [("words.txt".to_owned(), b"a 1\nb 2\nc 1\n".to_vec())]);
}

#[tokio::test]
async fn a_rust_program_uses_its_standard_library() {
    let module = include_bytes!("../guests/program.wasm");
    let mut unit = unit(module);
    unit.unit.args = vec!["x".to_owned()];
    unit.unit.env = vec![("WHO".to_owned(), "me".to_owned())];
    unit.files = vec![("hello.txt".to_owned(), bytes(HELLO))];
    let lab = Lab::new().await;
    let ran = lab.run(module, unit.clone()).await.unwrap();
    assert_eq!(stdout(&ran), include_str!("../guests/program.expected"));
    assert_eq!(files(&ran), [("copy".to_owned(), b"hello, world".to_vec())]);
    assert_eq!(code(&ran), 3);
    let again = lab.run(module, unit).await.unwrap();
    assert_eq!(again.execution.outcome, ran.execution.outcome);
    assert_eq!(again.execution.trace, ran.execution.trace);
}
