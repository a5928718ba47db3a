//! What a [`BearerAuthenticator`] refuses a request with, and the challenges that go along. What is refused is logged here.

use std::time::Duration;

use http::Extensions;

use super::BearerAuthenticator;
use crate::bearer::dpop::{ProofRefusal, Unproved};
use crate::bearer::events::{self, ProofOutcome};
use crate::bearer::refusal::Refusal;
use crate::bearer::token::Malformed;
use crate::bearer::token_source::Place;
use crate::identity::{Authentication, Challenges, Look};
use crate::rejection::{Challenge, Rejection};

impl BearerAuthenticator {
    /// Names every scheme that is configured, here and further out.
    pub(super) fn unauthenticated(&self, extensions: &Extensions) -> Rejection {
        let outer = self.slot.look(extensions).into_iter().flat_map(Look::challenges);
        let mut challenges: Challenges = outer.cloned().collect();
        for challenge in self.challenges(Place::Authorization) {
            // An outer layer of the same kind has left the same one.
            if !challenges.contains(&challenge) {
                challenges.push(challenge);
            }
        }
        Rejection::unauthenticated_by(challenges)
    }

    /// Leaves word of both schemes for layers further in, of the one that was used first.
    pub(super) fn challenge_by(&self, place: Place, found: &mut Authentication) {
        if self.possession.speaks_dpop() {
            self.challenges(place).for_each(|challenge| found.add_challenge(Some(challenge)));
        }
    }

    /// The challenges of the schemes that are accepted, first that of a token which stood there.
    fn challenges(&self, place: Place) -> impl Iterator<Item = Challenge> {
        let bearer = (!self.possession.wants_dpop()).then(|| self.challenge.clone());
        let dpop = self.dpop_challenge();
        if place == Place::Dpop { [dpop, bearer] } else { [bearer, dpop] }.into_iter().flatten()
    }

    fn dpop_challenge(&self) -> Option<Challenge> {
        let proofs = self.possession.proofs.as_ref()?;
        Some(self.challenge.clone().in_scheme("DPoP").param("algs", proofs.algorithms()))
    }

    /// What to answer a token with that stood there. Where `DPoP` is the only scheme, that is what counts.
    fn challenge_of(&self, place: Place) -> Challenge {
        self.challenges(place).next().unwrap_or_else(|| self.challenge.clone())
    }

    pub(super) fn bad_request(&self, malformed: Malformed) -> Rejection {
        tracing::debug!(reason = malformed.label(), "the credentials are malformed");
        let challenge = Some(self.challenge_of(Place::Authorization));
        Rejection::BadRequest { challenge, description: malformed.description() }
    }

    pub(super) fn invalid_token(&self, refusal: Refusal, place: Place) -> Rejection {
        tracing::debug!(reason = refusal.label(), "the bearer token is refused");
        Rejection::invalid_credential(self.challenge_of(place), refusal.description())
    }

    /// It is not proved that the token is its holder's own.
    pub(super) fn unproved(&self, unproved: Unproved, place: Place) -> Rejection {
        let (refusal, nonce) = match unproved {
            // Of what a certificate should prove, a proof proves nothing.
            Unproved::Token(refusal) if refusal.is_of_certificate() => {
                return self.invalid_token(refusal, place);
            }
            Unproved::Token(refusal) => return self.invalid_token(refusal, Place::Dpop),
            Unproved::Proof(refusal) => (Some(refusal), None),
            Unproved::Nonce(nonce) => (None, Some(nonce)),
        };
        events::proof(refusal.map_or(ProofOutcome::NoNonce, ProofOutcome::of));
        let reason = refusal.map_or("no_nonce", ProofRefusal::label);
        tracing::debug!(reason, "the proof of the bearer token is refused");
        let description = refusal.map_or("the DPoP proof needs a nonce", ProofRefusal::description);
        Rejection::InvalidProof { challenge: self.challenge_of(Place::Dpop), description, nonce }
    }
}

pub(super) fn unavailable(retry_after: Duration) -> Rejection {
    tracing::debug!("who could say whether the bearer token is good is out of reach");
    Rejection::Unavailable { retry_after }
}
