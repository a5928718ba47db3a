//! [`BearerAuthenticator`]: joins token, verifier and policy; nothing is decided here.

use std::fmt;
use std::sync::Arc;

use http::{Extensions, HeaderMap, Request};
use portcullis_store::Clock;

use super::refusal::Refusal;
use super::token::{self, BearerToken, Malformed};
use super::verifier::Verifier;
use crate::authenticate::{Authenticator, OnConflict, Opening};
use crate::identity::{Carrier, Identity};
use crate::realm::Slot;
use crate::rejection::{Challenge, Rejection};

/// What a [`BearerLayer`](super::BearerLayer) asks about a request.
#[derive(Clone)]
pub struct BearerAuthenticator {
    pub(super) verifier: Arc<Verifier>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) challenge: Challenge,
    pub(super) policy: Policy,
    /// Where layers outside of this one have left what they found.
    pub(super) slot: &'static Slot,
}

/// What a layer does beyond verifying, each its own per route.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Policy {
    pub(super) required: bool,
    pub(super) strip: bool,
    pub(super) on_conflict: OnConflict,
}

/// What came of looking for a token and verifying it.
enum Found {
    Absent,
    Malformed(Malformed),
    Refused(Refusal),
    Verified(Identity),
}

impl Authenticator for BearerAuthenticator {
    type Visit = ();

    fn challenge(&self) -> Option<Challenge> {
        Some(self.challenge.clone())
    }

    fn on_conflict(&self) -> OnConflict {
        self.policy.on_conflict
    }

    fn open<B>(&self, request: &mut Request<B>) -> Opening<()> {
        token::mark_sensitive(request.headers_mut());
        match self.find(request.headers()) {
            Found::Absent if self.policy.required => {
                Opening::refused(self.unauthenticated(request.extensions()))
            }
            Found::Absent => Opening::anonymous(()),
            Found::Malformed(malformed) => Opening::refused(self.bad_request(malformed)),
            Found::Refused(refusal) => Opening::refused(self.invalid_token(refusal)),
            Found::Verified(identity) => {
                if self.policy.strip {
                    token::strip(request.headers_mut());
                }
                Opening::authenticated(identity, ())
            }
        }
    }
}

impl BearerAuthenticator {
    fn find(&self, headers: &HeaderMap) -> Found {
        match BearerToken::find(headers) {
            Ok(None) => Found::Absent,
            Err(malformed) => Found::Malformed(malformed),
            Ok(Some(token)) => {
                let verified = self.verifier.verify(token.as_str(), Carrier::Explicit, self.clock.now());
                verified.map_or_else(Found::Refused, Found::Verified)
            }
        }
    }

    /// Names every scheme that is configured, here and further out.
    fn unauthenticated(&self, extensions: &Extensions) -> Rejection {
        let outer = self.slot.look(extensions).map(|look| look.challenges().clone());
        let mut challenges = outer.unwrap_or_default();
        // An outer layer of the same kind has left the same one.
        if !challenges.contains(&self.challenge) {
            challenges.push(self.challenge.clone());
        }
        Rejection::unauthenticated_by(challenges)
    }

    fn bad_request(&self, malformed: Malformed) -> Rejection {
        tracing::debug!(reason = malformed.label(), "the credentials are malformed");
        Rejection::BadRequest { challenge: self.challenge(), description: malformed.description() }
    }

    fn invalid_token(&self, refusal: Refusal) -> Rejection {
        tracing::debug!(reason = refusal.label(), "the bearer token is refused");
        Rejection::invalid_credential(self.challenge.clone(), refusal.description())
    }
}

impl fmt::Debug for BearerAuthenticator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BearerAuthenticator")
            .field("verifier", &self.verifier)
            .field("policy", &self.policy)
            .field("realm", &self.slot.name)
            .finish_non_exhaustive()
    }
}
