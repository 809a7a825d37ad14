//! Requests: many units at once, several requests in turn, the cache of compiled modules.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use protocol::Loss;
use sandbox::{Busy, FileSource, Pool, REQUEST_UNITS_MAX};

use crate::harness::{Lab, bytes, code, config, request, start, stdout, unit};

/// Copies stdin to stdout.
const CAT: &str = "(module
    (import \"wasi_snapshot_preview1\" \"fd_write\" (func $write (param i32 i32 i32 i32) (result i32)))
    (import \"wasi_snapshot_preview1\" \"fd_read\" (func $read (param i32 i32 i32 i32) (result i32)))
    (memory (export \"memory\") 1)
    (func (export \"_start\")
        (loop $next
            (i32.store (i32.const 0) (i32.const 64))
            (i32.store (i32.const 4) (i32.const 4096))
            (drop (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 4)))
            (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))
            (br_if $next (i32.load (i32.const 4))))))";

#[tokio::test]
async fn a_thousand_units_are_answered_in_order_each_with_its_own() {
    let module = wat::parse_str(CAT).unwrap();
    let units = (0..REQUEST_UNITS_MAX).map(|n| {
        let mut unit = unit(&module);
        unit.stdin = Some(bytes(&n.to_string()));
        unit
    });
    let lab = Lab::new().await;
    for (n, result) in lab.run_all(&module, units.collect()).await.into_iter().enumerate() {
        assert_eq!(stdout(&result.unwrap()), n.to_string());
    }
}

#[tokio::test]
async fn large_units_do_not_get_in_each_others_way() {
    let module = wat::parse_str(CAT).unwrap();
    let text = |n: usize| format!("{n}").repeat(200_000);
    let units = (0..40).map(|n| {
        let mut unit = unit(&module);
        unit.stdin = Some(bytes(&text(n)));
        unit
    });
    let lab = Lab::new().await;
    for (n, result) in lab.run_all(&module, units.collect()).await.into_iter().enumerate() {
        assert!(stdout(&result.unwrap()) == text(n), "unit {n}");
    }
}

#[tokio::test]
async fn an_input_that_is_not_as_large_as_it_should_be_is_no_outcome() {
    let lab = Lab::new().await;
    let path = lab.folder.path().join("short");
    fs::write(&path, "short").unwrap();
    let module = wat::parse_str(CAT).unwrap();
    let with = |path, size| {
        let mut unit = unit(&module);
        unit.stdin = Some(FileSource::Path { path, size });
        unit
    };
    let units = vec![with(path.clone(), 5), with(path.clone(), 6), with("/no/such".into(), 1)];
    let results = lab.run_all(&module, units).await;
    assert_eq!(stdout(results[0].as_ref().unwrap()), "short");
    for result in &results[1..] {
        assert!(matches!(result, Err(Loss::Refused(why)) if why.contains("cannot be read")));
    }
}

#[tokio::test]
async fn requests_take_turns() {
    let lab = Lab::with_workers(2).await;
    let module = wat::parse_str(CAT).unwrap();
    let runs = (0..20).map(|n: usize| {
        let mut unit = unit(&module);
        unit.stdin = Some(bytes(&n.to_string()));
        lab.pool.run(request(&module, vec![unit; 10])).unwrap()
    });
    for (n, mut run) in runs.collect::<Vec<_>>().into_iter().enumerate() {
        for _ in 0..10 {
            let (_, result) = run.next().await.unwrap();
            assert_eq!(stdout(&result.unwrap()), n.to_string());
        }
        assert!(run.next().await.is_none());
    }
}

#[tokio::test]
async fn what_is_too_much_is_refused_at_once() {
    let lab = Lab::new().await;
    let module = wat::parse_str(start("")).unwrap();
    let many = vec![unit(&module); REQUEST_UNITS_MAX + 1];
    let refused = lab.pool.run(request(&module, many)).err();
    assert_eq!(refused, Some(Busy::TooManyUnits { units: REQUEST_UNITS_MAX + 1 }));
    let mut none = lab.pool.run(request(&module, Vec::new())).unwrap();
    assert!(none.next().await.is_none());
}

#[tokio::test]
async fn a_compiled_module_is_kept_and_a_damaged_one_is_compiled_again() {
    let folder = tempfile::tempdir().unwrap();
    let module = wat::parse_str(start("(call $exit (i32.const 9))")).unwrap();
    let cache = folder.path().join("cache");
    let run = async || {
        let pool = Pool::start(config(&folder, 1)).await.unwrap();
        let mut run = pool.run(request(&module, vec![unit(&module)])).unwrap();
        let (_, result) = run.next().await.unwrap();
        assert_eq!(code(&result.unwrap()), 9);
    };
    run().await;
    let kept = || {
        let files: Vec<_> = fs::read_dir(&cache).unwrap().map(|e| e.unwrap().path()).collect();
        assert_eq!(files.len(), 1);
        files[0].clone()
    };
    assert_eq!(fs::metadata(&cache).unwrap().permissions().mode() & 0o777, 0o700);
    let whole = fs::read(kept()).unwrap();
    let written = fs::metadata(kept()).unwrap().ino();
    run().await;
    assert_eq!(fs::metadata(kept()).unwrap().ino(), written, "it was used and not written again");

    let mut flipped = whole.clone();
    *flipped.last_mut().unwrap() ^= 1;
    for damaged in [&whole[..whole.len() / 2], &whole[..10], &[], &flipped] {
        fs::write(kept(), damaged).unwrap();
        run().await;
        assert_eq!(fs::read(kept()).unwrap().len(), whole.len(), "it was compiled again");
    }
}

#[tokio::test]
async fn a_cache_that_others_can_write_to_is_not_used() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache");
    fs::create_dir(&cache).unwrap();
    fs::set_permissions(&cache, fs::Permissions::from_mode(0o777)).unwrap();
    let module = wat::parse_str(start("")).unwrap();
    let pool = Pool::start(config(&folder, 1)).await.unwrap();
    let mut run = pool.run(request(&module, vec![unit(&module)])).unwrap();
    assert!(run.next().await.unwrap().1.is_ok());
    assert_eq!(fs::read_dir(&cache).unwrap().count(), 0);
}

#[tokio::test]
async fn a_pool_leaves_nothing_on_disk_and_clears_up_after_one_that_died() {
    let folder = tempfile::tempdir().unwrap();
    let scratch = folder.path().join("scratch");
    let orphan = scratch.join("pool-999999999-0");
    fs::create_dir_all(&orphan).unwrap();
    fs::write(orphan.join("left"), "over").unwrap();
    fs::write(scratch.join("somebody's"), "own").unwrap();
    let pool = Pool::start(config(&folder, 1)).await.unwrap();
    assert!(!orphan.exists());
    drop(pool);
    let left: Vec<_> = fs::read_dir(&scratch).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left, ["somebody's"]);
}

#[tokio::test]
async fn a_person_runs_one_unit() {
    let folder = tempfile::tempdir().unwrap();
    let module = wat::parse_str(CAT).unwrap();
    let mut unit = unit(&module);
    unit.stdin = Some(bytes("hi"));
    let module = FileSource::Bytes(module);
    let ran = sandbox::run_local(config(&folder, 1), module, unit).await.unwrap();
    assert_eq!(stdout(&ran.unwrap()), "hi");
}
