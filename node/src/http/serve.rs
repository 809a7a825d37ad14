//! The listener: loopback only, few connections, little patience; found through `api.json`.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use client::{ApiFile, api_file, token_file};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, warn};

use crate::Node;
use crate::http::Token;
use crate::http::access::write_private;
use crate::http::guard::{Guard, HEADER_BYTES_MAX};
use crate::http::routes::{Desk, router};

/// A person has a few programs open, each with a few connections.
const CONNECTIONS_MAX: usize = 64;
/// What is read of a request's line and headers; the guard answers what is somewhat too long.
const HEADER_BYTES_READ: usize = 4 * HEADER_BYTES_MAX;
const HEADER_WITHIN: Duration = Duration::from_secs(10);
/// Requests that run when the node stops have this long to end.
const END_WITHIN: Duration = Duration::from_secs(2);
/// So that a listener without free file descriptors does not spin.
const ACCEPT_AGAIN_AFTER: Duration = Duration::from_millis(100);

/// The running API; [`Api::stop`] ends it.
#[derive(Debug)]
pub(crate) struct Api {
    address: SocketAddr,
    token: Token,
    file: PathBuf,
    tasks: TaskTracker,
    stop: CancellationToken,
}

/// Why the API cannot be served.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApiError {
    #[error(
        "the HTTP API listens on loopback only, not on {address}\nhint: set `api` to 127.0.0.1 and a port; reach it from elsewhere through an SSH tunnel"
    )]
    NotLoopback { address: SocketAddr },
    #[error("{address}: {source}\nhint: set `api` to another port, or to port 0 for any free one")]
    Listen { address: SocketAddr, source: io::Error },
    #[error("{}: {source}\nhint: check the data folder and its disk", path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("the system gives no random bytes: {0}")]
    Random(io::Error),
}

impl Api {
    /// Listens, and says so in the data folder. `stop` is what `POST /node/shutdown` cancels.
    ///
    /// # Errors
    /// [`ApiError`] if the address is not loopback or taken, or the folder cannot be written.
    pub(crate) async fn start(
        node: Node,
        address: SocketAddr,
        data_dir: &Path,
        stop: CancellationToken,
    ) -> Result<Self, ApiError> {
        if !address.ip().is_loopback() {
            return Err(ApiError::NotLoopback { address });
        }
        let listen = |source| ApiError::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        let token = Token::random().map_err(ApiError::Random)?;
        let file = api_file(data_dir);
        write_files(data_dir, address, &token)?;
        let desk = Desk { node, stop: stop.clone() };
        let router = router(desk, Guard::new(address, token.clone()));
        let tasks = TaskTracker::new();
        tasks.spawn(accept(listener, router, stop.clone(), tasks.clone()));
        Ok(Self { address, token, file, tasks, stop })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn token(&self) -> &Token {
        &self.token
    }

    /// Takes the sign down, and lets running requests end for two seconds.
    pub(crate) async fn stop(self) {
        if let Err(error) = std::fs::remove_file(&self.file) {
            warn!(%error, "api.json could not be removed");
        }
        self.stop.cancel();
        self.tasks.close();
        if tokio::time::timeout(END_WITHIN, self.tasks.wait()).await.is_err() {
            debug!("requests were cut off");
        }
    }
}

/// The token first: whoever finds the address must find the token that belongs to it.
fn write_files(data_dir: &Path, address: SocketAddr, token: &Token) -> Result<(), ApiError> {
    let api = ApiFile { address, pid: std::process::id() };
    let api = serde_json::json!(api).to_string();
    for (path, text) in [
        (token_file(data_dir), format!("{}\n", token.as_str())),
        (api_file(data_dir), format!("{api}\n")),
    ] {
        write_private(&path, &text).map_err(|source| ApiError::File { path, source })?;
    }
    Ok(())
}

async fn accept(
    listener: TcpListener,
    router: Router,
    stop: CancellationToken,
    tasks: TaskTracker,
) {
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let accept = async {
        loop {
            // Whoever comes when it is full waits in the system's queue.
            let Ok(place) = Arc::clone(&room).acquire_owned().await else { return };
            match listener.accept().await {
                Ok((stream, _)) => {
                    let serving = serve(stream, router.clone(), stop.clone());
                    tasks.spawn(async move {
                        serving.await;
                        drop(place);
                    });
                }
                Err(error) => {
                    warn!(%error, "a connection to the API could not be taken");
                    tokio::time::sleep(ACCEPT_AGAIN_AFTER).await;
                }
            }
        }
    };
    // Ends with the node; nothing is lost.
    let _ = stop.run_until_cancelled(accept).await;
}

async fn serve(stream: TcpStream, router: Router, stop: CancellationToken) {
    // Small answers should leave at once; where that cannot be set they leave a little later.
    let _ = stream.set_nodelay(true);
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_WITHIN)
        .max_header_size(HEADER_BYTES_READ)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        debug!(%error, "a connection to the API broke off");
    }
}
