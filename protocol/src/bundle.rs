//! A proof bundle: everything that a job's verdict follows from, in one file that anybody can check.
//!
//! Nothing in it is believed: reading one is checking the manifest, every signature and every stamp,
//! and folding the steps anew. A file holds one bundle, or several that follow each other.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_bytes::ByteBuf;
use serde_tuple::{Deserialize_tuple, Serialize_tuple};

use crate::cbor::decode_first;
use crate::limits::BUNDLE_BYTES_MAX;
use crate::{
    Announcement, BlobId, DecodeError, Envelope, JobId, Ledger, Manifest, ManifestError, NetworkId,
    PeerId, Plan, Refusal, Signed, Stamped, Step, StepError, StepId, Tree, VerifyError, encode,
};

/// What a bundle begins with; its number is that of the form.
const MAGIC: &str = "dugnad proof 1";

/// The material of a verdict, none of it checked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize_tuple, Deserialize_tuple)]
pub struct Bundle {
    magic: String,
    network: NetworkId,
    manifest: ByteBuf,
    /// The trees of `parts` stages, in ascending order of their names.
    parts: Vec<ByteBuf>,
    announcement: Option<Envelope>,
    steps: Vec<Envelope>,
}

/// What a bundle shows, once everything in it was checked.
#[derive(Clone, Debug)]
pub struct Opened {
    pub network: NetworkId,
    /// With its verdict brought up to date.
    pub ledger: Ledger,
    pub announcement: Option<Signed<Announcement>>,
    /// Authors whose stamp is not the work that it claims; their steps were passed over.
    pub unstamped: BTreeSet<PeerId>,
}

/// Why a bundle shows nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BundleError {
    #[error(transparent)]
    Decode(#[from] DecodeError),
    #[error("it is no proof bundle, or one of another version than `{MAGIC}`")]
    OtherVersion,
    #[error("its manifest is refused: {0}")]
    Manifest(#[from] ManifestError),
    #[error("its trees are not those that the manifest's units are derived from")]
    Parts,
    #[error("its announcement is another job's or another submitter's")]
    Announcement,
    #[error("a statement in it is refused: {0}")]
    Verify(#[from] VerifyError),
    #[error("a step in it is refused: {0}")]
    Step(#[from] StepError),
    #[error("a step in it can be in nobody's ledger of the job: {0}")]
    Refused(#[from] Refusal),
    #[error("there is no bundle in it")]
    Empty,
}

impl Bundle {
    /// Bundles everything that a ledger has: the same steps give the same bytes.
    pub fn new(
        network: NetworkId,
        ledger: &Ledger,
        announcement: Option<&Signed<Announcement>>,
    ) -> Self {
        let plan = ledger.plan();
        let mut steps: Vec<&Signed<Step>> = ledger.steps().collect();
        steps.sort_by_key(place);
        Self {
            magic: MAGIC.to_owned(),
            network,
            manifest: ByteBuf::from(plan.manifest().to_bytes()),
            parts: plan.parts().map(|(_, tree)| ByteBuf::from(tree.to_bytes())).collect(),
            announcement: announcement.map(|announcement| announcement.envelope().clone()),
            steps: steps.into_iter().map(|step| step.envelope().clone()).collect(),
        }
    }

    /// Reads a file of exactly one bundle.
    ///
    /// # Errors
    /// [`BundleError`] if the bytes are anything else.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, BundleError> {
        let mut all = Self::read_all(bytes)?;
        match (all.pop(), all.is_empty()) {
            (Some(bundle), true) => Ok(bundle),
            (Some(_), false) => Err(DecodeError::WrongType.into()),
            (None, _) => Err(BundleError::Empty),
        }
    }

    /// Reads a file of one bundle or more, within the limit for all of them together.
    ///
    /// # Errors
    /// [`BundleError`] if anything in it is not a bundle of this version in canonical form.
    pub fn read_all(bytes: &[u8]) -> Result<Vec<Self>, BundleError> {
        if BUNDLE_BYTES_MAX < bytes.len() {
            return Err(DecodeError::TooLong { len: bytes.len(), max: BUNDLE_BYTES_MAX }.into());
        }
        if bytes.is_empty() {
            return Err(BundleError::Empty);
        }
        let (mut all, mut rest) = (Vec::new(), bytes);
        while !rest.is_empty() {
            if !begins_well(rest) {
                return Err(BundleError::OtherVersion);
            }
            let (bundle, behind) = decode_first(rest, BUNDLE_BYTES_MAX)?;
            all.push(bundle);
            rest = behind;
        }
        Ok(all)
    }

    pub fn to_bytes(&self) -> Vec<u8> {
        encode(self)
    }

    /// The job that it says it is about: what its manifest hashes to.
    pub fn job(&self) -> JobId {
        JobId::from(BlobId::of(&self.manifest))
    }

    /// How many steps it brings.
    pub fn step_count(&self) -> usize {
        self.steps.len()
    }

    /// Checks everything in it for the network that it states, and folds the steps.
    ///
    /// # Errors
    /// [`BundleError`]: one statement that is not its author's spoils the whole bundle.
    pub fn open(self) -> Result<Opened, BundleError> {
        let Self { network, manifest, parts, announcement, steps, .. } = self;
        let plan = plan(&manifest, &parts)?;
        let announcement = announcement
            .map(|envelope| announced(envelope, network, plan.manifest()))
            .transpose()?;
        let mut checked = Vec::with_capacity(steps.len());
        for envelope in steps {
            let step: Signed<Step> = envelope.verify(network)?;
            step.value().check()?;
            checked.push(step);
        }
        // In the order of their logs, none of them lies behind a gap that a later one fills.
        checked.sort_by_key(|step| place(&step));
        let unstamped = unstamped(network, plan.manifest(), &checked);
        let mut ledger = Ledger::new(Arc::new(plan));
        for step in checked.into_iter().filter(|step| !unstamped.contains(&step.author())) {
            ledger.insert(step)?;
        }
        ledger.verdict();
        Ok(Opened { network, ledger, announcement, unstamped })
    }
}

/// Where a step is among all others; two with one number are in the order of their names.
fn place(step: &&Signed<Step>) -> (PeerId, u64, StepId) {
    (step.author(), step.value().seq, step.id())
}

/// Whether bytes begin as every bundle does: an array of six, the first of which is the magic.
fn begins_well(bytes: &[u8]) -> bool {
    bytes.strip_prefix(&[0x86]).is_some_and(|rest| rest.starts_with(&encode(&MAGIC)))
}

/// The plan of the manifest with exactly the trees that its units are derived from.
fn plan(manifest: &[u8], parts: &[ByteBuf]) -> Result<Plan, BundleError> {
    let mut plan = Plan::new(Manifest::from_bytes(manifest)?);
    let wanted: BTreeMap<BlobId, u64> =
        plan.missing_parts().into_iter().map(|tree| (tree.id, tree.size)).collect();
    let given: Vec<(BlobId, u64)> =
        parts.iter().map(|bytes| (BlobId::of(bytes), bytes.len() as u64)).collect();
    if !wanted.into_iter().eq(given.iter().copied()) {
        return Err(BundleError::Parts);
    }
    for ((id, _), bytes) in given.into_iter().zip(parts) {
        let tree = Tree::from_bytes(bytes).map_err(|_| BundleError::Parts)?;
        if !plan.add_parts(id, tree) {
            return Err(BundleError::Parts);
        }
    }
    Ok(plan)
}

fn announced(
    envelope: Envelope,
    network: NetworkId,
    manifest: &Manifest,
) -> Result<Signed<Announcement>, BundleError> {
    let announcement: Signed<Announcement> = envelope.verify(network)?;
    let fits = announcement.author() == manifest.submitter && announcement.value().is_of(manifest);
    if fits { Ok(announcement) } else { Err(BundleError::Announcement) }
}

/// Authors whose stamp was not worked for; where the job asks for none, none is looked at.
fn unstamped(network: NetworkId, manifest: &Manifest, steps: &[Signed<Step>]) -> BTreeSet<PeerId> {
    let asked = manifest.policy.stamp_bits != 0;
    let stamps = steps.iter().filter(|_| asked).filter_map(|step| {
        let stamp = step.value().stamp?;
        Some((stamp, step.author()))
    });
    let distinct: BTreeSet<_> = stamps.collect();
    let unsound = distinct
        .into_iter()
        .filter(|(stamp, author)| !stamp.is_sound(network, Stamped::Peer(*author)));
    unsound.map(|(_, author)| author).collect()
}
