//! One method per route of the API; every call blocks until the node has answered.

use std::io::Read;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use protocol::limits::BUNDLE_BYTES_MAX;
use protocol::{BlobId, JobId, PeerId};
use serde::Serialize;
use serde::de::DeserializeOwned;
use ureq::http::Response;
use ureq::{Agent, Body, SendBody};

use super::{ApiFile, ClientError, Events};
use crate::api::{
    Blob, Done, HeldBlob, JobStatus, NodeInfo, PeerInfo, Pong, Refusal, ResultsPage, Submitted,
};
use crate::{BlobSource, Draft};

/// A node on this machine takes a connection at once, or not at all.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// Results and blobs may have to come through the network first.
pub(super) const ANSWER_WITHIN: Duration = Duration::from_secs(15 * 60);
/// A large job's stamp takes the node hours to make.
pub(super) const SUBMITTED_WITHIN: Duration = Duration::from_secs(3 * 86_400);
/// The node sends something at least every 15 s where it streams.
const SILENCE_MAX: Duration = Duration::from_secs(15 * 60);
/// An answer that is read as a whole.
const ANSWER_BYTES_MAX: u64 = 256 << 20;

/// A connection to a running node; cheap to clone.
#[derive(Clone)]
pub struct Client {
    agent: Agent,
    address: String,
    token: String,
}

impl std::fmt::Debug for Client {
    /// Without the token.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Client {
    /// A client of the node at this address, which must be loopback.
    pub fn new(address: SocketAddr, token: String) -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .proxy(None)
            .timeout_connect(Some(CONNECT_WITHIN))
            .timeout_recv_response(Some(ANSWER_WITHIN))
            .timeout_per_read(Some(SILENCE_MAX))
            .build();
        Self { agent: Agent::new_with_config(config), address: address.to_string(), token }
    }

    /// A client of the node that runs on this data folder.
    ///
    /// # Errors
    /// [`ClientError::NoNode`] if none does.
    pub fn find(data_dir: &Path) -> Result<Self, ClientError> {
        let none = || ClientError::NoNode { data_dir: data_dir.to_owned() };
        let (api, token) = ApiFile::read(data_dir).ok_or_else(none)?;
        let client = Self::new(api.address, token);
        // A file that a killed node left behind must not look like a node.
        match client.agent.get(client.url("/health")).call() {
            Ok(answer) if answer.status().is_success() => Ok(client),
            Ok(_) | Err(_) => Err(none()),
        }
    }

    /// The node itself.
    ///
    /// # Errors
    /// Every method says why the node did not answer, or what it has refused and what to do.
    pub fn node(&self) -> Result<NodeInfo, ClientError> {
        self.get("/api/v1/node")
    }

    /// Lets the node take up work again.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn resume(&self) -> Result<Done, ClientError> {
        self.post("/api/v1/node/resume")
    }

    /// Lets the node finish what it runs, and begin nothing.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn pause(&self) -> Result<Done, ClientError> {
        self.post("/api/v1/node/pause")
    }

    /// Ends the node.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn shutdown(&self) -> Result<Done, ClientError> {
        self.post("/api/v1/node/shutdown")
    }

    /// Submits a job whose blobs the node has.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn submit(&self, draft: &Draft) -> Result<JobId, ClientError> {
        let answer: Submitted = self.post_json("/api/v1/jobs", draft, SUBMITTED_WITHIN)?;
        Ok(answer.job)
    }

    /// Every job that the node knows.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn jobs(&self) -> Result<Vec<JobStatus>, ClientError> {
        self.get("/api/v1/jobs")
    }

    /// One job, by its id or an unambiguous beginning of it.
    ///
    /// # Errors
    /// [`ClientError::is_not_found`] if the node does not know such a job.
    pub fn job(&self, id: &str) -> Result<JobStatus, ClientError> {
        self.get(&format!("/api/v1/jobs/{}", segment(id)))
    }

    /// The job's states from now on.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn events(&self, job: JobId) -> Result<Events, ClientError> {
        self.follow(&format!("/api/v1/jobs/{job}/events"))
    }

    /// Lets the node look for a job that it may not know yet.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn open(&self, job: JobId) -> Result<Done, ClientError> {
        self.post(&format!("/api/v1/jobs/{job}/open"))
    }

    /// Calls the job off for everybody.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn cancel(&self, job: JobId) -> Result<Done, ClientError> {
        self.post(&format!("/api/v1/jobs/{job}/cancel"))
    }

    /// Outcomes of final stages, `limit` from `offset` on; the node fetches them first.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn results(&self, job: JobId, offset: u64, limit: u64) -> Result<ResultsPage, ClientError> {
        self.get(&format!("/api/v1/jobs/{job}/results?offset={offset}&limit={limit}"))
    }

    /// The job's proof bundle, as `protocol::Bundle` reads it; nothing in it has to be believed.
    ///
    /// # Errors
    /// [`ClientError`] if the node does not know the job, or has not its manifest yet.
    pub fn proof(&self, job: JobId) -> Result<Vec<u8>, ClientError> {
        let mut bytes = Vec::new();
        let answer = self.bytes(&format!("/api/v1/jobs/{job}/proof"))?;
        let read = answer.take(BUNDLE_BYTES_MAX as u64 + 1).read_to_end(&mut bytes);
        read.map_err(|error| self.lost(error.to_string()))?;
        Ok(bytes)
    }

    /// Lets the node bring blobs of a job from whoever has them; returns once it has them all.
    ///
    /// # Errors
    /// [`ClientError`] names the first that nobody could deliver.
    pub fn fetch(&self, job: JobId, blobs: &[Blob]) -> Result<Done, ClientError> {
        self.post_json(&format!("/api/v1/jobs/{job}/fetch"), &blobs, ANSWER_WITHIN)
    }

    /// Gives a blob to the node, unless it has it. The bytes are hashed again on their way.
    ///
    /// # Errors
    /// [`ClientError::Source`] if they are not what they were.
    pub fn put(&self, source: &BlobSource) -> Result<(), ClientError> {
        let blob = source.blob();
        if MEBIBYTE < blob.size && self.blob_size(blob.id)? == Some(blob.size) {
            return Ok(());
        }
        let mut reader = source.reader()?;
        let stored = self.put_reader(&mut reader, Some(blob.size))?;
        match source.path() {
            _ if stored.id == blob.id => Ok(()),
            Some(path) => Err(crate::PrepareError::Changed { path: path.to_owned() }.into()),
            None => Err(ClientError::Malformed { why: "it stored other bytes".into() }),
        }
    }

    /// Gives bytes to the node.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn put_reader(
        &self,
        mut reader: &mut dyn Read,
        size: Option<u64>,
    ) -> Result<Blob, ClientError> {
        let request = self
            .agent
            .put(self.url("/api/v1/blobs"))
            .header("Authorization", self.bearer())
            .header("Content-Type", "application/octet-stream");
        let request = match size {
            // What the node has no room for is refused before it is sent.
            Some(size) if MEBIBYTE < size => request.header("Expect", "100-continue"),
            Some(_) | None => request,
        };
        let request = match size {
            Some(size) => request.header("Content-Length", size.to_string()),
            None => request,
        };
        read_json(self.answered(request.send(SendBody::from_reader(&mut reader)))?)
    }

    /// How many bytes a blob has that the node has.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn blob_size(&self, id: BlobId) -> Result<Option<u64>, ClientError> {
        let request = self.agent.head(self.url(&format!("/api/v1/blobs/{id}")));
        let answer = request.header("Authorization", self.bearer()).call();
        match self.answered(answer) {
            Ok(answer) => {
                let size = answer.headers().get("content-length");
                Ok(size.and_then(|size| size.to_str().ok()?.parse().ok()))
            }
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The bytes of a blob, or of an output of a job whose results were asked for. Who reads them must compare their hash with the name.
    ///
    /// # Errors
    /// [`ClientError::is_not_found`] if the node does not have it.
    pub fn blob(&self, id: BlobId) -> Result<Box<dyn Read + Send>, ClientError> {
        self.bytes(&format!("/api/v1/blobs/{id}"))
    }

    /// Every blob that the node has.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn blobs(&self) -> Result<Vec<HeldBlob>, ClientError> {
        self.get("/api/v1/blobs")
    }

    /// Keeps a blob from being evicted.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn pin(&self, id: BlobId) -> Result<Done, ClientError> {
        self.post(&format!("/api/v1/blobs/{id}/pin"))
    }

    /// Lets a blob be evicted again.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn unpin(&self, id: BlobId) -> Result<Done, ClientError> {
        self.post(&format!("/api/v1/blobs/{id}/unpin"))
    }

    /// Removes a blob from the node.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn remove(&self, id: BlobId) -> Result<Done, ClientError> {
        let request = self.agent.delete(self.url(&format!("/api/v1/blobs/{id}")));
        let answer = request.header("Authorization", self.bearer()).call();
        read_json(self.answered(answer)?)
    }

    /// The peers that are connected.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn peers(&self) -> Result<Vec<PeerInfo>, ClientError> {
        self.get("/api/v1/peers")
    }

    /// Measures the round trip to a peer.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn ping(&self, peer: PeerId) -> Result<Pong, ClientError> {
        self.post(&format!("/api/v1/peers/{peer}/ping"))
    }

    /// Prometheus text.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn metrics(&self) -> Result<String, ClientError> {
        let mut text = String::new();
        let read = self.bytes("/metrics")?.take(ANSWER_BYTES_MAX).read_to_string(&mut text);
        read.map_err(|error| self.lost(error.to_string()))?;
        Ok(text)
    }

    pub(super) fn follow<T: DeserializeOwned>(&self, path: &str) -> Result<Events<T>, ClientError> {
        let answer = self.answered(self.request(path).call())?;
        Ok(Events::new(self.address.clone(), Box::new(answer.into_body().into_reader())))
    }

    fn bytes(&self, path: &str) -> Result<Box<dyn Read + Send>, ClientError> {
        let answer = self.answered(self.request(path).call())?;
        Ok(Box::new(answer.into_body().into_with_config().limit(u64::MAX).reader()))
    }

    pub(super) fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        read_json(self.answered(self.request(path).call())?)
    }

    fn post<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        self.post_json(path, &serde_json::Map::new(), ANSWER_WITHIN)
    }

    pub(super) fn post_json<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
        within: Duration,
    ) -> Result<T, ClientError> {
        let body = serde_json::to_vec(body)
            .map_err(|error| ClientError::Malformed { why: error.to_string() })?;
        let request = self
            .agent
            .post(self.url(path))
            .header("Authorization", self.bearer())
            .header("Content-Type", "application/json")
            .config()
            .timeout_recv_response(Some(within))
            .build();
        read_json(self.answered(request.send(body.as_slice()))?)
    }

    fn request(&self, path: &str) -> ureq::RequestBuilder<ureq::typestate::WithoutBody> {
        self.agent.get(self.url(path)).header("Authorization", self.bearer())
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    fn bearer(&self) -> String {
        format!("Bearer {}", self.token)
    }

    /// A success, or what the node says about it.
    fn answered(
        &self,
        answer: Result<Response<Body>, ureq::Error>,
    ) -> Result<Response<Body>, ClientError> {
        let mut answer = answer.map_err(|error| self.lost(error.to_string()))?;
        let status = answer.status();
        if status.is_success() {
            return Ok(answer);
        }
        let body = answer.body_mut().with_config().limit(64 << 10).read_to_vec();
        let refusal: Option<Refusal> =
            body.ok().and_then(|body| serde_json::from_slice(&body).ok());
        let Refusal { error, hint } = refusal
            .unwrap_or_else(|| Refusal { error: format!("it answers {status}"), hint: None });
        Err(ClientError::Refused { status: status.as_u16(), error, hint })
    }

    fn lost(&self, why: String) -> ClientError {
        ClientError::Lost { address: self.address.clone(), why }
    }
}

const MEBIBYTE: u64 = 1 << 20;

fn read_json<T: DeserializeOwned>(mut answer: Response<Body>) -> Result<T, ClientError> {
    let malformed = |why: String| ClientError::Malformed { why };
    let body = answer.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_vec();
    let body = body.map_err(|error| malformed(error.to_string()))?;
    serde_json::from_slice(&body).map_err(|error| malformed(error.to_string()))
}

/// A text of the user's as one segment of a path: what is no letter or digit matches nothing.
pub(super) fn segment(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).take(128).collect()
}
