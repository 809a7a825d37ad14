//! The HTTP API of a real node over real sockets: who may ask at all, and what is answered.

#![allow(clippy::unwrap_used, reason = "a test that unwraps fails, as it should")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use client::api::Route;
use client::{BlobSource, Client};
use serde_json::Value;
use tempfile::TempDir;

/// A node of its own network, on loopback, which knows nobody.
struct Running {
    process: Child,
    folder: TempDir,
    address: SocketAddr,
    token: String,
}

impl Running {
    fn start() -> Self {
        Self::start_with(&[])
    }

    fn start_with(flags: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut process = Command::new(env!("CARGO_BIN_EXE_dugnad"))
            .args(["--data-dir".as_ref(), folder.path().as_os_str()])
            .args(["--output", "json", "--log", "error", "node", "run", "--cores", "1"])
            .args(["--listen", "/ip4/127.0.0.1/tcp/0", "--mdns", "false", "--network", "api-test"])
            .args(flags)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        // The first brace that closes says that the node is up.
        let mut out = BufReader::new(process.stdout.take().unwrap());
        let mut said = String::new();
        while !said.ends_with("}\n") {
            assert_ne!(out.read_line(&mut said).unwrap(), 0, "the node ended: {said}");
        }
        let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
        let api: Value = serde_json::from_str(&read("api.json")).unwrap();
        let address = api["address"].as_str().unwrap().parse().unwrap();
        let token = read("api.token").trim().to_owned();
        Self { process, address, token, folder }
    }

    fn client(&self) -> Client {
        Client::find(self.folder.path()).unwrap()
    }

    /// Sends a request as it is, and reads the status, the headers and the body of the answer.
    fn send(&self, request: &[u8]) -> (u16, String, Vec<u8>) {
        let mut stream = TcpStream::connect(self.address).unwrap();
        // A request that is refused early may not be read to its end.
        let _ = stream.write_all(request);
        let mut reader = BufReader::new(stream);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert_ne!(reader.read_line(&mut head).unwrap(), 0, "cut off: {head}");
        }
        let head = head.to_lowercase();
        let status = head.split_whitespace().nth(1).unwrap().parse().unwrap();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length = length.map_or(0, |length| length.parse().unwrap());
        let is_head = request.starts_with(b"HEAD");
        let mut body = vec![0; if is_head { 0 } else { length }];
        reader.read_exact(&mut body).unwrap();
        (status, head, body)
    }

    fn good(&self) -> Case {
        Case {
            host: Some(format!("127.0.0.1:{}", self.address.port())),
            token: Some(format!("Bearer {}", self.token)),
            extra: Vec::new(),
            body: None,
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What a request carries.
#[derive(Clone)]
struct Case {
    host: Option<String>,
    token: Option<String>,
    extra: Vec<String>,
    body: Option<(&'static str, Vec<u8>)>,
}

impl Case {
    fn host(mut self, host: impl Into<String>) -> Self {
        self.host = Some(host.into());
        self
    }

    fn token(mut self, token: &str) -> Self {
        self.token = Some(token.to_owned());
        self
    }

    fn with(mut self, header: impl Into<String>) -> Self {
        self.extra.push(header.into());
        self
    }

    fn body(mut self, kind: &'static str, body: &[u8]) -> Self {
        self.body = Some((kind, body.to_vec()));
        self
    }

    fn request(&self, method: &str, path: &str) -> Vec<u8> {
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

/// A path of a route with something in place of its parameters.
fn filled(route: &Route) -> String {
    let path: Vec<&str> =
        route.path.split('/').map(|part| if part.starts_with('{') { "x" } else { part }).collect();
    path.join("/")
}

#[track_caller]
fn assert_refused(
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

#[test]
fn every_route_is_closed_to_whoever_should_not_ask() {
    let node = Running::start();
    let good = node.good();
    let port = node.address.port();
    let (status, _, body) = node.send(&good.request("GET", "/api/v1"));
    assert_eq!(status, 200);
    let mut routes: Vec<Route> = serde_json::from_slice(&body).unwrap();
    assert!(20 < routes.len());
    let none =
        |method: &str, path: &str| Route { method: method.to_owned(), path: path.to_owned() };
    routes.extend([none("GET", "/"), none("GET", "/nothing"), none("PATCH", "/api/v1/jobs")]);

    let mut cases: Vec<(String, u16, Case)> = Vec::new();
    for host in [
        "evil.example".to_owned(),
        format!("evil.example:{port}"),
        format!("127.0.0.1.evil.example:{port}"),
        format!("127.0.0.1.nip.io:{port}"),
        format!("localhost.:{port}"),
        format!("0.0.0.0:{port}"),
        format!("2130706433:{port}"),
        format!("0x7f.1:{port}"),
        format!("127.1:{port}"),
        format!("[::]:{port}"),
        format!("[::ffff:127.0.0.1]:{port}"),
        format!("127.0.0.1:{}", port ^ 1),
        "127.0.0.1".to_owned(),
        "localhost".to_owned(),
        String::new(),
    ] {
        cases.push((format!("Host {host}"), 403, good.clone().host(host)));
    }
    for header in [
        "Origin: null".to_owned(),
        "Origin: http://evil.example".to_owned(),
        format!("Origin: http://evil.example:{port}"),
        format!("Origin: https://127.0.0.1:{port}"),
        "Origin: http://127.0.0.1".to_owned(),
        format!("Origin: http://127.0.0.1:{}", port ^ 1),
        "Sec-Fetch-Site: cross-site".to_owned(),
        "Sec-Fetch-Site: same-site".to_owned(),
    ] {
        cases.push((header.clone(), 403, good.clone().with(header)));
    }
    let two = good.clone().with(format!("Origin: http://127.0.0.1:{port}"));
    let two = two.with("Origin: http://evil.example");
    cases.push(("two origins".to_owned(), 403, two));
    let other = |c: char| if c == '0' { '1' } else { '0' };
    let flipped: String = node.token.chars().map(other).collect();
    for token in [
        "Bearer ".to_owned(),
        format!("Bearer {}", &node.token[..63]),
        format!("Bearer {}0", node.token),
        format!("Bearer {flipped}"),
        format!("bearer {}", node.token),
        format!("Basic {}", node.token),
        node.token.clone(),
    ] {
        cases.push(("a wrong token".to_owned(), 401, good.clone().token(&token)));
    }
    cases.push(("no token".to_owned(), 401, Case { token: None, ..good.clone() }));
    cases.push(("text".to_owned(), 415, good.clone().body("text/plain", b"{}")));
    let form = good.clone().body("application/x-www-form-urlencoded", b"a=b");
    cases.push(("a form".to_owned(), 415, form));
    let multipart = good.clone().body("multipart/form-data; boundary=x", b"--x--");
    cases.push(("a form with files".to_owned(), 415, multipart));

    for route in &routes {
        let (method, path) = (route.method.as_str(), filled(route));
        let open = path == "/health";
        for (what, status, case) in &cases {
            if open && *status == 401 {
                continue;
            }
            let answer = node.send(&case.request(method, &path));
            assert_refused(&format!("{method} {path} with {what}"), *status, method, &answer);
        }
    }
    assert!(node.client().node().is_ok(), "none of this has ended the node");
}

#[test]
fn what_is_allowed_is_answered() {
    let node = Running::start();
    let good = node.good();
    let port = node.address.port();
    for host in ["127.0.0.1", "localhost", "[::1]"] {
        let case = good.clone().host(format!("{host}:{port}"));
        let case = case.with(format!("Origin: http://{host}:{port}"));
        let case = case.with("Sec-Fetch-Site: same-origin");
        let (status, head, _) = node.send(&case.request("GET", "/api/v1/node"));
        assert_eq!(status, 200, "{host}");
        assert!(!head.contains("access-control"), "{head}");
    }
    let health = Case { token: None, ..good.clone() };
    assert_eq!(node.send(&health.request("GET", "/health")).0, 200);
    let (status, _, metrics) = node.send(&good.request("GET", "/metrics"));
    assert_eq!(status, 200);
    assert!(String::from_utf8(metrics).unwrap().contains("dugnad_peers 0"));
    let charset = good.clone().body("application/json; charset=utf-8", b"{}");
    assert_eq!(node.send(&charset.request("POST", "/api/v1/node/pause")).0, 200);
    assert_eq!(node.send(&good.request("POST", "/api/v1/node/resume")).0, 200);
}

#[test]
fn what_is_wrong_with_a_request_is_said_as_json() {
    let node = Running::start();
    let good = node.good();
    let json = |body: &[u8]| good.clone().body("application/json", body);
    let large = vec![b' '; (1 << 20) + 1];
    let id = protocol::BlobId::of(b"nobody has this");
    for (what, want, method, path, case) in [
        ("no route", 404, "GET", "/api/v2/jobs".to_owned(), good.clone()),
        ("escapes", 404, "GET", "/api/v1/jobs/..%2f..%2fetc".to_owned(), good.clone()),
        ("not UTF-8", 400, "GET", "/api/v1/jobs/%ff".to_owned(), good.clone()),
        ("no such job", 404, "GET", "/api/v1/jobs/bafkr4iaaaaaa".to_owned(), good.clone()),
        ("a short id", 400, "POST", "/api/v1/jobs/bafkr4i/open".to_owned(), good.clone()),
        ("no blob's id", 400, "GET", "/api/v1/blobs/x".to_owned(), good.clone()),
        ("no such blob", 404, "GET", format!("/api/v1/blobs/{id}"), good.clone()),
        ("no such blob", 404, "POST", format!("/api/v1/blobs/{id}/pin"), good.clone()),
        ("no such blob", 404, "DELETE", format!("/api/v1/blobs/{id}"), good.clone()),
        ("no peer's id", 400, "POST", "/api/v1/peers/x/ping".to_owned(), good.clone()),
        ("another method", 405, "DELETE", "/api/v1/jobs".to_owned(), good.clone()),
        ("no JSON", 422, "POST", "/api/v1/jobs".to_owned(), json(b"{")),
        ("no draft", 422, "POST", "/api/v1/jobs".to_owned(), json(b"{\"nam\": 1}")),
        ("no body", 422, "POST", "/api/v1/jobs".to_owned(), good.clone()),
        ("too large", 413, "POST", "/api/v1/jobs".to_owned(), json(&large)),
        ("bad page", 400, "GET", "/api/v1/jobs/x/results?limit=y".to_owned(), good.clone()),
    ] {
        let answer = node.send(&case.request(method, &path));
        assert_refused(what, want, method, &answer);
    }
    let chunked =
        good.clone().with("Transfer-Encoding: chunked").with("Content-Type: application/json");
    let mut request = chunked.request("POST", "/api/v1/jobs");
    for _ in 0..17 {
        request.extend(b"10000\r\n");
        request.extend(vec![b' '; 1 << 16]);
        request.extend(b"\r\n");
    }
    request.extend(b"0\r\n\r\n");
    assert_refused("too large in chunks", 413, "POST", &node.send(&request));
    let long = good.clone().with(format!("X-Long: {}", "x".repeat(20 << 10)));
    assert_refused("a long header", 431, "GET", &node.send(&long.request("GET", "/api/v1/node")));
    // What is longer still is not even read.
    let longer = good.clone().with(format!("X-Long: {}", "x".repeat(80 << 10)));
    assert_eq!(node.send(&longer.request("GET", "/api/v1/node")).0, 431);
    assert!(node.client().node().is_ok());
}

#[test]
fn a_blob_without_room_is_refused_before_it_is_sent() {
    let node = Running::start();
    let put = node.good().with("Content-Type: application/octet-stream");
    let put = put.with(format!("Content-Length: {}", 1_u64 << 50));
    // No byte of the body ever comes.
    let answer = node.send(&put.request("PUT", "/api/v1/blobs"));
    assert_refused("no room", 507, "PUT", &answer);
    let said: Value = serde_json::from_slice(&answer.2).unwrap();
    assert!(said["hint"].as_str().unwrap().contains("storage"), "{said}");
    assert!(node.client().blobs().unwrap().is_empty());
}

#[test]
fn a_blob_that_outgrows_its_room_is_refused_with_the_reason() {
    let node = Running::start_with(&["--storage", "64MiB"]);
    // Nobody knows how much there is to come, and the node takes what there is room for.
    let error = node.client().put_reader(&mut std::io::repeat(7).take(256 << 20), None);
    let error = error.unwrap_err();
    assert!(error.to_string().contains("do not fit"), "{error}");
    assert!(error.hint().unwrap().contains("storage"), "{error}");
    assert!(node.client().blobs().unwrap().is_empty());
}

#[test]
fn whoever_sends_nothing_is_sent_away_and_others_get_the_place() {
    let node = Running::start();
    let silent: Vec<TcpStream> = (0..64)
        .map(|_| {
            let mut stream = TcpStream::connect(node.address).unwrap();
            stream.write_all(b"GET /health HTTP/1.1\r\n").unwrap();
            stream
        })
        .collect();
    // All places are taken, so this is answered only once one of them is free again.
    assert_eq!(node.send(&node.good().request("GET", "/api/v1/node")).0, 200);
    let gone = |stream: &TcpStream| {
        stream.set_nonblocking(true).unwrap();
        let looked = stream.peek(&mut [0]);
        looked.map_or_else(|error| error.kind() != std::io::ErrorKind::WouldBlock, |_| true)
    };
    assert!(silent.iter().any(gone), "there are more places than 64");
}

#[test]
fn blobs_go_in_and_come_out_as_they_were() {
    let node = Running::start();
    let client = node.client();
    let bytes: Vec<u8> = (0..3_000_000_u32).map(|i| (i.wrapping_mul(i) >> 7) as u8).collect();
    for bytes in [&b""[..], b"small", &bytes] {
        let source = BlobSource::made(bytes.to_vec());
        let id = source.blob().id;
        // Every node has the empty blob.
        let before = bytes.is_empty().then_some(0);
        assert_eq!(client.blob_size(id).unwrap(), before);
        client.put(&source).unwrap();
        assert_eq!(client.blob_size(id).unwrap(), Some(bytes.len() as u64));
        let mut back = Vec::new();
        client.blob(id).unwrap().read_to_end(&mut back).unwrap();
        assert_eq!(back, bytes);
        client.pin(id).unwrap();
        assert!(client.remove(id).unwrap_err().hint().unwrap().contains("unpin"));
        assert!(client.blobs().unwrap().iter().any(|held| held.id == id && held.pinned));
        client.unpin(id).unwrap();
        client.remove(id).unwrap();
        let is_gone = client.blob(id).is_err_and(|error| error.is_not_found());
        assert!(is_gone || bytes.is_empty());
    }
}

#[test]
fn a_body_that_breaks_off_leaves_no_blob() {
    let node = Running::start();
    let mut stream = TcpStream::connect(node.address).unwrap();
    let put = node.good().with("Content-Type: application/octet-stream");
    let put = put.with("Content-Length: 200000");
    stream.write_all(&put.request("PUT", "/api/v1/blobs")).unwrap();
    stream.write_all(&vec![7; 100_000]).unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut rest = Vec::new();
    // The node closes the connection, with an answer or without one.
    let _ = stream.read_to_end(&mut rest);
    assert!(node.client().blobs().unwrap().is_empty());
}

#[test]
fn the_files_that_lead_to_the_node_are_private_and_go_with_it() {
    use std::os::unix::fs::PermissionsExt;
    let mut node = Running::start();
    let place = |name: &str| node.folder.path().join(name);
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&place("api.token")), 0o600);
    assert_eq!(mode(&place("api.json")), 0o600);
    assert_eq!(node.token.len(), 64);
    assert!(!std::fs::read_to_string(place("api.json")).unwrap().contains(&node.token));
    let api_file = place("api.json");
    node.client().shutdown().unwrap();
    let status = node.process.wait().unwrap();
    assert_eq!(status.code(), Some(0));
    assert!(!api_file.exists());
}
