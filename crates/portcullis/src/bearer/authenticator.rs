//! [`BearerAuthenticator`]: joins token, verifier and policy; nothing is decided here. What a request may wait
//! for is awaited here: the source of the keys, and the store of revocations.

mod held;
mod refusing;
mod visit;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::{Extensions, Method, Request, Response};
use portcullis_store::{Claimed, Clock, StoreError, TokenStatus};

use self::held::Held;
use self::refusing::unavailable;
use self::visit::Visit;
use super::cache::Cache;
use super::confirmation::Confirmation;
use super::dpop::{ProofRefusal, Proved, Ticket, Unproved};
use super::error::KeysUnavailable;
use super::events::{self, ProofOutcome};
use super::introspection::{Active, Desk};
use super::jws::MAX_TOKEN;
use super::keys::{KeyQuery, Missed, Missing};
use super::possession::Possession;
use super::refusal::Refusal;
use super::revocation::{Cleared, Marks, RevocationCheck, Unchecked};
use super::token::{Malformed, Offered, forwarded};
use super::token_source::{Place, Sources};
use super::verifier::{Failure, Miss, Occasion, Verdict, Verified, Verifier};
use crate::authenticate::{Authenticator, Closing, OnConflict, Opening};
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
    /// Who is asked about opaque tokens.
    pub(super) introspection: Option<Arc<Desk>>,
    /// How it is proved that a token is its holder's own.
    pub(super) possession: Possession,
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
    pub(super) forward: bool,
    pub(super) on_conflict: OnConflict,
}

/// What came of looking at a token and verifying it.
enum Found {
    Malformed(Malformed),
    /// Its server has to be asked.
    Opaque(Arc<Desk>),
    Failed(Failure),
    Accepted(Accepted),
}

/// A token that is good, but for what is asked about it each time that it comes.
struct Accepted {
    identity: Identity,
    marks: Option<Marks>,
    confirmation: Option<Arc<Confirmation>>,
}

impl Authenticator for BearerAuthenticator {
    type Visit = Visit;

    /// Where two schemes are spoken, what was found says so itself.
    fn challenge(&self) -> Option<Challenge> {
        (!self.possession.speaks_dpop()).then(|| self.challenge.clone())
    }

    fn on_conflict(&self) -> OnConflict {
        self.policy.on_conflict
    }

    fn open<B>(&self, request: &mut Request<B>) -> Opening<Visit> {
        let may_be_there = self.sources.mark_sensitive(request.headers_mut(), self.possession.speaks_dpop());
        let request = &*request;
        let found = if may_be_there { self.find(request) } else { Ok(None) };
        let offered = match found {
            Ok(Some(offered)) => offered,
            Ok(None) => return self.absent(request.extensions()),
            Err(malformed) => return Opening::refused(self.bad_request(malformed)),
        };
        let (token, place) = (offered.as_bytes(), offered.place());
        let evidence = self.possession.evidence(place, request);
        let cleared = self.check.as_ref().and_then(|_| request.extensions().get());
        let held = Held { token, place, method: request.method(), evidence: evidence.as_ref(), cleared };
        match self.recognise(offered) {
            Found::Malformed(malformed) => Opening::refused(self.bad_request(malformed)),
            Found::Accepted(accepted) => self.admit(accepted, held),
            Found::Opaque(desk) => self.ask_about(desk, held),
            Found::Failed(Failure::Missed(miss)) => self.ask(miss, held),
            Found::Failed(Failure::Refused(refusal)) => Opening::refused(self.invalid_token(refusal, place)),
            Found::Failed(Failure::Unavailable { retry_after }) => Opening::refused(unavailable(retry_after)),
        }
    }

    fn enter<B>(&self, visit: &Visit, request: &mut Request<B>) {
        if self.policy.forward && visit.place.is_some() {
            self.forward(request);
        }
        // A token among the subprotocols could be chosen as one, and so sent back.
        let strips = |place| self.policy.strip || place == Place::WebSocket;
        if let Some(place) = visit.place.filter(|&place| strips(place)) {
            self.sources.strip(place, request);
        }
        visit.leave(request.extensions_mut());
    }

    fn close<B>(&self, visit: Visit, response: &Response<B>) -> Closing {
        visit.edits(response).map_or_else(Closing::nothing, Closing::edits)
    }
}

impl BearerAuthenticator {
    /// Whether browsers send its credential by themselves.
    pub(crate) fn is_ambient(&self) -> bool {
        self.sources.are_ambient()
    }

    fn find<'r, B>(&self, request: &'r Request<B>) -> Result<Option<Offered<'r>>, Malformed> {
        self.sources.find(request.uri(), request.headers(), self.possession.speaks_dpop())
    }

    /// Leaves the token for handlers to hand on. It stands where it was found before.
    fn forward<B>(&self, request: &mut Request<B>) {
        let token = self.find(request).ok().flatten().and_then(|offered| forwarded(offered.as_bytes()));
        if let Some(token) = token {
            request.extensions_mut().insert(token);
        }
    }

    fn absent(&self, extensions: &Extensions) -> Opening<Visit> {
        if self.policy.required {
            return Opening::refused(self.unauthenticated(extensions));
        }
        let mut found = Authentication::anonymous();
        self.challenge_by(Place::Authorization, &mut found);
        Opening::Ready(Ok((found, Visit::of_nobody())))
    }

    /// Whom the token names, as it was found out a moment ago or is now. One that is known is not looked at otherwise: it
    /// is the same to the byte.
    fn recognise(&self, offered: Offered<'_>) -> Found {
        let (token, occasion) = (offered.as_bytes(), self.occasion(offered.place()));
        if let Some(desk) = self.introspection.as_ref().filter(|desk| desk.is_for(token)) {
            return match desk.look_up(token, occasion.carrier, &*self.clock) {
                Some(known) => known.map_or_else(Found::Failed, |active| Found::Accepted(active.into())),
                None => offered.check().map_or_else(Found::Malformed, |_| Found::Opaque(Arc::clone(desk))),
            };
        }
        let known = self.cache.as_ref().and_then(|cache| cache.get(token, occasion));
        if let Some(known) = known {
            let (identity, confirmation) = (known.identity.clone(), known.confirmation.clone());
            return Found::Accepted(Accepted { identity, marks: known.marks, confirmation });
        }
        let failure = match self.verify(token, occasion) {
            Ok(accepted) => return Found::Accepted(accepted),
            Err(failure) => failure,
        };
        // What was decoded is made of what tokens are made of, so only of the rest that has to be told.
        let is_raw = matches!(failure, Failure::Refused(refusal) if refusal.is_of_raw_text());
        if is_raw && let Err(malformed) = offered.check() {
            return Found::Malformed(malformed);
        }
        Found::Failed(failure)
    }

    fn occasion(&self, place: Place) -> Occasion {
        Occasion {
            carrier: place.carrier(),
            now: self.clock.now(),
            wants_marks: self.check.is_some(),
            wants_proof: self.possession.is_asked_for(),
        }
    }

    fn verify(&self, token: &[u8], occasion: Occasion) -> Result<Accepted, Failure> {
        let verified = self.verifier.verify(token, occasion)?;
        if let Some(cache) = &self.cache {
            cache.keep(token, verified.to_remember(occasion.now));
        }
        let Verified { identity, marks, confirmation, .. } = verified;
        Ok(Accepted { identity, marks, confirmation })
    }

    /// The one way in. Lets a good token in if it is proved to be its holder's own, was not taken back, and its proof was
    /// not used before; in this order, because the last writes to a store.
    fn admit(&self, accepted: Accepted, held: Held<'_>) -> Opening<Visit> {
        let proved = match self.prove(accepted.confirmation.as_deref(), held) {
            Ok(proved) => proved,
            Err(unproved) => return Opening::refused(self.unproved(unproved, held.place)),
        };
        let ticket = proved.as_ref().and_then(|proved| proved.ticket.clone());
        let opening = self.admit_unrevoked(accepted, Visit::of(held, proved), held);
        match ticket {
            None => opening,
            Some(ticket) => self.admit_once(opening, ticket),
        }
    }

    fn prove(&self, confirmation: Option<&Confirmation>, held: Held<'_>) -> Result<Option<Proved>, Unproved> {
        match held.evidence {
            Some(evidence) => self.possession.judge(confirmation, held.token, evidence, self.clock.now()),
            None if confirmation.is_none() => Ok(None),
            None => Err(Unproved::Token(Refusal::SenderConstrained)),
        }
    }

    /// A store in this process is asked without waiting, and one elsewhere once for all copies of this layer on a path.
    fn admit_unrevoked(&self, accepted: Accepted, mut visit: Visit, held: Held<'_>) -> Opening<Visit> {
        let Accepted { identity, marks, .. } = accepted;
        let (place, method) = (held.place, held.method);
        let Some(check) = &self.check else {
            return Opening::Ready(Ok((self.authenticated(identity, place), visit)));
        };
        let now = self.clock.now();
        let marks = match marks.ok_or(Refusal::NotRevocable) {
            Ok(marks) => check.admit(&marks, now).map(|()| marks),
            Err(refusal) => Err(refusal),
        };
        let marks = match marks {
            Ok(marks) => marks,
            Err(refusal) => return Opening::refused(self.invalid_token(refusal, place)),
        };
        if let Some(answer) = check.revocations().status_now(&marks) {
            let checked = self.checked(check, &marks, answer, (method, place));
            return Opening::Ready(checked.map(|()| (self.authenticated(identity, place), visit)));
        }
        if held.cleared.is_some_and(|cleared| cleared.answers(check, &marks, now)) {
            return Opening::Ready(Ok((self.authenticated(identity, place), visit)));
        }
        let (this, check, method) = (self.clone(), Arc::clone(check), method.clone());
        Opening::pending(async move {
            let answer = check.revocations().status(&marks).await;
            let is_told = answer.is_ok();
            this.checked(&check, &marks, answer, (&method, place))?;
            if is_told {
                visit.note(Cleared { check, marks, asked: now });
            }
            Ok((this.authenticated(identity, place), visit))
        })
    }

    fn checked(
        &self,
        check: &RevocationCheck,
        marks: &Marks,
        answer: Result<TokenStatus, StoreError>,
        (method, place): (&Method, Place),
    ) -> Result<(), Rejection> {
        check.settle(marks, answer, method, self.clock.now()).map_err(|unchecked| match unchecked {
            Unchecked::Refused(refusal) => self.invalid_token(refusal, place),
            Unchecked::Unavailable => Rejection::Unavailable { retry_after: Duration::from_secs(1) },
        })
    }

    /// Uses up the proof of a request that is let in otherwise.
    fn admit_once(&self, opening: Opening<Visit>, ticket: Ticket) -> Opening<Visit> {
        let opened = match opening {
            Opening::Ready(Ok(opened)) => opened,
            Opening::Ready(Err(rejection)) => return Opening::refused(rejection),
            Opening::Pending(opening) => {
                let this = self.clone();
                return Opening::pending(async move {
                    let opened = opening.await?;
                    this.claimed(ticket.claim().await).map(|()| opened)
                });
            }
        };
        if let Some(claimed) = ticket.claim_now() {
            return Opening::Ready(self.claimed(claimed).map(|()| opened));
        }
        let this = self.clone();
        Opening::pending(async move { this.claimed(ticket.claim().await).map(|()| opened) })
    }

    /// Whether nobody has used the proof before. A store that is away says nothing, and lets nobody in.
    fn claimed(&self, claimed: Result<Claimed, StoreError>) -> Result<(), Rejection> {
        match claimed {
            Ok(Claimed::First) => {
                events::proof(ProofOutcome::Good);
                Ok(())
            }
            Ok(Claimed::Again) => Err(self.unproved(Unproved::Proof(ProofRefusal::Replayed), Place::Dpop)),
            Err(error) => {
                events::proofs_are_away(error.kind());
                Err(Rejection::Unavailable { retry_after: Duration::from_secs(1) })
            }
        }
    }

    /// Asks the server of an opaque token, and waits for it.
    fn ask_about(&self, desk: Arc<Desk>, held: Held<'_>) -> Opening<Visit> {
        // It is made of what tokens are made of.
        let Ok(token) = std::str::from_utf8(held.token) else {
            return Opening::refused(self.bad_request(Malformed::Syntax));
        };
        if token.len() > MAX_TOKEN {
            return Opening::refused(self.invalid_token(Refusal::TooLarge, held.place));
        }
        let (this, kept) = (self.clone(), held.keep(token));
        Opening::pending(async move {
            let (carrier, clock) = (kept.place.carrier(), Arc::clone(&this.clock));
            let opening = match desk.ask(kept.token.clone(), carrier, clock).await {
                Ok(active) => this.admit(active.into(), kept.held()),
                Err(failure) => Opening::refused(this.failed(failure, kept.place)),
            };
            match opening {
                Opening::Ready(opened) => opened,
                Opening::Pending(opening) => opening.await,
            }
        })
    }

    /// Asks the source, and waits for it if it has to ask its issuer.
    fn ask(&self, miss: Miss, held: Held<'_>) -> Opening<Visit> {
        // It was found to be made of what tokens are made of.
        let Ok(token) = std::str::from_utf8(held.token) else {
            return Opening::refused(self.bad_request(Malformed::Syntax));
        };
        match miss.ask() {
            Missing::Ready(missed) => self.settle(miss, missed, token, held),
            Missing::Pending(missed) => {
                let (this, kept) = (self.clone(), held.keep(token));
                Opening::pending(async move {
                    let opening = this.settle(miss, missed.await, &kept.token, kept.held());
                    match opening {
                        Opening::Ready(opened) => opened,
                        Opening::Pending(opening) => opening.await,
                    }
                })
            }
        }
    }

    fn settle(&self, miss: Miss, missed: Missed, token: &str, held: Held<'_>) -> Opening<Visit> {
        let failure = match miss.settle(missed, self.clock.now()) {
            Verdict::Failed(failure) => failure,
            Verdict::Again => match self.verify(token.as_bytes(), self.occasion(held.place)) {
                Ok(accepted) => return self.admit(accepted, held),
                Err(failure) => failure,
            },
        };
        Opening::refused(self.failed(failure, held.place))
    }

    /// A source is asked once for a request.
    fn failed(&self, failure: Failure, place: Place) -> Rejection {
        match failure {
            Failure::Refused(refusal) => self.invalid_token(refusal, place),
            Failure::Unavailable { retry_after } => unavailable(retry_after),
            Failure::Missed(again) => self.invalid_token(again.give_up(self.clock.now()), place),
        }
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

    fn authenticated(&self, identity: Identity, place: Place) -> Authentication {
        let mut found = Authentication::authenticated(identity);
        self.challenge_by(place, &mut found);
        found
    }
}

impl From<Active> for Accepted {
    fn from(active: Active) -> Self {
        let Active { identity, marks, confirmation } = active;
        Self { identity, marks: Some(marks), confirmation }
    }
}

impl fmt::Debug for BearerAuthenticator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BearerAuthenticator")
            .field("verifier", &self.verifier)
            .field("policy", &self.policy)
            .field("sources", &self.sources)
            .field("cache", &self.cache)
            .field("introspection", &self.introspection)
            .field("possession", &self.possession)
            .field("check", &self.check)
            .field("realm", &self.slot.name)
            .finish_non_exhaustive()
    }
}
