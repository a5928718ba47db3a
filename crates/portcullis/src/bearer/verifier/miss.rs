//! [`Miss`]: a token that the keys at hand do not verify, and what becomes of it when the source has been asked.

use std::sync::Arc;
use std::time::Duration;

use portcullis_store::Timestamp;

use super::TrustedIssuer;
use crate::bearer::jws::JoseHeader;
use crate::bearer::keys::{KeyQuery, KeySet, Missed, Missing};
use crate::bearer::refusal::Refusal;

/// Why a token names nobody.
#[derive(Debug)]
pub(in crate::bearer) enum Failure {
    /// It is not good.
    Refused(Refusal),
    /// There is nobody to say whether it is good.
    Unavailable { retry_after: Duration },
    /// The keys at hand do not verify it, and their source may know of others.
    Missed(Miss),
}

/// A token that the keys at hand do not verify.
#[derive(Debug)]
pub(in crate::bearer) struct Miss {
    issuer: Arc<TrustedIssuer>,
    query: KeyQuery,
    /// What it comes to if the source knows of no other keys.
    refusal: Refusal,
}

/// What is to be done when the source has answered.
#[derive(Debug)]
pub(in crate::bearer) enum Verdict {
    /// The token is verified once more.
    Again,
    Failed(Failure),
}

impl Miss {
    /// The miss of a token that was refused with these keys, if other keys could change that.
    pub(in crate::bearer) fn of(
        issuer: &Arc<TrustedIssuer>,
        keys: Arc<KeySet>,
        header: &JoseHeader<'_>,
        refusal: Refusal,
        now: Timestamp,
    ) -> Failure {
        let (algorithm, kid) = (header.algorithm, header.kid.as_deref());
        let is_unknown = || refusal == Refusal::UnknownKey && !issuer.absent.has(&keys, algorithm, kid, now);
        let query = if refusal == Refusal::BadSignature {
            KeyQuery::unverified(keys, algorithm, kid)
        } else if is_unknown() {
            KeyQuery::unknown(keys, algorithm, kid)
        } else {
            return Failure::Refused(refusal);
        };
        Failure::Missed(Self { issuer: Arc::clone(issuer), query, refusal })
    }

    /// Asks the source.
    pub(in crate::bearer) fn ask(&self) -> Missing {
        self.issuer.keys.miss(self.query.clone())
    }

    /// What the source's answer means for the token.
    pub(in crate::bearer) fn settle(&self, missed: Missed, now: Timestamp) -> Verdict {
        Verdict::Failed(match missed {
            Missed::Replaced => return Verdict::Again,
            Missed::Absent => {
                self.remember(self.query.seen(), now);
                Failure::Refused(self.refusal)
            }
            Missed::Throttled => Failure::Refused(self.refusal),
            Missed::Unavailable { retry_after } => Failure::Unavailable { retry_after },
        })
    }

    /// The token was verified once more and missed again: a source is asked once for a request.
    pub(in crate::bearer) fn give_up(self, now: Timestamp) -> Refusal {
        self.remember(self.query.seen(), now);
        self.refusal
    }

    /// Which key the set lacks. That a signature is bad says nothing about the key.
    fn remember(&self, set: &Arc<KeySet>, now: Timestamp) {
        if let (Refusal::UnknownKey, Some(algorithm)) = (self.refusal, self.query.algorithm()) {
            self.issuer.absent.add(set, algorithm, self.query.kid(), now);
        }
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}
