//! Beside tower-http's layers: what each of them does, it does to refusals too.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use axum::routing::get;
use hyper::{Method, StatusCode};
use portcullis::authenticate::{AuthenticateLayer, Authenticator, Opening};
use portcullis::rejection::{Lack, Rejection};
use portcullis::respond::ProblemResponder;
use portcullis::{AuthLayer, RequireLayer};
use tower::ServiceBuilder;
use tower_http::compression::CompressionLayer;
use tower_http::cors::{AllowOrigin, CorsLayer};
use tower_http::timeout::TimeoutLayer;
use tower_http::trace::TraceLayer;

use super::wire::Wire;
use super::{Stage, me, routes, serve};

const PAGE: &str = "https://page.example";

#[tokio::test(flavor = "multi_thread")]
async fn trace_cors_compression_and_timeout_stand_outside_and_the_service_is_protected() {
    let stage = Stage::new();
    let layers = ServiceBuilder::new()
        .layer(TraceLayer::new_for_http())
        .layer(
            CorsLayer::new()
                .allow_origin(AllowOrigin::exact(PAGE.parse().unwrap()))
                .allow_methods([Method::POST]),
        )
        .layer(CompressionLayer::new())
        .layer(TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, Duration::from_secs(10)))
        .layer(stage.auth.clone());
    let address = serve(routes().layer(layers)).await;
    stage.assert_protected("tower-http outside", address, "").await;

    let wire = Wire::h1(address);
    let preflight = [("origin", PAGE), ("access-control-request-method", "POST")];
    let answer = wire.ask(Method::OPTIONS, "/me", &preflight, bytes::Bytes::new()).await;
    assert_eq!((answer.status, answer.all("access-control-allow-methods")), (200, vec!["POST"]));
    let refused = wire.get("/me", &[("origin", PAGE)]).await;
    assert_eq!(refused.status, 401);
    assert_eq!(refused.all("access-control-allow-origin"), [PAGE], "a page can read why it was refused");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_explanation_is_compressed_as_any_other_body() {
    let auth = AuthLayer::builder().authenticator(Refuses).responder(ProblemResponder).build().unwrap();
    let layers = ServiceBuilder::new().layer(CompressionLayer::new()).layer(auth);
    let address = serve(Router::new().route("/", get(async || "in")).layer(layers)).await;
    let answer = Wire::h1(address).get("/", &[("accept-encoding", "gzip")]).await;
    assert_eq!(answer.status, 403);
    assert_eq!(answer.all("content-encoding"), ["gzip"]);
    assert_eq!(answer.all("content-type"), ["application/problem+json"]);
    assert_eq!(&answer.body[..2], [0x1f, 0x8b]);
}

#[derive(Clone)]
struct Refuses;

impl Authenticator for Refuses {
    type Visit = ();

    fn open<B>(&self, _: &mut http::Request<B>) -> Opening<()> {
        Opening::refused(Rejection::forbidden(Lack::Policy))
    }
}

/// A body that another layer has wrapped cannot be empty by itself; wrapped once more in one that can, it fits.
#[tokio::test(flavor = "multi_thread")]
async fn trace_and_compression_inside_fit_once_their_body_is_boxed() {
    let stage = Stage::new();
    let layers = ServiceBuilder::new()
        .layer(stage.auth.clone())
        .map_response(|response: Response<_>| response.map(Body::new))
        .layer(TraceLayer::new_for_http())
        .layer(CompressionLayer::new());
    stage.assert_protected("tower-http inside", serve(routes().layer(layers)).await, "").await;
}

/// One that takes longer than the service waits.
#[derive(Clone)]
struct Slow;

impl Authenticator for Slow {
    type Visit = ();

    fn open<B>(&self, _: &mut http::Request<B>) -> Opening<()> {
        Opening::pending(std::future::pending())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_timeout_outside_ends_what_waits_inside() {
    let layers = ServiceBuilder::new()
        .layer(TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, Duration::from_millis(50)))
        .layer(AuthenticateLayer::new(Slow))
        .layer(RequireLayer::authenticated());
    let address = serve(Router::new().route("/me", get(me)).layer(layers)).await;
    assert_eq!(Wire::h1(address).get("/me", &[]).await.status, 504);
}
