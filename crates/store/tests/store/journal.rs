//! The journal: what is acknowledged is durable, and who waits together pays together.

use std::sync::mpsc;

use protocol::JobId;
use store::{BATCH_BYTES_MAX, Batch, Pin, StoreError};

use crate::ground::{Ground, noise};

fn key(text: &str) -> Vec<u8> {
    text.as_bytes().to_vec()
}

fn writes(pairs: &[(&str, Option<&str>)]) -> Vec<(Vec<u8>, Option<Vec<u8>>)> {
    pairs.iter().map(|(k, v)| (key(k), v.map(key))).collect()
}

#[test]
fn records_come_back_in_order_also_after_a_restart() {
    let ground = Ground::new();
    let store = ground.open();
    store.commit(writes(&[("a/2", Some("two")), ("a/1", Some("one")), ("b", Some("b"))])).unwrap();
    store.commit(writes(&[("a/3", Some("three")), ("b", None)])).unwrap();
    drop(store);
    let store = ground.open();
    let found = store.scan(b"a/").unwrap();
    let expected =
        [("a/1", "one"), ("a/2", "two"), ("a/3", "three")].map(|(k, v)| (key(k), key(v)));
    assert_eq!(found, expected);
    assert_eq!(store.scan(b"").unwrap(), expected);
    assert_eq!(store.record(b"a/2").unwrap(), Some(key("two")));
    assert_eq!(store.record(b"b").unwrap(), None);
}

#[test]
fn a_prefix_is_removed_and_its_neighbours_stay() {
    let ground = Ground::new();
    let store = ground.open();
    let keys: [&[u8]; 7] =
        [b"a", b"b\xff", b"b\xff\x00", b"b\xff\xff", b"c", b"\xff", b"\xff\xff\x01"];
    let all = || keys.map(|key| (key.to_vec(), Some(Vec::new()))).to_vec();
    for (prefix, left) in [(&b"b\xff"[..], 4), (b"\xff", 5), (b"\xff\xff", 6), (b"", 0), (b"x", 7)]
    {
        store.commit(all()).unwrap();
        assert_eq!(store.scan(prefix).unwrap().len(), 7 - left, "{prefix:?}");
        store.remove_prefix(prefix).unwrap();
        assert_eq!(store.scan(b"").unwrap().len(), left, "{prefix:?}");
    }
}

#[test]
fn a_scan_ends_when_it_is_told() {
    let ground = Ground::new();
    let store = ground.open();
    store.commit(writes(&[("1", Some("")), ("2", Some("")), ("3", Some(""))])).unwrap();
    let mut seen = 0;
    store
        .scan_each(b"", |_, _| {
            seen += 1;
            seen < 2
        })
        .unwrap();
    assert_eq!(seen, 2);
}

#[test]
fn a_batch_with_its_blobs_and_pins_costs_one_transaction() {
    let ground = Ground::new();
    let store = ground.open();
    let mut batch = Batch::default();
    let pack = batch.blob(noise(1, 60_000));
    let job = Pin::Job(JobId::new([7; 32]));
    batch.pin(pack.id, job).write(key("vote"), pack.id.as_bytes().to_vec());
    store.commit(batch).unwrap();
    assert_eq!(store.commits(), 1);
    drop(store);
    let store = ground.open();
    assert_eq!(store.record(b"vote").unwrap(), Some(pack.id.as_bytes().to_vec()));
    assert_eq!(store.get(pack.id, pack.size).unwrap(), noise(1, 60_000));
    assert_eq!(store.list()[0].pins, [job]);
}

#[test]
fn those_who_wait_together_share_one_transaction() {
    let ground = Ground::new();
    let store = ground.open();
    let (release, released) = mpsc::channel::<()>();
    let (entered_tell, entered) = mpsc::channel();
    // The writer is held inside the first callback, so that everything else gathers.
    store.commit_with(writes(&[("first", Some(""))]), move |end| {
        entered_tell.send(end).unwrap();
        released.recv().unwrap();
    });
    entered.recv().unwrap().unwrap();
    assert_eq!(store.commits(), 1);
    let (tell, told) = mpsc::channel();
    for number in 0..500 {
        let tell = tell.clone();
        let record = (format!("{number:03}").into_bytes(), Some(Vec::new()));
        store.commit_with(vec![record], move |end| tell.send((number, end)).unwrap());
    }
    release.send(()).unwrap();
    drop(tell);
    let order: Vec<i32> =
        told.into_iter().map(|(number, end)| end.map(|()| number).unwrap()).collect();
    assert_eq!(order, (0..500).collect::<Vec<_>>(), "everyone is told, in order");
    assert_eq!(store.commits(), 2);
    assert_eq!(store.scan(b"").unwrap().len(), 501);
}

#[test]
fn threads_that_commit_at_once_all_get_their_records() {
    let ground = Ground::new();
    let store = ground.open();
    std::thread::scope(|scope| {
        for thread in 0..16 {
            let store = &store;
            scope.spawn(move || {
                for number in 0..20 {
                    let key = format!("{thread}/{number}").into_bytes();
                    store.commit(vec![(key.clone(), Some(key.clone()))]).unwrap();
                    assert_eq!(store.record(&key).unwrap(), Some(key), "acknowledged is readable");
                }
            });
        }
    });
    assert_eq!(store.scan(b"").unwrap().len(), 320);
    assert!(store.commits() <= 320);
}

#[test]
fn lazy_writes_ride_with_the_next_commit_in_order() {
    let ground = Ground::new();
    let store = ground.open();
    store.write_soon(writes(&[("k", Some("lazy")), ("lazy", Some(""))])).unwrap();
    store.commit(writes(&[("k", Some("later"))])).unwrap();
    assert_eq!(store.record(b"k").unwrap(), Some(key("later")));
    assert_eq!(store.record(b"lazy").unwrap(), Some(key("")));
    store.write_soon(writes(&[("flushed", Some(""))])).unwrap();
    store.flush().unwrap();
    assert_eq!(store.record(b"flushed").unwrap(), Some(key("")));
    store.write_soon(writes(&[("at the end", Some(""))])).unwrap();
    drop(store);
    assert_eq!(ground.open().record(b"at the end").unwrap(), Some(key("")));
}

#[test]
fn many_lazy_writes_are_not_kept_in_memory() {
    let ground = Ground::new();
    let store = ground.open();
    for number in 0..40_u8 {
        store.write_soon(vec![(vec![number], Some(vec![0; 60_000]))]).unwrap();
    }
    while store.record(&[0]).unwrap().is_none() {
        std::thread::yield_now();
    }
}

#[test]
fn nothing_to_write_costs_no_transaction() {
    let ground = Ground::new();
    let store = ground.open();
    store.flush().unwrap();
    store.commit(Batch::default()).unwrap();
    assert_eq!(store.commits(), 0);
}

#[test]
fn a_batch_that_is_too_large_is_refused() {
    let ground = Ground::new();
    let store = ground.open();
    let huge = vec![(key("k"), Some(vec![0; BATCH_BYTES_MAX]))];
    assert!(matches!(store.commit(huge.clone()), Err(StoreError::TooLarge { .. })));
    assert!(matches!(store.write_soon(huge), Err(StoreError::TooLarge { .. })));
}

#[test]
fn a_callback_that_panics_or_commits_again_does_no_harm() {
    let ground = Ground::new();
    let store = std::sync::Arc::new(ground.open());
    store.commit_with(writes(&[("a", Some(""))]), |_| panic!("of a caller's own making"));
    let again = std::sync::Arc::clone(&store);
    let (tell, told) = mpsc::channel();
    store.commit_with(writes(&[("b", Some(""))]), move |end| {
        end.unwrap();
        again.commit_with(writes(&[("c", Some(""))]), move |end| tell.send(end).unwrap());
    });
    told.recv().unwrap().unwrap();
    assert_eq!(store.scan(b"").unwrap().len(), 3);
}

#[test]
fn a_callback_may_hold_the_last_handle() {
    let ground = Ground::new();
    let store = std::sync::Arc::new(ground.open());
    let last = std::sync::Arc::clone(&store);
    let (release, released) = mpsc::channel::<()>();
    let (tell, told) = mpsc::channel();
    store.commit_with(writes(&[("a", Some(""))]), move |end| {
        released.recv().unwrap();
        drop(last);
        tell.send(end).unwrap();
    });
    drop(store);
    release.send(()).unwrap();
    told.recv().unwrap().unwrap();
}
