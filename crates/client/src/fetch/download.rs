//! A download: bytes in their order, continued where the connection breaks, within bounds, and checked.

use std::io::{self, Read};
use std::time::{Duration, Instant};

use protocol::Hash;
use ureq::http::{HeaderMap, Response, header};
use ureq::{Agent, Body};

use super::FetchError;
use super::place::Place;
use crate::{UrlSpec, show_duration_ms};

const CONNECT_WITHIN: Duration = Duration::from_secs(15);
const SILENCE_MAX: Duration = Duration::from_secs(60);
const REDIRECTS_MAX: u32 = 5;
/// Failures in a row, between which not a byte came.
const FAILURES_MAX: u32 = 5;
/// How much is passed over between two looks at the clock.
const PASSED_BYTES: usize = 64 << 10;

/// Reads what lies at an address. Errors hold a [`FetchError`].
pub(crate) struct Download {
    agent: Agent,
    place: Place,
    limit_bytes: u64,
    within: Duration,
    until: Instant,
    check: Option<(Hash, blake3::Hasher)>,
    state: State,
    /// Bytes that were handed on.
    at: u64,
    total: Option<u64>,
    /// What the server calls the bytes, to ask for the rest of the same.
    version: Option<String>,
    failures: u32,
}

enum State {
    Apart,
    Connected(Box<dyn Read + Send>),
    Ended,
}

impl std::fmt::Debug for Download {
    /// Without the address, which may hold a key.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Download").field("at", &self.at).finish_non_exhaustive()
    }
}

/// Begins to fetch what lies at an address.
///
/// # Errors
/// [`FetchError`] if the server does not give it.
pub(crate) fn open(spec: &UrlSpec) -> Result<Download, FetchError> {
    Download::open(spec, |name| std::env::var(name).ok())
}

impl Download {
    pub(super) fn open(
        spec: &UrlSpec,
        env: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, FetchError> {
        let place = Place::new(&spec.url, env)?;
        let config = Agent::config_builder()
            .http_status_as_error(false)
            // A signature is good for one host; and nothing leads from a safe connection to another.
            .max_redirects(if place.is_s3() { 0 } else { REDIRECTS_MAX })
            .max_redirects_will_error(false)
            .https_only(spec.url.starts_with("https://"))
            .timeout_connect(Some(CONNECT_WITHIN))
            .timeout_recv_response(Some(SILENCE_MAX))
            .timeout_per_read(Some(SILENCE_MAX))
            .build();
        let mut download = Self {
            agent: Agent::new_with_config(config),
            place,
            limit_bytes: spec.limit_bytes,
            within: spec.within,
            until: Instant::now() + spec.within,
            check: spec.blake3.map(|hash| (hash, blake3::Hasher::new())),
            state: State::Apart,
            at: 0,
            total: None,
            version: None,
            failures: 0,
        };
        download.connect()?;
        Ok(download)
    }

    /// The next bytes, or none at the end.
    fn next(&mut self, buffer: &mut [u8]) -> Result<usize, FetchError> {
        loop {
            if self.until <= Instant::now() {
                return Err(FetchError::Late { within: self.within });
            }
            let read = match &mut self.state {
                State::Ended => return Ok(0),
                State::Connected(body) => body.read(buffer),
                State::Apart => {
                    self.connect()?;
                    continue;
                }
            };
            match read {
                Ok(0) if !buffer.is_empty() => {
                    if self.total.is_none_or(|total| total == self.at) {
                        self.end()?;
                    } else {
                        self.broken("the connection ended too early".to_owned())?;
                    }
                }
                Ok(len) => return self.took(&buffer[..len]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => self.broken(describe_io(&error))?,
            }
        }
    }

    fn took(&mut self, bytes: &[u8]) -> Result<usize, FetchError> {
        self.at += bytes.len() as u64;
        self.failures = 0;
        if self.limit_bytes < self.at {
            return Err(FetchError::TooLarge { limit: self.limit_bytes });
        }
        if let Some((_, hasher)) = &mut self.check {
            hasher.update(bytes);
        }
        Ok(bytes.len())
    }

    fn end(&mut self) -> Result<(), FetchError> {
        self.state = State::Ended;
        match &self.check {
            Some((wanted, hasher)) => {
                let (wanted, found) = (*wanted, Hash::new(*hasher.finalize().as_bytes()));
                if wanted == found { Ok(()) } else { Err(FetchError::OtherBytes { wanted, found }) }
            }
            None => Ok(()),
        }
    }

    /// Asks for what is still missing.
    fn connect(&mut self) -> Result<(), FetchError> {
        let mut request = self.agent.get(self.place.address());
        if self.at != 0 {
            request = request.header(header::RANGE, format!("bytes={}-", self.at));
            if let Some(version) = &self.version {
                request = request.header(header::IF_RANGE, version);
            }
        }
        match request.call() {
            Ok(answer) => self.answered(answer),
            Err(ureq::Error::HostNotFound) => {
                Err(FetchError::Lost { why: "its host is not known".to_owned() })
            }
            Err(ureq::Error::BadUri(_) | ureq::Error::Http(_)) => {
                Err(FetchError::Address { why: "it is malformed".to_owned() })
            }
            Err(ureq::Error::RequireHttpsOnly(_)) => {
                Err(FetchError::Address { why: "it leads from https to http".to_owned() })
            }
            Err(error) => self.broken(describe(&error)),
        }
    }

    fn answered(&mut self, answer: Response<Body>) -> Result<(), FetchError> {
        let status = answer.status().as_u16();
        let length = number(answer.headers(), header::CONTENT_LENGTH);
        match (status, self.at) {
            (200, 0) => {
                if length.is_some_and(|length| self.limit_bytes < length) {
                    return Err(FetchError::TooLarge { limit: self.limit_bytes });
                }
                (self.total, self.version) = (length, version(answer.headers()));
            }
            (206, at) if at != 0 => {
                let range = text(answer.headers(), header::CONTENT_RANGE).unwrap_or_default();
                let total = self.total.map_or("*".to_owned(), |total| total.to_string());
                let goes_on = range.starts_with(&format!("bytes {at}-"))
                    && (range.ends_with(&format!("/{total}")) || range.ends_with("/*"));
                if !goes_on {
                    return Err(self.changed("the server gives another range"));
                }
            }
            (200, _) => return self.again_from_the_start(answer),
            (412 | 416, _) => return Err(self.changed("the server has it no more")),
            (429 | 500..=599, _) => return self.broken(format!("the server answers {status}")),
            (_, _) => return Err(FetchError::Status { status, is_s3: self.place.is_s3() }),
        }
        self.state = State::Connected(reader(answer));
        Ok(())
    }

    /// A server that knows no ranges sends everything again; what is known of it is passed over.
    fn again_from_the_start(&mut self, answer: Response<Body>) -> Result<(), FetchError> {
        let same = self.version.is_some() && self.version == version(answer.headers());
        if !same && self.check.is_none() {
            return Err(self.changed("the server has another version now"));
        }
        self.total = number(answer.headers(), header::CONTENT_LENGTH);
        let mut body = reader(answer);
        match pass_over(&mut body, self.at, self.until) {
            Ok(Passed::All) => {
                self.state = State::Connected(body);
                Ok(())
            }
            Ok(Passed::Late) => Err(FetchError::Late { within: self.within }),
            Ok(Passed::Less) => self.broken("the connection ended too early".to_owned()),
            Err(error) => self.broken(describe_io(&error)),
        }
    }

    /// The connection is lost; whether it is worth another.
    fn broken(&mut self, why: String) -> Result<(), FetchError> {
        self.state = State::Apart;
        self.failures += 1;
        if self.at != 0 && self.version.is_none() && self.check.is_none() {
            return Err(self.changed(&format!("{why}, and the server names no version")));
        }
        // Who has not got anything yet can as well begin again.
        if self.at == 0 || self.failures == FAILURES_MAX {
            return Err(FetchError::Lost { why });
        }
        // At once, then after a second, two and four.
        let pause = Duration::from_millis(500 << self.failures);
        if 1 < self.failures {
            if self.until <= Instant::now() + pause {
                return Err(FetchError::Late { within: self.within });
            }
            std::thread::sleep(pause);
        }
        Ok(())
    }

    fn changed(&self, why: &str) -> FetchError {
        FetchError::Changed { at: self.at, why: why.to_owned() }
    }
}

impl Read for Download {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.next(buffer).map_err(io::Error::other)
    }
}

/// How far something was passed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Passed {
    All,
    /// There was no more.
    Less,
    Late,
}

/// Reads so many bytes for nothing, in pieces: a server that drips must not hold anybody for longer.
pub(super) fn pass_over(body: &mut dyn Read, bytes: u64, until: Instant) -> io::Result<Passed> {
    let mut left = bytes;
    let mut buffer = vec![0; PASSED_BYTES];
    while left != 0 {
        if until <= Instant::now() {
            return Ok(Passed::Late);
        }
        let len = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        match body.read(&mut buffer[..len]) {
            Ok(0) => return Ok(Passed::Less),
            Ok(len) => left -= len as u64,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(Passed::All)
}

fn reader(answer: Response<Body>) -> Box<dyn Read + Send> {
    Box::new(answer.into_body().into_with_config().limit(u64::MAX).reader())
}

/// A name of exactly these bytes: a strong tag, or a date.
fn version(headers: &HeaderMap) -> Option<String> {
    let tag = text(headers, header::ETAG).filter(|tag| tag.starts_with('"'));
    tag.or_else(|| text(headers, header::LAST_MODIFIED)).map(str::to_owned)
}

fn number(headers: &HeaderMap, name: header::HeaderName) -> Option<u64> {
    text(headers, name)?.parse().ok()
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

fn describe_io(error: &io::Error) -> String {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<ureq::Error>()) {
        Some(inner) => describe(inner),
        None => error.kind().to_string(),
    }
}

/// In our words, for theirs may quote the address.
fn describe(error: &ureq::Error) -> String {
    match error {
        ureq::Error::ConnectionFailed => "no connection to its host".to_owned(),
        ureq::Error::Io(error) => error.kind().to_string(),
        ureq::Error::Timeout(_) => {
            format!("nothing came for {}", show_duration_ms(SILENCE_MAX.as_millis() as u64))
        }
        ureq::Error::Rustls(error) => format!("no safe connection: {error}"),
        ureq::Error::Tls(why) => format!("no safe connection: {why}"),
        _ => "the server does not speak HTTP as it should".to_owned(),
    }
}
