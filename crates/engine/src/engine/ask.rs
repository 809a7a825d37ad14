//! Asking: what a shell may know of an engine, without changing anything.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use protocol::{BlobId, BlobRef, Book, Bundle, FeedId, JobId, Manifest, PeerId, Slot};

use super::Engine;
use crate::feeds::{self, WindowView};
use crate::job::{Job, Phase};
use crate::report::view;
use crate::{BatchResult, JobView, ResultsPart, Standing};

impl Engine {
    /// All jobs that this node knows.
    pub fn jobs(&self) -> Vec<JobView> {
        self.jobs.values().map(|job| view(&self.core, job)).collect()
    }

    /// Whether this node knows a job, if only by its id: what is said about others is ignored.
    pub fn knows(&self, job: JobId) -> bool {
        self.jobs.contains_key(&job)
    }

    /// What this node remembers of a peer.
    pub fn standing(&self, peer: PeerId) -> Standing {
        self.core.standings.of(peer)
    }

    /// One job.
    pub fn job(&self, job: JobId) -> Option<JobView> {
        self.jobs.get(&job).map(|job| view(&self.core, job))
    }

    /// The outcomes of the stages that no other stage reads, batch by batch, once all of them exist.
    pub fn results(&self, job: JobId) -> Option<Vec<BatchResult>> {
        match &self.jobs.get(&job)?.phase {
            Phase::Active(active) => active.results(),
            Phase::Seeking(_)
            | Phase::Noted
            | Phase::Manifest(_)
            | Phase::Parts { .. }
            | Phase::Broken { .. } => None,
        }
    }

    /// Those of them that hold some of the results, which are numbered in order; also once all of them exist.
    pub fn results_among(&self, job: JobId, numbers: Range<u64>) -> Option<ResultsPart> {
        match &self.jobs.get(&job)?.phase {
            Phase::Active(active) => active.results_among(numbers),
            Phase::Seeking(_)
            | Phase::Noted
            | Phase::Manifest(_)
            | Phase::Parts { .. }
            | Phase::Broken { .. } => None,
        }
    }

    /// Everything that a job's verdict follows from, once the manifest and its trees are here.
    pub fn proof(&self, job: JobId) -> Option<Bundle> {
        let job = self.jobs.get(&job)?;
        match &job.phase {
            Phase::Active(active) => {
                let announcement = job.announced.first();
                Some(Bundle::new(self.core.config.network, &active.ledger, announcement))
            }
            Phase::Seeking(_)
            | Phase::Noted
            | Phase::Manifest(_)
            | Phase::Parts { .. }
            | Phase::Broken { .. } => None,
        }
    }

    /// Jobs that are here for others only, if this is one of them: those of which we are a keeper.
    pub fn kept_beside(&self, job: JobId) -> Option<BTreeSet<JobId>> {
        let is_kept = |job: &Job| job.kept_for.is_some() && !job.submitted && !job.opened;
        let jobs = || self.jobs.values().filter(|job| is_kept(job)).map(|job| job.id);
        self.jobs.get(&job).filter(|job| is_kept(job)).map(|_| jobs().collect())
    }

    /// Packs that anybody has named in a job's log, and whether those are of a stage that no other one reads.
    pub fn packs(&self, job: JobId) -> BTreeMap<BlobId, bool> {
        let Some(Phase::Active(active)) = self.jobs.get(&job).map(|job| &job.phase) else {
            return BTreeMap::new();
        };
        let of_book = |(slot, book): (&Slot, &Book)| {
            let is_result = !active.plan().is_read(slot.stage);
            let packs: Vec<BlobRef> = book.votes().filter_map(|(_, cast)| cast.pack).collect();
            packs.into_iter().map(move |pack| (pack.id, is_result))
        };
        active.ledger.books().flat_map(of_book).collect()
    }

    /// The manifest of a job, once it is here.
    pub fn manifest(&self, job: JobId) -> Option<&Manifest> {
        self.jobs.get(&job)?.manifest()
    }

    /// The windows of a feed that are known here, without those in `seen`.
    pub fn windows(&self, feed: FeedId, seen: &BTreeSet<JobId>) -> Vec<WindowView> {
        feeds::windows(&self.core, &self.jobs, feed, seen)
    }

    /// Every feed of which a window is known.
    pub fn feeds(&self) -> BTreeSet<FeedId> {
        feeds::feeds(&self.jobs)
    }
}
