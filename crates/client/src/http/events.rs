//! Server-sent events as an iterator: a job's or feed's state whenever it changes.

use std::io::{BufRead, BufReader, Read};
use std::marker::PhantomData;

use serde::de::DeserializeOwned;

use crate::ClientError;
use crate::api::JobStatus;

/// A job of a million units in trouble has long lists; nothing needs more than this.
const EVENT_BYTES_MAX: u64 = 16 << 20;

/// The states of something, the present one first; ends when the node ends the stream.
#[expect(missing_debug_implementations, reason = "a reader has nothing to show")]
pub struct Events<T = JobStatus> {
    address: String,
    lines: BufReader<Box<dyn Read + Send>>,
    states: PhantomData<T>,
}

impl<T: DeserializeOwned> Events<T> {
    pub(super) fn new(address: String, reader: Box<dyn Read + Send>) -> Self {
        Self { address, lines: BufReader::new(reader), states: PhantomData }
    }

    fn next_event(&mut self) -> Result<Option<T>, ClientError> {
        let mut data = String::new();
        loop {
            let mut line = Vec::new();
            let len = Read::by_ref(&mut self.lines)
                .take(EVENT_BYTES_MAX)
                .read_until(b'\n', &mut line)
                .map_err(|error| self.lost(&error))?;
            if len == 0 {
                return Ok(None);
            }
            if len as u64 == EVENT_BYTES_MAX {
                return Err(ClientError::Malformed { why: "an event is too long".into() });
            }
            let line = String::from_utf8_lossy(&line);
            let line = line.trim_end_matches(['\r', '\n']);
            if let Some(more) = line.strip_prefix("data:") {
                data.push_str(more.trim_start());
            } else if line.is_empty() && !data.is_empty() {
                return match serde_json::from_str(&data) {
                    Ok(status) => Ok(Some(status)),
                    Err(error) => Err(ClientError::Malformed { why: error.to_string() }),
                };
            }
        }
    }

    fn lost(&self, error: &std::io::Error) -> ClientError {
        ClientError::Lost { address: self.address.clone(), why: error.to_string() }
    }
}

impl<T: DeserializeOwned> Iterator for Events<T> {
    type Item = Result<T, ClientError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_event().transpose()
    }
}
