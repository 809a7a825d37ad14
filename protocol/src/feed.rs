//! Feeds: ordinary jobs of one submitter that follow each other, each naming the one before it.

use std::collections::{BTreeMap, BTreeSet};

use serde_tuple::{Deserialize_tuple, Serialize_tuple};

use crate::limits::FEED_WINDOWS_MAX;
use crate::{FeedId, Hash, JobId, Manifest, ManifestError, PeerId, hash};

/// The place of a job in a feed. The feed's name is the name of each of its jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize_tuple, Deserialize_tuple)]
pub struct Window {
    /// Random, so that one submitter can have several feeds of one name.
    pub salt: Hash,
    /// From zero on. A submitter that signs two windows with one number has forked its feed.
    pub number: u64,
    /// The window before it; none before the first.
    pub previous: Option<JobId>,
    /// Lines of the feed up to this window's end, by the submitter's word.
    pub lines: u64,
    /// Whether the feed is closed with it: it adds no lines, and its outcomes are nobody's.
    pub is_last: bool,
}

impl FeedId {
    /// The feed of this name and salt. Nobody but its submitter can add to it.
    pub fn of(submitter: PeerId, name: &str, salt: Hash) -> Self {
        let parts: [&[u8]; 3] = [submitter.as_bytes(), name.as_bytes(), salt.as_bytes()];
        Self::new(*hash("feed", &parts).as_bytes())
    }
}

impl Window {
    /// Checks every rule that needs nothing but the window.
    pub(crate) fn check(&self) -> Result<(), ManifestError> {
        let wrong = |why: &'static str| Err(ManifestError::Window { why });
        match (self.number, self.previous) {
            (FEED_WINDOWS_MAX.., _) => wrong("its number is too high"),
            (0, Some(_)) => wrong("it is the first one and names another before it"),
            (1.., None) => wrong("it is not the first one and names none before it"),
            (0, None) | (1.., Some(_)) => Ok(()),
        }
    }
}

impl Manifest {
    /// The feed that the job is a window of.
    pub fn feed(&self) -> Option<FeedId> {
        self.window.map(|window| FeedId::of(self.submitter, &self.name, window.salt))
    }
}

/// The windows of one feed that somebody knows, each signed by its submitter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chain {
    windows: BTreeMap<u64, BTreeMap<JobId, Window>>,
}

impl Chain {
    /// Takes a window in.
    pub fn add(&mut self, job: JobId, window: Window) {
        self.windows.entry(window.number).or_default().insert(job, window);
    }

    /// The window with the highest number; of a fork, one of those.
    pub fn last(&self) -> Option<(JobId, Window)> {
        let (_, last) = self.windows.last_key_value()?;
        last.first_key_value().map(|(job, window)| (*job, *window))
    }

    /// Numbers that were given twice, and the jobs that have them: also one of which is known only that another
    /// window follows it.
    pub fn forks(&self) -> Vec<(u64, Vec<JobId>)> {
        let named = |number: u64| {
            let next = self.windows.get(&(number + 1)).into_iter().flat_map(BTreeMap::values);
            next.filter_map(|window| window.previous)
        };
        let first = self.windows.keys().next().and_then(|first| first.checked_sub(1));
        let numbers = first.into_iter().chain(self.windows.keys().copied());
        let twice = numbers.map(|number| {
            let known = self.windows.get(&number).into_iter().flat_map(BTreeMap::keys).copied();
            let jobs: BTreeSet<JobId> = known.chain(named(number)).collect();
            (number, jobs.into_iter().collect::<Vec<JobId>>())
        });
        twice.filter(|(_, jobs)| 1 < jobs.len()).collect()
    }

    /// Windows that others follow and that are not known.
    pub fn missing(&self) -> BTreeSet<JobId> {
        let known = |job: &JobId| self.windows.values().any(|windows| windows.contains_key(job));
        let all = self.windows.values().flat_map(BTreeMap::values);
        all.filter_map(|window| window.previous).filter(|job| !known(job)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(n: u8) -> JobId {
        JobId::new([n; 32])
    }

    fn window(number: u64, previous: Option<u8>) -> Window {
        let previous = previous.map(job);
        Window { salt: Hash::ZERO, number, previous, lines: 10 * (number + 1), is_last: false }
    }

    #[test]
    fn only_the_first_window_names_none_before_it() {
        assert_eq!(window(0, None).check(), Ok(()));
        assert_eq!(window(1, Some(1)).check(), Ok(()));
        assert!(window(0, Some(1)).check().is_err());
        assert!(window(1, None).check().is_err());
        assert!(window(FEED_WINDOWS_MAX, Some(1)).check().is_err());
    }

    #[test]
    fn a_feed_is_its_submitters_names_and_salts_alone() {
        let (alice, bob) = (PeerId::new([1; 32]), PeerId::new([2; 32]));
        let of = FeedId::of(alice, "log", Hash::ZERO);
        assert_eq!(of, FeedId::of(alice, "log", Hash::ZERO));
        assert_ne!(of, FeedId::of(bob, "log", Hash::ZERO));
        assert_ne!(of, FeedId::of(alice, "logs", Hash::ZERO));
        assert_ne!(of, FeedId::of(alice, "log", Hash::new([1; 32])));
    }

    #[test]
    fn a_number_that_was_given_twice_is_a_fork_also_where_one_of_them_is_only_named() {
        let mut chain = Chain::default();
        assert_eq!(chain.last(), None);
        for (n, of) in [(1, window(0, None)), (2, window(1, Some(1))), (3, window(2, Some(2)))] {
            chain.add(job(n), of);
        }
        assert_eq!(chain.forks(), []);
        assert_eq!(chain.last(), Some((job(3), window(2, Some(2)))));
        assert!(chain.missing().is_empty());
        chain.add(job(9), window(2, Some(7)));
        assert_eq!(chain.forks(), [(1, vec![job(2), job(7)]), (2, vec![job(3), job(9)])]);
        assert_eq!(chain.missing(), [job(7)].into());
    }

    #[test]
    fn whoever_knows_only_the_end_of_a_feed_sees_no_fork() {
        let mut chain = Chain::default();
        chain.add(job(5), window(4, Some(4)));
        chain.add(job(6), window(5, Some(5)));
        assert_eq!((chain.forks(), chain.missing()), (vec![], [job(4)].into()));
    }
}
