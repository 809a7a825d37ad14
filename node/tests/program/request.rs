//! Requests to a node's HTTP API, byte by byte, and what is answered.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::Output;

use serde_json::Value;
use tempfile::TempDir;

use crate::process::PATIENCE;
use crate::running::{Asking, Running};

/// A node, and what leads to its API.
pub(crate) struct Answering {
    node: Running,
    folder: TempDir,
    pub(crate) address: SocketAddr,
    pub(crate) token: String,
}

impl Answering {
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    pub(crate) fn start_with(flags: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let node = Running::start(folder.path(), "api-test", flags);
        let read = |name: &str| std::fs::read_to_string(folder.path().join("data").join(name));
        let api: Value = serde_json::from_str(&read("api.json").unwrap()).unwrap();
        let address = api["address"].as_str().unwrap().parse().unwrap();
        let token = read("api.token").unwrap().trim().to_owned();
        Self { node, folder, address, token }
    }

    pub(crate) fn client(&self) -> Asking<'_> {
        self.node.client()
    }

    /// A file in its data folder.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join("data").join(name)
    }

    /// Waits for the end of a node that was told to end; its folder is still there.
    pub(crate) fn end(self) -> (Output, TempDir) {
        (self.node.end(), self.folder)
    }

    /// A connection on which nobody waits for ever.
    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect_timeout(&self.address, PATIENCE).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// Sends a request as it is, and reads the status, the headers and the body of the answer.
    #[track_caller]
    pub(crate) fn send(&self, request: &[u8]) -> (u16, String, Vec<u8>) {
        let mut stream = self.connect();
        // A request that is refused early may not be read to its end.
        let _ = stream.write_all(request);
        let mut reader = BufReader::new(stream);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            match reader.read_line(&mut head) {
                Ok(length) => assert_ne!(length, 0, "cut off: {head}"),
                Err(error) => panic!("no answer: {error}, after {head:?}"),
            }
        }
        let head = head.to_lowercase();
        let status = head.split_whitespace().nth(1).unwrap().parse().unwrap();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length = length.map_or(0, |length| length.parse().unwrap());
        let is_head = request.starts_with(b"HEAD");
        let mut body = vec![0; if is_head { 0 } else { length }];
        reader.read_exact(&mut body).expect(&head);
        (status, head, body)
    }

    pub(crate) fn good(&self) -> Case {
        Case {
            host: Some(format!("127.0.0.1:{}", self.address.port())),
            token: Some(format!("Bearer {}", self.token)),
            extra: Vec::new(),
            body: None,
        }
    }
}

/// What a request carries.
#[derive(Clone)]
pub(crate) struct Case {
    host: Option<String>,
    pub(crate) token: Option<String>,
    extra: Vec<String>,
    body: Option<(&'static str, Vec<u8>)>,
}

impl Case {
    pub(crate) fn host(mut self, host: impl Into<String>) -> Self {
        self.host = Some(host.into());
        self
    }

    pub(crate) fn token(mut self, token: &str) -> Self {
        self.token = Some(token.to_owned());
        self
    }

    pub(crate) fn without_token(mut self) -> Self {
        self.token = None;
        self
    }

    pub(crate) fn with(mut self, header: impl Into<String>) -> Self {
        self.extra.push(header.into());
        self
    }

    pub(crate) fn body(mut self, kind: &'static str, body: &[u8]) -> Self {
        self.body = Some((kind, body.to_vec()));
        self
    }

    pub(crate) fn request(&self, method: &str, path: &str) -> Vec<u8> {
        let mut head = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n");
        let host = self.host.iter().map(|host| format!("Host: {host}"));
        let token = self.token.iter().map(|token| format!("Authorization: {token}"));
        for line in host.chain(token).chain(self.extra.iter().cloned()) {
            head += &format!("{line}\r\n");
        }
        let body = match &self.body {
            Some((kind, body)) => {
                head += &format!("Content-Type: {kind}\r\nContent-Length: {}\r\n", body.len());
                body.as_slice()
            }
            None => &[],
        };
        [head.as_bytes(), b"\r\n", body].concat()
    }
}

#[track_caller]
pub(crate) fn assert_refused(
    what: &str,
    want: u16,
    method: &str,
    (status, head, body): &(u16, String, Vec<u8>),
) {
    let text = String::from_utf8_lossy(body);
    assert_eq!(*status, want, "{what}: {text}");
    assert!(head.contains("content-type: application/json\r\n"), "{what}: {head}");
    assert!(head.contains("content-security-policy: default-src 'none'"), "{what}: {head}");
    assert!(head.contains("x-content-type-options: nosniff"), "{what}: {head}");
    assert!(!head.contains("access-control"), "{what}: {head}");
    if method != "HEAD" {
        let json: Value = serde_json::from_slice(body).expect("the body is JSON");
        assert!(json["error"].is_string(), "{what}: {text}");
    }
}
