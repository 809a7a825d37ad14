//! Receiving in pieces, with interruptions.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;

use protocol::{BlobRef, Subtrees};
use store::{Store, StoreError};

use crate::ground::{Ground, MIB, as_child, child, noise, open, subtrees};

/// What the child of the kill test receives, and how much of it.
const LEN: usize = 9 * MIB + 1234;
const WRITTEN: [u64; 4] = [0, 3, 8, 9];

fn coming() -> (Vec<u8>, Subtrees) {
    let bytes = noise(77, LEN);
    let subtrees = subtrees(&bytes);
    (bytes, subtrees)
}

fn piece(bytes: &[u8], index: u64) -> &[u8] {
    bytes.chunks(MIB).nth(index as usize).expect("the blob has this piece")
}

#[test]
fn a_blob_comes_in_pieces_in_any_order_from_several_threads() {
    let ground = Ground::new();
    let store = ground.open();
    let (bytes, subtrees) = coming();
    let blob = BlobRef::of(&bytes);
    let partial = store.partial(blob).unwrap();
    assert!(partial.needs_subtrees());
    assert!(matches!(partial.write(0, piece(&bytes, 0)), Err(StoreError::NoSubtrees { .. })));
    partial.begin(&subtrees).unwrap();
    assert_eq!(partial.missing(), (0..10).collect::<Vec<_>>());
    std::thread::scope(|scope| {
        for thread in 0..3 {
            let (partial, bytes) = (&partial, &bytes);
            scope.spawn(move || {
                for index in (0..10).rev().filter(|index| index % 3 == thread) {
                    partial.write(index, piece(bytes, index)).unwrap();
                }
            });
        }
    });
    assert_eq!(partial.finish().unwrap(), blob);
    assert_eq!(store.get(blob.id, blob.size).unwrap(), bytes);
    assert_eq!(store.subtrees(blob.id).unwrap().1, subtrees.values());
    assert_eq!(ground.files("partial"), Vec::<PathBuf>::new());
}

#[test]
fn a_blob_of_one_piece_needs_no_subtrees_and_is_checked() {
    let ground = Ground::new();
    let store = ground.open();
    for len in [0, 100, 100_000, MIB] {
        let bytes = noise(1, len);
        let blob = BlobRef::of(&bytes);
        let partial = store.partial(blob).unwrap();
        assert!(!partial.needs_subtrees());
        assert_eq!(partial.missing(), [0]);
        partial.write(0, &bytes).unwrap();
        assert_eq!(partial.finish().unwrap(), blob);
        assert_eq!(store.get(blob.id, blob.size).unwrap(), bytes);
    }
    let partial = store.partial(BlobRef::of(b"expected")).unwrap();
    partial.write(0, b"somethin").unwrap();
    assert!(matches!(partial.finish(), Err(StoreError::WrongContent { .. })));
}

#[test]
fn wrong_pieces_and_wrong_subtrees_are_refused() {
    let ground = Ground::new();
    let store = ground.open();
    let (bytes, subtrees) = coming();
    let partial = store.partial(BlobRef::of(&bytes)).unwrap();
    let others = super::ground::subtrees(&noise(78, LEN));
    assert!(matches!(partial.begin(&others), Err(StoreError::NoSubtrees { .. })));
    partial.begin(&subtrees).unwrap();
    for (index, len) in [(0, MIB - 1), (0, 0), (9, MIB), (10, 1234), (u64::MAX, 1)] {
        assert!(matches!(partial.write(index, &bytes[..len]), Err(StoreError::NotAPiece { .. })));
    }
    partial.write(4, piece(&bytes, 4)).unwrap();
    assert!(matches!(partial.finish(), Err(StoreError::Incomplete { missing: 9, .. })));
}

#[test]
fn one_blob_has_one_receiver_at_a_time() {
    let ground = Ground::new();
    let store = ground.open();
    let (bytes, subtrees) = coming();
    let blob = BlobRef::of(&bytes);
    drop(store.partial(blob).unwrap());
    assert_eq!(store.usage().used, 0, "nothing came, so no room is kept");
    let partial = store.partial(blob).unwrap();
    assert!(matches!(store.partial(blob), Err(StoreError::Receiving { .. })));
    assert!(matches!(store.discard_partial(blob.id), Err(StoreError::Receiving { .. })));
    partial.begin(&subtrees).unwrap();
    partial.write(1, piece(&bytes, 1)).unwrap();
    drop(partial);
    assert_eq!(store.partial(blob).unwrap().missing(), [0, 2, 3, 4, 5, 6, 7, 8, 9]);
    store.discard_partial(blob.id).unwrap();
    assert_eq!(store.usage().used, 0);
    assert!(store.partial(blob).unwrap().needs_subtrees());
}

#[test]
fn pieces_that_have_come_can_be_read_before_the_blob_is_whole() {
    let ground = Ground::new();
    let store = ground.open();
    let (bytes, subtrees) = coming();
    let blob = BlobRef::of(&bytes);
    let missing =
        |index| matches!(store.read_arrived(blob.id, index), Err(StoreError::Missing { .. }));
    assert!(missing(1), "nobody receives it");
    let partial = store.partial(blob).unwrap();
    partial.begin(&subtrees).unwrap();
    partial.write(1, piece(&bytes, 1)).unwrap();
    partial.write(9, piece(&bytes, 9)).unwrap();
    assert_eq!(store.read_arrived(blob.id, 1).unwrap(), piece(&bytes, 1));
    assert_eq!(store.read_arrived(blob.id, 9).unwrap(), piece(&bytes, 9));
    assert!(missing(0) && missing(10) && missing(u64::MAX));

    let path = ground.files("partial").into_iter().find(|path| path.extension().is_none()).unwrap();
    let file = fs::OpenOptions::new().write(true).open(path).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, b"torn", MIB as u64 + 7).unwrap();
    assert!(matches!(store.read_arrived(blob.id, 1), Err(StoreError::Corrupt { .. })));
    drop(partial);
    assert!(missing(9), "nobody receives it any more");
}

#[test]
fn a_receiver_may_outlive_its_store() {
    let ground = Ground::new();
    let store = ground.open();
    let (bytes, subtrees) = coming();
    let partial = store.partial(BlobRef::of(&bytes)).unwrap();
    partial.begin(&subtrees).unwrap();
    drop(store);
    for index in 0..10 {
        partial.write(index, piece(&bytes, index)).unwrap();
    }
    assert!(matches!(partial.finish(), Err(StoreError::Stopped { .. })));
    assert_eq!(ground.open().partial(BlobRef::of(&bytes)).unwrap().missing(), Vec::<u64>::new());
}

#[test]
fn receiving_goes_on_after_a_kill_and_trusts_nothing() {
    let ground = Ground::new();
    kill_a_receiver(&ground);
    let (bytes, _) = coming();
    let blob = BlobRef::of(&bytes);
    let store = ground.open();
    assert_eq!(store.usage().used, 0x200 + LEN as u64, "it keeps its room");
    let partial = store.partial(blob).unwrap();
    assert!(!partial.needs_subtrees());
    assert_eq!(partial.missing(), [1, 2, 4, 5, 6, 7]);
    drop((partial, store));

    // As after a power cut: one piece was never written, one is torn.
    let path = ground.files("partial").into_iter().find(|path| path.extension().is_none()).unwrap();
    let mut data = fs::read(&path).unwrap();
    data[..MIB].fill(0);
    data[3 * MIB + 4096..3 * MIB + 8192].fill(0);
    fs::write(&path, data).unwrap();
    let store = ground.open();
    let partial = store.partial(blob).unwrap();
    assert_eq!(partial.missing(), (0..8).collect::<Vec<_>>());
    for index in partial.missing() {
        partial.write(index, piece(&bytes, index)).unwrap();
    }
    partial.finish().unwrap();
    assert_eq!(store.get(blob.id, blob.size).unwrap(), bytes);
    assert_eq!(store.usage().used, 0x200 + LEN as u64);
}

#[test]
fn damaged_subtrees_of_an_interrupted_blob_start_it_anew() {
    let ground = Ground::new();
    kill_a_receiver(&ground);
    let tree = ground.files("partial").into_iter().find(|path| path.extension().is_some()).unwrap();
    let mut values = fs::read(&tree).unwrap();
    values[50] ^= 1;
    fs::write(&tree, values).unwrap();
    let store = ground.open();
    assert_eq!(ground.files("partial"), Vec::<PathBuf>::new());
    assert!(store.partial(BlobRef::of(&coming().0)).unwrap().needs_subtrees());
}

/// Leaves a store whose process was killed while it received.
fn kill_a_receiver(ground: &Ground) {
    let mut child = child("partials::as_a_child_it_receives_until_it_is_killed", ground.path());
    let mut child = child.spawn().expect("this program can be run again");
    let mut lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
    assert!(lines.any(|line| line.expect("it is text") == "received"));
    child.kill().expect("it is ours");
    child.wait().expect("it ends");
}

#[test]
fn as_a_child_it_receives_until_it_is_killed() {
    let Some(dir) = as_child() else { return };
    let store: Store = open(&dir);
    let (bytes, subtrees) = coming();
    let partial = store.partial(BlobRef::of(&bytes)).unwrap();
    partial.begin(&subtrees).unwrap();
    for index in WRITTEN {
        partial.write(index, piece(&bytes, index)).unwrap();
    }
    println!("\nreceived");
    // Until the kill, or until the parent is gone.
    drop(std::io::stdin().lines().last());
}
