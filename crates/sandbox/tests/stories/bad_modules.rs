//! Modules that cannot be a unit's: the refusal names the cause and the remedy.

use protocol::Loss;
use sandbox::inspect;

use crate::harness::{Lab, unit};

fn check(module: &[u8], parts: &[&str]) {
    let text = inspect(module).unwrap_err().to_string();
    for part in parts {
        assert!(text.contains(part), "`{part}` is not in: {text}");
    }
}

fn check_wat(text: &str, parts: &[&str]) {
    check(&wat::parse_str(text).unwrap(), parts);
}

#[test]
fn what_is_no_module_is_named() {
    check(b"", &["not a WebAssembly module", "wasm32-wasip1"]);
    check(b"\x7fELF\x02\x01\x01", &["not a WebAssembly module"]);
    check(b"\n(module)", &["as text", "wat2wasm"]);
    check_wat("(component)", &["component", "wasm32-wasip1"]);
    check(b"\0asm\x01\0\0\0\xff", &["not valid WebAssembly", "build it again"]);
    check(&vec![0; (32 << 20) + 1], &["33554433 bytes", "strip"]);
}

#[test]
fn imports_that_are_not_offered_are_listed() {
    let import = |n: usize| format!("(import \"env\" \"f{n}\" (func))");
    let many: String = (0..8).map(import).collect();
    check_wat(&format!("(module {many})"), &["env.f0, env.f1", "env.f4 and 3 more", "wasip1"]);
    check_wat("(module (import \"env\" \"memory\" (memory 1)))", &["env.memory"]);
    check_wat(
        "(module (import \"wasi_snapshot_preview1\" \"fd_dance\" (func)))",
        &["wasi_snapshot_preview1.fd_dance"],
    );
    check_wat(
        "(module (import \"wasi_snapshot_preview1\" \"fd_close\" (func (param i64) (result i32)))
            (memory (export \"memory\") 1) (func (export \"_start\")))",
        &["`fd_close` with another type"],
    );
}

#[test]
fn a_program_needs_a_start_and_a_memory() {
    check_wat("(module (memory (export \"memory\") 1))", &["no function `_start`", "reactor"]);
    check_wat(
        "(module (memory (export \"memory\") 1) (func (export \"_start\") (param i32)))",
        &["func () -> ()"],
    );
    check_wat("(module (func (export \"_start\")))", &["no memory called `memory`"]);
    check_wat(
        "(module (memory (export \"memory\") 40000) (func (export \"_start\")))",
        &["2621440000 bytes of memory", "initial-memory"],
    );
    check_wat(
        "(module (table 2000000 funcref) (memory (export \"memory\") 1)
            (func (export \"_start\")))",
        &["tables"],
    );
}

#[test]
fn features_that_are_not_offered_are_named() {
    let module = |memory: &str, body: &str| {
        format!("(module (memory (export \"memory\") {memory}) (func (export \"_start\") {body}))")
    };
    check_wat(&module("1 1 shared", ""), &["threads", "without -pthread"]);
    check_wat(&module("i64 1", ""), &["64-bit memory", "wasm32"]);
    check_wat(&module("1", "(drop (i32.atomic.load (i32.const 0)))"), &["threads"]);
    let vector = "(v128.const i64x2 0 0)";
    check_wat(
        &module("1", &format!("(drop (f32x4.relaxed_madd {vector} {vector} {vector}))")),
        &["relaxed SIMD", "differ between CPUs"],
    );
    check_wat("(module (memory 1) (memory 1))", &["several memories"]);
    check_wat("(module (tag))", &["exceptions"]);
    check_wat("(module (func (param externref)))", &["externref"]);
    check_wat("(module (type (struct)))", &["garbage collection"]);
}

#[tokio::test]
async fn a_bad_module_is_refused_by_the_worker_and_costs_it_nothing_more() {
    let lab = Lab::new().await;
    for module in
        [b"nonsense".to_vec(), wat::parse_str("(module (import \"a\" \"b\" (func)))").unwrap()]
    {
        let units = vec![unit(&module), unit(&module)];
        for result in lab.run_all(&module, units).await {
            assert!(
                matches!(&result, Err(Loss::Refused(why)) if why.contains("wasip1")),
                "{result:?}"
            );
        }
    }
    let pid = lab.pool.idle_pids();
    let good = crate::harness::start("");
    assert!(lab.wat(&good).await.is_ok());
    assert_eq!(lab.pool.idle_pids(), pid, "it is still the same worker");
}

#[tokio::test]
async fn bytes_that_are_not_the_module_of_the_unit_are_refused() {
    let module = wat::parse_str(crate::harness::start("")).unwrap();
    let other = wat::parse_str(crate::harness::start("nop")).unwrap();
    let result = Lab::new().await.run(&module, unit(&other)).await;
    assert!(
        matches!(&result, Err(Loss::Refused(why)) if why.contains("not those of")),
        "{result:?}"
    );
}
