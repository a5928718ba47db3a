//! [`BearerAuthenticator`]: joins token, verifier and policy; nothing is decided here. What a request may wait
//! for is awaited here: the source of the keys, and the store of revocations.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::header::{CACHE_CONTROL, SEC_WEBSOCKET_PROTOCOL};
use http::{Extensions, HeaderValue, Method, Request, Response, StatusCode};
use portcullis_store::{Clock, StoreError, TokenStatus};
use zeroize::Zeroizing;

use super::cache::Cache;
use super::error::KeysUnavailable;
use super::keys::{KeyQuery, Missed, Missing};
use super::miss::{Failure, Miss, Verdict};
use super::refusal::Refusal;
use super::revocation::{Marks, RevocationCheck, Unchecked};
use super::token::{Malformed, Offered};
use super::token_source::{Place, Sources, subprotocol};
use super::verifier::{Occasion, Verifier};
use crate::authenticate::{Authenticator, Closing, Edits, OnConflict, Opening};
use crate::identity::{Authentication, Identity};
use crate::realm::Slot;
use crate::rejection::{Challenge, Rejection};

/// What a [`BearerLayer`](super::BearerLayer) asks about a request.
#[derive(Clone)]
pub struct BearerAuthenticator {
    pub(super) verifier: Arc<Verifier>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) challenge: Challenge,
    pub(super) policy: Policy,
    /// Where a token may stand.
    pub(super) sources: Sources,
    /// What was verified a moment ago.
    pub(super) cache: Option<Arc<Cache>>,
    /// Whether a good token was taken back is asked by this.
    pub(super) check: Option<Arc<RevocationCheck>>,
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

/// What the way out needs to know of a request.
#[derive(Clone, Copy, Debug)]
pub struct Visit {
    /// Where the token stood that was verified, if there was one.
    place: Option<Place>,
    is_connect: bool,
}

/// What came of looking for a token and verifying it.
enum Found {
    Absent,
    Malformed(Malformed),
    Failed(Failure),
    Accepted(Accepted),
}

/// A token that is good, but for what is asked about it each time that it comes.
struct Accepted {
    identity: Identity,
    marks: Option<Marks>,
    place: Place,
}

/// A token that waits for its key, and what its request asks for.
#[derive(Clone, Copy)]
struct Held<'a> {
    token: &'a str,
    place: Place,
    method: &'a Method,
}

impl Authenticator for BearerAuthenticator {
    type Visit = Visit;

    fn challenge(&self) -> Option<Challenge> {
        Some(self.challenge.clone())
    }

    fn on_conflict(&self) -> OnConflict {
        self.policy.on_conflict
    }

    fn open<B>(&self, request: &mut Request<B>) -> Opening<Visit> {
        self.sources.mark_sensitive(request.headers_mut());
        match self.find(request) {
            Found::Absent if self.policy.required => {
                Opening::refused(self.unauthenticated(request.extensions()))
            }
            Found::Absent => Opening::anonymous(Visit::of_nobody()),
            Found::Malformed(malformed) => Opening::refused(self.bad_request(malformed)),
            Found::Accepted(accepted) => self.admit(accepted, request.method()),
            Found::Failed(Failure::Missed(miss)) => self.ask(miss, request),
            Found::Failed(Failure::Refused(refusal)) => Opening::refused(self.invalid_token(refusal)),
            Found::Failed(Failure::Unavailable { retry_after }) => Opening::refused(unavailable(retry_after)),
        }
    }

    fn enter<B>(&self, visit: &Visit, request: &mut Request<B>) {
        // A token among the subprotocols could be chosen as one, and so sent back.
        let strips = |place| self.policy.strip || place == Place::WebSocket;
        if let Some(place) = visit.place.filter(|&place| strips(place)) {
            self.sources.strip(place, request);
        }
    }

    fn close<B>(&self, visit: Visit, response: &Response<B>) -> Closing {
        visit.edits(response).map_or_else(Closing::nothing, Closing::edits)
    }
}

impl Visit {
    const fn of_nobody() -> Self {
        Self { place: None, is_connect: false }
    }

    fn of(place: Place, method: &Method) -> Self {
        Self { place: Some(place), is_connect: *method == Method::CONNECT }
    }

    /// What the response lacks because of where the token stood.
    fn edits<B>(self, response: &Response<B>) -> Option<Edits> {
        let (name, value) = match self.place? {
            Place::WebSocket if self.is_switched(response.status()) => {
                (SEC_WEBSOCKET_PROTOCOL, subprotocol())
            }
            // RFC 6750, section 2.3.
            Place::Query if response.status().is_success() => {
                (CACHE_CONTROL, HeaderValue::from_static("private"))
            }
            Place::WebSocket | Place::Query | Place::Authorization | Place::Cookie => return None,
        };
        let mut edits = Edits::default();
        let lacks = !response.headers().contains_key(&name);
        lacks.then(|| {
            edits.insert(name, value);
            edits
        })
    }

    /// Whether the connection is a WebSocket from now on (RFC 6455, section 4.2.2; RFC 8441, section 5).
    fn is_switched(self, status: StatusCode) -> bool {
        status == StatusCode::SWITCHING_PROTOCOLS || self.is_connect && status.is_success()
    }
}

impl BearerAuthenticator {
    fn find<B>(&self, request: &Request<B>) -> Found {
        match self.sources.find(request.uri(), request.headers()) {
            Ok(None) => Found::Absent,
            Err(malformed) => Found::Malformed(malformed),
            Ok(Some(offered)) => self.recognise(offered),
        }
    }

    /// Whom the token names, as it was found out a moment ago or is now. One that is known is not looked at otherwise: it
    /// is the same to the byte.
    fn recognise(&self, offered: Offered<'_>) -> Found {
        let place = offered.place();
        let occasion = self.occasion(place);
        let known = self.cache.as_ref().and_then(|cache| cache.get(offered.as_bytes(), occasion));
        if let Some(known) = known {
            return Found::Accepted(Accepted { identity: known.identity.clone(), marks: known.marks, place });
        }
        match offered.check() {
            Ok(token) => {
                let verified = self.verify(token.as_str(), place, occasion);
                verified.map_or_else(Found::Failed, Found::Accepted)
            }
            Err(malformed) => Found::Malformed(malformed),
        }
    }

    fn occasion(&self, place: Place) -> Occasion {
        Occasion { carrier: place.carrier(), now: self.clock.now(), wants_marks: self.check.is_some() }
    }

    fn verify(&self, token: &str, place: Place, occasion: Occasion) -> Result<Accepted, Failure> {
        let verified = self.verifier.verify(token, occasion)?;
        if let Some(cache) = &self.cache {
            cache.keep(token, verified.to_remember(occasion.now));
        }
        Ok(Accepted { identity: verified.identity, marks: verified.marks, place })
    }

    /// Lets a good token in, unless it was taken back. A store in this process is asked without waiting.
    fn admit(&self, Accepted { identity, marks, place }: Accepted, method: &Method) -> Opening<Visit> {
        let visit = Visit::of(place, method);
        let Some(check) = &self.check else { return Opening::authenticated(identity, visit) };
        let marks = match marks.ok_or(Refusal::NotRevocable) {
            Ok(marks) => check.admit(&marks, self.clock.now()).map(|()| marks),
            Err(refusal) => Err(refusal),
        };
        let marks = match marks {
            Ok(marks) => marks,
            Err(refusal) => return Opening::refused(self.invalid_token(refusal)),
        };
        if let Some(answer) = check.revocations().status_now(&marks) {
            let checked = self.checked(check, &marks, answer, method);
            return Opening::Ready(checked.map(|()| (Authentication::authenticated(identity), visit)));
        }
        let (this, check, method) = (self.clone(), Arc::clone(check), method.clone());
        Opening::pending(async move {
            let answer = check.revocations().status(&marks).await;
            this.checked(&check, &marks, answer, &method)?;
            Ok((Authentication::authenticated(identity), visit))
        })
    }

    fn checked(
        &self,
        check: &RevocationCheck,
        marks: &Marks,
        answer: Result<TokenStatus, StoreError>,
        method: &Method,
    ) -> Result<(), Rejection> {
        check.settle(marks, answer, method, self.clock.now()).map_err(|unchecked| match unchecked {
            Unchecked::Refused(refusal) => self.invalid_token(refusal),
            Unchecked::Unavailable => Rejection::Unavailable { retry_after: Duration::from_secs(1) },
        })
    }

    /// Asks the source, and waits for it if it has to ask its issuer.
    fn ask<B>(&self, miss: Miss, request: &Request<B>) -> Opening<Visit> {
        let missing = miss.ask();
        // It was there a moment ago.
        let found = self.sources.find(request.uri(), request.headers()).ok().flatten();
        let Some((place, Ok(token))) = found.map(|offered| (offered.place(), offered.check())) else {
            return Opening::refused(self.bad_request(Malformed::Syntax));
        };
        let (token, method) = (token.as_str(), request.method());
        match missing {
            Missing::Ready(missed) => self.settle(miss, missed, Held { token, place, method }),
            Missing::Pending(missed) => {
                let (this, token, method) = (self.clone(), Zeroizing::new(token.to_owned()), method.clone());
                Opening::pending(async move {
                    let held = Held { token: &token, place, method: &method };
                    match this.settle(miss, missed.await, held) {
                        Opening::Ready(opened) => opened,
                        Opening::Pending(opening) => opening.await,
                    }
                })
            }
        }
    }

    fn settle(&self, miss: Miss, missed: Missed, held: Held<'_>) -> Opening<Visit> {
        let failure = match miss.settle(missed, self.clock.now()) {
            Verdict::Failed(failure) => failure,
            Verdict::Again => match self.verify(held.token, held.place, self.occasion(held.place)) {
                Ok(accepted) => return self.admit(accepted, held.method),
                Err(failure) => failure,
            },
        };
        Opening::refused(match failure {
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
                without.push(issuer.rules.issuer.as_str().to_owned());
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
            .field("sources", &self.sources)
            .field("cache", &self.cache)
            .field("check", &self.check)
            .field("realm", &self.slot.name)
            .finish_non_exhaustive()
    }
}
