//! Preview1 under hostile hands: whatever a guest passes, the call answers and the worker lives.

use protocol::Outcome;

use crate::harness::{Lab, limited};

/// Every function that returns an errno, with its parameters (`i` for i32, `l` for i64).
const FUNCTIONS: [(&str, &str); 44] = [
    ("args_get", "ii"),
    ("args_sizes_get", "ii"),
    ("clock_res_get", "ii"),
    ("clock_time_get", "ili"),
    ("environ_get", "ii"),
    ("environ_sizes_get", "ii"),
    ("fd_advise", "illi"),
    ("fd_allocate", "ill"),
    ("fd_close", "i"),
    ("fd_datasync", "i"),
    ("fd_fdstat_get", "ii"),
    ("fd_fdstat_set_flags", "ii"),
    ("fd_fdstat_set_rights", "ill"),
    ("fd_filestat_get", "ii"),
    ("fd_filestat_set_size", "il"),
    ("fd_filestat_set_times", "illi"),
    ("fd_pread", "iiili"),
    ("fd_prestat_dir_name", "iii"),
    ("fd_prestat_get", "ii"),
    ("fd_pwrite", "iiili"),
    ("fd_read", "iiii"),
    ("fd_readdir", "iiili"),
    ("fd_renumber", "ii"),
    ("fd_seek", "ilii"),
    ("fd_sync", "i"),
    ("fd_tell", "ii"),
    ("fd_write", "iiii"),
    ("path_create_directory", "iii"),
    ("path_filestat_get", "iiiii"),
    ("path_filestat_set_times", "iiiilli"),
    ("path_link", "iiiiiii"),
    ("path_open", "iiiiillii"),
    ("path_readlink", "iiiiii"),
    ("path_remove_directory", "iii"),
    ("path_rename", "iiiiii"),
    ("path_symlink", "iiiii"),
    ("path_unlink_file", "iii"),
    ("poll_oneoff", "iiii"),
    ("random_get", "ii"),
    ("sched_yield", ""),
    ("sock_accept", "iii"),
    ("sock_recv", "iiiiii"),
    ("sock_send", "iiiii"),
    ("sock_shutdown", "ii"),
];

fn module(calls: usize, mut next: impl FnMut() -> u64) -> Vec<u8> {
    let mut imports = String::new();
    for (name, params) in FUNCTIONS {
        let params: String =
            params.chars().map(|p| if p == 'i' { " i32" } else { " i64" }).collect();
        let params = if params.is_empty() { params } else { format!("(param{params})") };
        imports += &format!(
            "(import \"wasi_snapshot_preview1\" \"{name}\" (func ${name} {params} (result i32)))"
        );
    }
    let mut body = String::new();
    for _ in 0..calls {
        let (name, params) = FUNCTIONS[next() as usize % FUNCTIONS.len()];
        body += &format!("(drop (call ${name}");
        for param in params.chars() {
            // Mostly small numbers, so that descriptors and flags are often right.
            let value = match next() % 8 {
                0..4 => next() % 8,
                4 => 32 + next() % 32,
                5 => 65536 - next() % 64,
                6 => u64::from(u32::MAX) - next() % 16,
                _ => next(),
            };
            body += &match param {
                'i' => format!("(i32.const {})", value as u32),
                _ => format!("(i64.const {value})"),
            };
        }
        body += "))";
    }
    let text = format!(
        "(module {imports} (memory (export \"memory\") 1)
            (data (i32.const 32) \"out/a\\00../../tmp/b/c/./out\\ff\")
            (func (export \"_start\") {body}))"
    );
    wat::parse_str(&text).unwrap()
}

#[tokio::test]
async fn no_argument_harms_the_worker() {
    let lab = Lab::new().await;
    let pid = lab.pool.idle_pids();
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut exits = 0;
    for _ in 0..60 {
        let module = module(400, || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        });
        let unit = limited(&module, |limits| limits.output_bytes = 1 << 40 >> 10);
        let units = vec![unit.clone(), unit];
        let results = lab.run_all(&module, units).await;
        let [Ok(one), Ok(two)] = &results[..] else { panic!("{results:?}") };
        assert_eq!(one.execution.outcome, two.execution.outcome);
        assert_eq!(one.execution.trace, two.execution.trace);
        match one.execution.outcome {
            Outcome::Exit(_) => exits += 1,
            Outcome::OutputTooLarge => {}
            Outcome::Trap(_) | Outcome::OutOfFuel => panic!("{:?}", one.execution.outcome),
        }
    }
    assert_eq!(lab.pool.idle_pids(), pid, "it is still the same worker");
    assert!(0 < exits, "some ran to the end");
}
