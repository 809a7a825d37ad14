//! Signatures: one rule of validity everywhere, over the bytes as received.

use std::fmt;
use std::sync::Arc;

use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_bytes::{ByteArray, ByteBuf};
use serde_tuple::{Deserialize_tuple, Serialize_tuple};

use crate::{DecodeError, NetworkId, PeerId, StepId, decode, encode, hash};

/// What a statement is, so that a signature for one kind is void for every other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Announcement,
    Step,
    Claim,
}

/// A type that is signed: its kind and how many bytes its body may have.
pub trait SignedBody: Serialize + DeserializeOwned {
    const KIND: Kind;
    const BYTES_MAX: usize;
}

/// A peer's secret key. It is never printed.
#[derive(Clone)]
pub struct Keypair(SigningKey);

impl Keypair {
    /// The key of a 32-byte secret.
    pub fn from_secret(secret: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(secret))
    }

    pub fn peer(&self) -> PeerId {
        PeerId::new(self.0.verifying_key().to_bytes())
    }

    /// States `value` in the name of this peer.
    ///
    /// # Panics
    /// If the value's encoding is longer than its type allows, which the maker must prevent.
    pub fn sign<T: SignedBody>(&self, network: NetworkId, value: T) -> Signed<T> {
        let body = encode(&value);
        assert!(body.len() <= T::BYTES_MAX, "a statement of {} bytes", body.len());
        let signature = self.0.sign(&signed_bytes(network, T::KIND, &body)).to_bytes();
        let envelope = Envelope {
            author: self.peer(),
            signature: ByteArray::new(signature),
            body: ByteBuf::from(body),
        };
        let id = envelope.id();
        Signed(Arc::new(Inner { value, id, envelope }))
    }
}

impl fmt::Debug for Keypair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keypair({})", self.peer())
    }
}

/// A statement as it travels: nobody has checked it yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize_tuple, Deserialize_tuple)]
pub struct Envelope {
    pub author: PeerId,
    signature: ByteArray<64>,
    body: ByteBuf,
}

/// A statement whose author, kind, network, size and encoding were checked. Made only by
/// [`Envelope::verify`] and [`Keypair::sign`].
///
/// It is shared and not copied: one statement is in logs, messages and journals at the same time.
#[derive(Debug, PartialEq, Eq)]
pub struct Signed<T>(Arc<Inner<T>>);

#[derive(Debug, PartialEq, Eq)]
struct Inner<T> {
    value: T,
    id: StepId,
    envelope: Envelope,
}

impl<T> Clone for Signed<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

/// Why a statement was turned away at the door.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    #[error("its signature is not its author's for this kind and network")]
    BadSignature,
    #[error("its body is unreadable: {0}")]
    Body(#[from] DecodeError),
}

impl Envelope {
    /// The statement's name: author and body, without the signature, so that a malleable signature
    /// makes no second statement.
    pub fn id(&self) -> StepId {
        StepId::new(*hash("statement", &[self.author.as_bytes(), &self.body]).as_bytes())
    }

    /// How many bytes the body has.
    pub fn body_len(&self) -> usize {
        self.body.len()
    }

    /// Checks everything that can be checked without knowing a job.
    ///
    /// # Errors
    /// [`VerifyError`]; each is a fault of whoever sent it.
    pub fn verify<T: SignedBody>(self, network: NetworkId) -> Result<Signed<T>, VerifyError> {
        self.check_signature::<T>(network)?;
        let value = self.read()?;
        Ok(Signed(Arc::new(Inner { value, id: self.id(), envelope: self })))
    }

    /// What it says, whoever says it.
    pub(crate) fn read<T: SignedBody>(&self) -> Result<T, VerifyError> {
        Ok(decode(&self.body, T::BYTES_MAX)?)
    }

    /// The same as [`Envelope::verify`], where `value` is what [`Envelope::read`] gave.
    pub(crate) fn verify_as<T: SignedBody>(
        self,
        network: NetworkId,
        value: T,
    ) -> Result<Signed<T>, VerifyError> {
        self.check_signature::<T>(network)?;
        Ok(Signed(Arc::new(Inner { value, id: self.id(), envelope: self })))
    }

    fn check_signature<T: SignedBody>(&self, network: NetworkId) -> Result<(), VerifyError> {
        if T::BYTES_MAX < self.body.len() {
            return Err(DecodeError::TooLong { len: self.body.len(), max: T::BYTES_MAX }.into());
        }
        let key = VerifyingKey::from_bytes(self.author.as_bytes())
            .map_err(|_| VerifyError::BadSignature)?;
        let signature = Signature::from_bytes(&self.signature);
        key.verify_strict(&signed_bytes(network, T::KIND, &self.body), &signature)
            .map_err(|_| VerifyError::BadSignature)
    }
}

impl<T> Signed<T> {
    pub fn author(&self) -> PeerId {
        self.0.envelope.author
    }

    pub fn id(&self) -> StepId {
        self.0.id
    }

    pub fn value(&self) -> &T {
        &self.0.value
    }

    /// The bytes as they were received, to pass on.
    pub fn envelope(&self) -> &Envelope {
        &self.0.envelope
    }
}

fn signed_bytes(network: NetworkId, kind: Kind, body: &[u8]) -> Vec<u8> {
    let kind = match kind {
        Kind::Announcement => 1,
        Kind::Step => 2,
        Kind::Claim => 3,
    };
    [b"dugnad/1".as_slice(), network.as_bytes(), &[kind], body].concat()
}
