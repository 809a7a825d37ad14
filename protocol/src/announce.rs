//! What travels by gossip beside steps: announcements of jobs, and claims.

use serde_tuple::{Deserialize_tuple, Serialize_tuple};

use crate::limits::{
    ANNOUNCEMENT_BYTES_MAX, CLAIM_BATCHES_MAX, CLAIM_BYTES_MAX, CLAIM_MS_MAX, LEVEL_MAX,
};
use crate::{BlobRef, FeedId, JobId, Kind, Manifest, SignedBody, Stamp};

/// Everything that a volunteer's policy needs to know about a job, signed by its submitter. The
/// signature covers the job's id, and with it the manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize_tuple, Deserialize_tuple)]
pub struct Announcement {
    pub job: JobId,
    /// Size of the manifest in bytes.
    pub manifest_bytes: u64,
    pub semantics: u32,
    pub created_ms: u64,
    pub expires_ms: u64,
    pub units: u64,
    /// The most CPU time that executing everything once may take, in milliseconds.
    pub work_ms: u64,
    /// The first stage's module.
    pub module: BlobRef,
    /// The most memory that a unit may ask for.
    pub memory_bytes: u64,
    pub priority: u8,
    /// At what level peers are eligible: the manifest's, until the submitter needs nobody who is not there.
    pub level: u8,
    /// What a stranger pays with for others' machines, bound to the job.
    pub stamp: Option<Stamp>,
    /// The feed that it is a window of, so that who follows it need not fetch every manifest.
    pub feed: Option<FeedId>,
}

impl SignedBody for Announcement {
    const KIND: Kind = Kind::Announcement;
    const BYTES_MAX: usize = ANNOUNCEMENT_BYTES_MAX;
}

impl Announcement {
    /// The announcement of a checked manifest.
    pub fn of(manifest: &Manifest) -> Self {
        Self {
            job: manifest.job(),
            manifest_bytes: manifest.to_bytes().len() as u64,
            semantics: manifest.semantics,
            created_ms: manifest.created_ms,
            expires_ms: manifest.expires_ms,
            units: manifest.unit_count(),
            work_ms: manifest.work_ms(),
            module: manifest.stages[0].module,
            memory_bytes: manifest.stages.iter().map(|s| s.limits.memory_bytes).max().unwrap_or(0),
            priority: manifest.priority,
            level: manifest.policy.level,
            stamp: None,
            feed: manifest.feed(),
        }
    }

    /// Whether this is what a manifest gives. The stamp is the announcer's own, and the level may be higher.
    pub fn is_of(&self, manifest: &Manifest) -> bool {
        let right = Self::of(manifest);
        (right.level..=LEVEL_MAX).contains(&self.level)
            && *self == Self { stamp: self.stamp, level: self.level, ..right }
    }

    /// Whether this is another one anew, at a higher level.
    pub fn raises(&self, other: &Self) -> bool {
        other.level < self.level
            && self.level <= LEVEL_MAX
            && *self == Self { stamp: self.stamp, level: self.level, ..other.clone() }
    }

    /// The manifest as a blob.
    pub fn manifest(&self) -> BlobRef {
        BlobRef { id: self.job.blob(), size: self.manifest_bytes }
    }
}

/// A worker's short-lived word that it runs these batches. Never part of a verdict.
#[derive(Clone, Debug, PartialEq, Eq, Serialize_tuple, Deserialize_tuple)]
pub struct Claim {
    pub job: JobId,
    pub shard: u16,
    pub stage: u16,
    pub batches: Vec<u32>,
    /// How long others should wait, from when they hear it.
    pub span_ms: u64,
}

impl SignedBody for Claim {
    const KIND: Kind = Kind::Claim;
    const BYTES_MAX: usize = CLAIM_BYTES_MAX;
}

impl Claim {
    /// Whether the claim has the form that honest peers give it.
    pub fn is_well_formed(&self) -> bool {
        (1..=CLAIM_BATCHES_MAX).contains(&self.batches.len())
            && self.span_ms <= CLAIM_MS_MAX
            && self.shard == 0
    }
}
