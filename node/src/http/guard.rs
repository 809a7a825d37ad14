//! The guard before every route: who may ask at all, and in what form.
//!
//! A web page in the owner's browser can reach loopback: by a form, by an image, or by a name that
//! it lets point here (DNS rebinding). Host, Origin and Sec-Fetch-Site tell such requests apart, the
//! token is what no page can know, and JSON is what no form can send.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST,
    HeaderName, ORIGIN, REFERRER_POLICY, TRANSFER_ENCODING, WWW_AUTHENTICATE,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::http::Token;
use crate::http::body::JSON_BYTES_MAX;
use crate::http::refusal::Refusal;

/// The only route that needs no token.
pub(crate) const HEALTH: &str = "/health";
/// The only route whose requests carry bytes instead of JSON.
pub(crate) const BLOBS: &str = "/api/v1/blobs";

/// A request's line and headers.
pub(crate) const HEADER_BYTES_MAX: usize = 16 << 10;

/// What the guard compares requests with.
#[derive(Clone, Debug)]
pub(crate) struct Guard(Arc<Known>);

#[derive(Debug)]
struct Known {
    hosts: [String; 3],
    origins: [String; 3],
    token: Token,
}

impl Guard {
    pub(crate) fn new(address: SocketAddr, token: Token) -> Self {
        let port = address.port();
        let hosts = ["127.0.0.1", "localhost", "[::1]"].map(|host| format!("{host}:{port}"));
        let origins = hosts.clone().map(|host| format!("http://{host}"));
        Self(Arc::new(Known { hosts, origins, token }))
    }

    fn check(&self, request: &Request) -> Result<(), Refusal> {
        let headers = request.headers();
        check_head(request)?;
        self.check_host(request)?;
        self.check_origin(headers)?;
        self.check_token(request)?;
        check_body(request)
    }

    fn check_host(&self, request: &Request) -> Result<(), Refusal> {
        let known = |host: &str| self.0.hosts.iter().any(|known| known == host);
        let host = the_only(request.headers(), &HOST);
        let authority = request.uri().authority().map(|authority| authority.as_str());
        match host {
            Some(Some(host)) if known(host) && authority.is_none_or(known) => Ok(()),
            Some(_) | None => Err(forbidden(
                "the request is for another host",
                "ask 127.0.0.1, localhost or [::1] with the port in api.json",
            )),
        }
    }

    fn check_origin(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let ours = match the_only(headers, &ORIGIN) {
            None => true,
            Some(origin) => {
                origin.is_some_and(|origin| self.0.origins.iter().any(|known| known == origin))
            }
        };
        let same_site = match the_only(headers, &HeaderName::from_static("sec-fetch-site")) {
            None | Some(Some("none" | "same-origin")) => true,
            Some(_) => false,
        };
        if ours && same_site {
            return Ok(());
        }
        Err(forbidden("the request comes from a web page of another site", "use the command line"))
    }

    fn check_token(&self, request: &Request) -> Result<(), Refusal> {
        if request.uri().path() == HEALTH {
            return Ok(());
        }
        let claimed = the_only(request.headers(), &AUTHORIZATION).flatten();
        match claimed.and_then(|claimed| claimed.strip_prefix("Bearer ")) {
            Some(claimed) if self.0.token.is(claimed) => Ok(()),
            Some(_) | None => Err(Refusal::new(
                StatusCode::UNAUTHORIZED,
                "the bearer token is missing or wrong",
                "send `Authorization: Bearer` and what api.token in the data folder holds",
            )),
        }
    }
}

/// Lets a request through or refuses it, and puts on every answer what browsers must know.
pub(crate) async fn guard(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    let method = request.method().clone();
    let mut response = match guard.check(&request) {
        Ok(()) => as_json(next.run(request).await, &method),
        Err(refusal) => refusal.into_response(),
    };
    if response.status() == StatusCode::UNAUTHORIZED {
        response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    for (name, value) in [
        (CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
        (REFERRER_POLICY, "no-referrer"),
        (CACHE_CONTROL, "no-store"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

/// The request's line and headers are within their bound; far beyond it the listener hangs up.
fn check_head(request: &Request) -> Result<(), Refusal> {
    let headers = request.headers().iter();
    let headers: usize = headers.map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    let line = request.uri().path_and_query().map_or(0, |path| path.as_str().len());
    if line + headers <= HEADER_BYTES_MAX {
        return Ok(());
    }
    Err(Refusal::new(
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
        format!("the request's line and headers are longer than {HEADER_BYTES_MAX} bytes"),
        "send data in the body",
    ))
}

/// A body is JSON, except for a blob's bytes, and its stated length is within bounds.
fn check_body(request: &Request) -> Result<(), Refusal> {
    let headers = request.headers();
    let length = the_only(headers, &CONTENT_LENGTH).map(|length| length?.parse::<u64>().ok());
    let has_body =
        headers.contains_key(TRANSFER_ENCODING) || !matches!(length, None | Some(Some(0)));
    if !has_body {
        return Ok(());
    }
    let is_blob = request.method() == Method::PUT && request.uri().path() == BLOBS;
    let wanted = if is_blob { "application/octet-stream" } else { "application/json" };
    let given = the_only(headers, &CONTENT_TYPE).flatten().unwrap_or_default();
    let kind = given.split(';').next().unwrap_or_default().trim();
    if !kind.eq_ignore_ascii_case(wanted) {
        let error = format!("the body must be {wanted}");
        let hint = "set the header Content-Type";
        return Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, error, hint));
    }
    match length.flatten() {
        Some(length) if !is_blob && JSON_BYTES_MAX < length => Err(crate::http::body::too_large()),
        Some(_) | None => Ok(()),
    }
}

/// An error that a library answered in words of its own, in the form of all others.
fn as_json(response: Response, method: &Method) -> Response {
    let status = response.status();
    let is_json =
        response.headers().get(CONTENT_TYPE).is_some_and(|kind| kind == "application/json");
    if !(status.is_client_error() || status.is_server_error()) || is_json || method == Method::HEAD
    {
        return response;
    }
    let error = status.canonical_reason().unwrap_or("refused").to_lowercase();
    Refusal { status, error, hint: None }.into_response()
}

/// A header that occurs once and is text: `Some(None)` if it occurs otherwise.
fn the_only<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<Option<&'h str>> {
    let mut values = headers.get_all(name).iter();
    let first = values.next()?;
    Some(if values.next().is_some() { None } else { first.to_str().ok() })
}

fn forbidden(error: &str, hint: &str) -> Refusal {
    Refusal::new(StatusCode::FORBIDDEN, error, hint)
}
