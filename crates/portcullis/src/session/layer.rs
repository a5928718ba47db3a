//! [`SessionLayer`]: configuration, checked when it is built.

mod describe;
mod strong;

use std::any::TypeId;
use std::error::Error;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use portcullis_store::{Clock, InvalidRealm, Realm as RealmName, SessionBackend, SystemClock};
use tokio::sync::Semaphore;
use tower_layer::Layer;

pub use self::describe::SessionPolicy;
pub use self::strong::{Confirmed, Strong, StrongSessionLayer};
use super::authenticator::{Seat, SessionAuthenticator};
use super::backend::{Backend, Encryption, EncryptionKeys, SessionCache};
use super::codec::{Codec, Coding};
use super::core::{Core, OnUnavailable};
use super::events::{Events, Hook};
use super::expiry::Lifetime;
use super::handle::hold;
use super::login::Limit;
use super::transport::{KeyRing, SameSite, SessionCarrier, Transport};
use crate::authenticate::{Authenticate, AuthenticateLayer};
use crate::dependents::Dependents;
use crate::realm::{Claim, DefaultRealm, Realm};
use crate::respond::DefaultResponder;

/// Finds each request's session by its cookie; see the [module](super).
///
/// [`SessionLayer::new`] takes the defaults, [`SessionLayer::builder`] everything else, another
/// [realm](SessionLayerBuilder::realm) included.
pub struct SessionLayer<M = DefaultRealm, R = DefaultResponder>(
    AuthenticateLayer<SessionAuthenticator, R>,
    PhantomData<fn() -> M>,
);

/// Configures a [`SessionLayer`].
#[must_use]
pub struct SessionLayerBuilder<M = DefaultRealm, R = DefaultResponder> {
    core: Core,
    cookie_name: Option<String>,
    insecure_dev: bool,
    encryption: Option<EncryptionKeys>,
    cache: Option<SessionCache>,
    responder: R,
    realm: PhantomData<fn() -> M>,
}

/// What is wrong with a layer's configuration. The text is for developers and not part of the API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionConfigError(&'static str);

/// A request's budget for the store.
const BUDGET: Duration = Duration::from_millis(450);

/// How often a watched session is looked up while the store cannot tell.
const WATCH_INTERVAL: Duration = Duration::from_secs(5);

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
        let core = Core {
            backend: Backend::new(backend, BUDGET),
            realm: RealmName::default(),
            claim: Claim::default(),
            hold: None,
            challenge: Transport::default().challenge(),
            issuer: None,
            clock: Arc::new(SystemClock),
            user: Lifetime::USER,
            remembered: Lifetime::REMEMBERED,
            anonymous: Lifetime::ANONYMOUS,
            limit: None,
            transport: Transport::default(),
            max_len: 32 * 1024,
            on_unavailable: OnUnavailable::Reject,
            read_only: false,
            discard_on_5xx: false,
            renew_every: None,
            watch_interval: WATCH_INTERVAL,
            events: Hook::default(),
            dependents: None,
            codec: Coding::default(),
            background: Arc::new(Semaphore::new(BACKGROUND)),
        };
        SessionLayerBuilder {
            core,
            cookie_name: None,
            insecure_dev: false,
            encryption: None,
            cache: None,
            responder: DefaultResponder,
            realm: PhantomData,
        }
    }
}

impl<M, R> SessionLayerBuilder<M, R> {
    /// The cookie's name. Default: `__Host-id`, or `__Host-<realm>-id` in a realm of another name than `default`.
    pub fn cookie_name(mut self, name: impl Into<String>) -> Self {
        self.cookie_name = Some(name.into());
        self
    }

    /// Default: [`SameSite::Lax`].
    pub fn same_site(mut self, same_site: SameSite) -> Self {
        self.core.transport.cookie.same_site = same_site;
        self
    }

    /// The path below which the browser sends the cookie. Default: `/`. Another needs a name without `__Host-`.
    pub fn path(mut self, path: impl Into<String>) -> Self {
        self.core.transport.cookie.path = path.into();
        self
    }

    /// A domain whose subdomains get the cookie too. Default: none. It needs a name without `__Host-`.
    pub fn domain(mut self, domain: impl Into<String>) -> Self {
        self.core.transport.cookie.domain = Some(domain.into());
        self
    }

    /// A jar of its own for the cookie under each site that embeds this one (CHIPS, `Partitioned`), for frames on other
    /// sites; they need [`SameSite::None`] besides. Default: off.
    pub fn partitioned(mut self) -> Self {
        self.core.transport.cookie.partitioned = true;
        self
    }

    /// In what the token travels. Default: [`SessionCarrier::Cookie`].
    pub fn carrier(mut self, carrier: SessionCarrier) -> Self {
        self.core.transport.carrier = carrier;
        self
    }

    /// Signs tokens, so that a forged one is refused before the store is asked. Default: they are not signed, and a
    /// forged one costs a look-up. A layer with keys refuses tokens without a signature; see
    /// [`insecure_accept_unsigned`](Self::insecure_accept_unsigned) for a service that has sessions already. One without keys
    /// looks past a signature, so processes that do not have the keys yet, or any more, serve the same sessions.
    pub fn keys(mut self, keys: KeyRing) -> Self {
        self.core.transport.keys = Some(keys);
        self
    }

    /// Looks up tokens without a signature although there are [`keys`](Self::keys). Default: they are refused.
    ///
    /// For the introduction of keys to a service that has sessions: what is handed out from now on is signed, what was
    /// handed out before still counts, by its secret as ever. Until it is taken out again, when the longest absolute
    /// lifetime has passed (that of [remembered](Self::remembered_lifetime) sessions, if there are any), a forged token
    /// costs a look-up as it does without keys.
    pub fn insecure_accept_unsigned(mut self) -> Self {
        self.core.transport.accept_unsigned = true;
        self
    }

    /// For development without https: a cookie without `Secure`, and a default name without `__Host-`. It warns when
    /// the layer is built. Chromium and Firefox do not need it on `http://localhost`; Safari does.
    pub fn insecure_dev(mut self) -> Self {
        self.insecure_dev = true;
        self
    }

    /// The [realm](crate::realm) of these sessions. Its name is part of every key in the store and of the cookie's default
    /// name. Default: [`DefaultRealm`].
    pub fn realm<N: Realm>(self) -> SessionLayerBuilder<N, R> {
        let Self { core, cookie_name, insecure_dev, encryption, cache, responder, realm: _ } = self;
        SessionLayerBuilder {
            core,
            cookie_name,
            insecure_dev,
            encryption,
            cache,
            responder,
            realm: PhantomData,
        }
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

    /// How long the session lives of a user who asked to [stay signed in](super::Login::remember).
    /// Default: [`Lifetime::REMEMBERED`]. Browsers keep its cookie for at most 400 days at a time; past half its life it
    /// goes out again, with a new secret.
    pub fn remembered_lifetime(mut self, lifetime: Lifetime) -> Self {
        self.core.remembered = lifetime;
        self
    }

    /// How long an anonymous visitor's session lives. Default: [`Lifetime::ANONYMOUS`].
    pub fn anonymous_lifetime(mut self, lifetime: Lifetime) -> Self {
        self.core.anonymous = lifetime;
        self
    }

    /// Gives each session a new secret after this long, with the response to its next request. The one before is good
    /// until the new one is presented and ten seconds more, so that neither parallel requests nor a lost response
    /// sign anybody out. Default: never. It costs one write each time, and one behind a response.
    pub fn renew_every(mut self, interval: Duration) -> Self {
        self.core.renew_every = Some(interval);
        self
    }

    /// How often a [watched](super::Session::watch) session is looked up while the backend cannot tell of its end: because
    /// it never can, or because its subscription is down. Default: 5 seconds. While it can, twelve times as seldom.
    pub fn watch_interval(mut self, interval: Duration) -> Self {
        self.core.watch_interval = interval;
        self
    }

    /// How many sessions one user may have at once. Default: any number. At the limit a login costs
    /// three round trips more when it ends another session, and two when it is refused.
    pub fn limit(mut self, limit: Limit) -> Self {
        self.core.limit = Some(limit);
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

    /// How many bytes a session may have as it is stored. Default: 32 KiB; at most 256 KiB, and what the backend
    /// [takes](SessionBackend::max_record_len), which for Redis is 64 KiB unless that is configured too.
    /// A session that was larger before this was lowered lives on, and may be written to as long as it does not grow.
    pub fn max_len(mut self, bytes: usize) -> Self {
        self.core.max_len = bytes;
        self
    }

    /// How applications' values are written. Default: as JSON. See [`Codec`] before you change it.
    pub fn codec(mut self, codec: impl Codec) -> Self {
        self.core.codec = Coding::of(codec);
        self
    }

    /// Encrypts sessions in the store with these keys. Default: they are not encrypted. It costs 42 bytes a session,
    /// and a few microseconds each time one of 1 KiB is read or written.
    pub fn encrypt(mut self, keys: EncryptionKeys) -> Self {
        self.encryption = Some(keys);
        self
    }

    /// Answers requests from sessions that were loaded a moment ago. Default: each request asks the store. See
    /// [`SessionCache`] for what that means, before you do.
    pub fn cache(mut self, cache: SessionCache) -> Self {
        self.cache = Some(cache);
        self
    }

    /// Who is told what happens to sessions. Default: nobody; it is logged and counted all the same, see [`Events`].
    pub fn events(mut self, events: impl Events) -> Self {
        self.core.events = Hook::new(events);
        self
    }

    /// What ends with a session: the tokens of the same login. Default: nothing does. See [`Dependents`]; it needs the
    /// [issuer](Self::issuer) to be that of the tokens.
    pub fn dependents(mut self, dependents: impl Dependents) -> Self {
        self.core.dependents = Some(Arc::new(dependents));
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

    /// Drops what a handler has recorded when its response is a 5xx. Default: it is committed. A gRPC service answers with
    /// 200 whatever its status, so there this changes nothing.
    pub fn discard_on_5xx(mut self) -> Self {
        self.core.discard_on_5xx = true;
        self
    }

    /// Who answers a refused request. Default: [`DefaultResponder`].
    pub fn responder<T>(self, responder: T) -> SessionLayerBuilder<M, T> {
        let Self { core, cookie_name, insecure_dev, encryption, cache, responder: _, realm } = self;
        SessionLayerBuilder { core, cookie_name, insecure_dev, encryption, cache, responder, realm }
    }
}

impl<M: Realm, R> SessionLayerBuilder<M, R> {
    /// The layer.
    ///
    /// # Errors
    /// When two settings contradict each other, or one can never work.
    pub fn build(mut self) -> Result<SessionLayer<M, R>, SessionConfigError> {
        self.core.realm = realm_name::<M>()?;
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
        self.core.transport.cookie.name = self.cookie_name.take().unwrap_or(default_name);
        if self.insecure_dev {
            self.core.transport.cookie.secure = false;
            tracing::warn!(
                "insecure_dev: the session cookie is sent over plain http; never use it in production"
            );
        }
    }

    fn problem(&self) -> Option<&'static str> {
        let core = &self.core;
        if ![core.user, core.remembered, core.anonymous].iter().all(Lifetime::is_sound) {
            return Some(
                "a lifetime is above zero and at most ten years, and its idle time not over its absolute one",
            );
        }
        if core.renew_every.is_some_and(|interval| interval < Duration::from_secs(1)) {
            return Some("sessions are renewed at most once a second");
        }
        if core.limit.is_some_and(|limit| limit.max == 0) {
            return Some("a limit lets each user have one session at least");
        }
        if self.cache.is_some_and(|cache| !cache.is_sound()) {
            return Some("sessions are cached for at most two seconds, and one at least");
        }
        if core.watch_interval < Duration::from_millis(10) {
            return Some("watched sessions are looked up at most a hundred times a second");
        }
        if core.backend.budget().is_zero() {
            return Some("the budget is above zero");
        }
        if !(1024..=MAX_MAX_LEN).contains(&core.max_len) {
            return Some("a session may have between 1 KiB and 256 KiB");
        }
        self.encryption.as_ref().and_then(EncryptionKeys::problem).or_else(|| core.transport.problem())
    }

    fn finish(mut self) -> SessionLayer<M, R> {
        if let Some(keys) = self.encryption {
            self.core.backend.set_encryption(Encryption::new(keys, Arc::clone(&self.core.clock)));
        }
        if let Some(rules) = self.cache {
            self.core.backend.set_cache(rules);
        }
        self.core.max_len = self.core.max_len.min(self.core.backend.max_record_len());
        self.core.claim = Claim::new(self.core.transport.place());
        self.core.hold = Some(hold::<M>());
        self.core.challenge = self.core.transport.challenge();
        let authenticator = SessionAuthenticator::new(self.core, Seat::of::<M>());
        let layer = AuthenticateLayer::with_responder(authenticator, self.responder);
        SessionLayer(layer.realm::<M>(), PhantomData)
    }
}

fn realm_name<M: Realm>() -> Result<RealmName, SessionConfigError> {
    let is_default = TypeId::of::<M>() == TypeId::of::<DefaultRealm>();
    if !is_default && M::NAME == DefaultRealm::NAME {
        return Err(SessionConfigError("the name of the default realm is taken"));
    }
    M::NAME.parse().map_err(|InvalidRealm| {
        SessionConfigError("a realm's name is 1 to 32 characters of a-z, 0-9, '_' and '-'")
    })
}

impl<M, R> SessionLayer<M, R> {
    /// What the configuration comes to, defaults included and secrets left out.
    #[must_use]
    pub fn describe(&self) -> SessionPolicy<'_> {
        SessionPolicy(self.core())
    }

    /// What its sessions share.
    pub(crate) fn core(&self) -> &Arc<Core> {
        self.authenticator().core()
    }

    pub(crate) fn authenticator(&self) -> &SessionAuthenticator {
        self.0.authenticator()
    }
}

impl<S, M, R> Layer<S> for SessionLayer<M, R> {
    type Service = Authenticate<S, SessionAuthenticator, R>;

    fn layer(&self, inner: S) -> Self::Service {
        self.0.layer(inner)
    }
}

impl<M, R> Clone for SessionLayer<M, R> {
    fn clone(&self) -> Self {
        Self(self.0.clone(), PhantomData)
    }
}

impl<M, R> fmt::Debug for SessionLayer<M, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SessionLayer").field(&self.0).finish()
    }
}

impl<M, R> fmt::Debug for SessionLayerBuilder<M, R> {
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
