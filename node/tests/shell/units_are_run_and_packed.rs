//! Running and packing: units end with outcomes, their outputs go into a pack that others can read.

use std::collections::BTreeMap;
use std::sync::Arc;

use engine::{Effect, Event, PackId, Reads, RunId};
use protocol::{
    BlobId, BlobRef, Execution, Exit, JobId, Loss, Outcome, Pack, Plan, Tree, merkle_root,
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
