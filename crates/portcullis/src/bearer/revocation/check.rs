//! [`RevocationCheck`]: how a layer asks whether a token is revoked, and what it makes of the answer. Nothing is awaited
//! here.

use std::fmt;

use http::Method;
use portcullis_store::{StoreError, Timestamp, TokenStatus};

use super::outage::{OnOutage, Policies};
use super::{Marks, Revocations};
use crate::bearer::events::{self, Checked};
use crate::bearer::refusal::Refusal;

/// How a [`BearerLayer`](crate::BearerLayer) asks whether a token is revoked. It is made of a [`Revocations`].
///
/// A good token is looked up in the store, in one round trip, each time that it comes, whether its signature was verified
/// this time or is known from before; or in what this process was [told](super::RevocationPush). What cannot be looked up is no verdict: see [`OnOutage`].
///
/// ```
/// use std::time::Duration;
///
/// use http::Method;
/// use portcullis::bearer::{MemoryTokenBackend, OnOutage, RevocationCheck, Revocations};
///
/// let revocations = Revocations::new(MemoryTokenBackend::new());
/// let open = OnOutage::FailOpen { max_outage: Duration::from_secs(60) };
/// // For `BearerLayer::revocation`: while the store is away, pages can still be read.
/// let check = RevocationCheck::by(&revocations).on_outage_of([Method::GET, Method::HEAD], open);
/// ```
#[derive(Clone)]
#[must_use]
pub struct RevocationCheck {
    revocations: Revocations,
    policies: Policies,
    accept_incomplete: bool,
}

/// Why a token is not let in, by this check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::bearer) enum Unchecked {
    Refused(Refusal),
    /// It cannot be told.
    Unavailable,
}

impl RevocationCheck {
    /// A check by what these have revoked.
    pub fn by(revocations: &Revocations) -> Self {
        let revocations = revocations.clone();
        Self { revocations, policies: Policies::default(), accept_incomplete: false }
    }

    /// What becomes of a good token while it cannot be told whether it is revoked. Default: [`OnOutage::FailClosed`].
    pub fn on_outage(mut self, policy: OnOutage) -> Self {
        self.policies.usual = policy;
        self
    }

    /// The same, for requests of these methods only. What was said first of a method counts. A gRPC call is a `POST`.
    pub fn on_outage_of(mut self, methods: impl IntoIterator<Item = Method>, policy: OnOutage) -> Self {
        self.policies.by_method.extend(methods.into_iter().map(|method| (method, policy)));
        self
    }

    /// Accepts tokens without `jti`, which cannot be revoked one by one, and tokens without `iat` (or, of a
    /// [versioned](crate::bearer::Issuer::versioned) issuer, `tv`) until anything of their user is revoked, or everybody.
    /// Default: they are refused.
    pub fn insecure_accept_incomplete(mut self) -> Self {
        self.accept_incomplete = true;
        self
    }

    pub(in crate::bearer) fn revocations(&self) -> &Revocations {
        &self.revocations
    }

    /// Whether the token is worth asking about: one that could not be revoked is not accepted.
    pub(in crate::bearer) fn admit(&self, marks: &Marks, now: Timestamp) -> Result<(), Refusal> {
        let refused = if !marks.are_complete() && !self.accept_incomplete {
            Err(Refusal::NotRevocable)
        } else if marks.outlive(self.revocations.longest_token, now) {
            Err(Refusal::OutlivesRevocation)
        } else {
            return Ok(());
        };
        events::checked(Checked::NotRevocable);
        refused
    }

    /// What the store's answer means for the token.
    pub(in crate::bearer) fn settle(
        &self,
        marks: &Marks,
        answer: Result<TokenStatus, StoreError>,
        method: &Method,
        now: Timestamp,
    ) -> Result<(), Unchecked> {
        let error = match answer {
            Ok(status) => {
                if self.revocations.outage.over() {
                    events::revocation_is_back();
                }
                let judged = marks.judge(&status);
                events::checked(if judged.is_ok() { Checked::Good } else { Checked::Revoked });
                return judged.map_err(Unchecked::Refused);
            }
            Err(error) => error,
        };
        let lasts = self.revocations.outage.failed(now);
        events::revocation_is_away(error.kind(), lasts.is_zero());
        if self.policies.pass(method, error.kind(), lasts) {
            events::checked(Checked::FailedOpen);
            return Ok(());
        }
        events::checked(Checked::Unavailable);
        Err(Unchecked::Unavailable)
    }
}

impl From<&Revocations> for RevocationCheck {
    fn from(revocations: &Revocations) -> Self {
        Self::by(revocations)
    }
}

impl From<Revocations> for RevocationCheck {
    fn from(revocations: Revocations) -> Self {
        Self::by(&revocations)
    }
}

impl fmt::Debug for RevocationCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RevocationCheck")
            .field("revocations", &self.revocations)
            .field("policies", &self.policies)
            .field("accept_incomplete", &self.accept_incomplete)
            .finish()
    }
}
