//! Feeds: a job file with a hole becomes a template, and the lines of standard input fill it window by window.

mod error;
mod lines;
mod template;

#[cfg(test)]
mod tests;

pub use error::FeedError;
pub use lines::{Filled, Lines};
pub use template::{COUNT_MAX, Template};
