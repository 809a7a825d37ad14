//! Opening: what is said about folders that cannot be opened, and what is swept.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use store::{OpenError, Options, Store, StoreError};

use crate::ground::{Ground, MIB, noise};

const OPTIONS: Options = Options { quota_bytes: 1 << 30, free_bytes_min: 0 };

#[test]
fn a_new_folder_is_for_this_user_only() {
    let ground = Ground::new();
    let dir = ground.path().join("a/b");
    let opened = Store::open(&dir, OPTIONS).unwrap();
    assert_eq!(fs::metadata(&dir).unwrap().permissions().mode() & 0o777, 0o700);
    assert_eq!((opened.quarantined, opened.strays), (None, 0));
}

#[test]
fn a_store_that_is_open_is_not_opened_twice() {
    let ground = Ground::new();
    let store = ground.open();
    let refused = Store::open(ground.path(), OPTIONS).unwrap_err();
    assert!(matches!(&refused, OpenError::InUse { dir } if dir == ground.path()));
    assert!(refused.to_string().contains("hint: stop that one"), "{refused}");
    drop(store);
    ground.open();
}

#[test]
fn a_newer_or_unreadable_format_is_refused_and_untouched() {
    let ground = Ground::new();
    drop(ground.open());
    let path = ground.path().join("format");
    let index = fs::read(ground.index()).unwrap();
    fs::write(&path, "2\n").unwrap();
    let newer = Store::open(ground.path(), OPTIONS).unwrap_err();
    assert!(matches!(newer, OpenError::Newer { found: 2, known: 1, .. }));
    assert!(newer.to_string().contains("use the newer program"), "{newer}");
    for other in ["0", "one", "\u{fffd}"] {
        fs::write(&path, other).unwrap();
        let refused = Store::open(ground.path(), OPTIONS).unwrap_err();
        assert!(matches!(refused, OpenError::NoFormat { .. }), "{other}");
    }
    assert_eq!(fs::read(ground.index()).unwrap(), index);
    // Empty or missing: a crash came while the store was made.
    fs::write(&path, "").unwrap();
    drop(ground.open());
    fs::remove_file(&path).unwrap();
    drop(ground.open());
    assert_eq!(fs::read_to_string(&path).unwrap(), "1\n");
}

#[test]
fn a_file_in_the_way_is_named() {
    let ground = Ground::new();
    let path = ground.path().join("file");
    fs::write(&path, "").unwrap();
    let refused = Store::open(&path, OPTIONS).unwrap_err().to_string();
    assert!(refused.contains("file: ") && refused.contains("hint: something else"), "{refused}");
    fs::write(ground.path().join("blobs"), "").unwrap();
    let refused = Store::open(ground.path(), OPTIONS).unwrap_err().to_string();
    assert!(refused.contains("blobs: ") && refused.contains("hint: something else"), "{refused}");
}

#[test]
fn leftovers_of_a_crash_are_swept() {
    let ground = Ground::new();
    drop(ground.open());
    fs::write(ground.path().join("tmp/17"), noise(1, 99)).unwrap();
    fs::write(ground.path().join("partial/odd"), noise(1, 99)).unwrap();
    let lone = blake3::hash(b"").to_hex().to_string();
    fs::write(ground.path().join("partial").join(&lone), noise(1, 99)).unwrap();
    drop(ground.open());
    assert_eq!(ground.files("tmp"), Vec::<PathBuf>::new());
    assert_eq!(ground.files("partial"), Vec::<PathBuf>::new());
}

#[test]
fn with_little_free_space_blobs_are_refused_and_records_are_not() {
    let ground = Ground::new();
    let options = Options { quota_bytes: 1 << 30, free_bytes_min: 1 << 60 };
    let store = Store::open(ground.path(), options).unwrap().store;
    for len in [10, 2 * MIB] {
        let refused = store.put(&noise(1, len)).unwrap_err();
        assert!(matches!(refused, StoreError::DiskLow { .. }), "{refused}");
        assert!(refused.to_string().contains("hint: free some space"), "{refused}");
    }
    assert!(matches!(store.check_room(0), Err(StoreError::DiskLow { .. })));
    let blob = protocol::BlobRef { id: protocol::BlobId::of(b"x"), size: 9 << 20 };
    assert!(matches!(store.partial(blob), Err(StoreError::DiskLow { .. })));
    store.commit(vec![(b"k".to_vec(), Some(b"v".to_vec()))]).unwrap();
    assert_eq!(store.record(b"k").unwrap(), Some(b"v".to_vec()));
}
