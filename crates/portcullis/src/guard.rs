//! [`Guard`]: the one service for checks that never wait. [`Check`]: what such a check decides.
//!
//! * A check sees the request's head, never its body, and does not await.
//! * A refused request does not reach the inner service.
//! * `poll_ready` and errors are the inner service's, untouched; nothing is boxed, nothing is cloned.
//!
//! `CsrfLayer` and [`RequireLayer`](crate::RequireLayer) are made of it; so can a check of the application's own be:
//!
//! ```
//! use http::{Request, Response};
//! use portcullis::guard::{Check, GuardLayer, Head, Pass};
//! use portcullis::rejection::{Lack, Rejection};
//! use tower::{Layer, ServiceExt, service_fn};
//!
//! struct OfficeHours;
//!
//! impl Check for OfficeHours {
//!     fn check(&self, head: Head<'_>) -> Result<Pass, Rejection> {
//!         let open = head.headers.get("x-hour").is_some_and(|hour| hour == "10");
//!         if open { Ok(Pass::new()) } else { Err(Rejection::forbidden(Lack::Policy)) }
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let inner = service_fn(|_: Request<String>| async { Ok::<_, std::io::Error>(Response::new(String::new())) });
//! let service = GuardLayer::new(OfficeHours).layer(inner);
//! let response = service.oneshot(Request::get("/").body(String::new())?).await?;
//! assert_eq!(response.status(), 403);
//! # Ok(()) }
//! ```

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::request::Parts;
use http::{Extensions, HeaderMap, HeaderName, HeaderValue, Method, Request, Response, Uri};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use crate::identity::{Authentication, Identity, IdentityExt};
use crate::realm::Realm;
use crate::rejection::Rejection;
use crate::respond::{DefaultResponder, RequestHead, Responder, refuse};

/// Decides about a request by its head alone, at once.
pub trait Check {
    /// `Ok` lets the request pass.
    ///
    /// # Errors
    /// The reason why the request is refused.
    fn check(&self, head: Head<'_>) -> Result<Pass, Rejection>;

    /// Whether the request passes at a glance, and nothing goes along; if not, [`check`](Self::check) decides. Asked about
    /// each request first, so that most of them cost no more than this. Default: no.
    fn passes(&self, head: Head<'_>) -> bool {
        let _ = head;
        false
    }
}

/// Where there is no check, everything passes.
impl<C: Check> Check for Option<C> {
    #[inline]
    fn check(&self, head: Head<'_>) -> Result<Pass, Rejection> {
        self.as_ref().map_or_else(|| Ok(Pass::new()), |check| check.check(head))
    }

    #[inline]
    fn passes(&self, head: Head<'_>) -> bool {
        self.as_ref().is_none_or(|check| check.passes(head))
    }
}

/// A request's head, as a check sees it: without the body, and not to be changed.
///
/// It borrows from the request where it stands. Taking a request apart and putting it together again would cost more
/// than most checks do.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Head<'a> {
    /// The method.
    pub method: &'a Method,
    /// The URI; under a nested axum router without its prefix.
    pub uri: &'a Uri,
    /// The headers.
    pub headers: &'a HeaderMap,
    /// What layers outside this one have left.
    pub extensions: &'a Extensions,
}

/// A request may pass, and perhaps something goes along in its extensions, and something with its response.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct Pass {
    extensions: Extensions,
    /// What is done to the request's extensions after that.
    then: Option<fn(&mut Extensions)>,
    parting: Parting,
}

/// In the extensions of a response: the route is public on purpose. [`PublicLayer`](crate::require::PublicLayer) leaves
/// it, and [`PolicyTable`](crate::require::PolicyTable).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Public;

/// What a check has said goes with the response. It costs an atomic increment at most.
///
/// Fields beside one another, for most requests have none of it: an enum would be copied as a whole with each of them.
#[derive(Clone, Default)]
pub(crate) struct Parting {
    public: bool,
    words: Option<Arc<dyn Words>>,
}

/// What is said with a response in parting.
pub(crate) trait Words: Send + Sync {
    fn say(&self, headers: &mut HeaderMap);
}

/// A header, in place of one of the same name.
impl Words for (HeaderName, HeaderValue) {
    fn say(&self, headers: &mut HeaderMap) {
        let (name, value) = self;
        headers.insert(name, value.clone());
    }
}

/// Puts a [`Check`] in front of a service.
pub struct GuardLayer<C, R = DefaultResponder>(Arc<Core<C, R>>);

/// The service that a [`GuardLayer`] makes.
pub struct Guard<S, C, R = DefaultResponder> {
    inner: S,
    core: Arc<Core<C, R>>,
}

struct Core<C, R> {
    check: C,
    responder: R,
}

pin_project! {
    /// The future of a [`Guard`].
    #[must_use = "futures do nothing unless polled"]
    pub struct GuardFuture<F, B> {
        #[pin]
        state: State<F, B>,
        parting: Parting,
        done: bool,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<F, B> {
        // The inner service has the request.
        Forwarded { #[pin] response: F },
        // This is the response, until it is taken.
        Refused { response: Option<Response<B>> },
    }
}

impl<'a, B> From<&'a Request<B>> for Head<'a> {
    fn from(request: &'a Request<B>) -> Self {
        Self {
            method: request.method(),
            uri: request.uri(),
            headers: request.headers(),
            extensions: request.extensions(),
        }
    }
}

impl<'a> From<&'a Parts> for Head<'a> {
    fn from(parts: &'a Parts) -> Self {
        Self {
            method: &parts.method,
            uri: &parts.uri,
            headers: &parts.headers,
            extensions: &parts.extensions,
        }
    }
}

impl IdentityExt for Head<'_> {
    fn identity_in<M: Realm>(&self) -> Option<&Identity<M>> {
        self.extensions.identity_in()
    }

    fn authentication_in<M: Realm>(&self) -> Option<&Authentication<M>> {
        self.extensions.authentication_in()
    }
}

impl Pass {
    /// The request goes on as it is. It costs nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// The request goes on with `value` in its extensions.
    pub fn with(value: impl Clone + Send + Sync + 'static) -> Self {
        let mut pass = Self::new();
        pass.leave(value);
        pass
    }

    /// The request goes on as it is, and its response is marked as [`Public`].
    pub fn public() -> Self {
        Self { parting: Parting { public: true, words: None }, ..Self::default() }
    }

    /// The request goes on as it is, and something with its response.
    pub(crate) fn parting(words: Arc<dyn Words>) -> Self {
        let mut pass = Self::new();
        pass.part(words);
        pass
    }

    /// Something goes with the response.
    pub(crate) fn part(&mut self, words: Arc<dyn Words>) {
        self.parting.words = Some(words);
    }

    /// Leaves one more value in the request's extensions.
    pub(crate) fn leave(&mut self, value: impl Clone + Send + Sync + 'static) {
        self.extensions.insert(value);
    }

    /// Changes the request's extensions, after what is left there is in.
    #[cfg_attr(not(feature = "csrf"), expect(dead_code, reason = "only CsrfLayer takes something away"))]
    pub(crate) fn then(&mut self, change: fn(&mut Extensions)) {
        self.then = Some(change);
    }

    /// Of most there is nothing to do, which is seen where it is called.
    #[inline]
    fn apply(self, request: &mut Extensions) -> Parting {
        let Self { extensions, then, parting } = self;
        if !extensions.is_empty() || then.is_some() {
            amend(request, extensions, then);
        }
        parting
    }
}

#[inline(never)]
fn amend(request: &mut Extensions, with: Extensions, then: Option<fn(&mut Extensions)>) {
    request.extend(with);
    if let Some(change) = then {
        change(request);
    }
}

impl Parting {
    #[inline]
    fn is_silent(&self) -> bool {
        !self.public && self.words.is_none()
    }

    fn say<B>(self, mut response: Response<B>) -> Response<B> {
        if self.public {
            response.extensions_mut().insert(Public);
        }
        if let Some(words) = self.words {
            words.say(response.headers_mut());
        }
        response
    }
}

impl<C> GuardLayer<C> {
    /// Refuses what `check` refuses, by [`DefaultResponder`].
    pub fn new(check: C) -> Self {
        Self::with_responder(check, DefaultResponder)
    }
}

impl<C, R> GuardLayer<C, R> {
    /// Refuses what `check` refuses, by `responder`.
    pub fn with_responder(check: C, responder: R) -> Self {
        Self(Arc::new(Core { check, responder }))
    }
}

impl<S, C, R> Layer<S> for GuardLayer<C, R> {
    type Service = Guard<S, C, R>;

    fn layer(&self, inner: S) -> Self::Service {
        Guard { inner, core: Arc::clone(&self.0) }
    }
}

impl<S, C, R, B, ResB> Service<Request<B>> for Guard<S, C, R>
where
    S: Service<Request<B>, Response = Response<ResB>>,
    C: Check,
    R: Responder<ResB>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = GuardFuture<S::Future, ResB>;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    // A function of its own writes its future where the caller wants it. Compiled into the caller, the future of a request
    // that passes was put together beside that of one that does not, and copied to where both meet; a request is large.
    #[inline(never)]
    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let parting = if self.core.check.passes(Head::from(&request)) {
            Parting::default()
        } else {
            match self.core.check.check(Head::from(&request)) {
                Ok(pass) => pass.apply(request.extensions_mut()),
                Err(rejection) => {
                    let response = Some(self.core.refused(rejection, Head::from(&request)));
                    return GuardFuture::new(State::Refused { response }, Parting::default());
                }
            }
        };
        // The one place from which a request goes on: a second would be a second copy of what is compiled in here.
        GuardFuture::new(State::Forwarded { response: self.inner.call(request) }, parting)
    }
}

impl<F, B> GuardFuture<F, B> {
    #[inline]
    const fn new(state: State<F, B>, parting: Parting) -> Self {
        Self { state, parting, done: false }
    }
}

impl<C, R> Core<C, R> {
    #[cold]
    fn refused<B>(&self, rejection: Rejection, head: Head<'_>) -> Response<B>
    where
        R: Responder<B>,
    {
        refuse(&self.responder, rejection, &RequestHead::of(head))
    }
}

impl<F, B, E> Future for GuardFuture<F, B>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    type Output = F::Output;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        // Polled again after it was done, a future may do as it likes but panic.
        if *this.done {
            return Poll::Pending;
        }
        let mut polled = match this.state.project() {
            StateProj::Forwarded { response } => response.poll(cx),
            StateProj::Refused { response } => {
                return response.take().map_or(Poll::Pending, |it| Poll::Ready(Ok(it)));
            }
        };
        *this.done = polled.is_ready();
        if !this.parting.is_silent() {
            polled = parted(polled, this.parting);
        }
        polled
    }
}

/// Says with the response, once it is there, what goes along. Apart, and by value: most requests have nothing to say, and a
/// response that somebody has borrowed is copied once more.
#[inline(never)]
fn parted<B, E>(polled: Poll<Result<Response<B>, E>>, parting: &mut Parting) -> Poll<Result<Response<B>, E>> {
    polled.map_ok(|response| std::mem::take(parting).say(response))
}

impl<C, R> Clone for GuardLayer<C, R> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<S: Clone, C, R> Clone for Guard<S, C, R> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), core: Arc::clone(&self.core) }
    }
}

impl fmt::Debug for Parting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = self.words.is_some();
        f.debug_struct("Parting").field("public", &self.public).field("words", &words).finish()
    }
}

impl<C: fmt::Debug, R> fmt::Debug for GuardLayer<C, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("GuardLayer").field(&self.0.check).finish()
    }
}

impl<S: fmt::Debug, C: fmt::Debug, R> fmt::Debug for Guard<S, C, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard")
            .field("inner", &self.inner)
            .field("check", &self.core.check)
            .finish_non_exhaustive()
    }
}

impl<F, B> fmt::Debug for GuardFuture<F, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GuardFuture").finish_non_exhaustive()
    }
}
