//! Programs for the tests, and jobs that run them.

use std::sync::Arc;

use client::{Draft, DraftLimits, DraftPolicy, DraftSource, DraftStage, DraftStdin};
use node::Node;
use protocol::{
    BlobRef, Gather, Hash, Manifest, PROTOCOL, PeerId, Plan, Policy, Range, SEMANTICS, Source,
    Stage, Stdin, UnitLimits,
};

/// Prints x*x+1 for its argument.
pub(crate) const SQUARE: &[u8] = include_bytes!("../../../examples/trivial/trivial.wasm");

/// A job of twenty units of it, the module of which is put into the node.
pub(crate) fn squares(node: &Node) -> Draft {
    let module = node.store().put(SQUARE).unwrap();
    Draft {
        name: "squares".to_owned(),
        description: String::new(),
        expires_after_ms: 3_600_000,
        priority: 5,
        policy: DraftPolicy::default(),
        stages: vec![DraftStage {
            name: "squares".to_owned(),
            source: DraftSource::Range { from: 0, to: 20, block: 1 },
            module: module.into(),
            args: vec!["{index}".to_owned()],
            env: vec![],
            stdin: DraftStdin::Nothing,
            inputs: vec![],
            limits: DraftLimits::default(),
            batch: 4,
            links: client::DraftLinks::default(),
        }],
        no_memo: false,
    }
}

/// Prints the file that its argument names, below the root, and writes it to /out/copy as well.
pub(crate) fn copy() -> Vec<u8> {
    wat::parse_str(
        r#"(module
            (import "wasi_snapshot_preview1" "args_get" (func $args (param i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "path_open"
                (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "fd_read"
                (func $read (param i32 i32 i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "fd_write"
                (func $write (param i32 i32 i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
            (memory (export "memory") 4)
            (data (i32.const 900) "out/copy")
            (func $must (param i32) (if (local.get 0) (then (call $exit (local.get 0)))))
            (func (export "_start") (local $path i32) (local $len i32)
                (call $must (call $args (i32.const 0) (i32.const 100)))
                (local.set $path (i32.load (i32.const 4)))
                (loop $count
                    (if (i32.load8_u (i32.add (local.get $path) (local.get $len)))
                        (then
                            (local.set $len (i32.add (local.get $len) (i32.const 1)))
                            (br $count))))
                (call $must (call $open (i32.const 3) (i32.const 0) (local.get $path)
                    (local.get $len) (i32.const 0) (i64.const 2) (i64.const 0) (i32.const 0)
                    (i32.const 80)))
                (i32.store (i32.const 60) (i32.const 1024))
                (i32.store (i32.const 64) (i32.const 200000))
                (call $must (call $read (i32.load (i32.const 80)) (i32.const 60) (i32.const 1)
                    (i32.const 64)))
                (call $must
                    (call $write (i32.const 1) (i32.const 60) (i32.const 1) (i32.const 84)))
                (call $must (call $open (i32.const 3) (i32.const 0) (i32.const 900) (i32.const 8)
                    (i32.const 1) (i64.const 64) (i64.const 0) (i32.const 0) (i32.const 80)))
                (call $must (call $write (i32.load (i32.const 80)) (i32.const 60) (i32.const 1)
                    (i32.const 84)))))"#,
    )
    .unwrap()
}

/// Runs for ever.
pub(crate) fn spin() -> Vec<u8> {
    wat::parse_str(
        r#"(module (memory (export "memory") 1) (func (export "_start") (loop (br 0))))"#,
    )
    .unwrap()
}

/// A stage of `units` units that are given their number.
pub(crate) fn range(module: &[u8], units: u64) -> Stage {
    Stage {
        name: "squares".to_owned(),
        source: Source::Range(Range { from: 0, to: units, block: 1 }),
        module: BlobRef::of(module),
        args: vec!["{index}".to_owned()],
        env: vec![],
        stdin: Stdin::Nothing,
        inputs: vec![],
        limits: UnitLimits::default(),
        batch: 8,
        links: protocol::Links::default(),
    }
}

/// A stage of one unit that copies a file of all outcomes of the first stage.
pub(crate) fn gather(module: &[u8], path: &str) -> Stage {
    Stage {
        name: "all".to_owned(),
        source: Source::Gather(Gather { stage: 0, fan_in: None }),
        args: vec![path.to_owned()],
        ..range(module, 1)
    }
}

/// A plan for these stages.
pub(crate) fn plan(stages: Vec<Stage>) -> Arc<Plan> {
    let submitter = PeerId::new([1; 32]);
    let manifest = Manifest {
        protocol: PROTOCOL,
        semantics: SEMANTICS,
        name: "test".to_owned(),
        description: String::new(),
        submitter,
        created_ms: 0,
        expires_ms: 1,
        nonce: Hash::ZERO,
        stages,
        policy: Policy::standard(submitter),
        priority: 5,
        window: None,
    };
    manifest.check().unwrap();
    Arc::new(Plan::new(manifest))
}
