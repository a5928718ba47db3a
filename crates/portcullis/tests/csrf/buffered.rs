//! `FormTokenLayer`: forms of services that are of no framework.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, COOKIE, SET_COOKIE};
use http::{HeaderMap, Request, Response};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Full};
use portcullis::csrf::{CsrfToken, FormBody, FormTokenLayer};
use portcullis::rejection::{CsrfReason, Rejection};
use portcullis::session::{MemoryBackend, Session, SessionLayer};
use portcullis::{CsrfLayer, Identity};
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};

use crate::site::layer;

const FORM: &str = "application/x-www-form-urlencoded";

/// A body that comes in these frames, and tells how many were asked for.
struct Frames {
    frames: VecDeque<Result<Frame<Bytes>, &'static str>>,
    polled: Arc<AtomicUsize>,
}

impl Frames {
    fn new<const N: usize>(frames: [Result<Frame<Bytes>, &'static str>; N]) -> Self {
        Self { frames: frames.into(), polled: Arc::default() }
    }
}

impl Body for Frames {
    type Data = Bytes;
    type Error = &'static str;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, &'static str>>> {
        // Every other time there is nothing yet.
        if self.polled.fetch_add(1, Ordering::SeqCst).is_multiple_of(2) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(self.frames.pop_front())
    }
}

fn data(text: &'static str) -> Result<Frame<Bytes>, &'static str> {
    Ok(Frame::data(Bytes::from_static(text.as_bytes())))
}

/// Answers with the body that has arrived, and the trailers.
async fn echo<B>(request: Request<FormBody<B>>) -> Result<Response<String>, Infallible>
where
    B: Body<Data = Bytes, Error: std::fmt::Debug>,
{
    let exact = request.body().size_hint().exact();
    let whole = request.into_body().collect().await.unwrap();
    let trailers = whole.trailers().cloned().unwrap_or_default();
    let text = String::from_utf8(whole.to_bytes().to_vec()).unwrap();
    Ok(Response::new(format!("{text} {} {exact:?}", trailers.len())))
}

fn post(content_type: &str, body: Frames) -> Request<Frames> {
    Request::post("/").header(CONTENT_TYPE, content_type).body(body).unwrap()
}

#[tokio::test]
async fn a_form_arrives_as_it_was_sent() {
    let service = FormTokenLayer::new(16).layer(service_fn(echo::<Frames>));
    let trailers = HeaderMap::from_iter([(CONTENT_TYPE, "x".parse().unwrap())]);
    let frames = [data("to=b"), data(""), data("ob&csrf_toke"), Ok(Frame::trailers(trailers))];
    let response = service.clone().oneshot(post(FORM, Frames::new(frames))).await.unwrap();
    assert_eq!(response.body(), "to=bob&csrf_toke 1 Some(16)");
    let empty = service.clone().oneshot(post(FORM, Frames::new([]))).await.unwrap();
    assert_eq!(empty.body(), " 0 Some(0)");
    let other = service.oneshot(post("text/plain", Frames::new([data("0123456789"), data("0123456789")])));
    assert_eq!(other.await.unwrap().body(), "01234567890123456789 0 None", "no form, so no limit");
}

#[tokio::test]
async fn no_more_of_a_form_is_read_than_may_be_and_the_service_does_not_see_it() {
    let calls = Arc::<AtomicUsize>::default();
    let counted = Arc::clone(&calls);
    let inner = service_fn(move |_: Request<FormBody<Frames>>| {
        counted.fetch_add(1, Ordering::SeqCst);
        async { Ok::<_, Infallible>(Response::new(String::new())) }
    });
    let service = FormTokenLayer::new(8).layer(inner);
    let long = || Frames::new([data("01234567"), data("8"), data("never asked for")]);
    let stated = |length: &str| {
        let mut request = post(FORM, long());
        request.headers_mut().insert(CONTENT_LENGTH, length.parse().unwrap());
        request
    };
    let huge = u64::MAX.to_string();
    // Each frame takes two questions.
    let rows = [
        ("as it comes", post(FORM, long()), 4),
        ("as it is announced", stated("9"), 0),
        ("as no memory could hold it", stated(&huge), 0),
        ("although less is announced", stated("3"), 4),
    ];
    for (name, request, asked) in rows {
        let polled = Arc::clone(&request.body().polled);
        let response = service.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), 413, "{name}");
        assert_eq!(response.headers()["cache-control"], "no-store", "{name}");
        assert_eq!(response.extensions().get::<Rejection>(), Some(&Rejection::TooLarge), "{name}");
        assert_eq!(polled.load(Ordering::SeqCst), asked, "{name}");
    }
    let broken = post(FORM, Frames::new([data("0"), Err("reset")]));
    assert_eq!(service.oneshot(broken).await.unwrap().status(), 400);
    assert_eq!(calls.load(Ordering::SeqCst), 0);
}

/// Panics when it is called although it has not said that it was ready.
struct Picky(bool);

impl Clone for Picky {
    fn clone(&self) -> Self {
        Self(false)
    }
}

impl Service<Request<FormBody<Frames>>> for Picky {
    type Response = Response<String>;
    type Error = Infallible;
    type Future = std::future::Ready<Result<Response<String>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.0 = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<FormBody<Frames>>) -> Self::Future {
        assert!(std::mem::take(&mut self.0), "called unready");
        std::future::ready(Ok(Response::new(String::new())))
    }
}

#[tokio::test]
async fn the_service_that_was_ready_gets_the_form() {
    let mut service = FormTokenLayer::new(8).layer(Picky(false));
    for content_type in [FORM, "text/plain", FORM] {
        let request = post(content_type, Frames::new([data("a=b")]));
        service.ready().await.unwrap().call(request).await.unwrap();
    }
}

/// Whatever it came to, and whatever the service inside would do.
#[tokio::test]
async fn a_future_that_is_polled_after_its_end_does_not_panic() {
    let inner = service_fn(|_: Request<FormBody<Full<Bytes>>>| async {
        Ok::<_, Infallible>(Response::new(String::new()))
    });
    let service = FormTokenLayer::new(8).layer(inner);
    for (name, content_type, form, expected) in [
        ("a form", FORM, "a=b", 200),
        ("a form that is too long", FORM, "012345678", 413),
        ("another content", "text/plain", "0", 200),
    ] {
        let request = Request::post("/").header(CONTENT_TYPE, content_type).body(Full::from(form)).unwrap();
        let mut future = pin!(service.clone().call(request));
        assert_eq!(future.as_mut().await.unwrap().status(), expected, "{name}");
        let again = future.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(again.is_pending(), "{name}");
    }
}

/// A form's handler, with sessions and without axum.
#[tokio::test]
async fn a_form_proves_by_its_token_where_it_comes_from() {
    let site = service_fn(|request: Request<FormBody<Full<Bytes>>>| async move {
        let session = request.extensions().get::<Session>().unwrap().clone();
        if request.uri().path() == "/login" {
            session.login(Identity::new("ada")).await.unwrap();
        }
        let token = CsrfToken::of(request.extensions()).unwrap().value();
        let form = request.into_body().collect().await.unwrap().to_bytes();
        let who = session.identity().map_or("nobody".to_owned(), |me| me.subject().to_owned());
        Ok::<_, Infallible>(Response::new(format!("{who} {} {token}", form.len())))
    });
    let service = ServiceBuilder::new()
        .layer(FormTokenLayer::new(1024))
        .layer(SessionLayer::new(MemoryBackend::new()))
        .layer(layer())
        .service(site);
    let login = Request::post("/login").body(Full::default()).unwrap();
    let login = service.clone().oneshot(login).await.unwrap();
    let cookie = login.headers()[SET_COOKIE].to_str().unwrap().split(';').next().unwrap().to_owned();
    let token = login.body().split(' ').next_back().unwrap().to_owned();

    let send = async |form: String| {
        let request = Request::post("/").header(COOKIE, &cookie).header(CONTENT_TYPE, FORM);
        service.clone().oneshot(request.body(Full::from(form)).unwrap()).await.unwrap()
    };
    let sent = send(format!("to=bob&csrf_token={token}")).await;
    assert!(sent.body().starts_with("ada 104 "), "{}", sent.body());
    let refused = |response: &Response<String>| response.extensions().get::<Rejection>().cloned();
    let guessed = send(format!("to=bob&csrf_token={}", "A".repeat(86))).await;
    assert_eq!(refused(&guessed), Some(Rejection::Csrf(CsrfReason::TokenMismatch)));
    let without = send("to=bob".to_owned()).await;
    assert_eq!(refused(&without), Some(Rejection::Csrf(CsrfReason::MissingMetadata)));
}

#[tokio::test]
async fn axum_takes_it_as_a_layer() {
    let router = axum::Router::new().route("/", axum::routing::post(async |body: String| body));
    let router = router.layer(CsrfLayer::new()).layer(FormTokenLayer::new(8));
    let send = |form: &'static str| {
        let request = Request::post("/").header(CONTENT_TYPE, FORM).body(axum::body::Body::from(form));
        router.clone().oneshot(request.unwrap())
    };
    assert_eq!(send("12345678").await.unwrap().status(), 200);
    assert_eq!(send("123456789").await.unwrap().status(), 413);
}
