//! [`BearerAuthenticator`]: joins token, verifier and policy; nothing is decided here. The one thing that a request may
//! wait for is awaited here: the source of the keys.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::{Extensions, HeaderMap, Request};
use portcullis_store::Clock;

use super::error::KeysUnavailable;
use super::keys::{KeyQuery, Missed, Missing};
use super::miss::{Failure, Miss, Verdict};
use super::refusal::Refusal;
use super::token::{self, BearerToken, Malformed};
use super::verifier::Verifier;
use crate::authenticate::{Authenticator, OnConflict, Opened, Opening};
use crate::identity::{Authentication, Carrier, Identity};
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
    Failed(Failure),
    Verified(Identity),
}

impl Authenticator for BearerAuthenticator {
    /// Whether a token was verified.
    type Visit = bool;

    fn challenge(&self) -> Option<Challenge> {
        Some(self.challenge.clone())
    }

    fn on_conflict(&self) -> OnConflict {
        self.policy.on_conflict
    }

    fn open<B>(&self, request: &mut Request<B>) -> Opening<bool> {
        token::mark_sensitive(request.headers_mut());
        match self.find(request.headers()) {
            Found::Absent if self.policy.required => {
                Opening::refused(self.unauthenticated(request.extensions()))
            }
            Found::Absent => Opening::anonymous(false),
            Found::Malformed(malformed) => Opening::refused(self.bad_request(malformed)),
            Found::Verified(identity) => Opening::authenticated(identity, true),
            Found::Failed(Failure::Missed(miss)) => self.ask(miss, request.headers()),
            Found::Failed(Failure::Refused(refusal)) => Opening::refused(self.invalid_token(refusal)),
            Found::Failed(Failure::Unavailable { retry_after }) => Opening::refused(unavailable(retry_after)),
        }
    }

    fn enter<B>(&self, verified: &bool, request: &mut Request<B>) {
        if *verified && self.policy.strip {
            token::strip(request.headers_mut());
        }
    }
}

impl BearerAuthenticator {
    fn find(&self, headers: &HeaderMap) -> Found {
        match BearerToken::find(headers) {
            Ok(None) => Found::Absent,
            Err(malformed) => Found::Malformed(malformed),
            Ok(Some(token)) => self.verify(token.as_str()).map_or_else(Found::Failed, Found::Verified),
        }
    }

    fn verify(&self, token: &str) -> Result<Identity, Failure> {
        self.verifier.verify(token, Carrier::Explicit, self.clock.now())
    }

    /// Asks the source, and waits for it if it has to ask its issuer.
    fn ask(&self, miss: Miss, headers: &HeaderMap) -> Opening<bool> {
        let missing = miss.ask();
        let token = match BearerToken::find(headers) {
            Ok(Some(token)) => token.as_str(),
            Ok(None) | Err(_) => "",
        };
        match missing {
            Missing::Ready(missed) => Opening::Ready(self.settle(miss, missed, token)),
            Missing::Pending(missed) => {
                let (this, token) = (self.clone(), token.to_owned());
                Opening::pending(async move { this.settle(miss, missed.await, &token) })
            }
        }
    }

    fn settle(&self, miss: Miss, missed: Missed, token: &str) -> Opened<bool> {
        let failure = match miss.settle(missed, self.clock.now()) {
            Verdict::Failed(failure) => failure,
            Verdict::Again => match self.verify(token) {
                Ok(identity) => return Ok((Authentication::authenticated(identity), true)),
                Err(failure) => failure,
            },
        };
        Err(match failure {
            Failure::Refused(refusal) => self.invalid_token(refusal),
            Failure::Unavailable { retry_after } => unavailable(retry_after),
            Failure::Missed(again) => self.invalid_token(again.give_up(self.clock.now())),
        })
    }

    /// Asks the source of every issuer that has no keys, at the same time, and waits for them.
    pub(super) async fn ready(&self) -> Result<(), KeysUnavailable> {
        let issuers = self.verifier.issuers();
        let asked: Vec<_> = issuers
            .iter()
            .map(|issuer| (issuer, issuer.keys.snapshot()))
            .filter(|(_, keys)| keys.is_empty())
            .map(|(issuer, keys)| (issuer, issuer.keys.miss(KeyQuery::any(keys))))
            .collect();
        let mut without = Vec::new();
        for (issuer, missing) in asked {
            if let Missing::Pending(missed) = missing {
                missed.await;
            }
            if issuer.keys.snapshot().is_empty() {
                without.push(issuer.rules.issuer.clone());
            }
        }
        KeysUnavailable::of(without)
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

fn unavailable(retry_after: Duration) -> Rejection {
    tracing::debug!("the keys to verify the bearer token with are out of reach");
    Rejection::Unavailable { retry_after }
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
