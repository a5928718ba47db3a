//! Tokens that are bound to their holder: by proofs over HTTP and gRPC, and by the certificate of a TLS connection.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use axum::body::Body;
use axum::routing::get;
use axum::{Extension, Router};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::AUTHORIZATION;
use portcullis::bearer::{
    Audience, ClientCertificate, ClientCertificates, Dpop, Issuer, NonceKeys, StaticKeys, TokenCache,
};
use portcullis::{BearerLayer, Identity};
use portcullis_store::{Clock, SystemClock};
use portcullis_testkit::jwt::{Algorithm, TestIssuer};
use portcullis_testkit::redis::RedisServer;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Endpoint, Server};
use tonic::{Code, Request, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tower::ServiceExt;

use super::tls::{Authority, Front};
use crate::support::store::connect;

const ISSUER: &str = "https://idp.example";
const ADDRESS: &str = "https://api.example";

/// Somebody who holds a key of P-256.
pub(crate) struct Holder(EcdsaKeyPair);

impl Holder {
    pub(crate) fn new() -> Self {
        Self(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap())
    }

    fn coordinates(&self) -> [String; 2] {
        let (x, y) = self.0.public_key().as_ref()[1..].split_at(32);
        [x, y].map(|number| URL_SAFE_NO_PAD.encode(number))
    }

    /// RFC 7638, section 3.
    pub(crate) fn thumbprint(&self) -> String {
        let [x, y] = self.coordinates();
        hash(&format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#))
    }

    fn token(&self, issuer: &TestIssuer) -> String {
        issuer.token(json!({ "cnf": { "jkt": self.thumbprint() } })).to_string()
    }

    pub(crate) fn proof(&self, method: &str, address: &str, token: &str, nonce: Option<&str>) -> String {
        self.sign(method, address, &[("ath", Some(&hash(token))), ("nonce", nonce)])
    }

    /// Where tokens are given none comes along.
    pub(crate) fn proof_of_key(&self, address: &str, nonce: Option<&str>) -> String {
        self.sign("POST", address, &[("nonce", nonce)])
    }

    fn sign(&self, method: &str, address: &str, more: &[(&str, Option<&str>)]) -> String {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let [x, y] = self.coordinates();
        let jwk = json!({ "kty": "EC", "crv": "P-256", "x": x, "y": y });
        let header = json!({ "typ": "dpop+jwt", "alg": "ES256", "jwk": jwk });
        let mut claims = json!({
            "jti": format!("{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed)),
            "htm": method, "htu": address, "iat": SystemClock.now().as_secs(),
        });
        for (name, value) in more {
            if let Some(value) = value {
                claims[*name] = (*value).into();
            }
        }
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let message = format!("{}.{}", part(&header), part(&claims));
        let signature = self.0.sign(&SystemRandom::new(), message.as_bytes()).unwrap();
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

fn hash(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(digest(&SHA256, text.as_bytes()))
}

fn layer(issuer: &TestIssuer) -> BearerLayer {
    let keys = StaticKeys::jwks(&issuer.jwks_of(&[Algorithm::Es256])).unwrap();
    let issuer = Issuer::new(ISSUER, Audience::one_of(["api"])).keys(keys);
    BearerLayer::new([issuer]).unwrap().cache(TokenCache::default()).required()
}

/// A process, with a connection of its own to the store of used proofs.
fn process(issuer: &TestIssuer, redis: &str, prefix: &str) -> Router {
    let dpop = Dpop::new(ADDRESS, connect(redis, prefix)).budget(Duration::from_secs(20));
    Router::new()
        .route("/me", get(async |me: Identity| me.subject().to_owned()))
        .layer(layer(issuer).dpop(dpop).unwrap())
}

fn request(token: &str, proof: &str) -> http::Request<Body> {
    let request =
        http::Request::get("/me").header(AUTHORIZATION, format!("DPoP {token}")).header("dpop", proof);
    request.body(Body::empty()).unwrap()
}

async fn status(process: &Router, request: http::Request<Body>) -> u16 {
    process.clone().oneshot(request).await.unwrap().status().as_u16()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proof_is_good_for_one_request_to_one_of_two_processes_on_redis() {
    let (issuer, ada) = (TestIssuer::new(ISSUER, "api"), Holder::new());
    let url = RedisServer::shared().url();
    let prefix = format!("d{}", std::process::id());
    let processes = [(); 2].map(|()| process(&issuer, &url, &prefix));
    let token = ada.token(&issuer);
    for _ in 0..4 {
        let proof = ada.proof("GET", &format!("{ADDRESS}/me"), &token, None);
        let mut requests = tokio::task::JoinSet::new();
        for at in 0..16 {
            let (process, request) = (processes[at % 2].clone(), request(&token, &proof));
            requests.spawn(async move { status(&process, request).await });
        }
        let mut statuses = requests.join_all().await;
        statuses.sort_unstable();
        assert_eq!(statuses, [&[200][..], &[401; 15]].concat());
    }
}

#[tokio::test]
async fn while_redis_is_away_no_bound_token_is_let_in() {
    let (issuer, ada) = (TestIssuer::new(ISSUER, "api"), Holder::new());
    let server = RedisServer::builder().tcp().start();
    let process = process(&issuer, &server.url(), "p");
    let token = ada.token(&issuer);
    let proof = || ada.proof("GET", &format!("{ADDRESS}/me"), &token, None);
    assert_eq!(status(&process, request(&token, &proof())).await, 200);
    server.kill();
    let late = proof();
    for _ in 0..3 {
        assert_eq!(status(&process, request(&token, &late)).await, 503);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grpc_client_proves_its_calls_and_learns_of_nonces() {
    let (issuer, ada) = (TestIssuer::new(ISSUER, "api"), Holder::new());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let (_, health) = tonic_health::server::health_reporter();
    let replays = connect(&RedisServer::shared().url(), &format!("g{}", std::process::id()));
    let dpop = Dpop::new(&address, replays).nonces(NonceKeys::new([7; 32])).required();
    let dpop = dpop.budget(Duration::from_secs(20));
    let router = Server::builder().layer(layer(&issuer).dpop(dpop).unwrap()).add_service(health);
    tokio::spawn(router.serve_with_incoming(TcpIncoming::from(listener)));
    let channel = Endpoint::from_shared(address.clone()).unwrap().connect().await.unwrap();
    let mut client = HealthClient::new(channel);
    let token = ada.token(&issuer);
    let htu = format!("{address}/grpc.health.v1.Health/Check");
    let mut call = async |proof: Option<String>| -> Result<(), Status> {
        let mut request = Request::new(HealthCheckRequest { service: String::new() });
        request.metadata_mut().insert("authorization", format!("DPoP {token}").parse().unwrap());
        if let Some(proof) = proof {
            request.metadata_mut().insert("dpop", proof.parse().unwrap());
        }
        client.check(request).await.map(drop)
    };
    let refused = call(None).await.unwrap_err();
    assert_eq!((refused.code(), refused.message()), (Code::Unauthenticated, "the DPoP proof is missing"));
    let refused = call(Some(ada.proof("POST", &htu, &token, None))).await.unwrap_err();
    assert_eq!((refused.code(), refused.message()), (Code::Unauthenticated, "the DPoP proof needs a nonce"));
    let nonce = refused.metadata().get("dpop-nonce").unwrap().to_str().unwrap().to_owned();
    let proof = ada.proof("POST", &htu, &token, Some(&nonce));
    call(Some(proof.clone())).await.unwrap();
    assert_eq!(call(Some(proof)).await.unwrap_err().code(), Code::Unauthenticated, "the same again");
    let other = ada.proof("POST", &format!("{address}/other.Service/Check"), &token, Some(&nonce));
    assert_eq!(call(Some(other)).await.unwrap_err().code(), Code::Unauthenticated, "another method's");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_good_on_a_tls_connection_of_the_client_that_it_is_bound_to() {
    let (issuer, authority) = (TestIssuer::new(ISSUER, "api"), Authority::new());
    let (ada, eve) = (authority.client(), authority.client());
    let app = Router::new()
        .route("/me", get(async |me: Identity| me.subject().to_owned()))
        .layer(layer(&issuer).certificates(ClientCertificates::of_connection()));
    let front = Front::start(&authority, move |der: Option<&[u8]>| {
        let certificate = der.map(ClientCertificate::from_der);
        // As an acceptor leaves it in each request of the connection.
        match certificate {
            Some(certificate) => app.clone().layer(Extension(certificate)),
            None => app.clone(),
        }
    })
    .await;
    let print = URL_SAFE_NO_PAD.encode(digest(&SHA256, ada.der()));
    let bound = issuer.token(json!({ "cnf": { "x5t#S256": print } })).to_string();
    let unbound = issuer.token(json!({})).to_string();
    for (name, client, token, expected) in [
        ("its own", Some(&ada), &bound, 200),
        ("another's", Some(&eve), &bound, 401),
        ("nobody's", None, &bound, 401),
        ("a token of anybody's", None, &unbound, 200),
    ] {
        assert_eq!(front.get(&authority, client, "/me", token).await, expected, "{name}");
    }
    let forged = format!(":{}:", base64::engine::general_purpose::STANDARD.encode(ada.der()));
    let status =
        front.get_with(&authority, Some(&eve), "/me", &bound, &format!("Client-Cert: {forged}\r\n")).await;
    assert_eq!(status, 401, "a header is nobody's certificate");
}
