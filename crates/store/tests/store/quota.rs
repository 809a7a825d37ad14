//! The quota: who leaves, who stays, and when nothing more comes in.

use protocol::{BlobId, BlobRef, JobId};
use store::{Batch, Pin, Store, StoreError};

use crate::ground::{BLOB_COST, Ground, MIB, charge, noise, pick};

fn job(number: u8) -> Pin {
    Pin::Job(JobId::new([number; 32]))
}

fn put(store: &Store, seed: u64, len: usize) -> BlobId {
    store.put(&noise(seed, len)).unwrap().id
}

#[test]
fn the_least_recently_used_leave_first_also_after_a_restart() {
    for len in [1000, 100_000] {
        let ground = Ground::new();
        let quota = 3 * (len as u64 + BLOB_COST);
        let store = ground.open_with_quota(quota);
        let [a, b, c] = [1, 2, 3].map(|seed| put(&store, seed, len));
        store.get(a, u64::MAX).unwrap();
        drop(store);
        let store = ground.open_with_quota(quota);
        put(&store, 4, len);
        assert!(!store.contains(b), "b was used longest ago");
        assert!(store.contains(a) && store.contains(c));
        put(&store, 5, len);
        assert!(!store.contains(c), "a was used after c was stored");
        assert!(store.contains(a));
        assert_eq!(store.usage().used, quota);
        let expected = if len == 1000 { 0 } else { 3 };
        assert_eq!(ground.files("blobs").len(), expected, "files leave with their blobs");
    }
}

#[test]
fn pinned_blobs_stay_until_the_last_owner_lets_go() {
    let ground = Ground::new();
    let quota = 2 * (1000 + BLOB_COST);
    let store = ground.open_with_quota(quota);
    let a = put(&store, 1, 1000);
    store.pin(a, job(1)).unwrap();
    store.pin(a, Pin::User).unwrap();
    for seed in 2..9 {
        put(&store, seed, 1000);
    }
    store.unpin_all(job(1)).unwrap();
    drop(store);
    let store = ground.open_with_quota(quota);
    for seed in 9..12 {
        put(&store, seed, 1000);
    }
    assert!(store.contains(a), "the person's pin holds, also after a restart");
    let held = store.list().into_iter().find(|held| held.blob.id == a).unwrap();
    assert_eq!(held.pins, [Pin::User]);
    store.unpin_all(Pin::User).unwrap();
    put(&store, 12, 1000);
    put(&store, 13, 1000);
    assert!(!store.contains(a));
}

#[test]
fn a_pin_may_come_before_its_blob() {
    let ground = Ground::new();
    let store = ground.open_with_quota(2 * (1000 + BLOB_COST));
    store.pin(BlobId::of(&noise(1, 1000)), job(1)).unwrap();
    let a = put(&store, 1, 1000);
    put(&store, 2, 1000);
    put(&store, 3, 1000);
    assert!(store.contains(a));
    assert_eq!(store.usage().pinned, 1000 + BLOB_COST);
}

#[test]
fn what_fits_only_in_place_of_pinned_blobs_is_refused() {
    let ground = Ground::new();
    let quota = 300_000;
    let store = ground.open_with_quota(quota);
    let a = put(&store, 1, 100_000);
    let b = put(&store, 2, 100_000);
    store.pin(a, job(1)).unwrap();
    let refused = store.put(&noise(3, 200_000));
    let Err(StoreError::QuotaExceeded { need, quota: told, pinned }) = refused else {
        panic!("{refused:?}")
    };
    assert_eq!((need, told, pinned), (200_000 + BLOB_COST, quota, 100_000 + BLOB_COST));
    assert!(store.contains(b), "nobody leaves for somebody who does not come");
    assert!(matches!(store.put(&noise(4, MIB)), Err(StoreError::QuotaExceeded { .. })));
    assert_eq!(ground.files("tmp").len(), 0);
    store.unpin(a, job(1)).unwrap();
    put(&store, 3, 200_000);
    assert!(!store.contains(a));
}

#[test]
fn a_batch_that_does_not_fit_is_refused_as_a_whole() {
    let ground = Ground::new();
    let store = ground.open_with_quota(10_000);
    let mut batch = Batch::default();
    batch.write(b"vote".to_vec(), b"yes".to_vec());
    batch.blob(noise(1, 9_000));
    batch.blob(noise(2, 9_000));
    assert!(matches!(store.commit(batch), Err(StoreError::QuotaExceeded { .. })));
    assert_eq!(store.record(b"vote").unwrap(), None);
    assert_eq!(store.list(), []);
}

#[test]
fn a_batch_never_evicts_what_it_pins_or_brings() {
    let ground = Ground::new();
    let store = ground.open_with_quota(3 * (1000 + BLOB_COST));
    let [a, b, c] = [1, 2, 3].map(|seed| put(&store, seed, 1000));
    let mut batch = Batch::default();
    batch.pin(a, job(1));
    batch.blob(noise(2, 1000));
    let d = batch.blob(noise(4, 1000)).id;
    store.commit(batch).unwrap();
    let here = [a, b, c, d].map(|id| store.contains(id));
    assert_eq!(here, [true, true, false, true], "c was used last, and was the only one free");
}

#[test]
fn a_blob_that_is_being_received_has_its_room() {
    let ground = Ground::new();
    let quota = 5 * MIB as u64;
    let store = ground.open_with_quota(quota);
    let old = put(&store, 1, 2 * MIB);
    let coming = BlobRef::of(&noise(2, 4 * MIB));
    let partial = store.partial(coming).unwrap();
    assert!(!store.contains(old), "it made room for what is coming");
    assert!(matches!(store.put(&noise(1, 2 * MIB)), Err(StoreError::QuotaExceeded { .. })));
    drop(partial);
    put(&store, 1, 2 * MIB);
    assert_eq!(store.usage().used, charge(&noise(1, 2 * MIB)), "nobody receives it any more");
    let huge = BlobRef { id: coming.id, size: 1 << 30 };
    assert!(matches!(store.partial(huge), Err(StoreError::QuotaExceeded { .. })));
}

#[test]
fn threads_that_take_each_other_s_room_never_lose_a_file() {
    let ground = Ground::fast();
    // Two of six fit, so that every blob leaves and comes back all the time.
    let store = ground.open_with_quota(2 * (70_000 + BLOB_COST));
    let blobs: Vec<_> = (0..6).map(|seed| noise(seed, 70_000)).collect();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (store, blobs) = (&store, &blobs);
            scope.spawn(move || {
                for step in 0..200 {
                    let bytes = &blobs[pick(thread * 1000 + step, 6) as usize];
                    let blob = store.put(bytes).unwrap();
                    match store.get(blob.id, blob.size) {
                        Ok(found) => assert!(found == *bytes),
                        Err(StoreError::Missing { .. }) => {}
                        Err(other) => panic!("{other}"),
                    }
                    if step % 7 == 0 {
                        store.remove(blob.id).unwrap();
                    }
                }
            });
        }
    });
    let held = store.list();
    for held in &held {
        store.verify(held.blob.id).unwrap();
    }
    assert_eq!(ground.files("blobs").len(), held.len());
    assert_eq!(ground.files("tmp").len() + ground.files("damaged").len(), 0);
}

#[test]
fn the_account_is_right_whatever_happens() {
    let ground = Ground::new();
    let quota = 400_000;
    let mut store = ground.open_with_quota(quota);
    for step in 0..400 {
        let seed = pick(step, 24);
        let len = [10, 3_000, 40_000, 90_000][(seed % 4) as usize];
        let id = BlobId::of(&noise(seed, len));
        let owner = job((seed % 3) as u8);
        let done = match pick(1000 + step, 9) {
            0..4 => store.put(&noise(seed, len)).map(drop),
            4 => store.pin(id, owner),
            5 => store.unpin(id, owner),
            6 => store.unpin_all(owner),
            7 => store.remove(id),
            _ => store.get(id, u64::MAX).map(drop),
        };
        drop(done);
        if step % 100 == 99 {
            drop(store);
            store = ground.open_with_quota(quota);
        }
        let held = store.list();
        let sum = |pinned: bool| -> u64 {
            let counted = held.iter().filter(|held| !pinned || !held.pins.is_empty());
            counted.map(|held| held.blob.size + BLOB_COST).sum()
        };
        let usage = store.usage();
        assert_eq!((usage.used, usage.pinned), (sum(false), sum(true)), "step {step}");
        assert!(usage.used <= quota, "step {step}");
    }
}
