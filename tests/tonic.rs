//! The layers on tonic, seen by tonic's own client: `Server::layer`, and one service by itself.

mod python;
mod rows;
pub mod web;

use std::net::SocketAddr;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use portcullis::bearer::{Audience, BearerLayer, Issuer, StaticKeys};
use portcullis::session::SessionLayer;
use portcullis::{CsrfLayer, RequireLayer};
use portcullis_store::StoreErrorKind;
use portcullis_testkit::jwt::{Algorithm, TestIssuer};
use portcullis_testkit::spy::Spy;
use serde_json::json;
use tokio::net::TcpListener;
use tonic::service::LayerExt;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Code, Request, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use crate::support::app::{World, now};
use crate::support::store::{AnyStore, PATIENCE};

const ISSUER: &str = "https://idp.example";

fn bearer(issuer: &TestIssuer) -> BearerLayer {
    let keys = StaticKeys::jwks(&issuer.jwks_of(&[Algorithm::Es256])).unwrap();
    BearerLayer::new([Issuer::new(ISSUER, Audience::one_of(["api"])).keys(keys)]).unwrap()
}

async fn listen() -> (TcpIncoming, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (TcpIncoming::from(listener), address)
}

async fn connect(address: SocketAddr) -> HealthClient<Channel> {
    HealthClient::new(Endpoint::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap())
}

async fn check(client: &mut HealthClient<Channel>, headers: &[(&'static str, String)]) -> Result<(), Status> {
    let mut request = Request::new(HealthCheckRequest { service: String::new() });
    for (name, value) in headers {
        request.metadata_mut().insert(*name, value.parse().unwrap());
    }
    client.check(request).await.map(drop)
}

/// What a client reads without a token, with a bad one, without the scope, and with it.
async fn assert_codes(client: &mut HealthClient<Channel>, issuer: &TestIssuer) {
    let with = |scope: &str| {
        let token = issuer.token(json!({ "sub": "ada", "scope": scope }));
        vec![("authorization", format!("Bearer {token}"))]
    };
    let bad = vec![("authorization", format!("Bearer {}", issuer.token(json!({ "sub": "ada" })).tampered()))];
    let rows = [
        ("no token", vec![], Some(Code::Unauthenticated)),
        ("a bad token", bad, Some(Code::Unauthenticated)),
        ("without the scope", with("other"), Some(Code::PermissionDenied)),
        ("with the scope", with("health"), None),
    ];
    for (name, headers, expected) in rows {
        let answer = check(client, &headers).await;
        let status = answer.as_ref().err();
        assert_eq!(status.map(Status::code), expected, "{name}: {status:?}");
        assert!(status.is_none_or(|status| !status.message().is_empty()), "{name}");
        let challenge = status.and_then(|status| status.metadata().get("www-authenticate"));
        assert_eq!(challenge.is_some(), expected.is_some(), "{name}: {status:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grpc_client_reads_16_7_and_ok_through_a_layer_around_the_server() {
    let issuer = TestIssuer::new(ISSUER, "api");
    let (incoming, address) = listen().await;
    let (_, health) = tonic_health::server::health_reporter();
    let server = Server::builder()
        .layer(bearer(&issuer))
        .layer(RequireLayer::authenticated().scope("health"))
        .add_service(health)
        .serve_with_incoming(incoming);
    tokio::spawn(server);
    assert_codes(&mut connect(address).await, &issuer).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grpc_client_reads_16_7_and_ok_from_one_guarded_service() {
    let issuer = TestIssuer::new(ISSUER, "api");
    let (incoming, address) = listen().await;
    let (_, health) = tonic_health::server::health_reporter();
    let layers = tower::ServiceBuilder::new()
        .layer(bearer(&issuer))
        .layer(RequireLayer::authenticated().scope("health"));
    tokio::spawn(Server::builder().add_service(layers.named_layer(health)).serve_with_incoming(incoming));
    assert_codes(&mut connect(address).await, &issuer).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn over_a_session_cookie_an_outage_is_14_and_a_forged_call_is_7() {
    let clock = now();
    for store in AnyStore::each(&clock) {
        let browser = World::new(&store, &clock).browser();
        browser.get("/login?user=ada").await.assert_status(200);
        let cookie = ("cookie", format!("__Host-id={}", browser.jar().get("__Host-id").unwrap()));

        let spy = Spy::new(store.another());
        let (incoming, address) = listen().await;
        let (_, health) = tonic_health::server::health_reporter();
        let server = Server::builder()
            .layer(SessionLayer::builder(spy.clone()).clock(clock.clone()).budget(PATIENCE).build().unwrap())
            .layer(CsrfLayer::new())
            .layer(RequireLayer::authenticated())
            .add_service(health)
            .serve_with_incoming(incoming);
        tokio::spawn(server);
        let mut client = connect(address).await;

        let origin = ("origin", format!("http://{address}"));
        check(&mut client, &[cookie.clone(), origin.clone()]).await.unwrap();
        let forged = [cookie.clone(), ("sec-fetch-site", "cross-site".to_owned())];
        let refused = check(&mut client, &forged).await.unwrap_err();
        assert_eq!(refused.code(), Code::PermissionDenied);
        assert!(refused.message().contains("another site"), "{refused:?}");
        spy.fail_with(StoreErrorKind::Unavailable);
        let away = check(&mut client, &[cookie, origin]).await.unwrap_err();
        let said = "this cannot be done at the moment; try again";
        assert_eq!((away.code(), away.message()), (Code::Unavailable, said), "{away:?}");
    }
}

/// tonic does not look at the content type, so a page can post to a service without a preflight.
#[tokio::test(flavor = "multi_thread")]
async fn a_text_plain_post_with_a_cookie_runs_no_method_unless_it_is_ones_own() {
    let clock = now();
    for store in AnyStore::each(&clock) {
        let browser = World::new(&store, &clock).browser();
        browser.get("/login?user=ada").await.assert_status(200);
        let cookie = format!("__Host-id={}", browser.jar().get("__Host-id").unwrap());

        let session = SessionLayer::builder(store.another()).clock(clock.clone()).budget(PATIENCE);
        let (incoming, address) = listen().await;
        let (_, health) = tonic_health::server::health_reporter();
        let server = Server::builder()
            .layer(session.build().unwrap())
            .layer(CsrfLayer::new())
            .add_service(health)
            .serve_with_incoming(incoming);
        tokio::spawn(server);

        let client = Client::builder(TokioExecutor::new()).http2_only(true).build_http::<Full<Bytes>>();
        let own = format!("http://{address}");
        // What a page of this origin posts is not for this layer to refuse: that it runs shows what the others are
        // kept from.
        for (origin, ran) in [(own.as_str(), true), ("https://evil.example", false), ("null", false)] {
            let request = http::Request::post(format!("{own}/grpc.health.v1.Health/Check"))
                .header("content-type", "text/plain")
                .header("cookie", &cookie)
                .header("origin", origin)
                .body(Full::from(Bytes::from_static(&[0; 5])))
                .unwrap();
            let response = client.request(request).await.unwrap();
            assert_eq!(response.status(), if ran { 200 } else { 403 }, "{origin}");
            let trailers = response.into_body().collect().await.unwrap().trailers().cloned();
            let status = trailers.and_then(|trailers| trailers.get("grpc-status").cloned());
            assert_eq!(status.is_some_and(|status| status == "0"), ran, "{origin}");
        }
    }
}
