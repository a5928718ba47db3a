//! [`KeyProofs`]: proofs that come without a token, where tokens are given (RFC 9449, section 5). [`KeyProof`]: one of them.

use http::{HeaderMap, HeaderValue, Method};
use portcullis_store::{Claimed, Timestamp};

use super::proof::DPOP;
use super::refusal::ProofRefusal;
use super::{Dpop, Proofs, Proved, Unproved};
use crate::bearer::confirmation::thumbprint_text;
use crate::bearer::error::BuildError;
use crate::bearer::events::{self, ProofOutcome};
use crate::bearer::possession::proof;

/// What is checked of proofs where tokens are given.
#[derive(Debug)]
pub(crate) struct KeyProofs(Proofs);

/// A good proof, but for its use.
pub(crate) struct KeyProof {
    /// The thumbprint of its key, as `jkt` has it (section 6.1).
    pub(crate) jkt: String,
    proved: Proved,
}

/// Why a proof proves nothing.
#[derive(Debug)]
pub(crate) enum KeyFault {
    /// `invalid_dpop_proof`, and what the client is told.
    Proof(&'static str),
    /// `use_dpop_nonce`: the nonce to use (section 8).
    Nonce(HeaderValue),
    /// It cannot be told whether the proof was used before.
    Unavailable,
}

impl KeyProofs {
    /// # Errors
    /// As a layer that is given this.
    pub(crate) fn new(dpop: Dpop) -> Result<Self, BuildError> {
        dpop.build().map(Self)
    }

    /// The proof of a request. `None` if it has none, and none is required.
    pub(crate) fn find(
        &self,
        request: (&Method, &str),
        headers: &HeaderMap,
        now: Timestamp,
    ) -> Result<Option<KeyProof>, KeyFault> {
        if self.0.required {
            self.prove(request, headers, now).map(Some)
        } else {
            self.find_optional(request, headers, now)
        }
    }

    /// The proof of a request. `None` if it has none, even if one is required.
    pub(crate) fn find_optional(
        &self,
        request: (&Method, &str),
        headers: &HeaderMap,
        now: Timestamp,
    ) -> Result<Option<KeyProof>, KeyFault> {
        headers.contains_key(DPOP).then(|| self.prove(request, headers, now)).transpose()
    }

    fn prove(
        &self,
        (method, path): (&Method, &str),
        headers: &HeaderMap,
        now: Timestamp,
    ) -> Result<KeyProof, KeyFault> {
        let proof = proof(headers).map_err(refused)?;
        let text = proof.to_str().map_err(|_| refused(ProofRefusal::Malformed))?;
        let (proved, key) = self.0.introduce(text, (method, path), now).map_err(unproved)?;
        Ok(KeyProof { jkt: thumbprint_text(&key), proved })
    }
}

impl KeyProof {
    /// Uses the proof, for all processes that have the store.
    pub(crate) async fn claim(&self) -> Result<(), KeyFault> {
        let Some(ticket) = &self.proved.ticket else { return Ok(()) };
        let claimed = match ticket.claim_now() {
            Some(claimed) => claimed,
            None => ticket.claim().await,
        };
        match claimed {
            Ok(Claimed::First) => {
                events::proof(ProofOutcome::Good);
                Ok(())
            }
            Ok(Claimed::Again) => Err(refused(ProofRefusal::Replayed)),
            Err(error) => {
                events::proofs_are_away(error.kind());
                Err(KeyFault::Unavailable)
            }
        }
    }

    /// The nonce to use from now on, if it is another.
    pub(crate) const fn nonce(&self) -> Option<&HeaderValue> {
        self.proved.nonce.as_ref()
    }
}

fn unproved(unproved: Unproved) -> KeyFault {
    match unproved {
        Unproved::Proof(refusal) => refused(refusal),
        Unproved::Nonce(nonce) => {
            events::proof(ProofOutcome::NoNonce);
            KeyFault::Nonce(nonce)
        }
        // No token came along that could be bad.
        Unproved::Token(_) => refused(ProofRefusal::BadKey),
    }
}

fn refused(refusal: ProofRefusal) -> KeyFault {
    tracing::debug!(reason = refusal.label(), "a proof was refused where tokens are given");
    events::proof(ProofOutcome::of(refusal));
    KeyFault::Proof(refusal.description())
}
