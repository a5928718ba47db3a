//! [`OwnVerifier`]: tokens of one issuer, verified outside of any layer by the pipeline that layers use.

use portcullis_store::Timestamp;

use super::error::BuildError;
use super::issuer::Issuer;
use super::revocation::{Marks, Revocations};
use super::verifier::{Occasion, Verifier};
use crate::identity::{Carrier, Identity};

/// Verifies the tokens of one issuer, whose keys are at hand.
#[derive(Debug)]
pub(crate) struct OwnVerifier(Verifier);

/// A token that is good but for this: it may be revoked.
pub(crate) struct Own {
    pub(crate) identity: Identity,
    marks: Option<Marks>,
}

impl OwnVerifier {
    pub(crate) fn new(issuer: Issuer) -> Result<Self, BuildError> {
        Ok(Self(Verifier::new(vec![issuer.build()?])))
    }

    /// Whom the token names, if it is good at this moment.
    pub(crate) fn verify(&self, token: &str, now: Timestamp) -> Option<Own> {
        let occasion = Occasion { carrier: Carrier::Explicit, now, wants_marks: true };
        let verified = self.0.verify(token.as_bytes(), occasion).ok()?;
        Some(Own { identity: verified.identity, marks: verified.marks })
    }
}

impl Own {
    /// Whether it is not revoked.
    pub(crate) async fn stands(
        &self,
        revocations: &Revocations,
    ) -> Result<bool, portcullis_store::StoreError> {
        let Some(marks) = &self.marks else { return Ok(false) };
        let status = match revocations.status_now(marks) {
            Some(status) => status?,
            None => revocations.status(marks).await?,
        };
        Ok(marks.judge(&status).is_ok())
    }
}
