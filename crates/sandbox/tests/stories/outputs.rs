//! What a guest may leave behind, and how much of it.

use protocol::Outcome;
use sandbox::OutputBytes;

use crate::harness::{Lab, code, files, limited};

/// Writes a page to stdout or to /out/f until a call fails, then exits with the errno.
fn writer(to_file: bool, rounds: u32) -> Vec<u8> {
    let open = "(drop (call $open (i32.const 3) (i32.const 0) (i32.const 32) (i32.const 5)
        (i32.const 1) (i64.const 64) (i64.const 0) (i32.const 0) (i32.const 40)))";
    let text = format!(
        "(module
            (import \"wasi_snapshot_preview1\" \"proc_exit\" (func $exit (param i32)))
            (import \"wasi_snapshot_preview1\" \"fd_write\"
                (func $write (param i32 i32 i32 i32) (result i32)))
            (import \"wasi_snapshot_preview1\" \"path_open\"
                (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
            (memory (export \"memory\") 2) (data (i32.const 32) \"out/f\")
            (func (export \"_start\") (local $left i32) (local $errno i32)
                (i32.store (i32.const 40) (i32.const 1))
                {}
                (i32.store (i32.const 0) (i32.const 65536))
                (i32.store (i32.const 4) (i32.const 65536))
                (local.set $left (i32.const {rounds}))
                (loop $next
                    (i32.store (i32.const 65536) (local.get $left))
                    (local.set $errno (call $write (i32.load (i32.const 40)) (i32.const 0)
                        (i32.const 1) (i32.const 16)))
                    (br_if 1 (local.get $errno))
                    (local.set $left (i32.sub (local.get $left) (i32.const 1)))
                    (br_if $next (local.get $left)))
                (call $exit (local.get $errno))))",
        if to_file { open } else { "" }
    );
    wat::parse_str(&text).unwrap()
}

#[tokio::test]
async fn output_up_to_the_limit_is_fine_and_a_byte_more_ends_the_run() {
    let lab = Lab::new().await;
    for to_file in [false, true] {
        let module = writer(to_file, 16);
        for (limit, fits) in [(16 << 16, true), ((16 << 16) - 1, false), (0, false)] {
            let unit = limited(&module, |limits| limits.output_bytes = limit);
            let ran = lab.run(&module, unit).await.unwrap();
            if fits {
                assert_eq!(code(&ran), 0);
            } else {
                assert_eq!(ran.execution.outcome, Outcome::OutputTooLarge);
                assert!(ran.outputs.is_empty());
            }
        }
    }
}

#[tokio::test]
async fn large_outputs_come_as_files_that_go_when_nobody_needs_them() {
    let lab = Lab::new().await;
    // A few bytes, more than a frame takes, more than memory takes.
    for (rounds, is_file) in [(1, false), (3, true), (16 << 4, true)] {
        let module = writer(true, rounds);
        let unit = limited(&module, |limits| limits.output_bytes = 1 << 30);
        let ran = lab.run(&module, unit).await.unwrap();
        let found = files(&ran);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].1.len(), (rounds as usize) << 16);
        let first = u32::from_le_bytes(found[0].1[..4].try_into().unwrap());
        assert_eq!(first, rounds, "it is in the order it was written in");
        let output = ran.outputs.iter().max_by_key(|output| output.blob.size).unwrap();
        match &output.bytes {
            OutputBytes::File(file, 0) if is_file => {
                let path = file.path().to_owned();
                assert!(path.exists());
                drop(ran);
                assert!(!path.exists());
            }
            OutputBytes::Here(_) if !is_file => {}
            other => panic!("{rounds} rounds gave {other:?}"),
        }
    }
}

#[tokio::test]
async fn too_many_files_give_an_errno() {
    // Creates out/a, out/b, … and exits with a hundred times the errno plus the number created.
    let text = "(module
        (import \"wasi_snapshot_preview1\" \"proc_exit\" (func $exit (param i32)))
        (import \"wasi_snapshot_preview1\" \"path_create_directory\"
            (func $mkdir (param i32 i32 i32) (result i32)))
        (memory (export \"memory\") 1) (data (i32.const 32) \"out/a\")
        (func (export \"_start\") (local $made i32) (local $errno i32)
            (loop $next
                (local.set $errno (call $mkdir (i32.const 3) (i32.const 32) (i32.const 5)))
                (if (i32.eqz (local.get $errno)) (then
                    (local.set $made (i32.add (local.get $made) (i32.const 1)))
                    (i32.store8 (i32.const 36) (i32.add (i32.const 97) (local.get $made)))
                    (br $next))))
            (call $exit (i32.add (local.get $made)
                (i32.mul (i32.const 100) (local.get $errno))))))";
    let module = wat::parse_str(text).unwrap();
    let unit = limited(&module, |limits| limits.files = 7);
    let ran = Lab::new().await.run(&module, unit).await.unwrap();
    assert_eq!(code(&ran), 5107, "NOSPC after seven");
    assert_eq!(files(&ran), [], "empty folders are no output");
}

#[tokio::test]
async fn stderr_is_cut_and_costs_no_output() {
    let text = "(module
        (import \"wasi_snapshot_preview1\" \"fd_write\"
            (func $write (param i32 i32 i32 i32) (result i32)))
        (memory (export \"memory\") 2)
        (func (export \"_start\") (local $left i32)
            (i32.store (i32.const 0) (i32.const 64))
            (i32.store (i32.const 4) (i32.const 100000))
            (local.set $left (i32.const 50))
            (loop $next
                (drop (call $write (i32.const 2) (i32.const 0) (i32.const 1) (i32.const 16)))
                (local.set $left (i32.sub (local.get $left) (i32.const 1)))
                (br_if $next (local.get $left)))))";
    let module = wat::parse_str(text).unwrap();
    let unit = limited(&module, |limits| limits.output_bytes = 0);
    let ran = Lab::new().await.run(&module, unit).await.unwrap();
    assert_eq!(code(&ran), 0);
    assert_eq!(ran.stderr.len(), 64 << 10);
}
