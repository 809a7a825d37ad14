//! A kill in the middle: what was recorded and executed before the last commit is there again.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use engine::{Effect, Event, Record, RecordId};
use protocol::Pack;

use crate::body::{Body, config};
use crate::guests;
use crate::units_are_run_and_packed::{packs, runs};

const FOLDER: &str = "DUGNAD_TEST_KILLED_IN";
const SAFE: &str = "everything is on disk";

/// Plays the node that is killed; without the variable it is no test at all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_one_that_is_killed() {
    let Ok(dir) = std::env::var(FOLDER) else { return };
    let mut body = Body::start(config(Path::new(&dir))).await;
    body.node.store().put(guests::SQUARE).unwrap();
    let plan = guests::plan(vec![guests::range(guests::SQUARE, 5)]);
    let ended = runs(&mut body, &plan, 0, engine::Reads::default()).await;
    assert!(ended.values().all(Result::is_ok), "{ended:?}");
    let record = Record { key: b"k".to_vec(), value: Some(b"v".to_vec()) };
    body.does(Effect::Record { id: Some(RecordId(3)), record }).await;
    body.until(|event| matches!(event, Event::Recorded { record: RecordId(3) })).await;
    let mut out = std::io::stdout();
    writeln!(out, "\n{SAFE}").unwrap();
    out.flush().unwrap();
    std::future::pending::<()>().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_node_goes_on_where_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["work_survives_a_kill::the_one_that_is_killed", "--exact", "--nocapture"])
        .env(FOLDER, dir.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let safe = lines.map_while(Result::ok).any(|line| line == SAFE);
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(safe, "the child ended before it was safe");

    let mut body = Body::start(config(dir.path())).await;
    let plan = guests::plan(vec![guests::range(guests::SQUARE, 5)]);
    let job = plan.manifest().job();
    let resumed = body.until(|event| matches!(event, Event::Resumed { .. })).await;
    let Event::Resumed { records, executions } = resumed else { panic!("{resumed:?}") };
    assert_eq!(records, [(b"k".to_vec(), b"v".to_vec())]);
    let places: Vec<_> =
        executions.iter().map(|(job, stage, unit, _)| (*job, *stage, *unit)).collect();
    assert_eq!(places, (0..5).map(|unit| (job, 0, unit)).collect::<Vec<_>>());

    // What they printed has survived with them: a pack can be made without running anything again.
    let ended =
        executions.into_iter().map(|(_, _, unit, execution)| (unit, Ok(execution))).collect();
    let blob = packs(&mut body, job, 0, &ended).await;
    let pack = Pack::from_bytes(&body.node.store().get(blob.id, blob.size).unwrap()).unwrap();
    assert!(pack.outside().is_empty());
    let node = body.node.clone();
    drop(body);
    node.shutdown().await;

    let mut body = Body::start(config(dir.path())).await;
    match body.until(|event| matches!(event, Event::Resumed { .. })).await {
        Event::Resumed { executions, .. } => assert_eq!(executions, [], "packed is packed"),
        other => panic!("{other:?}"),
    }
}
