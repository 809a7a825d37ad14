//! The same unit has the same outcome and the same trace, wherever and after whatever it runs.

use protocol::{Execution, Outcome, trace_digest};

use crate::harness::{Lab, bytes, start, stdout, unit};

#[tokio::test]
async fn a_unit_is_the_same_in_every_worker_and_after_every_other() {
    let programs: [&[u8]; 4] = [
        include_bytes!("../guests/stdio.wasm"),
        include_bytes!("../guests/files.wasm"),
        include_bytes!("../guests/time.wasm"),
        include_bytes!("../guests/iostream.wasm"),
    ];
    let (one, other) = (Lab::new().await, Lab::new().await);
    let mut first: Vec<Execution> = Vec::new();
    for program in programs {
        let mut unit = unit(program);
        unit.stdin = Some(bytes("some words\n"));
        first.push(one.run(program, unit).await.unwrap().execution);
    }
    for (program, first) in programs.iter().zip(&first).rev() {
        let mut unit = unit(program);
        unit.stdin = Some(bytes("some words\n"));
        for result in other.run_all(program, vec![unit; 3]).await {
            let execution = result.unwrap().execution;
            assert_eq!((&execution.outcome, execution.trace), (&first.outcome, first.trace));
        }
    }
}

#[tokio::test]
async fn what_a_guest_leaves_in_memory_is_gone_for_the_next() {
    // Exits with the sum of what it finds, and leaves something everywhere.
    let text = "(module (import \"wasi_snapshot_preview1\" \"proc_exit\" (func $exit (param i32)))
        (memory (export \"memory\") 64 1024) (data (i32.const 70000) \"\\05\")
        (global $g (mut i32) (i32.const 0))
        (func (export \"_start\") (local $at i32) (local $sum i32)
            (drop (memory.grow (i32.const 448)))
            (loop $next
                (local.set $sum (i32.add (local.get $sum) (i32.load8_u (local.get $at))))
                (i32.store8 (local.get $at) (i32.const 9))
                (local.set $at (i32.add (local.get $at) (i32.const 2000)))
                (br_if $next (i32.lt_u (local.get $at) (i32.const 33554432))))
            (global.set $g (i32.add (global.get $g) (i32.const 1)))
            (call $exit (i32.add (local.get $sum) (i32.mul (global.get $g) (i32.const 100))))))";
    let module = wat::parse_str(text).unwrap();
    let lab = Lab::new().await;
    let units = vec![unit(&module); 5];
    for result in lab.run_all(&module, units).await {
        assert_eq!(crate::harness::code(&result.unwrap()), 105);
    }
}

#[tokio::test]
async fn every_nan_has_the_same_bits() {
    // Stores what several operations give that have no number for an answer.
    let text = "(module
        (import \"wasi_snapshot_preview1\" \"fd_write\"
            (func $write (param i32 i32 i32 i32) (result i32)))
        (memory (export \"memory\") 1)
        (func (export \"_start\") (local $zero f64) (local $small f32)
            (f64.store (i32.const 64) (f64.div (local.get $zero) (local.get $zero)))
            (f64.store (i32.const 72)
                (f64.sub (f64.const inf) (f64.add (local.get $zero) (f64.const inf))))
            (f64.store (i32.const 80) (f64.sqrt (f64.sub (local.get $zero) (f64.const 1))))
            (f32.store (i32.const 88) (f32.div (local.get $small) (local.get $small)))
            (f32.store (i32.const 92)
                (f32.demote_f64 (f64.div (local.get $zero) (local.get $zero))))
            (v128.store (i32.const 96) (f32x4.div
                (f32x4.splat (local.get $small)) (f32x4.splat (local.get $small))))
            (i32.store (i32.const 0) (i32.const 64))
            (i32.store (i32.const 4) (i32.const 48))
            (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 16)))))";
    let ran = Lab::new().await.wat(text).await.unwrap();
    let double = 0x7ff8_0000_0000_0000u64.to_le_bytes();
    let single = 0x7fc0_0000u32.to_le_bytes();
    let want = [&double[..], &double, &double, &[&single[..]; 6].concat()].concat();
    let Outcome::Exit(exit) = ran.execution.outcome else { panic!("an exit was expected") };
    let output = ran.outputs.iter().find(|output| output.blob == exit.stdout).unwrap();
    assert_eq!(output.read().unwrap(), want);
}

#[tokio::test]
async fn the_trace_is_that_of_the_memorys_content() {
    // Bytes in the data, in touched and in grown memory, and zeros that were written.
    let text = "(module (import \"wasi_snapshot_preview1\" \"proc_exit\" (func $exit (param i32)))
        (memory (export \"memory\") 2) (data (i32.const 5000) \"data\")
        (func (export \"_start\")
            (drop (memory.grow (i32.const 1000)))
            (i32.store8 (i32.const 100000) (i32.const 1))
            (i64.store (i32.const 200000) (i64.const 0))
            (i32.store8 (i32.const 65667071) (i32.const 2))))";
    let ran = Lab::new().await.wat(text).await.unwrap();
    let mut memory = vec![0u8; 1002 << 16];
    memory[5000..5004].copy_from_slice(b"data");
    memory[100_000] = 1;
    memory[65_667_071] = 2;
    let blocks = memory.chunks(4096).enumerate();
    let blocks = blocks.filter(|(_, block)| block.iter().any(|byte| *byte != 0));
    let blocks: Vec<_> =
        blocks.map(|(index, block)| (index as u32, *blake3::hash(block).as_bytes())).collect();
    assert_eq!(blocks.len(), 3);
    assert_eq!(ran.execution.trace, trace_digest(&ran.execution.outcome, blocks));
}

#[tokio::test]
async fn after_a_trap_the_trace_is_that_of_the_outcome_alone() {
    let text = start("(i32.store (i32.const 0) (i32.const 7)) unreachable");
    let ran = Lab::new().await.wat(&text).await.unwrap();
    assert_eq!(ran.execution.trace, trace_digest(&ran.execution.outcome, []));
}

#[tokio::test]
async fn inputs_may_be_shared_or_not_and_lie_on_disk_or_not() {
    let module = include_bytes!("../guests/files.wasm");
    let lab = Lab::new().await;
    let on_disk = lab.folder.path().join("hello");
    std::fs::write(&on_disk, "hello").unwrap();
    let hello = [bytes("hello"), sandbox::FileSource::Path { path: on_disk, size: 5 }];
    let mut traces = Vec::new();
    for hello in hello {
        for is_shared in [true, false] {
            let mut request = crate::harness::request(module, vec![unit(module)]);
            let files = vec![
                ("hello.txt".to_owned(), hello.clone()),
                ("deep/er/data".to_owned(), bytes("data")),
            ];
            if is_shared {
                request.shared_files = files;
            } else {
                request.units[0].files = files;
            }
            let ran = lab.pool.run(request).unwrap().next().await.unwrap().1.unwrap();
            assert_eq!(stdout(&ran), include_str!("../guests/files.expected"));
            traces.push(ran.execution.trace);
        }
    }
    traces.dedup();
    assert_eq!(traces.len(), 1);
}
