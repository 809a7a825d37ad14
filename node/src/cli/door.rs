//! The way to a node: the one that runs on the data folder, or one that is started for a command.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use client::{Client, ClientError};
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

use crate::Node;
use crate::cli::entry::Context;
use crate::cli::failure::{End, Failure, Outcome};
use crate::cli::flags::SettingFlags;
use crate::cli::terminal::talk;
use crate::config::{Config, Loaded, Origin, Setting};
use crate::http::Api;

/// What the end of a node may take altogether.
const END_WITHIN: Duration = Duration::from_millis(4500);
/// What tasks that do not listen may take beyond.
const CUT_WITHIN: Duration = Duration::from_millis(300);

/// A client of the node that runs on the data folder.
pub(crate) fn running(context: &Context) -> Outcome<Client> {
    let config = context.settings(&[], true)?.config;
    Ok(Client::find(&config.data_dir)?)
}

/// A client, and the node that was started for it, if none was running.
#[derive(Debug)]
pub(crate) struct Door {
    pub(crate) client: Client,
    own: Option<OwnNode>,
}

impl Door {
    /// The running node, or one for the duration of this command.
    pub(crate) fn open(context: &Context, flags: &SettingFlags) -> Outcome<Self> {
        let mut loaded = context.settings(&flags.0, true)?;
        match Client::find(&loaded.config.data_dir) {
            Ok(client) => return Ok(Self { client, own: None }),
            Err(ClientError::NoNode { data_dir }) => {
                talk(format!(
                    "no node runs on {}: starting one for this command",
                    data_dir.display()
                ));
            }
            Err(other) => return Err(other.into()),
        }
        for_a_while(&mut loaded);
        let own = OwnNode::start(loaded.config)?;
        let client = Client::new(own.api.address(), own.api.token().as_str().to_owned());
        Ok(Self { client, own: Some(own) })
    }

    /// Whether the node ends with this command.
    pub(crate) fn is_own(&self) -> bool {
        self.own.is_some()
    }

    /// Stops the node, if it was started for this command.
    pub(crate) fn close(self) {
        if let Some(own) = self.own {
            own.stop();
        }
    }
}

/// A node in this process, and its HTTP API.
#[derive(Debug)]
pub(crate) struct OwnNode {
    runtime: Runtime,
    pub(crate) node: Node,
    pub(crate) api: Api,
    /// Cancelled when somebody asks over HTTP for the node to end.
    pub(crate) asked_to_stop: CancellationToken,
}

impl OwnNode {
    pub(crate) fn start(config: Config) -> Outcome<Self> {
        let runtime = Runtime::new().map_err(|error| Failure::of(End::NoNode, &error))?;
        let asked_to_stop = CancellationToken::new();
        let (address, data_dir) = (config.api, config.data_dir.clone());
        let started = runtime.block_on(async {
            let node = Node::start(config).await.map_err(|e| Failure::of(End::NoNode, &e))?;
            let api = Api::start(node.clone(), address, &data_dir, asked_to_stop.clone()).await;
            match api {
                Ok(api) => Ok((node, api)),
                Err(error) => {
                    node.shutdown().await;
                    Err(Failure::of(End::NoNode, &error))
                }
            }
        });
        let (node, api) = started?;
        Ok(Self { runtime, node, api, asked_to_stop })
    }

    /// Lets `until` run in the node's runtime, to its end.
    pub(crate) fn block_on<T>(&self, until: impl Future<Output = T>) -> T {
        self.runtime.block_on(until)
    }

    /// Ends within five seconds, whatever hangs.
    pub(crate) fn stop(self) {
        let Self { runtime, node, api, .. } = self;
        let stopped = runtime.block_on(async {
            tokio::time::timeout(END_WITHIN, async {
                api.stop().await;
                node.shutdown().await;
            })
            .await
        });
        if stopped.is_err() {
            talk(
                "the node did not end in time and was cut off; what it had acknowledged is on disk",
            );
        }
        runtime.shutdown_timeout(CUT_WITHIN);
    }
}

/// A node for one command takes any free port, unless its owner has chosen one.
fn for_a_while(loaded: &mut Loaded) {
    let by_default = |setting| loaded.origins.get(&setting) == Some(&Origin::Default);
    if by_default(Setting::Listen) {
        loaded.config.listen =
            ["/ip4/0.0.0.0/tcp/0", "/ip4/0.0.0.0/udp/0/quic-v1"].map(str::to_owned).to_vec();
    }
    loaded.config.api = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
}
