//! Running and packing: units end with outcomes, their outputs go into a pack that others can read.

use std::collections::BTreeMap;
use std::sync::Arc;

use engine::{Effect, Event, PackId, Reads, RunId};
use protocol::{
    BlobId, BlobRef, ByName, Entry, Execution, Exit, JobId, Loss, Outcome, Pack, Parts, Plan,
    Source, Stage, Tree, bucket_of, merkle_root,
};

use crate::body::{Body, config};
use crate::guests;

type Ended = BTreeMap<u64, Result<Execution, Loss>>;

pub(crate) async fn runs(body: &mut Body, plan: &Arc<Plan>, stage: u16, reads: Reads) -> Ended {
    let units: Vec<u64> = (0..plan.partition(stage).units()).collect();
    let (run, job, wanted) = (RunId(5), plan.manifest().job(), units.len());
    let (plan, reads) = (Arc::clone(plan), Arc::new(reads));
    body.does(Effect::Run { run, job, plan, stage, units, reads }).await;
    let mut ended = BTreeMap::new();
    while ended.len() < wanted {
        match body.until(|event| matches!(event, Event::Ran { .. })).await {
            Event::Ran { run: RunId(5), units } => ended.extend(units),
            other => panic!("{other:?}"),
        }
    }
    ended
}

pub(crate) async fn packs(body: &mut Body, job: JobId, stage: u16, ended: &Ended) -> BlobRef {
    let outcomes = ended.values().map(|end| end.as_ref().unwrap().outcome).collect();
    let (pack, units) = (PackId(6), ended.keys().copied().collect());
    body.does(Effect::Pack { pack, job, stage, units, outcomes }).await;
    match body.until(|event| matches!(event, Event::Packed { .. })).await {
        Event::Packed { pack: PackId(6), blob } => blob,
        other => panic!("{other:?}"),
    }
}

fn read(body: &Body, blob: BlobRef) -> Pack {
    Pack::from_bytes(&body.node.store().get(blob.id, blob.size).unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stage_and_its_reduction_give_what_a_shell_would_give() {
    let dir = tempfile::tempdir().unwrap();
    let mut body = Body::start(config(dir.path())).await;
    let copy = guests::copy();
    for module in [guests::SQUARE, &copy] {
        body.node.store().put(module).unwrap();
    }
    let stages =
        vec![guests::range(guests::SQUARE, 12), guests::gather(&copy, "in/squares/07/stdout")];
    let plan = guests::plan(stages);
    let job = plan.manifest().job();

    let squares = runs(&mut body, &plan, 0, Reads::default()).await;
    let blob = packs(&mut body, job, 0, &squares).await;
    let pack = read(&body, blob);
    for (x, outcome) in (0..12).zip(pack.outcomes()) {
        let Outcome::Exit(Exit { code: 0, stdout, .. }) = outcome else { panic!("{outcome:?}") };
        let text = pack.inline(stdout.id).unwrap();
        assert_eq!(text, format!("{}\n", x * x + 1).as_bytes());
    }

    let mut reads = Reads::default();
    reads.insert(0, 0, merkle_root(&pack.digests()), (0, blob));
    let all = runs(&mut body, &plan, 1, reads).await;
    let blob = packs(&mut body, job, 1, &all).await;
    let pack = read(&body, blob);
    let Outcome::Exit(Exit { code: 0, stdout, out }) = pack.outcomes()[0] else {
        panic!("{:?}", pack.outcomes())
    };
    assert_eq!(pack.inline(stdout.id).unwrap(), b"50\n");
    let out = Tree::from_bytes(pack.inline(out.id).unwrap()).unwrap();
    assert_eq!(out.entries()[0].path, "copy");
    assert_eq!(body.node.store().get(out.entries()[0].blob.id, 100).unwrap(), b"50\n");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_of_one_name_meet_in_the_unit_of_their_bucket() {
    let dir = tempfile::tempdir().unwrap();
    let mut body = Body::start(config(dir.path())).await;
    let copy = guests::copy();
    let module = body.node.store().put(&copy).unwrap();
    let part = |n: u64| {
        let blob = body.node.store().put(format!("part {n}").as_bytes()).unwrap();
        Entry { path: n.to_string(), blob, is_tree: false }
    };
    let tree = Tree::new((0..3).map(part).collect()).unwrap();
    let parts = Parts { tree: body.node.store().put(&tree.to_bytes()).unwrap(), count: 3 };
    let first = Stage {
        name: "first".to_owned(),
        source: Source::Parts(parts),
        module,
        args: vec!["in/part".to_owned()],
        ..guests::range(&copy, 1)
    };
    // Every unit of the first stage leaves a file `copy`; in the second one only one unit finds them.
    let names = Stage {
        name: "names".to_owned(),
        source: Source::ByName(ByName { stage: 0, buckets: 20 }),
        args: vec!["in/first/copy/2".to_owned()],
        ..first.clone()
    };
    let manifest = guests::plan(vec![first, names]).manifest().clone();
    let mut plan = Plan::new(manifest);
    assert!(plan.add_parts(parts.tree.id, tree));
    let plan = Arc::new(plan);
    let job = plan.manifest().job();

    let copies = runs(&mut body, &plan, 0, Reads::default()).await;
    let blob = packs(&mut body, job, 0, &copies).await;
    let mut reads = Reads::default();
    reads.insert(0, 0, merkle_root(&read(&body, blob).digests()), (0, blob));
    let all = runs(&mut body, &plan, 1, reads).await;
    let ended = |unit: &u64| all[unit].as_ref().unwrap().outcome.is_success();
    let found: Vec<u64> = (0..20).filter(ended).collect();
    assert_eq!(found, [u64::from(bucket_of("copy", 20))]);
    let blob = packs(&mut body, job, 1, &all).await;
    let pack = read(&body, blob);
    let Outcome::Exit(Exit { stdout, .. }) = pack.outcomes()[found[0] as usize] else {
        panic!("{:?}", pack.outcomes())
    };
    assert_eq!(pack.inline(stdout.id).unwrap(), b"part 2");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_outputs_are_blobs_beside_the_pack() {
    let dir = tempfile::tempdir().unwrap();
    let mut body = Body::start(config(dir.path())).await;
    let copy = guests::copy();
    let large = vec![b'x'; 150_000];
    let store = body.node.store();
    let module = store.put(&copy).unwrap();
    let input = store.put(&large).unwrap();
    let source = protocol::InputSource::Blob(input);
    let mut stage = guests::range(&copy, 2);
    stage.args = vec!["in/data".to_owned()];
    stage.inputs = vec![protocol::Input { path: "data".to_owned(), source }];
    assert_eq!(stage.module, module);
    let plan = guests::plan(vec![stage]);

    let ended = runs(&mut body, &plan, 0, Reads::default()).await;
    let blob = packs(&mut body, plan.manifest().job(), 0, &ended).await;
    assert_eq!(read(&body, blob).outside(), [input]);
    assert_eq!(body.node.store().get(BlobId::of(&large), 1 << 20).unwrap(), large);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn units_whose_inputs_are_not_here_say_which() {
    let dir = tempfile::tempdir().unwrap();
    let mut body = Body::start(config(dir.path())).await;
    let plan = guests::plan(vec![guests::range(b"a module that is nowhere", 3)]);
    let ended = runs(&mut body, &plan, 0, Reads::default()).await;
    let missing = Loss::MissingBlob(BlobId::of(b"a module that is nowhere"));
    assert!(ended.values().all(|end| *end == Err(missing.clone())), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_run_frees_its_worker_for_the_next() {
    let dir = tempfile::tempdir().unwrap();
    let mut body = Body::start(config(dir.path())).await;
    let spin = guests::spin();
    for module in [guests::SQUARE, &spin] {
        body.node.store().put(module).unwrap();
    }
    let endless = guests::plan(vec![guests::range(&spin, 1)]);
    let (run, job) = (RunId(1), endless.manifest().job());
    let reads = Arc::default();
    body.does(Effect::Run { run, job, plan: endless, stage: 0, units: vec![0], reads }).await;
    body.does(Effect::Stop { run }).await;
    let plan = guests::plan(vec![guests::range(guests::SQUARE, 2)]);
    let ended = runs(&mut body, &plan, 0, Reads::default()).await;
    assert!(ended.values().all(Result::is_ok), "{ended:?}");
}
