//! The messages between peers: what travels by gossip and on the streams between two peers.

use serde::{Deserialize, Serialize};
use serde_tuple::{Deserialize_tuple, Serialize_tuple};

use crate::limits::{HEADS_MAX, JOBS_LISTED_MAX, MESSAGE_BYTES_MAX, STEPS_SENT_MAX};
use crate::{
    Announcement, Claim, DecodeError, Envelope, Head, JobId, NetworkId, PeerId, Signed, Stamp,
    Step, StepError, VerifyError, decode, encode,
};

/// A message whose statements were all checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// First word on a new link.
    Hello(Hello),
    /// A job is there. By gossip to everybody, or to a neighbour that lacks it.
    Announce(Signed<Announcement>),
    /// Unexpired jobs that the sender knows: neighbours reconcile them on connecting.
    Jobs(Vec<JobId>),
    /// Asks for these jobs' announcements.
    WantJobs(Vec<JobId>),
    /// New or missing entries of participants' logs.
    Steps(Vec<Signed<Step>>),
    /// Somebody starts on some batches.
    Claim(Signed<Claim>),
    /// What the sender has of a job's logs; who has more sends it.
    Heads(Heads),
    /// The submitter asks the receiver to hold the job's manifest, modules and inputs.
    Keep(JobId),
    /// The sender holds them.
    Kept(JobId),
}

/// What somebody seems to say, before its signature was checked.
#[derive(Clone, Copy, Debug)]
pub enum Unchecked<'a> {
    Announcement(&'a Announcement),
    Step(&'a Step),
    Claim(&'a Claim),
}

/// What a peer is willing to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize_tuple, Deserialize_tuple)]
pub struct Hello {
    /// It executes units of others' jobs.
    pub works: bool,
    /// It keeps others' jobs.
    pub keeps: bool,
    /// Its identity stamp, for its rank in jobs that ask for one.
    pub stamp: Option<Stamp>,
}

/// One peer's knowledge of a job's logs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize_tuple, Deserialize_tuple)]
pub struct Heads {
    pub job: JobId,
    pub heads: Vec<Head>,
    /// Authors that the sender knows to have forked their log.
    pub forked: Vec<Fork>,
    /// Whether the receiver should answer with its own heads if it lacks something.
    pub answer: bool,
}

/// Where an author contradicts itself: the lowest step number known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize_tuple, Deserialize_tuple)]
pub struct Fork {
    pub author: PeerId,
    pub at: u64,
}

/// Why a message was turned away; each is a fault of whoever sent it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    #[error(transparent)]
    Decode(#[from] DecodeError),
    #[error(transparent)]
    Verify(#[from] VerifyError),
    #[error(transparent)]
    Step(#[from] StepError),
    #[error("a list in it is too long")]
    TooMany,
}

#[derive(Serialize, Deserialize)]
enum Wire {
    Hello(Hello),
    Announce(Envelope),
    Jobs(Vec<JobId>),
    WantJobs(Vec<JobId>),
    Steps(Vec<Envelope>),
    Claim(Envelope),
    Heads(Heads),
    Keep(JobId),
    Kept(JobId),
}

impl Message {
    /// Reads a message and checks every signature in it, once.
    ///
    /// # Errors
    /// [`MessageError`] says which rule it broke.
    pub fn open(bytes: &[u8], network: NetworkId) -> Result<Self, MessageError> {
        let opened = Self::open_if(bytes, network, |_| true)?;
        Ok(opened.expect("what is wanted is not left out"))
    }

    /// The same, without statements that nobody wants; nothing, if nothing is left.
    ///
    /// A statement is read before its signature is checked, which costs ten times as much or more: so strangers
    /// cannot make a node check what is of no use to it.
    ///
    /// # Errors
    /// [`MessageError`] says which rule it broke.
    pub fn open_if(
        bytes: &[u8],
        network: NetworkId,
        is_wanted: impl Fn(Unchecked<'_>) -> bool,
    ) -> Result<Option<Self>, MessageError> {
        let checked = |envelope: Envelope| -> Result<Option<Signed<Step>>, MessageError> {
            let step: Step = envelope.read()?;
            if !is_wanted(Unchecked::Step(&step)) {
                return Ok(None);
            }
            let step = envelope.verify_as(network, step)?;
            step.value().check()?;
            Ok(Some(step))
        };
        let bounded =
            |len: usize, max: usize| if len <= max { Ok(()) } else { Err(MessageError::TooMany) };
        Ok(Some(match decode(bytes, MESSAGE_BYTES_MAX)? {
            Wire::Hello(hello) => Self::Hello(hello),
            Wire::Announce(envelope) => {
                let announcement: Announcement = envelope.read()?;
                if !is_wanted(Unchecked::Announcement(&announcement)) {
                    return Ok(None);
                }
                Self::Announce(envelope.verify_as(network, announcement)?)
            }
            Wire::Jobs(jobs) => {
                bounded(jobs.len(), JOBS_LISTED_MAX)?;
                Self::Jobs(jobs)
            }
            Wire::WantJobs(jobs) => {
                bounded(jobs.len(), JOBS_LISTED_MAX)?;
                Self::WantJobs(jobs)
            }
            Wire::Steps(steps) => {
                bounded(steps.len(), STEPS_SENT_MAX)?;
                let said = steps.len();
                let steps = steps.into_iter().filter_map(|step| checked(step).transpose());
                let steps: Vec<_> = steps.collect::<Result<_, _>>()?;
                if steps.is_empty() && said != 0 {
                    return Ok(None);
                }
                Self::Steps(steps)
            }
            Wire::Claim(envelope) => {
                let claim: Claim = envelope.read()?;
                if !is_wanted(Unchecked::Claim(&claim)) {
                    return Ok(None);
                }
                Self::Claim(envelope.verify_as(network, claim)?)
            }
            Wire::Heads(heads) => {
                bounded(heads.heads.len().max(heads.forked.len()), HEADS_MAX)?;
                Self::Heads(heads)
            }
            Wire::Keep(job) => Self::Keep(job),
            Wire::Kept(job) => Self::Kept(job),
        }))
    }

    /// The bytes that [`Message::open`] reads.
    pub fn to_bytes(&self) -> Vec<u8> {
        let wire = match self {
            Self::Hello(hello) => Wire::Hello(*hello),
            Self::Announce(announcement) => Wire::Announce(announcement.envelope().clone()),
            Self::Jobs(jobs) => Wire::Jobs(jobs.clone()),
            Self::WantJobs(jobs) => Wire::WantJobs(jobs.clone()),
            Self::Steps(steps) => {
                Wire::Steps(steps.iter().map(|step| step.envelope().clone()).collect())
            }
            Self::Claim(claim) => Wire::Claim(claim.envelope().clone()),
            Self::Heads(heads) => Wire::Heads(heads.clone()),
            Self::Keep(job) => Wire::Keep(*job),
            Self::Kept(job) => Wire::Kept(*job),
        };
        encode(&wire)
    }
}
