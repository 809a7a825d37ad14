//! Fetching: what is wanted comes from a peer, is checked, pinned, or refused with the reason.

use engine::{Effect, Event, FetchId, FetchLoss, Got, PackWant, Want};
use protocol::{BlobId, BlobRef, Entry, Exit, Hash, JobId, Outcome, Pack, Tree, merkle_root};
use store::Pin;

use crate::body::{Body, config};

const JOB: JobId = JobId::new([9; 32]);

async fn fetches(body: &mut Body, want: Want, from: &Body) -> Result<Got, FetchLoss> {
    let (fetch, from) = (FetchId(7), vec![from.node.me()]);
    body.does(Effect::Fetch { fetch, job: JOB, want, from }).await;
    match body.until(|event| matches!(event, Event::Fetched { .. })).await {
        Event::Fetched { fetch: FetchId(7), got } => got,
        other => panic!("{other:?}"),
    }
}

async fn pair() -> (Body, Body, [tempfile::TempDir; 2]) {
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let (one, other) = Body::pair(config(dirs[0].path()), config(dirs[1].path())).await;
    (one, other, dirs)
}

fn file(path: &str, blob: BlobRef, is_tree: bool) -> Entry {
    Entry { path: path.to_owned(), blob, is_tree }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn inputs_come_with_all_that_trees_hold_and_stay_pinned() {
    let (mut body, holder, _dirs) = pair().await;
    let store = holder.node.store();
    let large = store.put(&vec![7; 3 << 20]).unwrap();
    let small = store.put(b"small").unwrap();
    let inner = Tree::new(vec![file("deep", large, false)]).unwrap();
    let inner = store.put(&inner.to_bytes()).unwrap();
    let outer = Tree::new(vec![file("a", small, false), file("b", inner, true)]).unwrap();
    let outer = store.put(&outer.to_bytes()).unwrap();
    let parts = Tree::new(vec![file("one", small, false)]).unwrap();
    let parts_blob = store.put(&parts.to_bytes()).unwrap();

    let trees = vec![outer, parts_blob];
    let want = Want::Inputs { blobs: vec![small], trees, parts: vec![parts_blob] };
    match fetches(&mut body, want, &holder).await {
        Ok(Got::Inputs { parts: got }) => assert_eq!(got, [(parts_blob.id, parts)]),
        other => panic!("{other:?}"),
    }
    body.is_durable().await;
    let held = body.node.store().list();
    for blob in [large, small, inner, outer, parts_blob] {
        let held = held.iter().find(|held| held.blob == blob).expect("it is here");
        assert_eq!(held.pins, [Pin::Job(JOB)]);
    }
    body.does(Effect::Forget { job: JOB }).await;
    while body.node.store().usage().pinned != 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_blob_that_nobody_has_is_missing_by_name() {
    let (mut body, holder, _dirs) = pair().await;
    let nowhere = BlobRef { id: BlobId::new([5; 32]), size: 10 };
    let want = Want::Inputs { blobs: vec![nowhere], trees: vec![], parts: vec![] };
    let got = fetches(&mut body, want, &holder).await;
    assert_eq!(got.unwrap_err(), FetchLoss::Missing(nowhere.id));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_with_the_right_hash_that_are_something_else_are_malformed() {
    let (mut body, holder, _dirs) = pair().await;
    let noise = holder.node.store().put(b"neither manifest nor tree").unwrap();
    let got = fetches(&mut body, Want::Manifest(noise), &holder).await;
    assert_eq!(got.unwrap_err(), FetchLoss::Malformed(noise.id));
    let want = Want::Inputs { blobs: vec![], trees: vec![noise], parts: vec![] };
    let got = fetches(&mut body, want, &holder).await;
    assert_eq!(got.unwrap_err(), FetchLoss::Malformed(noise.id));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_outgrows_the_quota_is_no_room() {
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let mut tight = config(dirs[0].path());
    tight.storage_bytes = 2 << 20;
    let (mut body, holder) = Body::pair(tight, config(dirs[1].path())).await;
    let large = holder.node.store().put(&vec![7; 3 << 20]).unwrap();
    let want = Want::Inputs { blobs: vec![large], trees: vec![], parts: vec![] };
    assert_eq!(fetches(&mut body, want, &holder).await.unwrap_err(), FetchLoss::NoRoom);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_pack_that_is_what_was_agreed_on_is_taken_with_its_files() {
    let (mut body, holder, _dirs) = pair().await;
    let store = holder.node.store();
    let made = store.put(b"a file below /out").unwrap();
    let large = store.put(&vec![3; 20_000]).unwrap();
    let out = Tree::new(vec![file("made", made, false)]).unwrap().to_bytes();
    let exit = Exit { code: 0, stdout: large, out: BlobRef::of(&out) };
    let outcomes = vec![Outcome::Exit(exit), Outcome::OutOfFuel];
    let right = Pack::new(outcomes.clone(), |_| out.clone());
    let lie = Pack::new(vec![Outcome::OutOfFuel; 2], |_| vec![]);
    let noise = store.put(b"no pack at all").unwrap();
    let lie = store.put(&lie.to_bytes()).unwrap();
    let good = store.put(&right.to_bytes()).unwrap();

    let root = merkle_root(&right.digests());
    let want = PackWant {
        stage: 0,
        batch: 3,
        first_unit: 6,
        units: 2,
        root,
        packs: vec![noise, lie, good],
        holders: vec![],
        goes_on: false,
    };
    match fetches(&mut body, Want::Packs { wants: vec![want.clone()], outputs: true }, &holder)
        .await
    {
        Ok(Got::Packs { packs, failed }) => assert_eq!((packs, failed), (vec![good], 1)),
        other => panic!("{other:?}"),
    }
    for blob in [made, large, good] {
        assert!(body.node.store().contains(blob.id));
    }
    assert!(!body.node.store().contains(lie.id), "what a liar named is not kept");

    let other = PackWant { root: Hash::ZERO, packs: vec![lie], ..want };
    let got = fetches(&mut body, Want::Packs { wants: vec![other], outputs: true }, &holder).await;
    assert_eq!(got.unwrap_err(), FetchLoss::Missing(lie.id));
}
