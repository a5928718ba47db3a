//! What tokens cost a request, counted per thread.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use allocation_counter::measure;
use http::{Request, Response};
use portcullis::csrf::CsrfToken;
use portcullis::session::{MemoryBackend, SessionLayer};
use portcullis::{Identity, Session};
use tower::{Layer, Service, ServiceExt, service_fn};

use crate::site::layer;

/// Answers without allocating.
#[derive(Clone)]
struct Bare;

impl<B> Service<Request<B>> for Bare {
    type Response = Response<()>;
    type Error = Infallible;
    type Future = Ready<Result<Response<()>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<B>) -> Self::Future {
        ready(Ok(Response::new(())))
    }
}

/// How often a call allocates.
fn allocations<S>(service: &S, request: &Request<()>) -> u64
where
    S: Service<Request<()>, Response = Response<()>, Error = Infallible> + Clone,
{
    let (mut service, mut request) = (service.clone(), Some(request.clone()));
    let mut status = None;
    let info = measure(|| {
        let mut future = pin!(service.call(request.take().unwrap()));
        let polled = future.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        let Poll::Ready(Ok(response)) = polled else { panic!("it waited") };
        status = Some(response.status());
    });
    assert_eq!(status, Some(http::StatusCode::OK));
    info.count_total
}

#[tokio::test]
async fn verifying_a_token_allocates_nothing() {
    let sessions = SessionLayer::new(MemoryBackend::new());
    let page = service_fn(|request: Request<()>| async move {
        let session = request.extensions().get::<Session>().unwrap();
        session.login(Identity::new("ada")).await.unwrap();
        Ok::<_, Infallible>(Response::new(CsrfToken::of(request.extensions()).unwrap().value()))
    });
    let page = sessions.layer(layer().layer(page)).oneshot(Request::new(())).await.unwrap();
    let cookie = page.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap();
    let request = |token: &str| {
        let request = Request::post("/").header("cookie", cookie).header("x-csrf-token", token);
        request.header("origin", "null").body(()).unwrap()
    };

    let proven = request(page.body());
    // The first load reads the session's identity, and keeps it.
    allocations(&sessions.layer(Bare), &proven);
    let without = allocations(&sessions.layer(Bare), &proven);
    let with = allocations(&sessions.layer(layer().layer(Bare)), &proven);
    assert_eq!(with, without);
    // What was counted is a verification: another token does not pass.
    let guessed = sessions.layer(layer().layer(Bare)).oneshot(request(&"A".repeat(86))).await.unwrap();
    assert_eq!(guessed.status(), 403);
}
