//! [`BearerLayer`]: the configuration, which is its own builder.

use std::fmt;
use std::sync::Arc;

use portcullis_store::{Clock, SystemClock};
use tower_layer::Layer;

use super::authenticator::{BearerAuthenticator, Policy};
use super::error::{BuildError, BuildErrorKind};
use super::issuer::Issuer;
use super::verifier::Verifier;
use crate::authenticate::{Authenticate, AuthenticateLayer, OnConflict};
use crate::rejection::Challenge;
use crate::respond::DefaultResponder;

/// Finds out who is calling by a bearer token; see the [module page](super).
///
/// A layer that is derived from another by its setters shares issuers and keys with it.
#[derive(Clone)]
#[must_use]
pub struct BearerLayer<R = DefaultResponder> {
    authenticator: BearerAuthenticator,
    responder: R,
}

impl BearerLayer {
    /// Accepts the tokens of these issuers.
    ///
    /// # Errors
    /// When there is no issuer, two have one name, or one's configuration contradicts itself.
    pub fn new(issuers: impl IntoIterator<Item = Issuer>) -> Result<Self, BuildError> {
        let authenticator = BearerAuthenticator {
            verifier: Arc::new(verifier(issuers.into_iter().collect())?),
            clock: Arc::new(SystemClock),
            challenge: challenge("api".into()),
            policy: Policy::default(),
        };
        Ok(Self { authenticator, responder: DefaultResponder })
    }
}

impl<R> BearerLayer<R> {
    /// A request without a token is refused here with 401. Default: it passes as anonymous, and
    /// [`RequireLayer`](crate::RequireLayer) decides further in.
    pub fn required(mut self) -> Self {
        self.authenticator.policy.required = true;
        self
    }

    /// The protection space that challenges name (RFC 9110, section 11.5). Default: `api`.
    pub fn realm(mut self, realm: impl Into<String>) -> Self {
        self.authenticator.challenge = challenge(realm.into());
        self
    }

    /// Takes a verified token off the request, so that nothing further in can log it or send it on. A layer of this
    /// kind further in then finds none. Default: it stays, marked as sensitive.
    pub fn strip_token(mut self) -> Self {
        self.authenticator.policy.strip = true;
        self
    }

    /// What to do when an outer layer has recognised another user than the token's. Default: refuse with 400.
    pub fn on_conflict(mut self, on_conflict: OnConflict) -> Self {
        self.authenticator.policy.on_conflict = on_conflict;
        self
    }

    /// The clock that tokens are judged by. Default: the system's.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.authenticator.clock = Arc::new(clock);
        self
    }

    /// Who answers a refused request. Default: [`DefaultResponder`].
    pub fn responder<T>(self, responder: T) -> BearerLayer<T> {
        BearerLayer { authenticator: self.authenticator, responder }
    }
}

fn verifier(issuers: Vec<Issuer>) -> Result<Verifier, BuildError> {
    if issuers.is_empty() {
        return Err(BuildErrorKind::NoIssuer.into());
    }
    for (index, issuer) in issuers.iter().enumerate() {
        let earlier = issuers.iter().take(index).any(|other| other.name() == issuer.name());
        if issuer.name().is_empty() || earlier {
            return Err(BuildError::of_issuer(BuildErrorKind::BadIssuer, issuer.name()));
        }
    }
    issuers.into_iter().map(Issuer::build).collect::<Result<_, _>>().map(Verifier::new)
}

fn challenge(realm: String) -> Challenge {
    Challenge::new("Bearer").param("realm", realm)
}

impl<S, R: Clone> Layer<S> for BearerLayer<R> {
    type Service = Authenticate<S, BearerAuthenticator, R>;

    fn layer(&self, inner: S) -> Self::Service {
        AuthenticateLayer::with_responder(self.authenticator.clone(), self.responder.clone()).layer(inner)
    }
}

impl<R> fmt::Debug for BearerLayer<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BearerLayer").field("authenticator", &self.authenticator).finish_non_exhaustive()
    }
}
