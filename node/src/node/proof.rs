//! Proofs: the signed steps of a job as one bundle, and the bytes that re-executing its units takes.

use protocol::limits::BUNDLE_BYTES_MAX;
use protocol::{BlobRef, Bundle, JobId, PeerId};

use crate::Node;
use crate::node::results::ResultsError;
use crate::shell::{Ask, Courier};

/// Peers that are asked for a blob before all others.
const FROM_MAX: usize = 16;

/// Why a job has no proof bundle here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    #[error("{job} is not known here\nhint: open it first: `dugnad job show {job}`")]
    Unknown { job: JobId },
    #[error(
        "the manifest of {job} is not here yet\nhint: `dugnad job watch {job}` shows when it is"
    )]
    NotYet { job: JobId },
    #[error(
        "the steps of {job} take {bytes} bytes, and a bundle has at most {BUNDLE_BYTES_MAX}\nhint: split such work into several jobs"
    )]
    TooLarge { job: JobId, bytes: usize },
    #[error("the node has stopped")]
    Stopped,
}

impl Node {
    /// The bytes of a job's proof bundle, as far as its steps are known here.
    ///
    /// # Errors
    /// [`ProofError`].
    pub async fn proof(&self, job: JobId) -> Result<Vec<u8>, ProofError> {
        let asked = self.ask(|answer| Ask::Proof(job, answer)).await;
        let Some(bundle) = asked.map_err(|_| ProofError::Stopped)? else {
            return Err(match self.job(job).await {
                Some(_) => ProofError::NotYet { job },
                None => ProofError::Unknown { job },
            });
        };
        let encoded = tokio::task::spawn_blocking(move || Bundle::to_bytes(&bundle)).await;
        let bytes = encoded.map_err(|_| ProofError::Stopped)?;
        match bytes.len() {
            ..=BUNDLE_BYTES_MAX => Ok(bytes),
            bytes => Err(ProofError::TooLarge { job, bytes }),
        }
    }

    /// Brings blobs of a job into the store, from whoever has them.
    ///
    /// # Errors
    /// [`ResultsError`] names what could not be had.
    pub async fn fetch(&self, job: JobId, blobs: Vec<BlobRef>) -> Result<(), ResultsError> {
        let view = self.job(job).await.ok_or(ResultsError::Unknown { job })?;
        let workers = view.workers.iter().map(|(peer, _)| *peer);
        let mut from: Vec<PeerId> = vec![view.submitter];
        for peer in view.keepers.iter().copied().chain(workers) {
            if !from.contains(&peer) {
                from.push(peer);
            }
        }
        from.retain(|peer| *peer != self.me());
        from.truncate(FROM_MAX);
        let courier = Courier::new(self.shared(), job, from);
        Ok(courier.blobs(blobs).await?)
    }
}
