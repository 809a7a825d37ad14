//! Forgetting: a job that is over leaves memory, journal and store.

use std::sync::Arc;

use protocol::JobId;
use store::{Batch, Pin};
use tracing::warn;

use crate::shell::{Shared, journal, kept, memory, provide};

/// Lets go of everything that is held for the job. Blobs leave when their room is needed.
pub(crate) fn start(shared: &Arc<Shared>, job: JobId) {
    let this = Arc::clone(shared);
    shared.spawn(async move {
        this.kept.remove_job(job);
        this.refusals.remove_job(job);
        let mut batch = Batch::default();
        kept::erase_job(&mut batch, job);
        journal::erase_job(&mut batch, job);
        batch.unpin_all(Pin::Job(job));
        let erase = move |store: &store::Store| {
            memory::erase_job(store, &mut batch, job);
            store.commit(batch)
        };
        if let Err(error) = this.with_store(erase).await {
            warn!(%job, %error, "a job that is over could not be erased");
        }
        provide::stop(&this, job).await;
    });
}
