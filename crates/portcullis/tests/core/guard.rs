//! `Guard`: a check in front of a service that it leaves as it is.

use std::io;
use std::task::Poll;

use http::{Request, Response, StatusCode};
use http_body_util::Full;
use portcullis::guard::{Check, GuardLayer, Head, Pass};
use portcullis::rejection::{Lack, Rejection};
use tower::limit::ConcurrencyLimit;
use tower::{Layer, Service, ServiceExt, service_fn};

use crate::common::{Handler, OtherBody, Picky, answer, call, get, poll_once};

/// Lets pass what says please.
struct Please;

impl Check for Please {
    fn check(&self, head: Head<'_>) -> Result<Pass, Rejection> {
        let polite = head.headers.contains_key("please");
        if polite { Ok(Pass::new()) } else { Err(Rejection::forbidden(Lack::Policy)) }
    }
}

fn polite<B>(body: B) -> Request<B> {
    Request::builder().header("please", "1").body(body).unwrap()
}

#[tokio::test]
async fn a_refused_request_does_not_reach_the_inner_service() {
    let handler = Handler::default();
    let guarded = GuardLayer::new(Please).layer(handler.clone());
    let refused = answer(&guarded, get()).await;
    assert_eq!((refused.status(), handler.calls()), (StatusCode::FORBIDDEN, 0));
    assert_eq!(refused.extensions().get(), Some(&Rejection::forbidden(Lack::Policy)));
    assert_eq!(answer(&guarded, polite(String::new())).await.status(), StatusCode::OK);
    assert_eq!(handler.calls(), 1);
}

#[tokio::test]
async fn an_inner_service_is_never_called_unready() {
    let mut guarded = GuardLayer::new(Please).layer(Picky::default());
    for _ in 0..3 {
        call(&mut guarded, polite(())).await.await.unwrap();
    }
}

#[tokio::test]
async fn readiness_is_the_inner_services_own() {
    let limited = ConcurrencyLimit::new(Handler::default(), 1);
    let mut guarded = GuardLayer::new(Please).layer(limited);
    let mut other = guarded.clone();
    let held = call(&mut guarded, polite(())).await;
    let mut ready = asks(&mut other);
    assert!(ready().is_pending());
    held.await.unwrap();
    assert!(ready().is_ready());
}

/// Asks a service whether it is ready, again and again.
fn asks<S: Service<Request<()>>>(service: &mut S) -> impl FnMut() -> Poll<bool> {
    move || {
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        service.poll_ready(&mut cx).map(|ready| ready.is_ok())
    }
}

#[tokio::test]
async fn errors_pass_through_untouched() {
    let failing = service_fn(|_: Request<()>| async {
        Err::<Response<String>, _>(io::Error::from(io::ErrorKind::BrokenPipe))
    });
    let error = GuardLayer::new(Please).layer(failing).oneshot(polite(())).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
}

#[tokio::test]
async fn it_fits_every_framework_s_bodies() {
    async fn passes_and_refuses<Req: Default, Res: Default>() {
        let inner = service_fn(|_: Request<Req>| async { Ok::<_, io::Error>(Response::new(Res::default())) });
        let guarded = GuardLayer::new(Please).layer(inner);
        let passed = guarded.clone().oneshot(polite(Req::default())).await.unwrap();
        let refused = guarded.oneshot(Request::new(Req::default())).await.unwrap();
        assert_eq!((passed.status(), refused.status()), (StatusCode::OK, StatusCode::FORBIDDEN));
    }
    passes_and_refuses::<axum::body::Body, axum::body::Body>().await;
    passes_and_refuses::<Full<bytes::Bytes>, Full<bytes::Bytes>>().await;
    passes_and_refuses::<OtherBody, OtherBody>().await;
    passes_and_refuses::<Full<bytes::Bytes>, axum::body::Body>().await;
    passes_and_refuses::<String, String>().await;
}

#[tokio::test]
async fn a_future_that_is_polled_after_its_end_does_not_panic() {
    let mut guarded = GuardLayer::new(Please).layer(service_fn(|_: Request<()>| {
        Box::pin(async { Ok::<_, io::Error>(Response::new(String::new())) })
    }));
    for request in [Request::new(()), polite(())] {
        let mut future = call(&mut guarded, request).await;
        assert!(poll_once(&mut future).is_ready());
        assert!(poll_once(&mut future).is_pending());
    }
}
