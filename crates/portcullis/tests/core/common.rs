//! What the tests share: a service that counts its calls, an authenticator that finds what it is told, a log.

use std::cell::RefCell;
use std::convert::Infallible;
use std::fmt::Write as _;
use std::future::{Ready, ready};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Once};
use std::task::{Context, Poll};

use http::{Request, Response};
use portcullis::Identity;
use portcullis::authenticate::{Authenticator, OnConflict, Opened, Opening};
use portcullis::identity::{AuthMethod, Authentication, Carrier, IdentityBuilder, IdentityExt};
use portcullis::rejection::{Challenge, Rejection};
use tower::{Service, ServiceExt};

/// Answers 200 with the caller's name, and counts.
#[derive(Clone, Default)]
pub(crate) struct Handler {
    calls: Arc<AtomicUsize>,
}

impl Handler {
    pub(crate) fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }
}

impl<B> Service<Request<B>> for Handler {
    type Response = Response<String>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        self.calls.fetch_add(1, Ordering::SeqCst);
        let name = request.identity().map_or("nobody", Identity::subject).to_owned();
        ready(Ok(Response::new(name)))
    }
}

/// Panics when it is called although it has not said that it was ready. A clone has to be asked anew.
#[derive(Default)]
pub(crate) struct Picky {
    ready: bool,
}

impl Clone for Picky {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl<B> Service<Request<B>> for Picky {
    type Response = Response<String>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<B>) -> Self::Future {
        assert!(std::mem::take(&mut self.ready), "called unready");
        ready(Ok(Response::new(String::new())))
    }
}

/// A body that is neither axum's nor hyper's, and can do no more than be empty, as tonic's.
#[derive(Debug, Default)]
pub(crate) struct OtherBody;

/// An authenticator that finds the same on every request.
#[derive(Clone)]
pub(crate) struct Finds {
    pub(crate) what: Result<Authentication, Rejection>,
    pub(crate) scheme: Option<&'static str>,
    pub(crate) on_conflict: OnConflict,
    /// Whether it takes a box to find it.
    pub(crate) waits: bool,
}

impl Finds {
    pub(crate) fn nobody() -> Self {
        Self::what(Ok(Authentication::anonymous()))
    }

    pub(crate) fn identity(identity: impl Into<Identity>) -> Self {
        Self::what(Ok(Authentication::authenticated(identity)))
    }

    pub(crate) fn what(what: Result<Authentication, Rejection>) -> Self {
        Self { what, scheme: None, on_conflict: OnConflict::Refuse, waits: false }
    }

    pub(crate) fn scheme(self, scheme: &'static str) -> Self {
        Self { scheme: Some(scheme), ..self }
    }

    pub(crate) fn on_conflict(self, on_conflict: OnConflict) -> Self {
        Self { on_conflict, ..self }
    }

    pub(crate) fn waits(self, waits: bool) -> Self {
        Self { waits, ..self }
    }

    fn opened(&self) -> Opened<()> {
        self.what.clone().map(|found| (found, ()))
    }
}

impl Authenticator for Finds {
    type Visit = ();

    fn challenge(&self) -> Option<Challenge> {
        self.scheme.map(Challenge::new)
    }

    fn on_conflict(&self) -> OnConflict {
        self.on_conflict
    }

    fn open<B>(&self, _: &mut Request<B>) -> Opening<()> {
        let opened = self.opened();
        if !self.waits {
            return Opening::Ready(opened);
        }
        Opening::pending(async {
            tokio::task::yield_now().await;
            opened
        })
    }
}

/// Somebody with a session's cookie.
pub(crate) fn by_session(subject: &str) -> IdentityBuilder {
    Identity::new(subject).method(AuthMethod::Session).carrier(Carrier::Ambient)
}

/// Somebody with a bearer token.
pub(crate) fn by_bearer(subject: &str) -> IdentityBuilder {
    Identity::new(subject).method(AuthMethod::Bearer).carrier(Carrier::Explicit)
}

/// A GET without headers.
pub(crate) fn get() -> Request<String> {
    Request::new(String::new())
}

/// The values of a response's header, in order.
pub(crate) fn all<'a, B>(response: &'a Response<B>, name: &str) -> Vec<&'a str> {
    response.headers().get_all(name).iter().map(|value| value.to_str().unwrap()).collect()
}

/// Calls the service once it is ready.
pub(crate) async fn call<B, S: Service<Request<B>>>(service: &mut S, request: Request<B>) -> S::Future {
    service.ready().await.unwrap_or_else(|_| panic!("the service failed")).call(request)
}

/// Polls once, with nobody to wake.
pub(crate) fn poll_once<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    std::pin::Pin::new(future).poll(&mut Context::from_waker(std::task::Waker::noop()))
}

/// The response of a service that cannot fail.
pub(crate) async fn answer<S, B, ResB>(service: &S, request: Request<B>) -> Response<ResB>
where
    S: Service<Request<B>, Response = Response<ResB>, Error = Infallible> + Clone,
{
    let Ok(response) = service.clone().oneshot(request).await;
    response
}

/// Runs `work` on this thread and returns what was logged meanwhile, a line per event.
///
/// One subscriber serves all tests: with one per test, a place that logs first while another test's is installed may
/// be switched off for good.
pub(crate) fn logged(work: impl Future<Output = ()>) -> Vec<String> {
    static INSTALL: Once = Once::new();
    INSTALL.call_once(|| {
        tracing::subscriber::set_global_default(Log).unwrap();
        // For places that logged between the making of the subscriber and now.
        tracing::callsite::rebuild_interest_cache();
    });
    LINES.take();
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(work);
    LINES.take()
}

thread_local! {
    static LINES: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

struct Log;

struct Line(String);

impl tracing::field::Visit for Line {
    fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
        write!(self.0, " {}={value:?}", field.name()).unwrap();
    }
}

impl tracing::Subscriber for Log {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        let mut line = Line(event.metadata().level().to_string());
        event.record(&mut line);
        LINES.with_borrow_mut(|lines| lines.push(line.0));
    }

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}
