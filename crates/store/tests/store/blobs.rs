//! Blobs come back as they were, and a damaged one never does.

use std::fs;
use std::io::{self, Read};
use std::path::PathBuf;

use protocol::{BlobId, BlobRef, Subtrees, chunk_count};
use store::{Batch, Pin, Store, StoreError};

use crate::ground::{Ground, MIB, noise, subtrees};

const SIZES: [usize; 9] =
    [0, 1, 64 << 10, (64 << 10) + 1, MIB - 1, MIB, MIB + 1, 3 * MIB, 5 * MIB + 7];

#[test]
fn blobs_of_every_shape_come_back_also_after_a_restart() {
    let ground = Ground::new();
    let store = ground.open();
    for (seed, size) in (0..).zip(SIZES) {
        let bytes = noise(seed, size);
        assert_eq!(store.put(&bytes).unwrap(), BlobRef::of(&bytes));
    }
    let check = |store: Store| {
        for (seed, size) in (0..).zip(SIZES) {
            check_all_readings(&store, &noise(seed, size));
        }
        assert_eq!(store.list().len(), SIZES.len());
    };
    check(store);
    check(ground.open());
}

fn check_all_readings(store: &Store, bytes: &[u8]) {
    let BlobRef { id, size } = BlobRef::of(bytes);
    assert!(store.contains(id));
    assert_eq!(store.get(id, size).unwrap(), bytes);
    let pieces = (0..chunk_count(size)).map(|index| store.read_chunk(id, index).unwrap());
    assert_eq!(pieces.collect::<Vec<_>>().concat(), bytes);
    let (found, values) = store.subtrees(id).unwrap();
    assert_eq!(found, size);
    assert!(Subtrees::check(id, size, values).is_some());
    match store.path(id) {
        Some(path) => assert_eq!(fs::read(path).unwrap(), bytes),
        None => assert!(size <= 64 << 10),
    }
    store.verify(id).unwrap();
}

#[test]
fn what_is_not_there_or_too_large_is_refused() {
    let ground = Ground::new();
    let store = ground.open();
    let missing = BlobId::of(b"missing");
    assert!(matches!(store.get(missing, 9), Err(StoreError::Missing { id }) if id == missing));
    assert!(matches!(store.read_chunk(missing, 0), Err(StoreError::Missing { .. })));
    let blob = store.put(b"hello").unwrap();
    assert!(matches!(store.get(blob.id, 4), Err(StoreError::TooLarge { size: 5, max: 4 })));
    assert!(matches!(store.read_chunk(blob.id, 1), Err(StoreError::NotAPiece { .. })));
}

#[test]
fn a_blob_that_is_here_is_not_written_again() {
    let ground = Ground::new();
    let store = ground.open();
    for bytes in [noise(1, 9), noise(2, 2 * MIB)] {
        store.put(&bytes).unwrap();
        let before = store.commits();
        store.put(&bytes).unwrap();
        assert_eq!(store.commits(), before);
    }
    assert_eq!(ground.files("tmp"), Vec::<PathBuf>::new());
}

#[test]
fn a_reader_that_fails_leaves_nothing() {
    let ground = Ground::new();
    let store = ground.open();
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("unplugged"))
        }
    }
    let reader = io::Cursor::new(noise(1, 2 * MIB)).chain(Broken);
    assert!(matches!(store.put_reader(reader), Err(StoreError::Source { .. })));
    assert_eq!(store.list(), []);
    assert_eq!(ground.files("tmp"), Vec::<PathBuf>::new());
}

#[test]
fn a_scratch_file_is_taken_over_if_it_is_what_was_said() {
    let ground = Ground::new();
    let store = ground.open();
    for (seed, size) in (0..).zip(SIZES) {
        let bytes = noise(seed, size);
        let path = ground.path().join("output");
        fs::write(&path, &bytes).unwrap();
        let other = BlobRef::of(b"another");
        assert!(matches!(
            store.adopt(&path, other),
            Err(StoreError::WrongContent { expected, .. }) if expected == other
        ));
        assert!(path.exists(), "a refused file stays");
        store.adopt(&path, BlobRef::of(&bytes)).unwrap();
        assert!(!path.exists());
        check_all_readings(&store, &bytes);
    }
    assert!(matches!(
        store.adopt(ground.path(), BlobRef::of(b"a folder")),
        Err(StoreError::Io { .. })
    ));
}

#[test]
fn a_file_from_another_disk_is_copied() {
    let ground = Ground::new();
    let store = ground.open();
    // Where there is no second file system, the file is moved instead.
    let elsewhere =
        tempfile::tempdir_in("/dev/shm").unwrap_or_else(|_| tempfile::tempdir().unwrap());
    let bytes = noise(1, 2 * MIB);
    let path = elsewhere.path().join("output");
    fs::write(&path, &bytes).unwrap();
    store.adopt(&path, BlobRef::of(&bytes)).unwrap();
    assert!(!path.exists());
    check_all_readings(&store, &bytes);
}

#[test]
fn a_flipped_byte_in_a_file_is_found_by_every_reading() {
    type Reading = fn(&Store, BlobId) -> Result<(), StoreError>;
    let readings: [Reading; 3] = [
        |store, id| store.get(id, u64::MAX).map(drop),
        |store, id| store.read_chunk(id, 1).map(drop),
        |store, id| store.verify(id),
    ];
    let ground = Ground::new();
    let store = ground.open();
    let bytes = noise(1, 3 * MIB);
    for (reading, again) in readings.into_iter().zip([false, true, true]) {
        let blob = store.put(&bytes).unwrap();
        let path = store.path(blob.id).unwrap();
        let mut damaged = bytes.clone();
        damaged[MIB + 5] ^= 1;
        fs::write(&path, &damaged).unwrap();
        assert!(
            matches!(reading(&store, blob.id), Err(StoreError::Corrupt { id }) if id == blob.id)
        );
        assert!(matches!(reading(&store, blob.id), Err(StoreError::Missing { .. })));
        assert_eq!(store.list(), []);
        if again {
            // It can come back at once, even before the damaged one is out of the way.
            store.put(&bytes).unwrap();
            check_all_readings(&store, &bytes);
        } else {
            store.flush().unwrap();
            let kept = ground.files("damaged");
            assert_eq!(kept.len(), 1);
            assert_eq!(fs::read(&kept[0]).unwrap(), damaged);
        }
    }
}

#[test]
fn a_cut_or_vanished_file_is_found_on_reading_and_at_the_start() {
    let ground = Ground::new();
    let store = ground.open();
    let cut = store.put(&noise(1, 3 * MIB)).unwrap().id;
    let gone = store.put(&noise(2, 3 * MIB)).unwrap().id;
    let cut_later = store.put(&noise(3, 3 * MIB)).unwrap().id;
    fs::write(store.path(cut).unwrap(), b"short").unwrap();
    fs::remove_file(store.path(gone).unwrap()).unwrap();
    assert!(matches!(store.read_chunk(cut, 0), Err(StoreError::Corrupt { .. })));
    assert!(matches!(store.read_chunk(gone, 0), Err(StoreError::Corrupt { .. })));
    fs::write(store.path(cut_later).unwrap(), b"short").unwrap();
    drop(store);
    let store = ground.open();
    assert!(matches!(store.read_chunk(cut_later, 0), Err(StoreError::Missing { .. })));
    assert_eq!(store.list(), []);
    store.put(&noise(3, 3 * MIB)).unwrap();
    drop(store);
    check_all_readings(&ground.open(), &noise(3, 3 * MIB));
}

#[test]
fn a_removed_blob_is_gone_and_a_pinned_one_stays() {
    let ground = Ground::new();
    let store = ground.open();
    for bytes in [noise(1, 9), noise(2, 2 * MIB)] {
        let blob = store.put(&bytes).unwrap();
        store.pin(blob.id, Pin::User).unwrap();
        assert!(matches!(store.remove(blob.id), Err(StoreError::Pinned { .. })));
        store.unpin(blob.id, Pin::User).unwrap();
        store.remove(blob.id).unwrap();
        store.remove(blob.id).unwrap();
        assert!(!store.contains(blob.id));
    }
    assert_eq!(ground.files("blobs"), Vec::<PathBuf>::new());
    drop(store);
    assert_eq!(ground.open().list(), []);
}

#[test]
fn a_large_blob_of_a_batch_becomes_a_file() {
    let ground = Ground::new();
    let store = ground.open();
    let bytes = noise(1, 3 * MIB);
    let mut batch = Batch::default();
    let blob = batch.blob(bytes.clone());
    store.commit(batch).unwrap();
    assert_eq!(store.subtrees(blob.id).unwrap().1, subtrees(&bytes).values());
    check_all_readings(&store, &bytes);
}
