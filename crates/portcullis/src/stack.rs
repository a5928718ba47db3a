//! [`AuthLayer`]: all layers as one, in the only right order.
//!
//! * From outside to inside: https, session, bearer, an authenticator of the application's own, CSRF. In whatever order they
//!   are named, and each may be left out but for one that finds out who is calling.
//! * Where browsers send a credential by themselves, a session's cookie or a token's, it is not built without CSRF.
//! * All of them answer by one responder; what was set on a part is replaced.
//! * Guards are not part of it: they stand further in, around the routes that they are for.
//! * Around everything it is told once who is calling. The same layer once more further in asks no store again, and a
//!   stricter one decides for itself: no outer layer switches an inner one off.
//!
//! ```
//! use http::{Request, Response};
//! use portcullis::identity::IdentityExt;
//! use portcullis::respond::DefaultResponder;
//! use portcullis::session::{MemoryBackend, SessionLayer};
//! use portcullis::{AuthLayer, CsrfLayer, RequireLayer};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let auth = AuthLayer::builder()
//!     .csrf(CsrfLayer::new())
//!     .session(SessionLayer::new(MemoryBackend::new()))
//!     .responder(DefaultResponder)
//!     .build()?;
//! let service = ServiceBuilder::new()
//!     .layer(auth)
//!     .layer(RequireLayer::authenticated())
//!     .service(service_fn(|request: Request<String>| async move {
//!         let name = request.identity().map_or("nobody", |me| me.subject()).to_owned();
//!         Ok::<_, std::io::Error>(Response::new(name))
//!     }));
//! let response = service.oneshot(Request::get("/").body(String::new())?).await?;
//! assert_eq!(response.status(), 401);
//! # Ok(()) }
//! ```

mod part;

use std::error::Error;
use std::fmt;
use std::marker::PhantomData;

use tower_layer::Layer;

pub use self::part::{NoAuthenticator, NoCheck, Part};
use self::part::{Origin, Sessions, Tokens};
use crate::authenticate::{Authenticate, AuthenticateLayer, Authenticator};
use crate::guard::{Guard, GuardLayer};
use crate::https::{Https, RequireHttpsLayer};
use crate::realm::{DefaultRealm, Realm};
use crate::respond::DefaultResponder;

/// All layers as one, in the only right order; see the [module page](self).
#[must_use]
pub struct AuthLayer<M = DefaultRealm, R = DefaultResponder, A = NoAuthenticator> {
    https: GuardLayer<Option<Https>, R>,
    session: AuthenticateLayer<Part<Sessions>, R>,
    bearer: AuthenticateLayer<Part<Tokens>, R>,
    own: AuthenticateLayer<Part<A>, R>,
    csrf: Option<Origin>,
    responder: R,
    realm: PhantomData<fn() -> M>,
}

/// Gathers the parts of an [`AuthLayer`].
#[must_use]
pub struct AuthLayerBuilder<M = DefaultRealm, R = DefaultResponder, A = NoAuthenticator> {
    https: Option<Https>,
    session: Option<Sessions>,
    bearer: Option<Tokens>,
    own: Option<A>,
    csrf: Option<Origin>,
    without_csrf: bool,
    responder: R,
    realm: PhantomData<fn() -> M>,
}

/// What an [`AuthLayer`] lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AuthLayerError {
    /// There is no part by which anybody could be recognised.
    NobodyRecognised,
    /// Browsers send a credential by themselves, also when another site makes them, and nothing asks where a request comes
    /// from.
    NoCsrf,
}

impl AuthLayer {
    /// Without any parts yet, in the default realm, answering by [`DefaultResponder`].
    pub fn builder() -> AuthLayerBuilder {
        AuthLayerBuilder {
            https: None,
            session: None,
            bearer: None,
            own: None,
            csrf: None,
            without_csrf: false,
            responder: DefaultResponder,
            realm: PhantomData,
        }
    }
}

impl AuthLayerBuilder {
    /// All parts are of this [realm](crate::realm). Said before the parts. Default: [`DefaultRealm`].
    pub fn realm<N: Realm>(self) -> AuthLayerBuilder<N> {
        let Self { https, csrf, without_csrf, responder, .. } = self;
        AuthLayerBuilder {
            https,
            session: None,
            bearer: None,
            own: None,
            csrf,
            without_csrf,
            responder,
            realm: PhantomData,
        }
    }
}

impl<M: Realm, R, A> AuthLayerBuilder<M, R, A> {
    /// No request passes that came over plain http. Default: that is not looked at.
    pub fn https<T>(mut self, layer: RequireHttpsLayer<T>) -> Self {
        self.https = Some(layer.into_check());
        self
    }

    /// Who is calling is known by a session's cookie. Default: no sessions.
    #[cfg(feature = "session")]
    pub fn session<T>(mut self, layer: crate::session::SessionLayer<M, T>) -> Self {
        self.session = Some(layer.authenticator().clone());
        self
    }

    /// Who is calling is known by a bearer token. Default: no tokens.
    #[cfg(any(feature = "bearer", feature = "rust-crypto"))]
    pub fn bearer<T>(mut self, layer: crate::bearer::BearerLayer<M, T>) -> Self {
        self.bearer = Some(layer.into_authenticator());
        self
    }

    /// Requests with a credential that browsers send by themselves must prove their origin. Needed where there is such a
    /// credential: a session's cookie, or a token's.
    #[cfg(feature = "csrf")]
    pub fn csrf<T>(mut self, layer: crate::csrf::CsrfLayer<T>) -> Self {
        self.csrf = Some(layer.into_check());
        self
    }

    /// Requests need not prove their origin here, although browsers send a credential by themselves: because a
    /// [`CsrfLayer`](crate::csrf) stands further in, or no request that could be forged does anything. Default: that is
    /// [`AuthLayerError::NoCsrf`].
    pub fn insecure_without_csrf(mut self) -> Self {
        self.without_csrf = true;
        self
    }

    /// Who is calling is known by a credential of the application's own. Whether browsers send it by themselves cannot be
    /// known here. Default: none.
    pub fn authenticator<N: Authenticator>(self, authenticator: N) -> AuthLayerBuilder<M, R, N> {
        let Self { https, session, bearer, own: _, csrf, without_csrf, responder, realm } = self;
        let own = Some(authenticator);
        AuthLayerBuilder { https, session, bearer, own, csrf, without_csrf, responder, realm }
    }

    /// Who answers what any of the parts refuses. Default: [`DefaultResponder`].
    pub fn responder<T>(self, responder: T) -> AuthLayerBuilder<M, T, A> {
        let Self { https, session, bearer, own, csrf, without_csrf, responder: _, realm } = self;
        AuthLayerBuilder { https, session, bearer, own, csrf, without_csrf, responder, realm }
    }
}

impl<M: Realm, R: Clone, A: Authenticator> AuthLayerBuilder<M, R, A> {
    /// The layer.
    ///
    /// # Errors
    /// When there is no part by which anybody could be recognised, or none that asks for the origin where that is needed.
    /// What two parts have to do with each other is decided on each request: see [`authenticate`](crate::authenticate).
    pub fn build(self) -> Result<AuthLayer<M, R, A>, AuthLayerError> {
        let Self { https, session, bearer, own, csrf, without_csrf, responder, realm } = self;
        if session.is_none() && bearer.is_none() && own.is_none() {
            return Err(AuthLayerError::NobodyRecognised);
        }
        let is_ambient = session.as_ref().is_some_and(Sessions::is_ambient)
            || bearer.as_ref().is_some_and(Tokens::is_ambient);
        if is_ambient && csrf.is_none() && !without_csrf {
            return Err(AuthLayerError::NoCsrf);
        }
        Ok(AuthLayer {
            https: GuardLayer::with_responder(https, responder.clone()),
            session: part::<M, _, _>(session, &responder),
            bearer: part::<M, _, _>(bearer, &responder),
            own: part::<M, _, _>(own, &responder),
            csrf,
            responder,
            realm,
        })
    }
}

fn part<M: Realm, R: Clone, A: Authenticator>(
    authenticator: Option<A>,
    responder: &R,
) -> AuthenticateLayer<Part<A>, R> {
    AuthenticateLayer::with_responder(Part(authenticator), responder.clone()).realm::<M>()
}

/// From inside to outside.
type Checked<S, R> = Guard<S, Option<Origin>, R>;
type Own<S, A, R> = Authenticate<Checked<S, R>, Part<A>, R>;
type ByToken<S, A, R> = Authenticate<Own<S, A, R>, Part<Tokens>, R>;
type BySession<S, A, R> = Authenticate<ByToken<S, A, R>, Part<Sessions>, R>;

impl<S, M, R: Clone, A> Layer<S> for AuthLayer<M, R, A> {
    type Service = Guard<BySession<S, A, R>, Option<Https>, R>;

    fn layer(&self, inner: S) -> Self::Service {
        // Each service has a check of its own, because other layers may stand around each.
        let csrf = self.csrf.as_ref().map(Origin::anew);
        let checked = GuardLayer::with_responder(csrf, self.responder.clone()).layer(inner);
        let by_token = self.bearer.layer(self.own.layer(checked));
        self.https.layer(self.session.layer(by_token))
    }
}

impl<M, R: Clone, A> Clone for AuthLayer<M, R, A> {
    fn clone(&self) -> Self {
        let Self { https, session, bearer, own, csrf, responder, realm } = self;
        Self {
            https: https.clone(),
            session: session.clone(),
            bearer: bearer.clone(),
            own: own.clone(),
            csrf: csrf.clone(),
            responder: responder.clone(),
            realm: *realm,
        }
    }
}

impl fmt::Display for AuthLayerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NobodyRecognised => {
                "nobody could be recognised: name a session, bearer or other layer that finds out who is calling"
            }
            Self::NoCsrf => "browsers send a cookie of it by themselves: name a CsrfLayer",
        })
    }
}

impl Error for AuthLayerError {}

impl<M, R, A: fmt::Debug> fmt::Debug for AuthLayer<M, R, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthLayer")
            .field("https", &self.https)
            .field("session", &self.session)
            .field("bearer", &self.bearer)
            .field("own", &self.own)
            .field("csrf", &self.csrf)
            .finish_non_exhaustive()
    }
}

impl<M, R, A: fmt::Debug> fmt::Debug for AuthLayerBuilder<M, R, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthLayerBuilder")
            .field("https", &self.https)
            .field("session", &self.session)
            .field("bearer", &self.bearer)
            .field("own", &self.own)
            .field("csrf", &self.csrf)
            .finish_non_exhaustive()
    }
}
