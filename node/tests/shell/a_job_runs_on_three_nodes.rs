//! The whole: a job of twenty units is verified by nodes that share nothing but a network.

use std::time::Duration;

use engine::{JobState, JobView};
use node::Node;
use protocol::{Assurance, JobId};

use crate::body::config;
use crate::guests::squares;

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

    let results = nodes[0].results(job).await.unwrap();
    assert_eq!(results.len(), 20);
    for (x, unit) in (0u64..).zip(&results) {
        assert_eq!((unit.index, unit.count, unit.verified), (x, 20, true));
        let text = nodes[0].read_blob(unit.stdout.id).await.unwrap();
        assert_eq!(text, format!("{}\n", x * x + 1).as_bytes());
    }
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
