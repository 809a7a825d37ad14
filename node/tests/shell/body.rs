//! A node whose engine is a script: effects by hand in, answers out.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use engine::{Effect, Event, Record, RecordId};
use node::config::Program;
use node::{Config, Node, Tamper};
use protocol::JobId;
use tokio::sync::mpsc;

/// Long enough for a machine that builds something else at the same time.
const PATIENCE: Duration = Duration::from_secs(120);

/// A node that does what the test says, and reports what came of it.
pub(crate) struct Body {
    pub(crate) node: Node,
    effects: Arc<Mutex<Vec<Effect>>>,
    answers: mpsc::UnboundedReceiver<Event>,
}

struct Script {
    effects: Arc<Mutex<Vec<Effect>>>,
    answers: mpsc::UnboundedSender<Event>,
}

impl Tamper for Script {
    fn event(&mut self, event: &mut Event) -> Vec<Effect> {
        match std::mem::replace(event, Event::Tick) {
            Event::Open { .. } => std::mem::take(&mut self.effects.lock().unwrap()),
            Event::Tick => vec![],
            answer => {
                let _ = self.answers.send(answer);
                vec![]
            }
        }
    }

    fn effect(&mut self, _: Effect) -> Vec<Effect> {
        vec![]
    }
}

/// A node on loopback in a folder of its own.
pub(crate) fn config(dir: &Path) -> Config {
    let worker = Program { path: env!("CARGO_BIN_EXE_dugnad").into(), args: vec!["worker".into()] };
    Config { cores: 1, worker, ..Config::loopback(dir.to_owned(), "shell test") }
}

impl Body {
    pub(crate) async fn start(config: Config) -> Self {
        let effects = Arc::new(Mutex::new(vec![]));
        let (tell, answers) = mpsc::unbounded_channel();
        let script = Script { effects: effects.clone(), answers: tell };
        let node = Node::start_tampered(config, Box::new(script)).await.unwrap();
        Self { node, effects, answers }
    }

    /// Two nodes that are connected.
    pub(crate) async fn pair(one: Config, other: Config) -> (Self, Self) {
        let (mut one, mut other) = (Self::start(one).await, Self::start(other).await);
        one.node.dial(&other.node.addresses()[0]).await.unwrap();
        one.until(|event| matches!(event, Event::PeerUp { .. })).await;
        other.until(|event| matches!(event, Event::PeerUp { .. })).await;
        (one, other)
    }

    /// Has the shell carry out one effect.
    pub(crate) async fn does(&self, effect: Effect) {
        self.effects.lock().unwrap().push(effect);
        self.node.open(JobId::new([0; 32])).await;
    }

    /// The first answer that is meant; others are passed over.
    pub(crate) async fn until(&mut self, is_it: impl Fn(&Event) -> bool) -> Event {
        let found = async {
            loop {
                let event = self.answers.recv().await.expect("the node runs");
                if is_it(&event) {
                    return event;
                }
            }
        };
        tokio::time::timeout(PATIENCE, found).await.expect("an answer within two minutes")
    }

    /// Returns once everything that was given to the store before is on disk.
    pub(crate) async fn is_durable(&mut self) {
        let record = Record { key: b"test".to_vec(), value: Some(vec![]) };
        self.does(Effect::Record { id: Some(RecordId(u64::MAX)), record }).await;
        self.until(|event| matches!(event, Event::Recorded { record: RecordId(u64::MAX) })).await;
    }
}
