//! Guests that go wrong: what is their own doing is an outcome, what is this machine's is a loss.

use protocol::{Loss, Outcome, Trap};

use crate::harness::{Lab, code, limited, start, unit};

#[tokio::test]
async fn every_way_to_trap_has_its_name() {
    let lab = Lab::new().await;
    let table = |body: &str| {
        format!(
            "(module (type $v (func)) (type $w (func (param i32)))
                (table 2 funcref) (elem (i32.const 0) $f) (func $f)
                (memory (export \"memory\") 1) (func (export \"_start\") {body}))"
        )
    };
    for (text, trap) in [
        (start("unreachable"), Trap::Unreachable),
        (start("(drop (i32.load (i32.const 65533)))"), Trap::MemoryOutOfBounds),
        (start("(i32.store8 (i32.const -1) (i32.const 0))"), Trap::MemoryOutOfBounds),
        (start("(drop (i32.div_u (i32.const 1) (i32.const 0)))"), Trap::IntegerDivisionByZero),
        (start("(drop (i32.div_s (i32.const 0x80000000) (i32.const -1)))"), Trap::IntegerOverflow),
        (start("(drop (i32.trunc_f64_s (f64.const nan)))"), Trap::BadConversionToInteger),
        (start("(drop (i32.trunc_f64_s (f64.const 1e30)))"), Trap::IntegerOverflow),
        (table("(call_indirect (type $v) (i32.const 7))"), Trap::TableOutOfBounds),
        (table("(call_indirect (type $v) (i32.const 1))"), Trap::IndirectCallToNull),
        (table("(call_indirect (type $w) (i32.const 0) (i32.const 0))"), Trap::BadSignature),
        (
            "(module (memory (export \"memory\") 1) (data (i32.const 65535) \"ab\")
                (func (export \"_start\")))"
                .to_owned(),
            Trap::MemoryOutOfBounds,
        ),
    ] {
        assert_eq!(lab.outcome(&text).await, Ok(Outcome::Trap(trap)), "{text}");
    }
}

#[tokio::test]
async fn every_exit_code_is_an_exit() {
    let lab = Lab::new().await;
    assert_eq!(code(&lab.wat(&start("")).await.unwrap()), 0);
    for exit in [0, 1, 125, 126, 255, 256, u32::MAX] {
        let ran = lab.wat(&start(&format!("(call $exit (i32.const {exit}))"))).await.unwrap();
        assert_eq!(code(&ran), exit);
    }
}

#[tokio::test]
async fn endless_allocation_ends_at_the_units_limit() {
    // Grows page by page until it gets −1, and exits with the pages that it has.
    let text = start(
        "(loop $more (br_if $more (i32.ne (memory.grow (i32.const 1)) (i32.const -1))))
         (call $exit (memory.size))",
    );
    let module = wat::parse_str(&text).unwrap();
    let lab = Lab::new().await;
    for (limit, pages) in [(1 << 16, 1), (10 << 20, 160), ((10 << 20) + 5, 160), (2 << 30, 32768)] {
        let unit = limited(&module, |limits| limits.memory_bytes = limit);
        let ran = lab.run(&module, unit).await.unwrap();
        assert_eq!(code(&ran), pages, "with {limit} bytes");
        assert_eq!(ran.execution.cost.memory_bytes, u64::from(pages) << 16);
    }
}

#[tokio::test]
async fn growing_beyond_the_modules_own_maximum_is_no_loss() {
    let text = "(module (import \"wasi_snapshot_preview1\" \"proc_exit\" (func $exit (param i32)))
        (memory (export \"memory\") 1 3) (table $t 1 4 funcref)
        (func (export \"_start\")
            (call $exit (i32.add
                (memory.grow (i32.const 5))
                (table.grow $t (ref.null func) (i32.const 9))))))";
    assert_eq!(code(&Lab::new().await.wat(text).await.unwrap()), -2i32 as u32);
}

#[tokio::test]
async fn endless_recursion_is_a_loss_since_its_depth_differs() {
    let text = "(module (memory (export \"memory\") 1)
        (func $f (export \"_start\") (call $f) (call $f)))";
    let lab = Lab::new().await;
    assert_eq!(lab.outcome(text).await, Err(Loss::StackOverflow));
    assert!(lab.wat(&start("")).await.is_ok(), "the worker goes on");
}

#[tokio::test]
async fn fuel_ends_at_the_same_place_every_time() {
    let module = wat::parse_str(start("(loop $l (br $l))")).unwrap();
    let lab = Lab::new().await;
    let unit = limited(&module, |limits| limits.fuel = Some(10_000));
    let ran = lab.run(&module, unit).await.unwrap();
    assert_eq!(ran.execution.outcome, Outcome::OutOfFuel);
    assert_eq!(ran.execution.cost.fuel, 10_000);

    let module = include_bytes!("../guests/stdio.wasm");
    let enough = limited(module, |limits| limits.fuel = Some(1 << 40));
    let used = lab.run(module, enough).await.unwrap().execution.cost.fuel;
    let mut exact = limited(module, |limits| limits.fuel = Some(used));
    exact.unit.seed = unit_seed();
    assert!(code_of(&lab, module, exact.clone()).await.is_ok(), "what it used is enough");
    exact.unit.limits.fuel = Some(used / 2);
    assert_eq!(code_of(&lab, module, exact).await, Err(Outcome::OutOfFuel));
}

fn unit_seed() -> protocol::Hash {
    protocol::Hash::ZERO
}

async fn code_of(lab: &Lab, module: &[u8], unit: sandbox::GuestUnit) -> Result<u32, Outcome> {
    let ran = lab.run(module, unit).await.unwrap();
    match ran.execution.outcome {
        Outcome::Exit(exit) => Ok(exit.code),
        other @ (Outcome::Trap(_) | Outcome::OutOfFuel | Outcome::OutputTooLarge) => Err(other),
    }
}

#[tokio::test]
async fn units_beyond_every_limit_are_refused() {
    let module = wat::parse_str(start("")).unwrap();
    let lab = Lab::new().await;
    let mut units = vec![
        limited(&module, |limits| limits.memory_bytes = 1),
        limited(&module, |limits| limits.memory_bytes = (2 << 30) + 1),
        limited(&module, |limits| limits.output_bytes = u64::MAX),
        limited(&module, |limits| limits.files = u32::MAX),
        limited(&module, |limits| limits.cpu_ms = u64::MAX),
        unit(&module),
        unit(&module),
        unit(&module),
    ];
    units[5].unit.args = vec!["x".repeat(1 << 15)];
    units[6].unit.semantics += 1;
    units[7].files = vec![("../escape".to_owned(), crate::harness::bytes(""))];
    for result in lab.run_all(&module, units).await {
        assert!(matches!(result, Err(Loss::Refused(_))), "{result:?}");
    }
}
