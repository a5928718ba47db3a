//! [`BearerAuthenticator`]: joins token, verifier and policy; nothing is decided here. What a request may wait
//! for is awaited here: the source of the keys, and the store of revocations.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::{Extensions, HeaderMap, Method, Request, Response};
use portcullis_store::{Claimed, Clock, StoreError, TokenStatus};
use zeroize::Zeroizing;

use super::cache::Cache;
use super::confirmation::Confirmation;
use super::dpop::{ProofRefusal, Proved, Ticket, Unproved};
use super::error::KeysUnavailable;
use super::events::{self, ProofOutcome};
use super::introspection::{Active, Desk};
use super::keys::{KeyQuery, Missed, Missing};
use super::miss::{Failure, Miss, Verdict};
use super::possession::{Evidence, Possession};
use super::refusal::Refusal;
use super::revocation::{Marks, RevocationCheck, Unchecked};
use super::token::{self, BearerToken, Malformed, Offered, Scheme};
use super::verifier::{MAX_TOKEN, Occasion, Verified, Verifier};
use crate::authenticate::{Authenticator, Closing, Edits, OnConflict, Opening};
use crate::identity::{Authentication, Carrier, Identity};
use crate::realm::Slot;
use crate::rejection::{Challenge, Rejection};
use crate::respond::DPOP_NONCE;

/// What a [`BearerLayer`](super::BearerLayer) asks about a request.
#[derive(Clone)]
pub struct BearerAuthenticator {
    pub(super) verifier: Arc<Verifier>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) challenge: Challenge,
    pub(super) policy: Policy,
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

/// What the way out needs from the way in.
#[derive(Debug)]
pub struct Visit {
    is_verified: bool,
    proved: Option<Box<Proved>>,
}

/// How a token came.
#[derive(Clone, Copy)]
struct Arrival<'r> {
    scheme: Scheme,
    method: &'r Method,
    /// Where anything is asked for beyond the token.
    evidence: Option<&'r Evidence>,
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
        token::mark_sensitive(request.headers_mut());
        let request = &*request;
        let offered = match Offered::find(request.headers(), self.possession.speaks_dpop()) {
            Ok(Some(offered)) => offered,
            Ok(None) => return self.absent(request.extensions()),
            Err(malformed) => return Opening::refused(self.bad_request(malformed)),
        };
        let evidence = self.possession.evidence(offered.scheme(), request);
        let arrival =
            Arrival { scheme: offered.scheme(), method: request.method(), evidence: evidence.as_ref() };
        match self.recognise(offered) {
            Found::Malformed(malformed) => Opening::refused(self.bad_request(malformed)),
            Found::Accepted(accepted) => self.admit(accepted, offered.as_bytes(), arrival),
            Found::Opaque(desk) => self.ask_about(desk, offered, arrival),
            Found::Failed(Failure::Missed(miss)) => self.ask(miss, request.headers(), arrival),
            Found::Failed(Failure::Refused(refusal)) => {
                Opening::refused(self.invalid_token(refusal, arrival.scheme))
            }
            Found::Failed(Failure::Unavailable { retry_after }) => Opening::refused(unavailable(retry_after)),
        }
    }

    fn enter<B>(&self, visit: &Visit, request: &mut Request<B>) {
        if visit.is_verified && self.policy.strip {
            token::strip(request.headers_mut());
        }
        if let Some(proved) = &visit.proved {
            proved.leave(request.extensions_mut());
        }
    }

    fn close<B>(&self, visit: Visit, _: &Response<B>) -> Closing {
        let Some(nonce) = visit.proved.and_then(|proved| proved.nonce) else { return Closing::nothing() };
        let mut edits = Edits::default();
        edits.insert(DPOP_NONCE, nonce);
        Closing::edits(edits)
    }
}

impl BearerAuthenticator {
    fn absent(&self, extensions: &Extensions) -> Opening<Visit> {
        if self.policy.required {
            return Opening::refused(self.unauthenticated(extensions));
        }
        let mut found = Authentication::anonymous();
        self.challenge_by(Scheme::Bearer, &mut found);
        Opening::Ready(Ok((found, Visit { is_verified: false, proved: None })))
    }

    /// Whom the token names, as it was found out a moment ago or is now. One that is known is not looked at otherwise: it
    /// is the same to the byte.
    fn recognise(&self, offered: Offered<'_>) -> Found {
        let occasion = self.occasion();
        if let Some(desk) = self.introspection.as_ref().filter(|desk| desk.is_for(offered.as_bytes())) {
            return match desk.look_up(offered.as_bytes(), occasion.carrier, &*self.clock) {
                Some(known) => known.map_or_else(Found::Failed, |active| Found::Accepted(active.into())),
                None => offered.check().map_or_else(Found::Malformed, |_| Found::Opaque(Arc::clone(desk))),
            };
        }
        let known = self.cache.as_ref().and_then(|cache| cache.get(offered.as_bytes(), occasion));
        if let Some(known) = known {
            let (identity, confirmation) = (known.identity.clone(), known.confirmation.clone());
            return Found::Accepted(Accepted { identity, marks: known.marks, confirmation });
        }
        match offered.check() {
            Ok(token) => self.verify(token.as_str(), occasion).map_or_else(Found::Failed, Found::Accepted),
            Err(malformed) => Found::Malformed(malformed),
        }
    }

    fn occasion(&self) -> Occasion {
        Occasion { carrier: Carrier::Explicit, now: self.clock.now(), wants_marks: self.check.is_some() }
    }

    fn verify(&self, token: &str, occasion: Occasion) -> Result<Accepted, Failure> {
        let verified = self.verifier.verify(token, occasion)?;
        if let Some(cache) = &self.cache {
            cache.keep(token, verified.to_remember(occasion.now));
        }
        let Verified { identity, marks, confirmation, .. } = verified;
        Ok(Accepted { identity, marks, confirmation })
    }

    /// The one way in. Lets a good token in if it is proved to be its holder's own, was not taken back, and its proof was
    /// not used before; in this order, because the last writes to a store.
    fn admit(&self, accepted: Accepted, token: &[u8], arrival: Arrival<'_>) -> Opening<Visit> {
        let proved = match self.prove(accepted.confirmation.as_deref(), token, arrival.evidence) {
            Ok(proved) => proved,
            Err(unproved) => return Opening::refused(self.unproved(unproved, arrival.scheme)),
        };
        let ticket = proved.as_ref().and_then(|proved| proved.ticket.clone());
        let visit = Visit { is_verified: true, proved: proved.map(Box::new) };
        let opening = self.admit_unrevoked(accepted, visit, arrival);
        match ticket {
            None => opening,
            Some(ticket) => self.admit_once(opening, ticket),
        }
    }

    fn prove(
        &self,
        confirmation: Option<&Confirmation>,
        token: &[u8],
        evidence: Option<&Evidence>,
    ) -> Result<Option<Proved>, Unproved> {
        match evidence {
            Some(evidence) => self.possession.judge(confirmation, token, evidence, self.clock.now()),
            None if confirmation.is_none() => Ok(None),
            None => Err(Unproved::Token(Refusal::SenderConstrained)),
        }
    }

    /// A store in this process is asked without waiting.
    fn admit_unrevoked(&self, accepted: Accepted, visit: Visit, arrival: Arrival<'_>) -> Opening<Visit> {
        let Accepted { identity, marks, .. } = accepted;
        let Some(check) = &self.check else {
            return Opening::Ready(Ok((self.authenticated(identity, arrival.scheme), visit)));
        };
        let marks = match marks.ok_or(Refusal::NotRevocable) {
            Ok(marks) => check.admit(&marks, self.clock.now()).map(|()| marks),
            Err(refusal) => Err(refusal),
        };
        let marks = match marks {
            Ok(marks) => marks,
            Err(refusal) => return Opening::refused(self.invalid_token(refusal, arrival.scheme)),
        };
        if let Some(answer) = check.revocations().status_now(&marks) {
            let checked = self.checked(check, &marks, answer, arrival.method, arrival.scheme);
            return Opening::Ready(checked.map(|()| (self.authenticated(identity, arrival.scheme), visit)));
        }
        let (this, check, method) = (self.clone(), Arc::clone(check), arrival.method.clone());
        let scheme = arrival.scheme;
        Opening::pending(async move {
            let answer = check.revocations().status(&marks).await;
            this.checked(&check, &marks, answer, &method, scheme)?;
            Ok((this.authenticated(identity, scheme), visit))
        })
    }

    fn checked(
        &self,
        check: &RevocationCheck,
        marks: &Marks,
        answer: Result<TokenStatus, StoreError>,
        method: &Method,
        scheme: Scheme,
    ) -> Result<(), Rejection> {
        check.settle(marks, answer, method, self.clock.now()).map_err(|unchecked| match unchecked {
            Unchecked::Refused(refusal) => self.invalid_token(refusal, scheme),
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
            Ok(Claimed::Again) => Err(self.unproved(Unproved::Proof(ProofRefusal::Replayed), Scheme::Dpop)),
            Err(error) => {
                events::proofs_are_away(error.kind());
                Err(Rejection::Unavailable { retry_after: Duration::from_secs(1) })
            }
        }
    }

    /// Asks the server of an opaque token, and waits for it.
    fn ask_about(&self, desk: Arc<Desk>, offered: Offered<'_>, arrival: Arrival<'_>) -> Opening<Visit> {
        let Ok(token) = offered.check().map(BearerToken::as_str) else {
            return Opening::refused(self.bad_request(Malformed::Syntax));
        };
        if token.len() > MAX_TOKEN {
            return Opening::refused(self.invalid_token(Refusal::TooLarge, arrival.scheme));
        }
        let (this, token, carrier) =
            (self.clone(), Zeroizing::new(token.to_owned()), self.occasion().carrier);
        let (scheme, method) = (arrival.scheme, arrival.method.clone());
        let evidence = arrival.evidence.cloned();
        Opening::pending(async move {
            let active = desk.ask(token.clone(), carrier, Arc::clone(&this.clock)).await;
            let arrival = Arrival { scheme, method: &method, evidence: evidence.as_ref() };
            let opening = match active {
                Ok(active) => this.admit(active.into(), token.as_bytes(), arrival),
                Err(failure) => Opening::refused(this.failed(failure, scheme)),
            };
            match opening {
                Opening::Ready(opened) => opened,
                Opening::Pending(opening) => opening.await,
            }
        })
    }

    /// Asks the source, and waits for it if it has to ask its issuer.
    fn ask(&self, miss: Miss, headers: &HeaderMap, arrival: Arrival<'_>) -> Opening<Visit> {
        let missing = miss.ask();
        let token = match BearerToken::find(headers, self.possession.speaks_dpop()) {
            Ok(Some(token)) => token.as_str(),
            Ok(None) | Err(_) => "",
        };
        match missing {
            Missing::Ready(missed) => self.settle(miss, missed, token, arrival),
            Missing::Pending(missed) => {
                let (this, token) = (self.clone(), Zeroizing::new(token.to_owned()));
                let (scheme, method) = (arrival.scheme, arrival.method.clone());
                let evidence = arrival.evidence.cloned();
                Opening::pending(async move {
                    let missed = missed.await;
                    let arrival = Arrival { scheme, method: &method, evidence: evidence.as_ref() };
                    let opening = this.settle(miss, missed, &token, arrival);
                    match opening {
                        Opening::Ready(opened) => opened,
                        Opening::Pending(opening) => opening.await,
                    }
                })
            }
        }
    }

    fn settle(&self, miss: Miss, missed: Missed, token: &str, arrival: Arrival<'_>) -> Opening<Visit> {
        let failure = match miss.settle(missed, self.clock.now()) {
            Verdict::Failed(failure) => failure,
            Verdict::Again => match self.verify(token, self.occasion()) {
                Ok(accepted) => return self.admit(accepted, token.as_bytes(), arrival),
                Err(failure) => failure,
            },
        };
        Opening::refused(self.failed(failure, arrival.scheme))
    }

    /// A source is asked once for a request.
    fn failed(&self, failure: Failure, scheme: Scheme) -> Rejection {
        match failure {
            Failure::Refused(refusal) => self.invalid_token(refusal, scheme),
            Failure::Unavailable { retry_after } => unavailable(retry_after),
            Failure::Missed(again) => self.invalid_token(again.give_up(self.clock.now()), scheme),
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
                without.push(issuer.rules.issuer.clone());
            }
        }
        KeysUnavailable::of(without)
    }

    /// Names every scheme that is configured, here and further out.
    fn unauthenticated(&self, extensions: &Extensions) -> Rejection {
        let outer = self.slot.look(extensions).map(|look| look.challenges().clone());
        let mut challenges = outer.unwrap_or_default();
        for challenge in self.challenges(Scheme::Bearer) {
            // An outer layer of the same kind has left the same one.
            if !challenges.contains(&challenge) {
                challenges.push(challenge);
            }
        }
        Rejection::unauthenticated_by(challenges)
    }

    fn authenticated(&self, identity: Identity, scheme: Scheme) -> Authentication {
        let mut found = Authentication::authenticated(identity);
        self.challenge_by(scheme, &mut found);
        found
    }

    /// Leaves word of both schemes for layers further in, of the one that was used first.
    fn challenge_by(&self, scheme: Scheme, found: &mut Authentication) {
        if self.possession.speaks_dpop() {
            self.challenges(scheme).for_each(|challenge| found.add_challenge(Some(challenge)));
        }
    }

    /// The challenges of the schemes that are accepted, this one first.
    fn challenges(&self, first: Scheme) -> impl Iterator<Item = Challenge> {
        let other = if first == Scheme::Bearer { Scheme::Dpop } else { Scheme::Bearer };
        [first, other].into_iter().filter_map(|scheme| match scheme {
            Scheme::Bearer => (!self.possession.wants_dpop()).then(|| self.challenge.clone()),
            Scheme::Dpop => self.dpop_challenge(),
        })
    }

    fn dpop_challenge(&self) -> Option<Challenge> {
        let proofs = self.possession.proofs.as_ref()?;
        Some(self.challenge.clone().in_scheme("DPoP").param("algs", proofs.algorithms()))
    }

    /// What to answer a token with that came as this. Where `DPoP` is the only scheme, that is what counts.
    fn challenge_of(&self, scheme: Scheme) -> Challenge {
        self.challenges(scheme).next().unwrap_or_else(|| self.challenge.clone())
    }

    fn bad_request(&self, malformed: Malformed) -> Rejection {
        tracing::debug!(reason = malformed.label(), "the credentials are malformed");
        let challenge = Some(self.challenge_of(Scheme::Bearer));
        Rejection::BadRequest { challenge, description: malformed.description() }
    }

    fn invalid_token(&self, refusal: Refusal, scheme: Scheme) -> Rejection {
        tracing::debug!(reason = refusal.label(), "the bearer token is refused");
        Rejection::invalid_credential(self.challenge_of(scheme), refusal.description())
    }

    /// It is not proved that the token is its holder's own.
    fn unproved(&self, unproved: Unproved, scheme: Scheme) -> Rejection {
        let (refusal, nonce) = match unproved {
            // Of what a certificate should prove, a proof proves nothing.
            Unproved::Token(refusal) if refusal.is_of_certificate() => {
                return self.invalid_token(refusal, scheme);
            }
            Unproved::Token(refusal) => return self.invalid_token(refusal, Scheme::Dpop),
            Unproved::Proof(refusal) => (Some(refusal), None),
            Unproved::Nonce(nonce) => (None, Some(nonce)),
        };
        events::proof(refusal.map_or(ProofOutcome::NoNonce, ProofOutcome::of));
        let reason = refusal.map_or("no_nonce", ProofRefusal::label);
        tracing::debug!(reason, "the proof of the bearer token is refused");
        let description = refusal.map_or("the DPoP proof needs a nonce", ProofRefusal::description);
        Rejection::InvalidProof { challenge: self.challenge_of(Scheme::Dpop), description, nonce }
    }
}

impl From<Active> for Accepted {
    fn from(active: Active) -> Self {
        let Active { identity, marks, confirmation } = active;
        Self { identity, marks: Some(marks), confirmation }
    }
}

fn unavailable(retry_after: Duration) -> Rejection {
    tracing::debug!("who could say whether the bearer token is good is out of reach");
    Rejection::Unavailable { retry_after }
}

impl fmt::Debug for BearerAuthenticator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BearerAuthenticator")
            .field("verifier", &self.verifier)
            .field("policy", &self.policy)
            .field("introspection", &self.introspection)
            .field("possession", &self.possession)
            .field("cache", &self.cache)
            .field("check", &self.check)
            .field("realm", &self.slot.name)
            .finish_non_exhaustive()
    }
}
