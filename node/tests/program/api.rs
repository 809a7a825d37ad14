//! The HTTP API of a real node over real sockets: who may ask at all, and what is answered.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;

use client::BlobSource;
use client::api::Route;
use serde_json::Value;

use crate::process::assert_ends;
use crate::request::{Answering, Case, assert_refused};

/// A path of a route with something in place of its parameters.
fn filled(route: &Route) -> String {
    let path: Vec<&str> =
        route.path.split('/').map(|part| if part.starts_with('{') { "x" } else { part }).collect();
    path.join("/")
}

#[test]
fn every_route_is_closed_to_whoever_should_not_ask() {
    let node = Answering::start();
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
    cases.push(("no token".to_owned(), 401, good.clone().without_token()));
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
    let node = Answering::start();
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
    let health = good.clone().without_token();
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
    let node = Answering::start();
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
    let node = Answering::start();
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
    let node = Answering::start_with(&["--storage", "64MiB"]);
    // Nobody knows how much there is to come, and the node takes what there is room for.
    let error = node.client().put_reader(&mut std::io::repeat(7).take(256 << 20), None);
    let error = error.unwrap_err();
    assert!(error.to_string().contains("do not fit"), "{error}");
    assert!(error.hint().unwrap().contains("storage"), "{error}");
    assert!(node.client().blobs().unwrap().is_empty());
}

#[test]
fn whoever_sends_nothing_is_sent_away_and_others_get_the_place() {
    let node = Answering::start();
    let silent: Vec<TcpStream> = (0..64)
        .map(|_| {
            let mut stream = node.connect();
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
    let node = Answering::start();
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
    let node = Answering::start();
    let mut stream = node.connect();
    let put = node.good().with("Content-Type: application/octet-stream");
    let put = put.with("Content-Length: 200000");
    stream.write_all(&put.request("PUT", "/api/v1/blobs")).unwrap();
    stream.write_all(&vec![7; 100_000]).unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut rest = Vec::new();
    // The node closes the connection, with an answer or without one.
    let is_late = |error: std::io::Error| error.kind() == std::io::ErrorKind::WouldBlock;
    assert!(!stream.read_to_end(&mut rest).is_err_and(is_late), "it stays open: {rest:?}");
    assert!(node.client().blobs().unwrap().is_empty());
}

#[test]
fn the_files_that_lead_to_the_node_are_private_and_go_with_it() {
    use std::os::unix::fs::PermissionsExt;
    let node = Answering::start();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&node.file("api.token")), 0o600);
    assert_eq!(mode(&node.file("api.json")), 0o600);
    assert_eq!(node.token.len(), 64);
    assert!(!std::fs::read_to_string(node.file("api.json")).unwrap().contains(&node.token));
    let api_file = node.file("api.json");
    node.client().shutdown().unwrap();
    let (ended, folder) = node.end();
    assert_ends(&ended, 0);
    assert!(folder.path().join("data").exists() && !api_file.exists());
}
