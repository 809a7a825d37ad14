//! Workers that die, or must: whose loss it is, and that everything else goes on.

use std::path::Path;
use std::time::Duration;

use protocol::Loss;
use rustix::process::{Pid, Signal, kill_process};
use sandbox::{Pool, PoolConfig, StartError};

use crate::harness::{Lab, code, config, limited, request, start, unit};

const LOOP: &str = "(loop $l (br $l))";

/// A module that loops for ever if it has an argument and exits with 5 if it has none.
fn loops_with_arguments() -> Vec<u8> {
    let text = "(module
        (import \"wasi_snapshot_preview1\" \"proc_exit\" (func $exit (param i32)))
        (import \"wasi_snapshot_preview1\" \"args_sizes_get\" (func $args (param i32 i32) (result i32)))
        (memory (export \"memory\") 1)
        (func (export \"_start\")
            (drop (call $args (i32.const 0) (i32.const 4)))
            (if (i32.eq (i32.load (i32.const 0)) (i32.const 1))
                (then (call $exit (i32.const 5))))
            (loop $l (br $l))))";
    wat::parse_str(text).unwrap()
}

/// CPU time of a process in nanoseconds, once it has one.
fn cpu_ns(pid: u32) -> Option<u64> {
    let mut sum = 0;
    for task in std::fs::read_dir(format!("/proc/{pid}/task")).ok()? {
        let path = task.ok()?.path().join("schedstat");
        sum += std::fs::read_to_string(path).ok()?.split(' ').next()?.parse::<u64>().ok()?;
    }
    Some(sum)
}

/// Waits until the worker has been running something for a while.
async fn until_busy(pid: u32) {
    let before = cpu_ns(pid).unwrap_or(0);
    until(|| cpu_ns(pid).is_none_or(|now| before + 100_000_000 <= now)).await;
}

async fn until_gone(pid: u32) {
    until(|| !Path::new(&format!("/proc/{pid}/stat")).exists()).await;
}

async fn until(mut is_so: impl FnMut() -> bool) {
    let waiting = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(120), waiting).await.expect("it comes to that");
}

#[tokio::test]
async fn an_endless_loop_uses_up_its_time_and_the_next_unit_runs() {
    let module = loops_with_arguments();
    let looping = || {
        let mut unit = limited(&module, |limits| limits.cpu_ms = 100);
        unit.unit.args.push("x".to_owned());
        unit
    };
    let lab = Lab::new().await;
    let units = vec![unit(&module), unit(&module), looping(), unit(&module), looping()];
    let results = lab.run_all(&module, units).await;
    let codes: Vec<_> =
        results.iter().map(|r| r.as_ref().map(code).map_err(Clone::clone)).collect();
    assert_eq!(codes, [Ok(5), Ok(5), Err(Loss::Timeout), Ok(5), Err(Loss::Timeout)]);
}

#[tokio::test]
async fn a_killed_worker_loses_the_unit_that_it_ran_and_no_other() {
    let module = loops_with_arguments();
    let mut looping = unit(&module);
    looping.unit.args.push("x".to_owned());
    let lab = Lab::new().await;
    let pid = lab.pool.idle_pids()[0];
    let mut run =
        lab.pool.run(request(&module, vec![unit(&module), looping, unit(&module)])).unwrap();
    let (_, first) = run.next().await.unwrap();
    assert_eq!(code(&first.unwrap()), 5);
    until_busy(pid).await;
    kill_process(Pid::from_raw(pid as i32).unwrap(), Signal::KILL).unwrap();
    let (_, second) = run.next().await.unwrap();
    assert_eq!(second.err(), Some(Loss::WorkerCrash));
    let (_, third) = run.next().await.unwrap();
    assert_eq!(code(&third.unwrap()), 5);
    assert!(run.next().await.is_none());
}

#[tokio::test]
async fn a_worker_killed_while_idle_is_replaced_unnoticed() {
    let lab = Lab::new().await;
    for _ in 0..2 {
        let pid = lab.pool.idle_pids()[0];
        kill_process(Pid::from_raw(pid as i32).unwrap(), Signal::KILL).unwrap();
        assert!(lab.wat(&start("")).await.is_ok());
    }
}

#[tokio::test]
async fn who_drops_or_cancels_a_run_stops_its_worker() {
    let module = wat::parse_str(start(LOOP)).unwrap();
    let lab = Lab::new().await;
    for drops in [true, false] {
        let pid = loop {
            if let Some(pid) = lab.pool.idle_pids().first() {
                break *pid;
            }
            lab.wat(&start("")).await.unwrap();
        };
        let mut run = lab.pool.run(request(&module, vec![unit(&module)])).unwrap();
        until_busy(pid).await;
        if drops {
            drop(run);
        } else {
            run.cancel();
            assert!(run.next().await.is_none());
        }
        until_gone(pid).await;
        assert!(lab.wat(&start("")).await.is_ok(), "the place is free again");
    }
}

#[tokio::test]
async fn a_worker_dies_with_its_pool_in_the_middle_of_a_loop() {
    let module = wat::parse_str(start(LOOP)).unwrap();
    let lab = Lab::new().await;
    let pid = lab.pool.idle_pids()[0];
    let run = lab.pool.run(request(&module, vec![unit(&module)])).unwrap();
    until_busy(pid).await;
    drop(run);
    drop(lab);
    until_gone(pid).await;
}

#[test]
fn a_worker_whose_parent_is_gone_ends_by_itself() {
    use std::io::Write;
    use std::process::{Command, Stdio};
    let mut worker = Command::new(env!("CARGO_BIN_EXE_sandbox-worker"))
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut stdin = worker.stdin.take().unwrap();
    stdin.write_all(&[5, 0, 0]).unwrap();
    drop(stdin);
    assert!(!worker.wait().unwrap().success(), "half a frame is no start");
}

#[tokio::test]
async fn what_is_no_worker_is_said_so() {
    let folder = tempfile::tempdir().unwrap();
    let start = async |program: &str, args: &[&str]| {
        let args = args.iter().map(Into::into).collect();
        let config = PoolConfig { program: program.into(), args, ..config(&folder, 1) };
        Pool::start(config).await.unwrap_err()
    };
    assert!(matches!(start("/no/such/program", &[]).await, StartError::Spawn { .. }));
    let ended = start("/bin/sh", &["-c", "echo out of order >&2; exit 3"]).await;
    let text = ended.to_string();
    assert!(text.contains("out of order") && text.contains("exit status: 3"), "{text}");
    assert!(matches!(start("/bin/cat", &[]).await, StartError::NoWorker { .. }));
}
