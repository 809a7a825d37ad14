//! A disk that becomes full: a clear error, and nothing acknowledged is lost.

use std::path::Path;

use protocol::{BlobId, BlobRef};
use store::{Options, Store, StoreError};

use crate::ground::{Ground, MIB, as_child, child_on_small_disk, noise};

#[test]
fn a_full_disk_ends_writing_and_loses_nothing() {
    let ground = Ground::new();
    let name = "full_disk::as_a_child_it_writes_until_the_disk_is_full";
    let output = child_on_small_disk(name, ground.path(), 8).output().expect("there is a shell");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    let acked: u64 = said
        .lines()
        .find_map(|line| line.strip_prefix("acked "))
        .expect("the child says how far it came")
        .parse()
        .expect("a number");
    assert!(100 < acked, "{acked}");
    let store = ground.open();
    check(&store, acked);
    store.put(&noise(7, 20 * MIB)).unwrap();
    assert_eq!(ground.files("tmp").len(), 0);
}

#[test]
fn as_a_child_it_writes_until_the_disk_is_full() {
    let Some(dir) = as_child() else { return };
    let options = Options { quota_bytes: 1 << 30, free_bytes_min: 0 };
    let store = Store::open(&dir, options).unwrap().store;

    // A blob that does not fit is refused, and the store goes on.
    let refused = store.put(&noise(1, 40 * MIB)).unwrap_err();
    let clear = matches!(refused, StoreError::Io { .. } | StoreError::DiskLow { .. });
    assert!(clear, "{refused}");
    assert!(refused.to_string().contains("hint: free some space"), "{refused}");
    let mut acked = 0;
    let stopped = loop {
        match store.commit(vec![(key(acked), Some(noise(acked, 16_000)))]) {
            Ok(()) => acked += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(stopped, StoreError::Stopped { .. }), "{stopped}");
    assert!(stopped.to_string().contains("hint: check the disk and its free space"), "{stopped}");

    // From now on everything that would write is refused, and everything else works.
    for refused in [
        store.commit(vec![(key(0), None)]),
        store.write_soon(vec![(key(0), None)]),
        store.flush(),
        store.put(&noise(2, 10)).map(drop),
        store.put(&noise(2, MIB)).map(drop),
        store.pin(BlobId::of(b""), store::Pin::User),
        store.partial(BlobRef { id: BlobId::of(b""), size: 2 << 20 }).map(drop),
    ] {
        assert!(matches!(refused, Err(StoreError::Stopped { .. })), "{refused:?}");
    }
    check(&store, acked);
    drop(store);
    reopen_on_the_full_disk(&dir, acked, options);
    println!("\nacked {acked}");
}

fn reopen_on_the_full_disk(dir: &Path, acked: u64, options: Options) {
    let opened = Store::open(dir, options).expect("a full disk can be read");
    assert_eq!(opened.quarantined, None);
    check(&opened.store, acked);
}

fn check(store: &Store, acked: u64) {
    for number in 0..acked {
        let record = store.record(&key(number)).expect("the index can be read");
        assert!(record == Some(noise(number, 16_000)), "record {number} of {acked}");
    }
}

fn key(number: u64) -> Vec<u8> {
    number.to_be_bytes().to_vec()
}
