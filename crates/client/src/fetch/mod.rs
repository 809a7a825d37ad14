//! Fetching a dataset over HTTP or from a store that speaks S3, as the submitter and nobody else.

mod download;
mod error;
mod place;

#[cfg(test)]
mod tests;

pub(crate) use download::open;
pub(crate) use error::FetchError;
pub(crate) use place::shown;
