//! Downloads from a server in this process, which answers what a test tells it.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use protocol::Hash;

use super::FetchError;
use super::download::{Download, Passed, pass_over};
use super::place::{Place, shown};
use crate::UrlSpec;

/// A server on loopback that answers one connection after the other.
struct Server {
    address: String,
    /// The heads of the requests that came.
    asked: Receiver<String>,
}

impl Server {
    fn new(answers: Vec<Vec<u8>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let (heads, asked) = channel();
        std::thread::spawn(move || {
            for answer in answers {
                let (mut stream, _) = listener.accept().unwrap();
                let mut head = String::new();
                let mut lines = BufReader::new(stream.try_clone().unwrap());
                while lines.read_line(&mut head).unwrap() > 2 {}
                // Before the answer: who has read that may ask at once what was asked.
                let _ = heads.send(head);
                // Who has had enough hangs up.
                let _ = stream.write_all(&answer);
            }
        });
        Self { address, asked }
    }

    fn spec(&self, path: &str) -> UrlSpec {
        UrlSpec {
            url: format!("{}{path}", self.address),
            blake3: None,
            limit_bytes: 1 << 20,
            within: Duration::from_secs(60),
        }
    }
}

fn answer(status: &str, headers: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\nConnection: close\r\n{headers}\r\n{body}").into_bytes()
}

fn fetch(spec: &UrlSpec) -> Result<String, FetchError> {
    let mut text = String::new();
    match Download::open(spec, |_| None)?.read_to_string(&mut text) {
        Ok(_) => Ok(text),
        Err(error) => Err(error.get_ref().unwrap().downcast_ref::<FetchError>().unwrap().clone()),
    }
}

fn hash(bytes: &[u8]) -> Option<Hash> {
    Some(Hash::new(*blake3::hash(bytes).as_bytes()))
}

#[test]
fn what_lies_at_an_address_is_read_and_compared_with_its_hash() {
    let whole = || answer("200 OK", "Content-Length: 5\r\n", "12345");
    let server = Server::new(vec![whole(), whole(), whole()]);
    assert_eq!(fetch(&server.spec("/x?a=b")), Ok("12345".to_owned()));
    assert!(server.asked.recv().unwrap().starts_with("GET /x?a=b HTTP/1.1"));
    let right = UrlSpec { blake3: hash(b"12345"), ..server.spec("/x") };
    assert_eq!(fetch(&right), Ok("12345".to_owned()));
    let wrong = UrlSpec { blake3: hash(b"1234"), ..server.spec("/x") };
    let wanted = hash(b"1234").unwrap();
    assert_eq!(
        fetch(&wrong),
        Err(FetchError::OtherBytes { wanted, found: hash(b"12345").unwrap() })
    );
}

#[test]
fn a_connection_that_breaks_off_is_continued_where_it_ended() {
    let server = Server::new(vec![
        answer("200 OK", "Content-Length: 8\r\nETag: \"v1\"\r\n", "123"),
        answer("206 Partial Content", "Content-Range: bytes 3-7/8\r\nContent-Length: 5\r\n", "45"),
        answer("206 Partial Content", "Content-Range: bytes 5-7/8\r\nContent-Length: 3\r\n", "678"),
    ]);
    assert_eq!(fetch(&server.spec("/x")), Ok("12345678".to_owned()));
    let asked: Vec<String> = server.asked.try_iter().map(|head| head.to_lowercase()).collect();
    assert!(!asked[0].contains("range"), "{}", asked[0]);
    assert!(asked[1].contains("\r\nrange: bytes=3-\r\n"), "{}", asked[1]);
    assert!(asked[1].contains("\r\nif-range: \"v1\"\r\n"), "{}", asked[1]);
    assert!(asked[2].contains("\r\nrange: bytes=5-\r\n"), "{}", asked[2]);
}

#[test]
fn what_comes_again_from_the_start_is_passed_over() {
    let whole = |body: &str| answer("200 OK", "Content-Length: 8\r\n", body);
    let server = Server::new(vec![whole("123"), whole("12345678")]);
    let spec = UrlSpec { blake3: hash(b"12345678"), ..server.spec("/x") };
    assert_eq!(fetch(&spec), Ok("12345678".to_owned()));
}

/// Gives a byte each time that it is asked, and never ends.
struct Drip {
    asked: u64,
}

impl Read for Drip {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.asked += 1;
        assert!(self.asked < 1000, "nobody looks at the clock");
        buffer[0] = 0;
        Ok(1)
    }
}

#[test]
fn what_is_passed_over_has_to_come_in_time_too() {
    let mut drip = Drip { asked: 0 };
    assert_eq!(pass_over(&mut drip, u64::MAX, Instant::now()).unwrap(), Passed::Late);
    let later = Instant::now() + Duration::from_secs(3600);
    assert_eq!(pass_over(&mut drip, 100, later).unwrap(), Passed::All);
    assert_eq!(drip.asked, 100, "not a byte too many");
    assert_eq!(pass_over(&mut &b"12"[..], 3, later).unwrap(), Passed::Less);
}

#[test]
fn two_versions_are_never_joined() {
    let first = |tag: &str| answer("200 OK", &format!("Content-Length: 8\r\n{tag}"), "123");
    let changed = |second: Vec<u8>, tag: &str| {
        let server = Server::new(vec![first(tag), second]);
        match fetch(&server.spec("/x")) {
            Err(FetchError::Changed { at: 3, why }) => why,
            other => panic!("{other:?}"),
        }
    };
    let other = answer("200 OK", "Content-Length: 9\r\nETag: \"v2\"\r\n", "abcdefghi");
    assert!(changed(other, "ETag: \"v1\"\r\n").contains("another version"));
    let shifted = answer("206 Partial Content", "Content-Range: bytes 2-7/8\r\n", "345678");
    assert!(changed(shifted, "ETag: \"v1\"\r\n").contains("another range"));
    let longer = answer("206 Partial Content", "Content-Range: bytes 3-8/9\r\n", "345678");
    assert!(changed(longer, "ETag: \"v1\"\r\n").contains("another range"));
    let gone = answer("416 Range Not Satisfiable", "Content-Length: 0\r\n", "");
    assert!(changed(gone, "Last-Modified: Mon, 01 Jan 2024 00:00:00 GMT\r\n").contains("no more"));
    let server = Server::new(vec![first("ETag: W/\"v1\"\r\n")]);
    let error = fetch(&server.spec("/x")).unwrap_err();
    assert!(error.to_string().contains("names no version"), "{error}");
}

#[test]
fn more_than_was_asked_for_is_refused() {
    let server = Server::new(vec![
        answer("200 OK", "Content-Length: 8\r\n", "12345678"),
        answer("200 OK", "", "12345678"),
    ]);
    let spec = UrlSpec { limit_bytes: 7, ..server.spec("/x") };
    assert_eq!(fetch(&spec), Err(FetchError::TooLarge { limit: 7 }), "by what is announced");
    assert_eq!(fetch(&spec), Err(FetchError::TooLarge { limit: 7 }), "by what comes");
    let late =
        UrlSpec { within: Duration::ZERO, ..Server::new(vec![answer("200 OK", "", "")]).spec("/") };
    assert_eq!(fetch(&late), Err(FetchError::Late { within: Duration::ZERO }));
}

#[test]
fn a_refusal_is_told_and_a_redirection_followed() {
    let server = Server::new(vec![
        answer("404 Not Found", "Content-Length: 0\r\n", ""),
        answer("302 Found", "Location: /y\r\nContent-Length: 0\r\n", ""),
        answer("200 OK", "Content-Length: 1\r\n", "1"),
    ]);
    let error = fetch(&server.spec("/x")).unwrap_err();
    assert_eq!(error, FetchError::Status { status: 404, is_s3: false });
    assert!(error.hint().contains("address"));
    assert_eq!(fetch(&server.spec("/x")), Ok("1".to_owned()));
    let nobody =
        UrlSpec { url: "http://no-such-host.invalid/x?key=secret".into(), ..server.spec("") };
    let error = fetch(&nobody).unwrap_err();
    assert!(!format!("{error} {error:?} {nobody:?}").contains("secret"), "{error:?}");
}

#[test]
fn a_server_that_cannot_prove_itself_is_not_read_from() {
    let server = Server::new(vec![answer("200 OK", "Content-Length: 1\r\n", "1")]);
    let url = server.address.replace("http://", "https://") + "/x?key=secret";
    let error = fetch(&UrlSpec { url, ..server.spec("") }).unwrap_err();
    assert!(matches!(&error, FetchError::Lost { why } if !why.contains("secret")), "{error:?}");
}

/// What a store's environment says.
fn env(endpoint: &str) -> impl Fn(&str) -> Option<String> {
    move |name| {
        let value = match name {
            "AWS_ACCESS_KEY_ID" => "AKIDEXAMPLE",
            "AWS_SECRET_ACCESS_KEY" => "wJalrXUtnFEMI",
            "AWS_REGION" => "eu-north-1",
            "AWS_ENDPOINT_URL" => endpoint,
            _ => return None,
        };
        Some(value.to_owned())
    }
}

#[test]
fn an_object_in_a_bucket_is_asked_for_with_a_signature() {
    let whole = || answer("200 OK", "Content-Length: 5\r\n", "12345");
    let denied = answer("403 Forbidden", "Content-Length: 0\r\n", "");
    let server = Server::new(vec![whole(), whole(), denied]);
    let spec = UrlSpec { url: "s3://bucket/a dir/key".to_owned(), ..server.spec("") };
    let signed = env(&server.address);
    let mut text = String::new();
    Download::open(&spec, &signed).unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(text, "12345");
    let head = server.asked.recv().unwrap();
    assert!(head.starts_with("GET /bucket/a%20dir/key?X-Amz-Algorithm=AWS4-HMAC-SHA256"), "{head}");
    assert!(head.contains("%2Feu-north-1%2Fs3%2Faws4_request"), "{head}");
    assert!(head.contains("X-Amz-Signature=") && !head.contains("wJalrXUtnFEMI"), "{head}");

    let anybody = |name: &str| signed(name).filter(|_| name == "AWS_ENDPOINT_URL");
    Download::open(&spec, anybody).unwrap();
    assert!(server.asked.recv().unwrap().starts_with("GET /bucket/a%20dir/key HTTP/1.1"));

    let error = Download::open(&spec, &signed).unwrap_err();
    assert!(error.hint().contains("AWS_SECRET_ACCESS_KEY"));
    assert!(!format!("{error} {error:?}").contains("wJalrXUtnFEMI"));
}

#[test]
fn an_environment_that_does_not_fit_together_is_told_without_its_keys() {
    let why = |url: &str, env: &dyn Fn(&str) -> Option<String>| match Place::new(url, env) {
        Err(error) => error.to_string(),
        Ok(_) => panic!("it should be refused"),
    };
    let half = |name: &str| env("http://h")(name).filter(|_| name != "AWS_SECRET_ACCESS_KEY");
    assert_eq!(why("s3://b/k", &half), "AWS_SECRET_ACCESS_KEY is not set");
    assert_eq!(why("s3://b/k", &env("h")), "AWS_ENDPOINT_URL is no address");
    assert!(why("s3://b", &env("http://h")).contains("lacks a bucket or a key"));
}

#[test]
fn an_address_is_shown_without_what_may_be_a_key() {
    assert_eq!(shown("https://me:secret@host:1/a/b?sig=secret#secret"), "https://host:1/a/b");
    assert_eq!(shown("https://host?sig=secret@x/y"), "https://host/");
    assert_eq!(shown("s3://bucket/a/b"), "s3://bucket/a/b");
}
