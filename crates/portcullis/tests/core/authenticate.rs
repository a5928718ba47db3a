//! `Authenticate`: asks on the way in, acts on the way out, and leaves the inner service as it is.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::header::{HeaderName, HeaderValue, SET_COOKIE, VARY};
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use portcullis::Identity;
use portcullis::authenticate::{AuthenticateLayer, Authenticator, Closed, Closing, Edits, Opening};
use portcullis::identity::{Authentication, IdentityExt, Outcome};
use portcullis::rejection::{Challenge, Rejection};
use portcullis::respond::RequestHead;
use tokio::sync::oneshot;
use tower::limit::ConcurrencyLimit;
use tower::{Layer, ServiceExt, service_fn};

use crate::common::{Finds, Handler, OtherBody, Picky, all, answer, by_session, call, get, poll_once};

/// What a test wants to know of the ways in and out.
#[derive(Clone, Default)]
struct Trace {
    entered: Arc<AtomicUsize>,
    closed: Arc<AtomicUsize>,
}

/// Waits or not, in and out; counts; edits the response.
#[derive(Clone)]
struct Traced {
    trace: Trace,
    waits_in: bool,
    waits_out: bool,
}

impl Traced {
    fn all() -> [Self; 4] {
        [(false, false), (false, true), (true, false), (true, true)].map(|(waits_in, waits_out)| Self {
            trace: Trace::default(),
            waits_in,
            waits_out,
        })
    }
}

impl Authenticator for Traced {
    type Visit = &'static str;

    fn open<B>(&self, _: &mut Request<B>) -> Opening<&'static str> {
        if !self.waits_in {
            return Opening::anonymous("visit");
        }
        Opening::pending(async {
            tokio::task::yield_now().await;
            Ok((Authentication::anonymous(), "visit"))
        })
    }

    fn enter<B>(&self, visit: &&'static str, request: &mut Request<B>) {
        self.trace.entered.fetch_add(1, Ordering::SeqCst);
        request.extensions_mut().insert(*visit);
    }

    fn close<B>(&self, visit: &'static str, response: &Response<B>) -> Closing {
        assert_eq!((visit, response.status()), ("visit", StatusCode::OK));
        let closed = Arc::clone(&self.trace.closed);
        let apply = move || {
            closed.fetch_add(1, Ordering::SeqCst);
            let mut edits = Edits::default();
            edits.append(SET_COOKIE, HeaderValue::from_static("b=2"));
            edits.append(VARY, HeaderValue::from_static("cookie"));
            edits.insert(SERVER, HeaderValue::from_static("ours"));
            edits
        };
        if !self.waits_out {
            return Closing::edits(apply());
        }
        Closing::pending(async move {
            tokio::task::yield_now().await;
            Closed { edits: apply(), refusal: None }
        })
    }
}

const SERVER: HeaderName = http::header::SERVER;

#[tokio::test]
async fn the_way_out_edits_the_response_whether_it_waits_or_not() {
    for traced in Traced::all() {
        let trace = traced.trace.clone();
        let inner = service_fn(|request: Request<String>| async move {
            assert_eq!(request.extensions().get(), Some(&"visit"));
            let response = Response::builder().header(SET_COOKIE, "a=1").header(SERVER, "theirs");
            Ok::<_, Infallible>(response.body(request.into_body()).unwrap())
        });
        let service = AuthenticateLayer::new(traced).layer(inner);
        let response = answer(&service, Request::new("body".to_owned())).await;
        let all = |name| all(&response, name);
        assert_eq!(all("set-cookie"), ["a=1", "b=2"]);
        assert_eq!((all("vary"), all("server")), (vec!["cookie"], vec!["ours"]));
        assert_eq!(response.body(), "body");
        assert_eq!((trace.entered.load(Ordering::SeqCst), trace.closed.load(Ordering::SeqCst)), (1, 1));
    }
}

/// Has one thing to say on the way out.
struct Says {
    appended: bool,
}

impl Authenticator for Says {
    type Visit = ();

    fn open<B>(&self, _: &mut Request<B>) -> Opening<()> {
        Opening::anonymous(())
    }

    fn close<B>(&self, (): (), _: &Response<B>) -> Closing {
        let mut edits = Edits::default();
        let value = HeaderValue::from_static("cookie");
        if self.appended {
            edits.append(VARY, value)
        } else {
            edits.insert(VARY, value)
        }
        Closing::edits(edits)
    }
}

#[tokio::test]
async fn a_single_edit_of_either_kind_goes_out() {
    for appended in [true, false] {
        let inner = service_fn(async |_: Request<String>| Ok::<_, Infallible>(Response::new(String::new())));
        let service = AuthenticateLayer::new(Says { appended }).layer(inner);
        assert_eq!(all(&answer(&service, get()).await, "vary"), ["cookie"], "appended: {appended}");
    }
}

#[tokio::test]
async fn a_cancelled_request_applies_nothing() {
    for traced in Traced::all() {
        let trace = traced.trace.clone();
        let (called, wait) = oneshot::channel();
        let called = Arc::new(std::sync::Mutex::new(Some(called)));
        let inner = service_fn(move |_: Request<String>| {
            called.lock().unwrap().take().unwrap().send(()).unwrap();
            std::future::pending::<Result<Response<String>, Infallible>>()
        });
        let mut service = AuthenticateLayer::new(traced).layer(inner);
        let mut response = Box::pin(call(&mut service, get()).await);
        tokio::select! {
            _ = &mut response => panic!("the handler never answers"),
            called = wait => called.unwrap(),
        }
        drop(response);
        assert_eq!(trace.closed.load(Ordering::SeqCst), 0);
    }
}

#[tokio::test]
async fn a_cancelled_way_out_is_not_carried_on() {
    let traced = Traced { trace: Trace::default(), waits_in: false, waits_out: true };
    let trace = traced.trace.clone();
    let mut service = AuthenticateLayer::new(traced).layer(Handler::default());
    let mut response = Box::pin(call(&mut service, get()).await);
    assert!(poll_once(&mut response).is_pending());
    drop(response);
    assert_eq!(trace.closed.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn errors_pass_through_untouched_and_nothing_is_applied() {
    for traced in Traced::all() {
        let trace = traced.trace.clone();
        let failing = service_fn(|_: Request<String>| async {
            Err::<Response<String>, _>(io::Error::from(io::ErrorKind::BrokenPipe))
        });
        let error = AuthenticateLayer::new(traced).layer(failing).oneshot(get()).await.unwrap_err();
        assert_eq!((error.kind(), trace.closed.load(Ordering::SeqCst)), (io::ErrorKind::BrokenPipe, 0));
    }
}

#[tokio::test]
async fn a_refused_request_does_not_reach_the_inner_service() {
    for waits in [false, true] {
        let rejection = Rejection::invalid_credential(Challenge::new("Bearer"), "expired");
        let handler = Handler::default();
        let refusing = Finds::what(Err(rejection.clone())).waits(waits);
        let response = answer(&AuthenticateLayer::new(refusing).layer(handler.clone()), get()).await;
        assert_eq!((response.status(), handler.calls()), (StatusCode::UNAUTHORIZED, 0));
        assert_eq!(response.extensions().get(), Some(&rejection));
    }
}

#[tokio::test]
async fn every_request_that_passes_carries_what_was_found() {
    let away = Duration::from_secs(1);
    for waits in [false, true] {
        let rows = [
            ("nobody", Finds::nobody(), false),
            ("somebody", Finds::identity(by_session("ada")), true),
            ("outage", Finds::what(Ok(Authentication::unavailable(away))), false),
        ];
        for (name, finds, signed_in) in rows {
            let inner = service_fn(move |request: Request<String>| async move {
                let found = request.authentication().expect(name);
                assert_eq!(found.identity().is_some(), signed_in, "{name}");
                assert_eq!(request.extensions().get::<Identity>().is_some(), signed_in, "{name}");
                assert_eq!(matches!(found.outcome(), Outcome::Unavailable { .. }), name == "outage");
                Ok::<_, Infallible>(Response::new(String::new()))
            });
            answer(&AuthenticateLayer::new(finds.waits(waits)).layer(inner), get()).await;
        }
    }
}

#[tokio::test]
async fn an_inner_service_is_never_called_unready() {
    for waits in [false, true] {
        let mut service = AuthenticateLayer::new(Finds::nobody().waits(waits)).layer(Picky::default());
        for _ in 0..3 {
            call(&mut service, get()).await.await.unwrap();
        }
        // The layer's own clone, as axum makes one per request, is asked anew.
        call(&mut service.clone(), get()).await.await.unwrap();
    }
}

#[tokio::test]
async fn a_limit_of_the_inner_service_is_kept_and_never_overrun() {
    for waits in [false, true] {
        let limited = ConcurrencyLimit::new(Handler::default(), 1);
        let service = AuthenticateLayer::new(Finds::nobody().waits(waits)).layer(limited);
        let calls = (0..16).map(|_| tokio::spawn(service.clone().oneshot(get()))).collect::<Vec<_>>();
        for call in calls {
            assert_eq!(call.await.unwrap().unwrap().status(), StatusCode::OK);
        }
    }
}

#[tokio::test]
async fn what_was_ready_goes_with_the_request_that_waits() {
    let mut service = AuthenticateLayer::new(Finds::nobody().waits(true)).layer(Picky::default());
    let first = call(&mut service, get()).await;
    // The second one takes its own turn while the first one waits.
    let second = call(&mut service, get()).await;
    second.await.unwrap();
    first.await.unwrap();
}

#[tokio::test]
async fn it_fits_every_framework_s_bodies() {
    async fn passes_and_refuses<Req: Default, Res: Default>() {
        let refusal = Rejection::invalid_credential(Challenge::new("Bearer"), "expired");
        for (finds, status) in [(Finds::nobody(), 200), (Finds::what(Err(refusal)), 401)] {
            let inner =
                service_fn(|_: Request<Req>| async { Ok::<_, io::Error>(Response::new(Res::default())) });
            let service = AuthenticateLayer::new(finds).layer(inner);
            let response = service.oneshot(Request::new(Req::default())).await.unwrap();
            assert_eq!(response.status(), status);
        }
    }
    passes_and_refuses::<axum::body::Body, axum::body::Body>().await;
    passes_and_refuses::<Full<bytes::Bytes>, Full<bytes::Bytes>>().await;
    passes_and_refuses::<OtherBody, OtherBody>().await;
    passes_and_refuses::<Full<bytes::Bytes>, axum::body::Body>().await;
    passes_and_refuses::<String, String>().await;
}

/// Cannot keep what the handler did, which it knows at once, or not.
struct ForgetsOnTheWayOut {
    waits: bool,
}

impl Authenticator for ForgetsOnTheWayOut {
    type Visit = RequestHead;

    fn open<B>(&self, request: &mut Request<B>) -> Opening<RequestHead> {
        Opening::anonymous(RequestHead::of(&*request))
    }

    fn close<B>(&self, visit: RequestHead, _: &Response<B>) -> Closing {
        let rejection = Rejection::Unavailable { retry_after: Duration::from_secs(2) };
        let mut edits = Edits::default();
        edits.append(SET_COOKIE, HeaderValue::from_static("id=new"));
        let closed = Closed { edits, refusal: Some(Box::new((rejection, visit))) };
        if self.waits { Closing::pending(async { closed }) } else { Closing::Ready(closed) }
    }
}

#[tokio::test]
async fn nothing_of_a_response_that_is_refused_on_the_way_out_goes_out() {
    let inner = service_fn(|_: Request<String>| async {
        let response = Response::builder().status(201).header(SERVER, "done").header(SET_COOKIE, "a=1");
        Ok::<_, Infallible>(response.body("done".to_owned()).unwrap())
    });
    for waits in [true, false] {
        let forgets = AuthenticateLayer::new(ForgetsOnTheWayOut { waits });
        let response = answer(&forgets.layer(inner), get()).await;
        assert_eq!((response.status(), response.body().as_str()), (StatusCode::SERVICE_UNAVAILABLE, ""));
        assert!(all(&response, "server").is_empty());
        assert_eq!(all(&response, "set-cookie"), ["id=new"]);
    }
}

#[tokio::test]
async fn a_way_out_that_fails_takes_the_place_of_the_response_and_keeps_its_headers() {
    let service = AuthenticateLayer::new(ForgetsOnTheWayOut { waits: true }).layer(Handler::default());
    let response = answer(&service, get()).await;
    assert_eq!((response.status(), response.body().as_str()), (StatusCode::SERVICE_UNAVAILABLE, ""));
    assert_eq!((all(&response, "retry-after"), all(&response, "set-cookie")), (vec!["2"], vec!["id=new"]));
    let grpc = Request::builder().header("content-type", "application/grpc").body(String::new()).unwrap();
    assert_eq!(answer(&service, grpc).await.headers()["grpc-status"], "14");
}

#[tokio::test]
async fn a_future_that_is_polled_after_its_end_does_not_panic() {
    for traced in Traced::all() {
        for fails in [false, true] {
            let mut service =
                AuthenticateLayer::new(traced.clone()).layer(service_fn(move |_: Request<String>| {
                    Box::pin(async move {
                        if fails { Err(io::Error::other("down")) } else { Ok(Response::new(String::new())) }
                    })
                }));
            let mut future = Box::pin(call(&mut service, get()).await);
            let _ = future.as_mut().await;
            assert!(poll_once(&mut future).is_pending());
        }
    }
}
