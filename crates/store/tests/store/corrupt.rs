//! A corrupt index is set aside and said so; it is never trusted, reset or a reason to panic.

use std::fs;

use protocol::BlobId;
use store::{Batch, Opened, Options, Pin, Store};

use crate::ground::{Ground, MIB, noise, pick};

const FLIPS: u64 = 1000;
const OPTIONS: Options = Options { quota_bytes: 1 << 30, free_bytes_min: 0 };

/// A store with something in every table, closed.
fn furnish(ground: &Ground) {
    let store = ground.open();
    for number in 0..40_u64 {
        let mut batch = Batch::default();
        let blob = batch.blob(noise(number, 3000));
        batch.pin(blob.id, Pin::User).write(vec![number as u8], noise(number, 500));
        store.commit(batch).unwrap();
    }
    store.put(&noise(99, 3 * MIB)).unwrap();
}

/// Whether everything is there.
fn is_whole(store: &Store) -> bool {
    (0..40_u64).all(|number| {
        store.record(&[number as u8]).ok().flatten() == Some(noise(number, 500))
            && store.get(BlobId::of(&noise(number, 3000)), 3000).ok() == Some(noise(number, 3000))
    }) && store.verify(BlobId::of(&noise(99, 3 * MIB))).is_ok()
}

#[test]
fn a_flipped_byte_in_the_index_is_harmless_or_found() {
    let ground = Ground::fast();
    furnish(&ground);
    let sound = fs::read(ground.index()).unwrap();
    // Most of a young index is empty; flips there would show nothing.
    let used: Vec<usize> = (0..sound.len())
        .step_by(4096)
        .filter(|at| sound[*at..].iter().take(4096).any(|b| *b != 0))
        .collect();
    let mut found = 0;
    for flip in 0..FLIPS {
        let page = used[pick(flip, used.len() as u64) as usize];
        // The first page is the header, whose few bytes matter most.
        let span = if flip % 10 == 0 { 320 } else { 4096 };
        let page = if span == 320 { 0 } else { page };
        let at = page + pick(flip + FLIPS, span) as usize;
        let mut bytes = sound.clone();
        bytes[at] ^= 1 << pick(flip + 2 * FLIPS, 8);
        fs::write(ground.index(), &bytes).unwrap();
        let Opened { store, quarantined, .. } = Store::open(ground.path(), OPTIONS).unwrap();
        match quarantined {
            Some(kept) => {
                found += 1;
                assert_eq!(store.scan(b"").unwrap(), [], "a new index is begun");
                fs::remove_file(kept).unwrap();
            }
            None => assert!(is_whole(&store), "byte {at} of the index, flip {flip}"),
        }
    }
    assert!(FLIPS / 4 < found, "only {found} flips were found");
}

#[test]
fn a_cut_or_foreign_index_is_set_aside_and_blobs_are_found_again() {
    let ground = Ground::new();
    furnish(&ground);
    let sound = fs::read(ground.index()).unwrap();
    let mut damages = vec![b"not an index at all".to_vec(), noise(1, 10_000)];
    damages
        .extend([1, 100, 4096, sound.len() / 2, sound.len() - 1].map(|len| sound[..len].to_vec()));
    for (number, damaged) in (1..).zip(damages) {
        fs::write(ground.index(), &damaged).unwrap();
        let opened = Store::open(ground.path(), OPTIONS).unwrap();
        let kept = opened.quarantined.expect("it is corrupt");
        assert_eq!(kept, ground.path().join(format!("index.redb.corrupt-{number}")));
        assert_eq!(opened.strays, 1);
        let large = BlobId::of(&noise(99, 3 * MIB));
        assert!(!opened.store.contains(large));
        assert_eq!(opened.store.adopt_strays().unwrap(), 1);
        opened.store.verify(large).unwrap();
        drop(opened.store);
        assert!(ground.open().contains(large));
    }
}

#[test]
fn a_stray_file_that_is_not_what_its_name_says_is_set_aside() {
    let ground = Ground::new();
    drop(ground.open());
    let name = blake3::hash(b"something else").to_hex().to_string();
    let shard = ground.path().join("blobs").join(&name[..2]);
    fs::create_dir(&shard).unwrap();
    fs::write(shard.join(&name), noise(1, MIB)).unwrap();
    let opened = Store::open(ground.path(), OPTIONS).unwrap();
    assert_eq!(opened.strays, 1);
    assert_eq!(opened.store.adopt_strays().unwrap(), 0);
    assert_eq!(opened.store.list(), []);
    assert_eq!(ground.files("damaged").len(), 1);
}
