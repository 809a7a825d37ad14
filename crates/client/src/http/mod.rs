//! The HTTP client: finds the node that runs on a data folder, and talks to it.

mod client;
mod error;
mod events;
mod feeds;
mod home;

#[cfg(test)]
mod tests;

pub use client::Client;
pub use error::ClientError;
pub use events::Events;
pub use home::{ApiFile, api_file, token_file};
