//! Feeds: which of the known jobs are windows of which feed.

use std::collections::{BTreeMap, BTreeSet};

use protocol::{FeedId, JobId, Window};

use crate::JobView;
use crate::core::Core;
use crate::job::Job;
use crate::report::view;

/// A job that is, or is said to be, a window of a feed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WindowView {
    pub job: JobView,
    /// As its submitter has signed it; `None` while its manifest is on its way.
    pub window: Option<Window>,
}

/// The windows of a feed, without those that nobody wants to see again.
pub(crate) fn windows(
    core: &Core,
    jobs: &BTreeMap<JobId, Job>,
    feed: FeedId,
    seen: &BTreeSet<JobId>,
) -> Vec<WindowView> {
    let ours = jobs.values().filter(|job| !seen.contains(&job.id) && feeds_of(job).contains(&feed));
    ours.map(|job| WindowView { job: view(core, job), window: window(job) }).collect()
}

/// Every feed that a known job is a window of.
pub(crate) fn feeds(jobs: &BTreeMap<JobId, Job>) -> BTreeSet<FeedId> {
    jobs.values().flat_map(feeds_of).collect()
}

/// Anybody can write a manifest in another's name: it is the submitter's announcement that signs it.
fn window(job: &Job) -> Option<Window> {
    let manifest = job.manifest()?;
    job.announced.authors().any(|author| author == manifest.submitter).then_some(())?;
    manifest.window
}

/// What is announced is hearsay until the manifest is here; then only the submitter's words are left.
fn feeds_of(job: &Job) -> BTreeSet<FeedId> {
    job.announced.iter().filter_map(|announcement| announcement.value().feed).collect()
}
