//! [`Authenticate`]: the one service for what may wait and may act on the way out. [`Authenticator`]: what it asks.
//!
//! * *Absent, accepted, refused*: a credential that was offered and is bad is refused here, and never falls back to
//!   another one.
//! * Every request that passes carries an [`Authentication`], and an [`Identity`](crate::Identity) if somebody is signed
//!   in.
//! * Outage of one credential's store: an explicit credential stands beside it, an ambient one does not.
//! * What is found belongs to the layer's [realm](AuthenticateLayer::realm), and is combined with what other layers in that
//!   realm have found.
//! * Two good credentials of one user: the explicit one wins. Of two users: [`Rejection::Conflict`], unless the inner
//!   layer's authenticator says which is to be preferred. Scopes and roles are never merged.
//! * Handlers have a hold on the session of whoever is calling, and on nobody else's.
//! * `poll_ready` and errors are the inner service's. What need not wait is answered without a box; what waits calls
//!   the very service that was ready.
//!
//! `SessionLayer` and `BearerLayer` are made of it; so are an application's own credentials:
//!
//! ```
//! use http::{Request, Response};
//! use portcullis::Identity;
//! use portcullis::authenticate::{AuthenticateLayer, Authenticator, Opening};
//! use portcullis::identity::{AuthMethod, Carrier, IdentityExt};
//! use portcullis::rejection::{Challenge, Rejection};
//! use tower::{Layer, ServiceExt, service_fn};
//!
//! struct ApiKeys;
//!
//! impl Authenticator for ApiKeys {
//!     type Visit = ();
//!
//!     fn challenge(&self) -> Option<Challenge> {
//!         Some(Challenge::new("ApiKey"))
//!     }
//!
//!     fn open<B>(&self, request: &mut Request<B>) -> Opening<()> {
//!         match request.headers().get("x-api-key").map(|key| key.as_bytes()) {
//!             None => Opening::anonymous(()),
//!             Some(b"k-42") => Opening::authenticated(
//!                 Identity::new("reporting").method(AuthMethod::Custom("api-key")).carrier(Carrier::Explicit),
//!                 (),
//!             ),
//!             Some(_) => Opening::refused(Rejection::invalid_credential(Challenge::new("ApiKey"), "unknown key")),
//!         }
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let inner = service_fn(|request: Request<String>| async move {
//!     let name = request.identity().map_or("nobody", |me| me.subject()).to_owned();
//!     Ok::<_, std::io::Error>(Response::new(name))
//! });
//! let service = AuthenticateLayer::new(ApiKeys).layer(inner);
//! let with = |key: &str| Request::get("/").header("x-api-key", key).body(String::new());
//! assert_eq!(service.clone().oneshot(with("k-42")?).await?.body(), "reporting");
//! assert_eq!(service.oneshot(with("guess")?).await?.status(), 401);
//! # Ok(()) }
//! ```

mod closing;
mod combine;
mod opening;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::{Extensions, Request, Response};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

pub use self::closing::{Closed, Closing, Edits};
pub use self::combine::OnConflict;
use self::combine::combine;
pub use self::opening::{Opened, Opening};
use crate::guard::Head;
use crate::identity::{Authentication, Carrier, Outcome};
use crate::realm::{DefaultRealm, Realm, Slot};
use crate::rejection::{Challenge, Rejection, Unproven};
use crate::respond::{DefaultResponder, RequestHead, Responder, is_unrendered, refuse, render};

/// Finds out who is calling, and may act once more when the response is there.
///
/// It sees heads only: of a body of any type nothing can be known.
pub trait Authenticator: Send + Sync + 'static {
    /// What the way out needs from the way in; `()` for most.
    type Visit: Send + 'static;

    /// What to answer a request with that lacks a credential of this kind.
    fn challenge(&self) -> Option<Challenge> {
        None
    }

    /// What to do when an outer layer has recognised another user.
    fn on_conflict(&self) -> OnConflict {
        OnConflict::Refuse
    }

    /// The way in: looks at the request's head, and answers at once or with a future that owns what it needs.
    fn open<B>(&self, request: &mut Request<B>) -> Opening<Self::Visit>;

    /// After [`open`](Self::open) has passed: puts into the extensions what handlers will ask for.
    fn enter<B>(&self, visit: &Self::Visit, request: &mut Request<B>) {
        let _ = (visit, request);
    }

    /// The way out. Not called when the inner service failed with an error.
    fn close<B>(&self, visit: Self::Visit, response: &Response<B>) -> Closing {
        let _ = (visit, response);
        Closing::nothing()
    }
}

/// Puts an [`Authenticator`] in front of a service.
pub struct AuthenticateLayer<A, R = DefaultResponder> {
    core: Arc<Core<A, R>>,
    slot: &'static Slot,
}

/// The service that an [`AuthenticateLayer`] makes.
pub struct Authenticate<S, A, R = DefaultResponder> {
    inner: S,
    core: Arc<Core<A, R>>,
    slot: &'static Slot,
}

/// Apart from the count of its owners, which all threads write to.
#[repr(align(128))]
struct Core<A, R> {
    authenticator: A,
    responder: R,
}

pin_project! {
    /// The future of an [`Authenticate`].
    #[must_use = "futures do nothing unless polled"]
    pub struct AuthenticateFuture<S, A, R, B>
    where
        S: Service<Request<B>>,
        A: Authenticator,
    {
        // None of a request that was refused at once: to count one more owner takes time.
        core: Option<Arc<Core<A, R>>>,
        slot: &'static Slot,
        stage: Stage<S, A::Visit, B, S::Response>,
        // The inner service's future while that has the request. Beside the stage, and not in it: it may be large, and each
        // change of a stage moves all of it.
        #[pin]
        inside: Option<S::Future>,
    }
}

/// How far a call has come.
#[expect(clippy::large_enum_variant, reason = "a box for the request would be one more allocation")]
enum Stage<S, V, B, Res> {
    /// A store is being asked; `inner` is the service that was ready when the request came.
    Opening {
        opening: Pin<Box<dyn Future<Output = Opened<V>> + Send>>,
        request: Option<Request<B>>,
        inner: S,
    },
    /// The inner service has the request.
    Inside { visit: Option<V> },
    /// The inner service has answered; a store is being told.
    Closing { closing: Pin<Box<dyn Future<Output = Closed> + Send>>, response: Option<Res> },
    /// The request was refused.
    Refused { response: Option<Res> },
}

impl<A: Authenticator> AuthenticateLayer<A> {
    /// Asks `authenticator`, and refuses by [`DefaultResponder`].
    pub fn new(authenticator: A) -> Self {
        Self::with_responder(authenticator, DefaultResponder)
    }
}

impl<A: Authenticator, R> AuthenticateLayer<A, R> {
    /// Asks `authenticator`, and refuses by `responder`.
    pub fn with_responder(authenticator: A, responder: R) -> Self {
        Self { core: Arc::new(Core { authenticator, responder }), slot: Slot::of::<DefaultRealm>() }
    }

    /// The [realm](crate::realm) in which it finds out who is calling. Default: [`DefaultRealm`].
    #[must_use]
    pub fn realm<M: Realm>(self) -> Self {
        self.in_slot(Slot::of::<M>())
    }

    pub(crate) fn in_slot(self, slot: &'static Slot) -> Self {
        Self { slot, ..self }
    }

    #[cfg_attr(not(feature = "session"), expect(dead_code, reason = "only the session layer asks"))]
    pub(crate) fn authenticator(&self) -> &A {
        &self.core.authenticator
    }
}

impl<S, A, R> Layer<S> for AuthenticateLayer<A, R> {
    type Service = Authenticate<S, A, R>;

    fn layer(&self, inner: S) -> Self::Service {
        Authenticate { inner, core: Arc::clone(&self.core), slot: self.slot }
    }
}

impl<S, A, R, B, ResB> Service<Request<B>> for Authenticate<S, A, R>
where
    S: Service<Request<B>, Response = Response<ResB>> + Clone,
    A: Authenticator,
    R: Responder<ResB>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = AuthenticateFuture<S, A, R, B>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    // A function of its own writes its future where the caller wants it; see `Guard`.
    #[inline(never)]
    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let (core, slot) = (&self.core, self.slot);
        match core.authenticator.open(&mut request) {
            Opening::Ready(opened) => match core.let_in(slot, opened, &mut request) {
                Ok(visit) => {
                    let (core, stage) = (Some(Arc::clone(core)), Stage::Inside { visit: Some(visit) });
                    AuthenticateFuture { core, slot, stage, inside: Some(self.inner.call(request)) }
                }
                Err(response) => {
                    let stage = Stage::Refused { response: Some(response) };
                    AuthenticateFuture { core: None, slot, stage, inside: None }
                }
            },
            Opening::Pending(opening) => {
                // The service that said it was ready goes with the request; a clone stays for the next one.
                let clone = self.inner.clone();
                let inner = std::mem::replace(&mut self.inner, clone);
                let stage = Stage::Opening { opening, request: Some(request), inner };
                AuthenticateFuture { core: Some(Arc::clone(core)), slot, stage, inside: None }
            }
        }
    }
}

impl<S, V, B, Res> Stage<S, V, B, Res> {
    fn refusal<E>(&mut self) -> Poll<Result<Res, E>> {
        match self {
            Self::Refused { response } => response.take().map_or(Poll::Pending, |it| Poll::Ready(Ok(it))),
            Self::Opening { .. } | Self::Inside { .. } | Self::Closing { .. } => Poll::Pending,
        }
    }
}

impl<A: Authenticator, R> Core<A, R> {
    /// Makes the request ready for the inner service, or refuses it.
    #[inline]
    fn let_in<B, ResB>(
        &self,
        slot: &Slot,
        opened: Opened<A::Visit>,
        request: &mut Request<B>,
    ) -> Result<A::Visit, Response<ResB>>
    where
        R: Responder<ResB>,
    {
        let admitted = opened
            .and_then(|(found, visit)| self.admit(slot, found, request.extensions_mut()).map(|()| visit));
        match admitted {
            Ok(visit) => {
                self.authenticator.enter(&visit, request);
                Ok(visit)
            }
            Err(rejection) => Err(self.refused(rejection, Head::from(&*request))),
        }
    }

    #[cold]
    fn refused<ResB>(&self, rejection: Rejection, head: Head<'_>) -> Response<ResB>
    where
        R: Responder<ResB>,
    {
        refuse(&self.responder, rejection, &RequestHead::of(head))
    }

    fn admit(
        &self,
        slot: &Slot,
        mut found: Authentication,
        extensions: &mut Extensions,
    ) -> Result<(), Rejection> {
        if !found.has_looked() {
            return Ok(());
        }
        found.add_challenge(self.authenticator.challenge());
        if let Some(outer) = slot.take(extensions) {
            let outcome = combine(&outer, &found, self.authenticator.on_conflict())?;
            keep_apart(&outer, &outcome, extensions);
            found = found.on_top_of(outer, outcome);
        }
        prove_origin(&found, extensions)?;
        slot.put(extensions, found);
        Ok(())
    }

    #[inline(never)]
    fn finished<ResB, E>(
        &self,
        closed: Closed,
        polled: Poll<Result<Response<ResB>, E>>,
    ) -> Poll<Result<Response<ResB>, E>>
    where
        R: Responder<ResB>,
    {
        polled.map_ok(|response| self.finish(closed, response))
    }

    fn finish<ResB>(&self, closed: Closed, mut response: Response<ResB>) -> Response<ResB>
    where
        R: Responder<ResB>,
    {
        if let Some(refusal) = closed.refusal {
            let (rejection, head) = *refusal;
            response = refuse(&self.responder, rejection, &head);
        }
        closed.edits.apply(response.headers_mut());
        if is_unrendered(&response) { render(&self.responder, response) } else { response }
    }
}

/// Who is preferred to the user of a session has no hold on that session.
fn keep_apart(outer: &Authentication, outcome: &Outcome, extensions: &mut Extensions) {
    if let (Outcome::Authenticated(before), Outcome::Authenticated(who)) = (outer.state(), outcome)
        && !before.is_same_user(who)
        && let Some(hold) = outer.look().hold()
    {
        (hold.withhold_from)(extensions, who);
    }
}

/// A `CsrfLayer` further out let the request pass as one without an ambient credential; if there is one, it has to be
/// refused here.
fn prove_origin(found: &Authentication, extensions: &Extensions) -> Result<(), Rejection> {
    let ambient = found.peek().is_some_and(|who| who.carrier() == Carrier::Ambient);
    let leaves_handle = || found.look().hold().is_some();
    match extensions.get::<Unproven>() {
        Some(unproven) if ambient || unproven.dropped && leaves_handle() => {
            (unproven.count)(unproven.reason);
            Err(Rejection::Csrf(unproven.reason))
        }
        _ => Ok(()),
    }
}

impl<S, A, R, B, ResB> Future for AuthenticateFuture<S, A, R, B>
where
    S: Service<Request<B>, Response = Response<ResB>>,
    A: Authenticator,
    R: Responder<ResB>,
{
    type Output = Result<S::Response, S::Error>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let Some(core) = this.core.as_deref() else { return this.stage.refusal() };
        // Polled again after it was done, a future may do as it likes but panic.
        loop {
            *this.stage = match this.stage {
                Stage::Opening { opening, request, inner } => {
                    let opened = ready!(opening.as_mut().poll(cx));
                    let Some(mut request) = request.take() else { return Poll::Pending };
                    match core.let_in(this.slot, opened, &mut request) {
                        Ok(visit) => {
                            this.inside.set(Some(inner.call(request)));
                            Stage::Inside { visit: Some(visit) }
                        }
                        Err(response) => Stage::Refused { response: Some(response) },
                    }
                }
                Stage::Inside { visit } => {
                    let Some(inside) = this.inside.as_mut().as_pin_mut().filter(|_| visit.is_some()) else {
                        return Poll::Pending;
                    };
                    let mut polled = inside.poll(cx);
                    let Poll::Ready(answer) = &mut polled else { return Poll::Pending };
                    let (Some(visit), Ok(response)) = (visit.take(), answer) else { return polled };
                    match core.authenticator.close(visit, response) {
                        // Where it is: a response is large.
                        Closing::Ready(closed) if closed.refusal.is_none() && !is_unrendered(response) => {
                            closed.edits.apply(response.headers_mut());
                            return polled;
                        }
                        Closing::Ready(closed) => return core.finished(closed, polled),
                        Closing::Pending(closing) => {
                            let Poll::Ready(Ok(response)) = polled else { return Poll::Pending };
                            this.inside.set(None);
                            Stage::Closing { closing, response: Some(response) }
                        }
                    }
                }
                Stage::Closing { closing, response } => {
                    if response.is_none() {
                        return Poll::Pending;
                    }
                    let closed = ready!(closing.as_mut().poll(cx));
                    let Some(response) = response.take() else { return Poll::Pending };
                    return Poll::Ready(Ok(core.finish(closed, response)));
                }
                Stage::Refused { .. } => return this.stage.refusal(),
            };
        }
    }
}

impl<A, R> Clone for AuthenticateLayer<A, R> {
    fn clone(&self) -> Self {
        Self { core: Arc::clone(&self.core), slot: self.slot }
    }
}

impl<S: Clone, A, R> Clone for Authenticate<S, A, R> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), core: Arc::clone(&self.core), slot: self.slot }
    }
}

impl<A: fmt::Debug, R> fmt::Debug for AuthenticateLayer<A, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthenticateLayer")
            .field("realm", &self.slot.name)
            .field("authenticator", &self.core.authenticator)
            .finish_non_exhaustive()
    }
}

impl<S: fmt::Debug, A: fmt::Debug, R> fmt::Debug for Authenticate<S, A, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authenticate")
            .field("inner", &self.inner)
            .field("authenticator", &self.core.authenticator)
            .finish_non_exhaustive()
    }
}

impl<S: Service<Request<B>>, A: Authenticator, R, B> fmt::Debug for AuthenticateFuture<S, A, R, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthenticateFuture").finish_non_exhaustive()
    }
}
