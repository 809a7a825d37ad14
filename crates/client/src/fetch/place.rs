//! Where something lies: an address, or an object in a bucket for which addresses are signed.

use std::time::Duration;

use rusty_s3::actions::{GetObject, S3Action};
use rusty_s3::{Bucket, Credentials, UrlStyle};

use super::FetchError;

/// A signature is made for each request and needs to hold until it arrives.
const SIGNED_FOR: Duration = Duration::from_secs(300);

/// Where something lies. Not to be shown: see [`shown`].
pub(super) enum Place {
    Plain(String),
    Object { bucket: Box<Bucket>, key: String, credentials: Option<Credentials> },
}

impl Place {
    /// Reads an address; `env` has the keys and the endpoint of a store.
    pub(super) fn new(url: &str, env: impl Fn(&str) -> Option<String>) -> Result<Self, FetchError> {
        let Some(object) = url.strip_prefix("s3://") else {
            return Ok(Self::Plain(url.to_owned()));
        };
        let (bucket, key) = match object.split_once('/') {
            Some((bucket, key)) if !bucket.is_empty() && !key.is_empty() => (bucket, key),
            Some(_) | None => {
                return Err(FetchError::Address { why: "it lacks a bucket or a key".to_owned() });
            }
        };
        let env = |name: &str| env(name).filter(|value| !value.trim().is_empty());
        let region = env("AWS_REGION").or_else(|| env("AWS_DEFAULT_REGION"));
        let region = region.unwrap_or_else(|| "us-east-1".to_owned());
        let endpoint = env("AWS_ENDPOINT_URL_S3").or_else(|| env("AWS_ENDPOINT_URL"));
        let endpoint = endpoint.unwrap_or_else(|| format!("https://s3.{region}.amazonaws.com"));
        let wrong = |why: &str| FetchError::Environment { why: why.to_owned() };
        let endpoint = endpoint.parse().map_err(|_| wrong("AWS_ENDPOINT_URL is no address"))?;
        // Names in the path work with every store, and with names that hold dots.
        let bucket = Bucket::new(endpoint, UrlStyle::Path, bucket.to_owned(), region)
            .map_err(|_| wrong("AWS_ENDPOINT_URL and the bucket's name give no address"))?;
        let credentials = match (env("AWS_ACCESS_KEY_ID"), env("AWS_SECRET_ACCESS_KEY")) {
            (Some(key), Some(secret)) => Some(match env("AWS_SESSION_TOKEN") {
                Some(token) => Credentials::new_with_token(key, secret, token),
                None => Credentials::new(key, secret),
            }),
            (None, None) => None,
            (Some(_), None) => return Err(wrong("AWS_SECRET_ACCESS_KEY is not set")),
            (None, Some(_)) => return Err(wrong("AWS_ACCESS_KEY_ID is not set")),
        };
        Ok(Self::Object { bucket: Box::new(bucket), key: key.to_owned(), credentials })
    }

    /// What to ask for now.
    pub(super) fn address(&self) -> String {
        match self {
            Self::Plain(url) => url.clone(),
            Self::Object { bucket, key, credentials: None } => {
                GetObject::new(bucket, None, key).sign(SIGNED_FOR).into()
            }
            Self::Object { bucket, key, credentials } => {
                GetObject::new(bucket, credentials.as_ref(), key).sign(SIGNED_FOR).into()
            }
        }
    }

    pub(super) const fn is_s3(&self) -> bool {
        matches!(self, Self::Object { .. })
    }
}

/// An address without what may be a key: user, password, query and fragment.
pub(crate) fn shown(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let rest = rest.split(['?', '#']).next().unwrap_or_default();
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let host = host.rsplit('@').next().unwrap_or_default();
    format!("{scheme}://{host}/{path}")
}
