//! [`BearerLayer`]: the configuration, which is its own builder.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use portcullis_store::{Clock, SystemClock};
use tower_layer::Layer;

use super::authenticator::{BearerAuthenticator, Policy};
use super::cache::{Cache, CacheUsage, TokenCache};
use super::dpop::Dpop;
use super::error::{BuildError, BuildErrorKind, KeysUnavailable};
use super::introspection::{Introspection, OpaqueTokens};
use super::issuer::Issuer;
use super::keys::KeyHealth;
use super::metadata::ResourceMetadata;
use super::possession::{ClientCertificates, Possession};
use super::revocation::RevocationCheck;
use super::token_source::{Sources, TokenSource};
use super::verifier::Verifier;
use crate::authenticate::{Authenticate, AuthenticateLayer, OnConflict};
use crate::realm::{DefaultRealm, Realm, Slot};
use crate::rejection::Challenge;
use crate::respond::DefaultResponder;

/// Finds out who is calling by a bearer token; see the [module page](super).
///
/// A layer that is derived from another by its setters shares issuers and keys with it.
#[must_use]
pub struct BearerLayer<M = DefaultRealm, R = DefaultResponder> {
    authenticator: BearerAuthenticator,
    responder: R,
    realm: PhantomData<fn() -> M>,
}

impl BearerLayer {
    /// Accepts the tokens of these issuers.
    ///
    /// # Errors
    /// When there is no issuer, a token could be of two, or one's configuration contradicts itself.
    pub fn new(issuers: impl IntoIterator<Item = Issuer>) -> Result<Self, BuildError> {
        Ok(Self::by(verifier(issuers.into_iter().collect())?))
    }

    /// Accepts opaque tokens only, by asking the server about each (RFC 7662): see [`Introspection`]. A JWT is a token like any
    /// other to it.
    ///
    /// # Errors
    /// When the configuration contradicts itself.
    pub fn opaque(introspection: Introspection) -> Result<Self, BuildError> {
        let mut layer = Self::by(Verifier::new(Vec::new()));
        layer.authenticator.introspection = Some(Arc::new(introspection.build(OpaqueTokens::all())?));
        Ok(layer)
    }

    fn by(verifier: Verifier) -> Self {
        let authenticator = BearerAuthenticator {
            verifier: Arc::new(verifier),
            clock: Arc::new(SystemClock),
            challenge: Challenge::new("Bearer").param("realm", "api"),
            policy: Policy::default(),
            sources: Sources::default(),
            cache: None,
            introspection: None,
            possession: Possession::default(),
            check: None,
            slot: Slot::of::<DefaultRealm>(),
        };
        Self { authenticator, responder: DefaultResponder, realm: PhantomData }
    }
}

impl<M, R> BearerLayer<M, R> {
    /// The [realm](crate::realm) that its tokens are for: whom they name is `Identity<N>`, and is combined with no
    /// credential of another realm. Default: [`DefaultRealm`].
    ///
    /// Two layers on one path look at the same token, and each refuses what it does not accept: so put layers of two
    /// realms on two paths.
    pub fn realm<N: Realm>(self) -> BearerLayer<N, R> {
        let Self { mut authenticator, responder, realm: _ } = self;
        authenticator.slot = Slot::of::<N>();
        BearerLayer { authenticator, responder, realm: PhantomData }
    }

    /// A request without a token is refused here with 401. Default: it passes as anonymous, and
    /// [`RequireLayer`](crate::RequireLayer) decides further in.
    pub fn required(mut self) -> Self {
        self.authenticator.policy.required = true;
        self
    }

    /// The protection space that challenges name as `realm` (RFC 9110, section 11.5). Default: `api`.
    pub fn protection_space(self, name: impl Into<String>) -> Self {
        self.set_challenge("realm", name.into())
    }

    /// Where challenges say that clients find out whom to ask for a token (`resource_metadata`, RFC 9728, section 5.1).
    /// Default: nowhere.
    pub fn resource_metadata(self, metadata: &ResourceMetadata) -> Self {
        self.set_challenge("resource_metadata", metadata.url().to_owned())
    }

    fn set_challenge(mut self, param: &'static str, value: String) -> Self {
        self.authenticator.challenge = self.authenticator.challenge.param(param, value);
        self
    }

    /// Looks for a token here, too. Default: in `Authorization` only, where every service takes one (RFC 6750, section 2).
    ///
    /// A request with two tokens is refused with 400, also when both are the same.
    pub fn add_source(mut self, source: TokenSource) -> Self {
        self.authenticator.sources = self.authenticator.sources.with(source);
        self
    }

    /// Takes a verified token off the request, wherever it [stands](Self::add_source), so that nothing further in can log
    /// it or send it on. A layer of this kind further in then finds none. Default: it stays; what holds it is marked as
    /// sensitive, unless it is the URI.
    pub fn strip_token(mut self) -> Self {
        self.authenticator.policy.strip = true;
        self
    }

    /// Leaves a verified token for handlers that hand it on: see [`ForwardedToken`](super::ForwardedToken). It is there although
    /// the request has been [stripped](Self::strip_token) of it. Default: no handler is given one.
    pub fn forward_token(mut self) -> Self {
        self.authenticator.policy.forward = true;
        self
    }

    /// What to do when an outer layer has recognised another user than the token's. Default: refuse with 400.
    pub fn on_conflict(mut self, on_conflict: OnConflict) -> Self {
        self.authenticator.policy.on_conflict = on_conflict;
        self
    }

    /// Asks for each good token whether it was [taken back](super::Revocations), in one round trip, also where copies of this
    /// layer stand on one path. Default: nobody is asked, and a token is good until it expires.
    ///
    /// It takes a [`Revocations`](super::Revocations), or a [`RevocationCheck`] that says what happens when there is no
    /// answer; without one that is 503. Tokens without `iat` or `jti` are refused then, because they could not be revoked
    /// (an opaque token [has a `jti`](Introspection) in any case); so are those that are valid for longer than [revocations
    /// are kept](super::Revocations::longest_token).
    pub fn revocation(mut self, check: impl Into<RevocationCheck>) -> Self {
        self.authenticator.check = Some(Arc::new(check.into()));
        self
    }

    /// Accepts tokens that are bound to a key of their holder, with a proof in each request (RFC 9449): see [`Dpop`].
    /// Default: such tokens are refused, as `Bearer` and as `DPoP`.
    ///
    /// # Errors
    /// When an address is none, an algorithm is symmetric, proofs would be valid for too long, or a key of nonces is short.
    pub fn dpop(mut self, dpop: Dpop) -> Result<Self, BuildError> {
        self.authenticator.possession.proofs = Some(Arc::new(dpop.build()?));
        Ok(self)
    }

    /// Accepts tokens that are bound to a client's certificate, from the client that has it (RFC 8705): see
    /// [`ClientCertificates`]. Default: such tokens are refused.
    pub fn certificates(mut self, certificates: ClientCertificates) -> Self {
        self.authenticator.possession.certificates = Some(certificates);
        self
    }

    /// Accepts opaque tokens as well: those of these are asked about, and never verified; all others are verified, and never
    /// asked about. Default: a token that is no JWT is refused.
    ///
    /// # Errors
    /// When the configuration contradicts itself.
    pub fn introspection(
        mut self,
        tokens: OpaqueTokens,
        introspection: Introspection,
    ) -> Result<Self, BuildError> {
        self.authenticator.introspection = Some(Arc::new(introspection.build(tokens)?));
        Ok(self)
    }

    /// Remembers tokens that were verified, for a minute at most, so that the next requests with one cost no signature.
    /// Default: each is verified each time that it comes.
    ///
    /// Layers that are derived from this one share the memory, whatever they ask for beyond a good token.
    pub fn cache(mut self, cache: TokenCache) -> Self {
        self.authenticator.cache = Some(Arc::new(Cache::new(cache)));
        self
    }

    /// What the [cache](Self::cache) holds at the moment; `None` if there is none.
    pub fn cache_usage(&self) -> Option<CacheUsage> {
        self.authenticator.cache.as_ref().map(|cache| cache.usage())
    }

    /// The clock that tokens are judged by. Default: the system's.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.authenticator.clock = Arc::new(clock);
        self
    }

    /// Whether there are keys of every issuer. Where there are none yet, their source is asked, and waited for, two
    /// seconds or so: as a warm-up before a service listens, and as its readiness probe.
    ///
    /// It is not needed: without it the first requests wait, and are answered with 503 while an issuer is away.
    ///
    /// # Errors
    /// When an issuer has no keys. Its tokens are answered with 503 until it has; those of other issuers are verified.
    pub async fn ready(&self) -> Result<(), KeysUnavailable> {
        self.authenticator.ready().await
    }

    /// How the keys of each issuer are, by the issuer's name.
    pub fn key_health(&self) -> impl Iterator<Item = (&str, KeyHealth)> {
        let issuers = self.authenticator.verifier.issuers().iter();
        issuers.map(|issuer| (issuer.rules.issuer.as_str(), issuer.keys.health()))
    }

    /// Who answers a refused request. Default: [`DefaultResponder`].
    pub fn responder<T>(self, responder: T) -> BearerLayer<M, T> {
        BearerLayer { authenticator: self.authenticator, responder, realm: PhantomData }
    }
}

impl<M, R> BearerLayer<M, R> {
    pub(crate) fn into_authenticator(self) -> BearerAuthenticator {
        self.authenticator
    }
}

fn verifier(issuers: Vec<Issuer>) -> Result<Verifier, BuildError> {
    if issuers.is_empty() {
        return Err(BuildErrorKind::NoIssuer.into());
    }
    for (index, issuer) in issuers.iter().enumerate() {
        let earlier = issuers.iter().take(index).any(|other| other.name().overlaps(issuer.name()));
        if issuer.name().is_empty() || earlier {
            return Err(BuildError::of_issuer(BuildErrorKind::BadIssuer, issuer.name().as_str()));
        }
    }
    issuers.into_iter().map(Issuer::build).collect::<Result<_, _>>().map(Verifier::new)
}

impl<S, M, R: Clone> Layer<S> for BearerLayer<M, R> {
    type Service = Authenticate<S, BearerAuthenticator, R>;

    fn layer(&self, inner: S) -> Self::Service {
        let layer = AuthenticateLayer::with_responder(self.authenticator.clone(), self.responder.clone());
        layer.in_slot(self.authenticator.slot).layer(inner)
    }
}

impl<M, R: Clone> Clone for BearerLayer<M, R> {
    fn clone(&self) -> Self {
        let Self { authenticator, responder, realm } = self;
        Self { authenticator: authenticator.clone(), responder: responder.clone(), realm: *realm }
    }
}

impl<M, R> fmt::Debug for BearerLayer<M, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BearerLayer").field("authenticator", &self.authenticator).finish_non_exhaustive()
    }
}
