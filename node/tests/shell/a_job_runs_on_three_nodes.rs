//! The whole: a job of twenty units is verified by nodes that share nothing but a network.

use std::time::Duration;

use client::api::Blob;
use client::{Draft, DraftSource, DraftStage};
use engine::{JobState, JobView};
use node::Node;
use protocol::{Assurance, Entry, JobId, Tree};

use crate::body::config;
use crate::guests::{copy, squares};

/// Long enough for a machine that builds something else at the same time.
const PATIENCE: Duration = Duration::from_secs(180);

async fn over(node: &Node, job: JobId) -> JobView {
    let mut changes = node.changes();
    let ends = async {
        loop {
            let view = node.job(job).await.expect("it was submitted here");
            let is_sealed = view.assurance == Assurance::Sealed;
            if !matches!(view.state, JobState::Running | JobState::Fetching | JobState::Seeking)
                && (is_sealed || view.state != JobState::Verified)
            {
                return view;
            }
            // Having missed some changes is a change, too.
            let _ = changes.recv().await;
        }
    };
    tokio::time::timeout(PATIENCE, ends).await.expect("the job ends within three minutes")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_squares_are_sealed_and_can_be_read_where_stamps_are_asked_for() {
    let dirs: Vec<_> = (0..3).map(|_| tempfile::tempdir().unwrap()).collect();
    let mut nodes = vec![];
    for dir in &dirs {
        let stamps = node::Config { stamp_bits: 1, job_stamp: Some(0), ..config(dir.path()) };
        nodes.push(Node::start(stamps).await.unwrap());
    }
    for (one, other) in [(0, 1), (0, 2), (1, 2)] {
        nodes[one].dial(&nodes[other].addresses()[0]).await.unwrap();
    }
    let job = nodes[0].submit(squares(&nodes[0])).await.unwrap();
    let view = over(&nodes[0], job).await;
    assert_eq!(view.state, JobState::Verified, "{view:?}");
    assert!(2 <= view.workers.len() && view.convicted.is_empty(), "{view:?}");

    let results = nodes[0].results(job, 0..100).await.unwrap().units;
    assert_eq!(results.len(), 20);
    for (x, unit) in (0u64..).zip(&results) {
        assert_eq!((unit.index, unit.count, unit.verified), (x, 20, true));
        let text = nodes[0].read_blob(unit.stdout.id).await.unwrap();
        assert_eq!(text, format!("{}\n", x * x + 1).as_bytes());
    }
    for numbers in [0..1, 7..13, 18..30, 20..21, 30..40] {
        let part = nodes[0].results(job, numbers.clone()).await.unwrap();
        let of = |at: u64| usize::try_from(at.min(20)).unwrap();
        assert_eq!(part.units, results[of(numbers.start)..of(numbers.end)], "{numbers:?}");
        assert_eq!(part.total, 20);
    }
    for node in nodes {
        node.shutdown().await;
    }
}

/// Forty parts, one of which is `other` instead of its number, copied; and each copy copied once more.
fn copies(node: &Node, other: Option<u64>) -> Draft {
    let store = node.store();
    let module: Blob = store.put(&copy()).unwrap().into();
    let entry = |n: u64| {
        let text = if other == Some(n) { "other".to_owned() } else { n.to_string() };
        let blob = store.put(text.as_bytes()).unwrap();
        Entry { path: format!("{n:02}"), blob, is_tree: false }
    };
    let tree = Tree::new((0..40).map(entry).collect()).unwrap();
    let tree = store.put(&tree.to_bytes()).unwrap().into();
    let mut draft = squares(node);
    let first = draft.stages.remove(0);
    let stage = |name: &str, source, path: &str| DraftStage {
        name: name.to_owned(),
        source,
        module,
        args: vec![path.to_owned()],
        ..first.clone()
    };
    draft.stages = vec![
        stage("first", DraftSource::Parts { tree, count: 40 }, "in/part"),
        stage("second", DraftSource::Each { stage: 0 }, "in/first/stdout"),
    ];
    draft
}

async fn texts(node: &Node, job: JobId) -> Vec<String> {
    let mut texts = Vec::new();
    for unit in node.results(job, 0..100).await.unwrap().units {
        let bytes = node.read_blob(unit.stdout.id).await.unwrap();
        texts.push(String::from_utf8(bytes).unwrap());
    }
    texts
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_earlier_job_has_verified_is_not_executed_again() {
    let dirs: Vec<_> = (0..3).map(|_| tempfile::tempdir().unwrap()).collect();
    let mut nodes = vec![];
    for dir in &dirs {
        nodes.push(Node::start(config(dir.path())).await.unwrap());
    }
    for (one, other) in [(0, 1), (0, 2), (1, 2)] {
        nodes[one].dial(&nodes[other].addresses()[0]).await.unwrap();
    }
    let numbers: Vec<String> = (0..40).map(|n| n.to_string()).collect();
    let mut changed = numbers.clone();
    changed[17] = "other".to_owned();
    for recalled in [0, 80] {
        let job = nodes[0].submit(copies(&nodes[0], None)).await.unwrap();
        let view = over(&nodes[0], job).await;
        assert_eq!(view.state, JobState::Verified, "{view:?}");
        assert_eq!(texts(&nodes[0], job).await, numbers);
        assert_eq!(view.recalled, recalled, "{view:?}");
        assert_eq!(view.executions == 0, recalled == 80, "{view:?}");
    }

    let job = nodes[0].submit(copies(&nodes[0], Some(17))).await.unwrap();
    let view = over(&nodes[0], job).await;
    assert_eq!(texts(&nodes[0], job).await, changed);
    assert_eq!(view.recalled, 78, "{view:?}");
    // Two votes and perhaps an audit on each of the two that have changed.
    assert!(view.executions < 12, "{view:?}");

    let job = nodes[0].submit(Draft { no_memo: true, ..copies(&nodes[0], None) }).await.unwrap();
    let view = over(&nodes[0], job).await;
    assert_eq!((texts(&nodes[0], job).await, view.recalled), (numbers, 0));
    for node in nodes {
        node.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_draft_whose_blobs_are_missing_or_no_modules_is_refused_with_the_reason() {
    let dir = tempfile::tempdir().unwrap();
    let node = Node::start(config(dir.path())).await.unwrap();
    let mut draft = squares(&node);
    draft.stages[0].module.id = protocol::BlobId::new([7; 32]);
    let text = node.submit(draft).await.unwrap_err().to_string();
    assert!(text.contains("the module of stage `squares`") && text.contains("hint:"), "{text}");

    let mut draft = squares(&node);
    draft.stages[0].module = node.store().put(b"not a module").unwrap().into();
    let text = node.submit(draft).await.unwrap_err().to_string();
    assert!(text.contains("not a WebAssembly module"), "{text}");
    assert_eq!(node.store().usage().pinned, 0, "nothing of it stays pinned");
    assert!(node.jobs().await.is_empty());
}
