//! [`SessionLayer`]: configuration, checked when it is built.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use portcullis_store::{Clock, Realm, SessionBackend, SystemClock};
use tokio::sync::Semaphore;
use tower_layer::Layer;

use super::authenticator::SessionAuthenticator;
use super::backend::Backend;
use super::cookie::{CookieConfig, SameSite};
use super::core::{Core, OnUnavailable};
use super::expiry::Lifetime;
use crate::authenticate::{Authenticate, AuthenticateLayer};
use crate::respond::DefaultResponder;

/// Finds each request's session by its cookie; see the [module](super).
///
/// [`SessionLayer::new`] takes the defaults, [`SessionLayer::builder`] everything else.
#[derive(Clone)]
pub struct SessionLayer<R = DefaultResponder>(AuthenticateLayer<SessionAuthenticator, R>);

/// Configures a [`SessionLayer`].
#[must_use]
pub struct SessionLayerBuilder<R = DefaultResponder> {
    core: Core,
    cookie_name: Option<String>,
    insecure_dev: bool,
    responder: R,
}

/// What is wrong with a layer's configuration. The text is for developers and not part of the API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionConfigError(&'static str);

/// A request's budget for the store.
const BUDGET: Duration = Duration::from_millis(450);

/// How much of it there may be behind the responses at once.
const BACKGROUND: usize = 64;

/// More than this no one should keep in a session, and no record can hold.
const MAX_MAX_LEN: usize = 256 * 1024;

impl SessionLayer {
    /// Sessions in `backend`, with the defaults that [`SessionLayerBuilder`] names.
    #[must_use]
    pub fn new(backend: impl SessionBackend) -> Self {
        Self::builder(backend).finish()
    }

    /// Sessions in `backend`, configured.
    pub fn builder(backend: impl SessionBackend) -> SessionLayerBuilder {
        let cookie = CookieConfig {
            name: "__Host-id".to_owned(),
            same_site: SameSite::Lax,
            path: "/".to_owned(),
            domain: None,
            secure: true,
        };
        let core = Core {
            backend: Backend::new(backend, BUDGET),
            realm: Realm::default(),
            issuer: None,
            clock: Arc::new(SystemClock),
            user: Lifetime::USER,
            anonymous: Lifetime::ANONYMOUS,
            cookie,
            max_len: 32 * 1024,
            on_unavailable: OnUnavailable::Reject,
            read_only: false,
            discard_on_5xx: false,
            background: Arc::new(Semaphore::new(BACKGROUND)),
        };
        SessionLayerBuilder { core, cookie_name: None, insecure_dev: false, responder: DefaultResponder }
    }
}

impl<R> SessionLayerBuilder<R> {
    /// The cookie's name. Default: `__Host-id`, or `__Host-<realm>-id` in a realm of another name than `default`.
    pub fn cookie_name(mut self, name: impl Into<String>) -> Self {
        self.cookie_name = Some(name.into());
        self
    }

    /// Default: [`SameSite::Lax`].
    pub fn same_site(mut self, same_site: SameSite) -> Self {
        self.core.cookie.same_site = same_site;
        self
    }

    /// The path below which the browser sends the cookie. Default: `/`. Another needs a name without `__Host-`.
    pub fn path(mut self, path: impl Into<String>) -> Self {
        self.core.cookie.path = path.into();
        self
    }

    /// A domain whose subdomains get the cookie too. Default: none. It needs a name without `__Host-`.
    pub fn domain(mut self, domain: impl Into<String>) -> Self {
        self.core.cookie.domain = Some(domain.into());
        self
    }

    /// For development without https: a cookie without `Secure`, and a default name without `__Host-`. It warns when
    /// the layer is built. Chromium and Firefox do not need it on `http://localhost`; Safari does.
    pub fn insecure_dev(mut self) -> Self {
        self.insecure_dev = true;
        self
    }

    /// The realm of these sessions: part of every key in the store, and of the cookie's default name.
    /// Default: `default`.
    pub fn realm(mut self, realm: Realm) -> Self {
        self.core.realm = realm;
        self
    }

    /// Who vouches for the subjects that sign in here, so that one person with a session and a bearer token of this
    /// issuer is one person. Default: nobody. Sessions that were signed in before it was changed keep the issuer that
    /// they have, and stand in that one's device lists.
    pub fn issuer(mut self, issuer: impl Into<String>) -> Self {
        self.core.issuer = Some(issuer.into());
        self
    }

    /// How long a signed-in user's session lives. Default: [`Lifetime::USER`].
    pub fn lifetime(mut self, lifetime: Lifetime) -> Self {
        self.core.user = lifetime;
        self
    }

    /// How long an anonymous visitor's session lives. Default: [`Lifetime::ANONYMOUS`].
    pub fn anonymous_lifetime(mut self, lifetime: Lifetime) -> Self {
        self.core.anonymous = lifetime;
        self
    }

    /// Default: the system's clock.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.core.clock = Arc::new(clock);
        self
    }

    /// How long a request may wait for the store, each time it has to. Default: 450 ms.
    pub fn budget(mut self, budget: Duration) -> Self {
        self.core.backend.set_budget(budget);
        self
    }

    /// How many bytes a session may have as it is stored. Default: 32 KiB; at most 256 KiB.
    pub fn max_len(mut self, bytes: usize) -> Self {
        self.core.max_len = bytes;
        self
    }

    /// What to do with a request that presents a session while the store is out of reach.
    /// Default: [`OnUnavailable::Reject`].
    pub fn on_unavailable(mut self, policy: OnUnavailable) -> Self {
        self.core.on_unavailable = policy;
        self
    }

    /// Only the identity, and no [`Session`](super::Session) in the extensions: the cheapest layer for an API.
    pub fn read_only(mut self) -> Self {
        self.core.read_only = true;
        self
    }

    /// Drops what a handler has recorded when its response is a 5xx. Default: it is committed.
    pub fn discard_on_5xx(mut self) -> Self {
        self.core.discard_on_5xx = true;
        self
    }

    /// Who answers a refused request. Default: [`DefaultResponder`].
    pub fn responder<T>(self, responder: T) -> SessionLayerBuilder<T> {
        let Self { core, cookie_name, insecure_dev, responder: _ } = self;
        SessionLayerBuilder { core, cookie_name, insecure_dev, responder }
    }

    /// The layer.
    ///
    /// # Errors
    /// When two settings contradict each other, or one can never work.
    pub fn build(mut self) -> Result<SessionLayer<R>, SessionConfigError> {
        self.settle();
        match self.problem() {
            Some(problem) => Err(SessionConfigError(problem)),
            None => Ok(self.finish()),
        }
    }

    fn settle(&mut self) {
        let prefix = if self.insecure_dev { "" } else { "__Host-" };
        let default_name = match self.core.realm.as_str() {
            "default" => format!("{prefix}id"),
            realm => format!("{prefix}{realm}-id"),
        };
        self.core.cookie.name = self.cookie_name.take().unwrap_or(default_name);
        if self.insecure_dev {
            self.core.cookie.secure = false;
            tracing::warn!(
                "insecure_dev: the session cookie is sent over plain http; never use it in production"
            );
        }
    }

    fn problem(&self) -> Option<&'static str> {
        let core = &self.core;
        if !core.user.is_sound() || !core.anonymous.is_sound() {
            return Some(
                "a lifetime is above zero and at most ten years, and its idle time not over its absolute one",
            );
        }
        if core.backend.budget().is_zero() {
            return Some("the budget is above zero");
        }
        if !(1024..=MAX_MAX_LEN).contains(&core.max_len) {
            return Some("a session may have between 1 KiB and 256 KiB");
        }
        core.cookie.problem()
    }

    fn finish(self) -> SessionLayer<R> {
        SessionLayer(AuthenticateLayer::with_responder(SessionAuthenticator::new(self.core), self.responder))
    }
}

impl<S, R> Layer<S> for SessionLayer<R> {
    type Service = Authenticate<S, SessionAuthenticator, R>;

    fn layer(&self, inner: S) -> Self::Service {
        self.0.layer(inner)
    }
}

impl<R> fmt::Debug for SessionLayer<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SessionLayer").field(&self.0).finish()
    }
}

impl<R> fmt::Debug for SessionLayerBuilder<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionLayerBuilder").field("core", &self.core).finish_non_exhaustive()
    }
}

impl fmt::Display for SessionConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl Error for SessionConfigError {}
