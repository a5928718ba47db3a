//! [`ProvenKey`]: the key that a request has proved to have (RFC 9449). [`ProofError`]: why it has not.

use std::error::Error;
use std::fmt;

use bytes::Bytes;
use http::{HeaderValue, Response};

use super::answer::Answer;
use crate::bearer::{KeyFault, KeyProof};
use crate::issue::Confirmation;

/// The key that a request has proved to have: what [`TokenEndpoints::proven_key`](super::TokenEndpoints::proven_key) finds.
#[derive(Clone, Debug)]
pub struct ProvenKey {
    confirmation: Confirmation,
    nonce: Option<HeaderValue>,
}

/// A request brings a proof that is none, or none although one is required, or one that nobody can look at now.
///
/// The text is for operators; [`into_response`](Self::into_response) is what the client is to hear.
#[derive(Debug)]
pub struct ProofError(KeyFault);

impl ProvenKey {
    pub(super) fn of(proof: &KeyProof) -> Self {
        Self { confirmation: Confirmation::Jkt(proof.jkt.clone()), nonce: proof.nonce().cloned() }
    }

    /// What the grant is to be bound to: see [`Grant::confirmation`](crate::issue::Grant::confirmation).
    #[must_use]
    pub const fn confirmation(&self) -> &Confirmation {
        &self.confirmation
    }

    /// What to answer in the field `DPoP-Nonce`, if anything (RFC 9449, section 8.2).
    #[must_use]
    pub const fn nonce(&self) -> Option<&HeaderValue> {
        self.nonce.as_ref()
    }
}

impl ProofError {
    /// 400 `invalid_dpop_proof` or `use_dpop_nonce` (RFC 9449, sections 5 and 8), or 503.
    pub fn into_response<B: From<Bytes>>(self) -> Response<B> {
        Answer::from(self.0).into_response()
    }
}

impl From<KeyFault> for ProofError {
    fn from(fault: KeyFault) -> Self {
        Self(fault)
    }
}

impl fmt::Display for ProofError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.0 {
            KeyFault::Proof(why) => why,
            KeyFault::Nonce(_) => "the DPoP proof needs a nonce",
            KeyFault::Unavailable => "it cannot be told whether the DPoP proof was used before",
        })
    }
}

impl Error for ProofError {}
