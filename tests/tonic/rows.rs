//! Everywhere in a tonic server, as its own client sees it; and beside tower-http's layers.

use std::time::Duration;

use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use portcullis::AuthLayer;
use portcullis::require::{Policy, PolicyTable};
use tonic::service::Routes;
use tower::ServiceBuilder;
use tower_http::compression::CompressionLayer;
use tower_http::cors::CorsLayer;
use tower_http::timeout::TimeoutLayer;
use tower_http::trace::TraceLayer;

use super::*;

fn auth(issuer: &TestIssuer) -> AuthLayer {
    AuthLayer::builder().bearer(bearer(issuer)).build().unwrap()
}

fn guard() -> RequireLayer {
    RequireLayer::authenticated().scope("health")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_composite_layer_and_a_guard_around_the_server() {
    let issuer = TestIssuer::new(ISSUER, "api");
    let (incoming, address) = listen().await;
    let (_, health) = tonic_health::server::health_reporter();
    let server = Server::builder().layer(auth(&issuer)).layer(guard()).add_service(health);
    tokio::spawn(server.serve_with_incoming(incoming));
    assert_codes(&mut connect(address).await, &issuer).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_of_methods_refuses_what_is_not_in_it() {
    let issuer = TestIssuer::new(ISSUER, "api");
    for (method, is_in) in [("Check", true), ("Watch", false)] {
        let path = format!("/grpc.health.v1.Health/{method}");
        let table = PolicyTable::by_path().rule(path, Policy::scope("health")).build().unwrap();
        let (incoming, address) = listen().await;
        let (_, health) = tonic_health::server::health_reporter();
        let server = Server::builder().layer(auth(&issuer)).layer(table).add_service(health);
        tokio::spawn(server.serve_with_incoming(incoming));
        let mut client = connect(address).await;
        if is_in {
            assert_codes(&mut client, &issuer).await;
        } else {
            let token = issuer.token(json!({ "sub": "ada", "scope": "health" }));
            let refused = check(&mut client, &[("authorization", format!("Bearer {token}"))]).await;
            assert_eq!(refused.unwrap_err().code(), Code::PermissionDenied);
        }
    }
}

/// Routes are an axum router, which takes layers, and is served by a tonic server or by hyper.
#[tokio::test(flavor = "multi_thread")]
async fn on_routes_and_on_the_router_that_they_are() {
    let issuer = TestIssuer::new(ISSUER, "api");
    let (incoming, address) = listen().await;
    let (_, health) = tonic_health::server::health_reporter();
    let layers = ServiceBuilder::new().layer(auth(&issuer)).layer(guard());
    let routes = Routes::new(layers.clone().named_layer(health.clone()));
    tokio::spawn(Server::builder().add_routes(routes).serve_with_incoming(incoming));
    assert_codes(&mut connect(address).await, &issuer).await;

    let router = Routes::new(health).into_axum_router().layer(layers);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service = TowerToHyperService::new(router.clone());
            tokio::spawn(async move {
                auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await
            });
        }
    });
    assert_codes(&mut connect(address).await, &issuer).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn beside_trace_cors_compression_and_timeouts() {
    let issuer = TestIssuer::new(ISSUER, "api");
    let (incoming, address) = listen().await;
    let (_, health) = tonic_health::server::health_reporter();
    let server = Server::builder()
        .timeout(Duration::from_secs(10))
        .layer(TraceLayer::new_for_grpc())
        .layer(CorsLayer::permissive())
        .layer(CompressionLayer::new())
        .layer(TimeoutLayer::with_status_code(http::StatusCode::GATEWAY_TIMEOUT, Duration::from_secs(10)))
        .layer(auth(&issuer))
        .layer(guard())
        .add_service(health);
    tokio::spawn(server.serve_with_incoming(incoming));
    assert_codes(&mut connect(address).await, &issuer).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_http_is_7_and_a_forgotten_layer_is_13() {
    let (incoming, address) = listen().await;
    let (_, health) = tonic_health::server::health_reporter();
    let https = portcullis::RequireHttpsLayer::builder("https://api.example").build().unwrap();
    tokio::spawn(Server::builder().layer(https).add_service(health).serve_with_incoming(incoming));
    let refused = check(&mut connect(address).await, &[]).await.unwrap_err();
    assert_eq!((refused.code(), refused.message()), (Code::PermissionDenied, "https is required"));

    let (incoming, address) = listen().await;
    let (_, health) = tonic_health::server::health_reporter();
    tokio::spawn(Server::builder().layer(guard()).add_service(health).serve_with_incoming(incoming));
    let forgotten = check(&mut connect(address).await, &[]).await.unwrap_err();
    assert_eq!((forgotten.code(), forgotten.message()), (Code::Internal, "the service is misconfigured"));
}
