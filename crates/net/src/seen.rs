//! Messages that were seen lately, so that one that comes by several ways is heard once.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use protocol::JobId;

use crate::limits::{GOSSIP_MEMORY, SEEN_MAX};

/// Two generations of names of messages: the older is forgotten when the younger is full or old.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    state: Mutex<Option<Generations>>,
}

#[derive(Debug)]
struct Generations {
    young: BTreeSet<[u8; 16]>,
    old: BTreeSet<[u8; 16]>,
    since: Instant,
}

impl Seen {
    /// Remembers a job's message; true the first time.
    pub(crate) fn first(&self, job: JobId, bytes: &[u8], now: Instant) -> bool {
        let mut hasher = blake3::Hasher::new();
        hasher.update(job.as_bytes()).update(bytes);
        let mut name = [0; 16];
        hasher.finalize_xof().fill(&mut name);

        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let seen = state.get_or_insert_with(|| Generations {
            young: BTreeSet::new(),
            old: BTreeSet::new(),
            since: now,
        });
        if SEEN_MAX <= seen.young.len() || GOSSIP_MEMORY <= now.duration_since(seen.since) {
            seen.old = std::mem::take(&mut seen.young);
            seen.since = now;
        }
        !seen.old.contains(&name) && seen.young.insert(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const JOB: JobId = JobId::new([1; 32]);

    #[test]
    fn a_message_is_new_once_until_it_is_forgotten() {
        let (seen, start) = (Seen::default(), Instant::now());
        assert!(seen.first(JOB, b"a", start));
        assert!(!seen.first(JOB, b"a", start));
        assert!(seen.first(JobId::new([2; 32]), b"a", start), "another job's");
        assert!(!seen.first(JOB, b"a", start + GOSSIP_MEMORY), "in the older generation");
        assert!(seen.first(JOB, b"b", start + GOSSIP_MEMORY * 2));
        assert!(seen.first(JOB, b"a", start + GOSSIP_MEMORY * 2));
    }

    #[test]
    fn the_memory_is_bounded() {
        let (seen, now) = (Seen::default(), Instant::now());
        for number in 0..3 * SEEN_MAX as u64 {
            assert!(seen.first(JOB, &number.to_be_bytes(), now));
        }
        let state = seen.state.lock().unwrap();
        let seen = state.as_ref().unwrap();
        assert!(seen.young.len() <= SEEN_MAX && seen.old.len() <= SEEN_MAX);
    }
}
