//! Starting: the data folder is opened, the organs begin to live, and the engine is told its past.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use engine::Engine;
use protocol::limits::REPORT_BYTES_MAX;
use protocol::{Report, Stamp};
use sandbox::{Pool, PoolConfig};
use store::{Opened, Options, Store, StoreError};
use tokio::sync::{broadcast, mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{Instrument, info, info_span, warn};

use crate::Tamper;
use crate::config::Config;
use crate::identity::{Home, HomeError, Identity};
use crate::node::handle::{Inner, Node};
use crate::shell::{
    CHANGES_BEHIND_MAX, Changes, Dispatch, Inbox, Journal, Serve, Shared, forget_no_peers, hear,
    kept_stamp, remembered, resumed, stay_stamped,
};

/// Events that may wait for the engine; the network waits outside.
const EVENTS_MAX: usize = 1024;
/// Questions of handles that may wait for the engine.
const ASKS_MAX: usize = 256;

/// Why a node did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Home(#[from] HomeError),
    #[error(transparent)]
    Store(#[from] store::OpenError),
    #[error("reading the journal: {0}")]
    Journal(#[from] StoreError),
    #[error("{0}\nhint: see the setting `listen`; port 0 lets the system choose")]
    Net(#[from] net::StartError),
    #[error("the sandbox: {0}")]
    Sandbox(#[from] sandbox::StartError),
    #[error("no thread: {0}\nhint: raise this user's limit of processes")]
    Thread(std::io::Error),
    #[error("no random bytes from the operating system: {0}")]
    Random(String),
    #[error("the start was interrupted")]
    Interrupted,
}

impl Node {
    /// Opens the data folder and begins to take part. Needs a multi-threaded tokio runtime.
    ///
    /// # Errors
    /// [`StartError`] says what is in the way, and what to do about it.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        start(config, None).await
    }

    /// The same with somebody between engine and shell: for tests, and for liars in test networks.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn start_tampered(
        config: Config,
        tamper: Box<dyn Tamper>,
    ) -> Result<Self, StartError> {
        start(config, Some(tamper)).await
    }
}

async fn start(config: Config, tamper: Option<Box<dyn Tamper>>) -> Result<Node, StartError> {
    let ground = config.clone();
    let opened = tokio::task::spawn_blocking(move || open(&ground)).await;
    let ground = opened.map_err(|_| StartError::Interrupted)??;
    let Ground { home, identity, store, known, past, stamp } = ground;
    let store = Arc::new(store);
    let pool = Pool::start(pool_config(&config)).await?;
    for layer in pool.missing_isolation() {
        warn!(layer, "this machine does not offer a layer of isolation");
    }
    let serve = Arc::new(Serve::new(&store));
    let (net, heard) = net::start(net_config(&config, &identity, known), serve).await?;

    let (events, for_engine) = mpsc::channel(EVENTS_MAX);
    let (asks, asked) = mpsc::channel(ASKS_MAX);
    let (tell_recorded, recorded) = mpsc::unbounded_channel();
    let (changes, _) = broadcast::channel(CHANGES_BEHIND_MAX);
    let stop = CancellationToken::new();
    let (journal, thread) = Journal::start(Arc::clone(&store), tell_recorded, stop.clone())
        .map_err(StartError::Thread)?;
    let shared = Arc::new(Shared {
        me: net.me(),
        network: config.network_id(),
        net,
        store,
        pool,
        kept: Default::default(),
        receipts: Default::default(),
        refusals: Default::default(),
        stamps: Default::default(),
        known: Default::default(),
        is_stamped: stamp.is_some().into(),
        counters: Default::default(),
        provided: Default::default(),
        keeping: Arc::default(),
        remembering: Arc::default(),
        peers_changed: watch::Sender::new(0),
        events,
        stop,
        tasks: TaskTracker::new(),
    });
    let engine = Engine::new(engine_config(&config, &identity, stamp)?);
    let watchers = Changes::new(changes.clone());
    let dispatch = Dispatch::new(Arc::clone(&shared), engine, tamper, journal, watchers);
    let inbox = Inbox { asks: asked, events: for_engine, recorded };
    let span = info_span!("node", me = %shared.me);
    // The engine's task ends by itself, so that what it has recorded is handed over whole.
    shared.tasks.spawn(dispatch.run(past, inbox).instrument(span.clone()));
    shared.spawn(hear(Arc::clone(&shared), heard).instrument(span));
    shared.spawn(forget_no_peers(Arc::clone(&shared)));
    shared.spawn(stay_stamped(Arc::clone(&shared), config.stamp_bits, stamp));
    info!(me = %shared.me, network = config.network, "node started");
    let (inside, adding) = Default::default();
    let journal = Mutex::new(Some(thread));
    Ok(Node::new(Inner { shared, config, asks, changes, inside, adding, journal, _home: home }))
}

/// What the disk gives.
struct Ground {
    home: Home,
    identity: Identity,
    store: Store,
    known: Vec<(protocol::PeerId, Vec<String>)>,
    past: Option<engine::Event>,
    stamp: Option<Stamp>,
}

fn open(config: &Config) -> Result<Ground, StartError> {
    let home = Home::open(&config.data_dir)?;
    let identity = home.identity()?;
    let options = Options::new(config.storage_bytes);
    let Opened { store, quarantined, strays } = Store::open(&home.join("store"), options)?;
    if let Some(path) = quarantined {
        let path: PathBuf = path;
        warn!(kept = %path.display(), strays, "the store was corrupt: jobs of before are lost to it");
    }
    let (known, past) = (remembered(&store), resumed(&store)?);
    let me = identity.keypair().peer();
    let stamp = kept_stamp(&store, config.network_id(), me, config.stamp_bits);
    Ok(Ground { home, identity, store, known, past, stamp })
}

fn pool_config(config: &Config) -> PoolConfig {
    PoolConfig {
        program: config.worker.path.clone(),
        args: config.worker.args.clone(),
        workers: config.cores,
        cache_dir: config.data_dir.join("modules"),
        scratch_dir: config.data_dir.join("scratch"),
    }
}

fn net_config(
    config: &Config,
    identity: &Identity,
    remembered: Vec<(protocol::PeerId, Vec<String>)>,
) -> net::Config {
    net::Config {
        secret: *identity.secret(),
        network: config.network_id(),
        listen: config.listen.clone(),
        bootstrap: config.bootstrap.clone(),
        external: config.external.clone(),
        remembered,
        mdns: config.mdns,
        reachability: config.reachability,
        patience: net::Patience::default(),
        rates: net::Rates { upload: config.upload_limit, download: config.download_limit },
    }
}

fn engine_config(
    config: &Config,
    identity: &Identity,
    stamp: Option<Stamp>,
) -> Result<engine::Config, StartError> {
    let seed = getrandom::u64().map_err(|e| StartError::Random(e.to_string()))?;
    Ok(engine::Config {
        keypair: identity.keypair(),
        network: config.network_id(),
        cores: config.cores,
        memory_bytes: config.memory_bytes,
        works: config.works,
        stamp,
        job_stamp_base: config.job_stamp,
        keeps: config.keeps,
        seed,
        report: report(),
    })
}

/// What executes here, for diagnosis: the program's version and the processor's name.
fn report() -> Report {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name"));
    let model = model.and_then(|rest| rest.split_once(':')).map_or("", |(_, name)| name.trim());
    let engine = concat!("dugnad ", env!("CARGO_PKG_VERSION")).to_owned();
    let mut cpu = format!("{} {model}", std::env::consts::ARCH);
    while REPORT_BYTES_MAX < engine.len() + cpu.len() {
        cpu.pop();
    }
    Report { engine, cpu }
}
