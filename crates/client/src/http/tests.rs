//! What the client makes of a node's answers.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::thread::JoinHandle;

use super::{ApiFile, Client, ClientError, api_file, token_file};
use crate::BlobSource;

/// A node that gives these answers, one per connection, and returns what it was asked.
fn node(answers: Vec<Vec<u8>>) -> (Client, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let client = Client::new(listener.local_addr().unwrap(), "secret".to_owned());
    let served = std::thread::spawn(move || {
        answers.iter().map(|answer| serve(listener.accept().unwrap().0, answer)).collect()
    });
    (client, served)
}

/// Reads one request with its body, and answers.
fn serve(mut stream: TcpStream, answer: &[u8]) -> String {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut request = String::new();
    while !request.ends_with("\r\n\r\n") {
        assert_ne!(reader.read_line(&mut request).unwrap(), 0, "{request}");
    }
    let length = request.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<u64>().unwrap())
    });
    reader.take(length.unwrap_or(0)).read_to_string(&mut request).unwrap();
    stream.write_all(answer).unwrap();
    request
}

fn answer(status: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}")
        .into_bytes()
}

fn job(state: &str) -> String {
    let job = protocol::JobId::new([1; 32]);
    let submitter = protocol::PeerId::new([2; 32]);
    format!(
        r#"{{"job": "{job}", "name": "x", "submitter": "{submitter}", "created_ms": 0,
        "expires_ms": 1, "state": {state}, "stages": [], "executions": 0, "disputed": 0,
        "assurance": "provisional", "unaudited": [], "anchors": [], "audits": 0,
        "convicted": [], "outvoted": [], "workers": [], "keepers": [], "keepers_wanted": null,
        "safe_to_leave": false, "idle_reason": null}}"#
    )
    .replace('\n', " ")
}

#[test]
fn a_request_carries_the_token_and_asks_for_one_host() {
    let (client, served) =
        node(vec![answer("200 OK", &format!("[{}]", job(r#"{"kind": "running"}"#)))]);
    assert_eq!(client.jobs().unwrap()[0].name, "x");
    let request = served.join().unwrap().remove(0).to_lowercase();
    assert!(request.starts_with("get /api/v1/jobs http/1.1\r\n"), "{request}");
    assert!(request.contains("authorization: bearer secret\r\n"), "{request}");
    assert!(request.contains("host: 127.0.0.1:"), "{request}");
    assert!(!format!("{client:?}").contains("secret"));
}

#[test]
fn what_the_node_refuses_is_told_with_its_hint() {
    let (client, _) = node(vec![
        answer("409 Conflict", r#"{"error": "it is pinned", "hint": "unpin it first"}"#),
        answer("500 Oh", "<html>"),
        answer("200 OK", "nonsense"),
    ]);
    let error = client.jobs().unwrap_err();
    assert_eq!(
        (error.to_string(), error.hint()),
        ("it is pinned".into(), Some("unpin it first".into()))
    );
    assert!(client.jobs().unwrap_err().to_string().contains("500"));
    assert!(matches!(client.jobs(), Err(ClientError::Malformed { .. })));
    assert!(matches!(client.jobs(), Err(ClientError::Lost { .. })), "nobody listens any more");
}

#[test]
fn a_job_is_named_by_letters_and_digits_only() {
    let (client, served) = node(vec![answer("404 Not Found", r#"{"error": "no such job"}"#)]);
    assert!(client.job("baf/../../node\r\nX: y").unwrap_err().is_not_found());
    let request = served.join().unwrap().remove(0);
    assert!(request.starts_with("GET /api/v1/jobs/baf-------node--X--y HTTP"), "{request}");
}

#[test]
fn states_are_read_from_a_stream_of_events_until_it_ends() {
    let body = format!(
        ": hello\n\nevent: job\ndata: {}\n\n:\n\nid: 4\ndata: {}\r\n\r\n",
        job(r#"{"kind": "running"}"#),
        job(r#"{"kind": "stuck", "units": [{"stage": "s", "unit": 3, "reasons": []}]}"#)
    );
    let (client, _) = node(vec![answer("200 OK", &body), answer("200 OK", "data: {}\n\n")]);
    let states: Vec<_> = client
        .events(protocol::JobId::new([1; 32]))
        .unwrap()
        .map(|status| status.unwrap().state.is_over())
        .collect();
    assert_eq!(states, [false, true]);
    let mut broken = client.events(protocol::JobId::new([1; 32])).unwrap();
    assert!(matches!(broken.next(), Some(Err(ClientError::Malformed { .. }))));
}

#[test]
fn a_blob_is_sent_with_its_length_and_its_name_is_compared() {
    let source = BlobSource::made(b"hello".to_vec());
    let name = |bytes: &[u8]| format!(r#"{{"id": "{}", "size": 5}}"#, protocol::BlobId::of(bytes));
    let (client, served) =
        node(vec![answer("200 OK", &name(b"hello")), answer("200 OK", &name(b"other"))]);
    client.put(&source).unwrap();
    assert!(client.put(&source).is_err());
    let request = served.join().unwrap().remove(0).to_lowercase();
    assert!(request.starts_with("put /api/v1/blobs "), "{request}");
    assert!(request.contains("content-length: 5\r\n"), "{request}");
    assert!(!request.contains("transfer-encoding"), "{request}");
    assert!(request.ends_with("\r\n\r\nhello"), "{request}");
}

#[test]
fn only_a_node_that_answers_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let none = Client::find(folder.path()).unwrap_err();
    assert!(none.to_string().contains("no node runs on"), "{none}");
    assert!(none.hint().unwrap().contains("node run"));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let api = ApiFile { address: listener.local_addr().unwrap(), pid: 1 };
    std::fs::write(api_file(folder.path()), serde_json::to_string(&api).unwrap()).unwrap();
    std::fs::write(token_file(folder.path()), "secret\n").unwrap();
    let served =
        std::thread::spawn(move || serve(listener.accept().unwrap().0, &answer("200 OK", "{}")));
    assert!(Client::find(folder.path()).is_ok());
    let request = served.join().unwrap().to_lowercase();
    assert!(request.starts_with("get /health ") && !request.contains("secret"), "{request}");
    assert!(Client::find(folder.path()).is_err(), "the file alone is no node");
}
