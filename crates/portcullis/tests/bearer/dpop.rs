//! Tokens that are bound to a key of their holder (RFC 9449), and the proofs that go with them.

mod answers;
mod proofs;
mod replays;

use std::time::Duration;

use http::{Request, Response};
use portcullis::BearerLayer;
use portcullis::bearer::{Algorithm, BuildErrorKind, Dpop, MemoryReplayBackend, NonceKeys};
use portcullis::identity::IdentityExt;
use serde_json::json;
use tower::{Layer, ServiceExt, service_fn};

use crate::mint::{ES256, handler, layer};
use crate::proof::{ADA, ADDRESS, Replays, request};
use crate::store::Mood;

const MOODS: [Mood; 2] = [Mood::AtOnce, Mood::Waits];

fn bound() -> BearerLayer {
    layer([ES256.issuer()]).dpop(Replays::new(Mood::AtOnce).dpop()).unwrap()
}

async fn send(layer: &BearerLayer, request: Request<String>) -> Response<String> {
    layer.layer(service_fn(handler)).oneshot(request).await.unwrap()
}

/// The status, and the challenges that go with it.
async fn answer(layer: &BearerLayer, request: Request<String>) -> (u16, Vec<String>) {
    let response = send(layer, request).await;
    let challenges = response.headers().get_all("www-authenticate").iter();
    (response.status().as_u16(), challenges.map(|it| it.to_str().unwrap().to_owned()).collect())
}

/// Whether it is let in, and if not, by which error and why.
async fn verdict(layer: &BearerLayer, request: Request<String>) -> Result<(), (String, String)> {
    let (status, challenges) = answer(layer, request).await;
    if status == 200 {
        return Ok(());
    }
    assert_eq!((status, challenges.len()), (401, 1), "{challenges:?}");
    let param = |name: &str| {
        let (_, rest) = challenges[0].split_once(&format!("{name}=\"")).unwrap();
        rest.split('"').next().unwrap().to_owned()
    };
    assert!(challenges[0].starts_with("DPoP realm=\"api\", algs=\""), "{challenges:?}");
    Err((param("error"), param("error_description")))
}

fn err(error: &str, description: &str) -> Result<(), (String, String)> {
    Err((error.to_owned(), description.to_owned()))
}

fn dpop(token: &str) -> String {
    format!("DPoP {token}")
}

#[tokio::test]
async fn what_a_request_says_of_its_host_is_not_looked_at() {
    let (layer, token) = (bound(), ADA.token());
    let evil = ADA.proof_with(&token, "htu", Some(json!("https://evil.example/")));
    let good = ADA.proof(&token);
    let mut with = request(&dpop(&token), &[&evil]);
    for (name, value) in [
        ("host", "evil.example"),
        ("x-forwarded-host", "evil.example"),
        ("x-forwarded-proto", "https"),
        ("forwarded", "host=evil.example;proto=https"),
    ] {
        with.headers_mut().insert(name, value.parse().unwrap());
    }
    *with.uri_mut() = "https://evil.example/".parse().unwrap();
    assert_eq!(
        verdict(&layer, with.clone()).await,
        err("invalid_dpop_proof", "the DPoP proof is for another address")
    );
    with.headers_mut().insert("dpop", good.parse().unwrap());
    assert_eq!(verdict(&layer, with).await, Ok(()));
}

#[tokio::test]
async fn a_service_may_have_several_addresses_and_a_path_in_front() {
    let dpop_of = Replays::new(Mood::AtOnce).dpop().add_address("https://other.example/v1/");
    let (layer, token) = (layer([ES256.issuer()]).dpop(dpop_of).unwrap(), ADA.token());
    for (htu, expected) in [
        ("https://api.example/a", true),
        ("https://other.example/v1/a", true),
        ("https://other.example/a", false),
        ("https://api.example/v1/a", false),
    ] {
        let proof = ADA.proof_with(&token, "htu", Some(json!(htu)));
        let mut request = request(&dpop(&token), &[&proof]);
        *request.uri_mut() = "/a?b=c".parse().unwrap();
        assert_eq!(verdict(&layer, request).await.is_ok(), expected, "{htu}");
    }
}

const NONCE_KEY: [u8; 32] = [7; 32];

#[tokio::test]
async fn a_token_that_is_taken_off_takes_its_proof_along() {
    let (layer, token) = (bound().strip_token(), ADA.token());
    let inner = service_fn(|request: Request<String>| async move {
        assert!(request.identity().is_some());
        let left = request.headers().len();
        Ok::<_, std::io::Error>(Response::new(left.to_string()))
    });
    let response = layer.layer(inner).oneshot(request(&dpop(&token), &[&ADA.proof(&token)])).await.unwrap();
    assert_eq!(response.body(), "0");
}

#[tokio::test]
async fn a_proof_is_as_sensitive_as_its_token() {
    let (token, inner) = (ADA.token(), |request: Request<String>| async move {
        Ok::<_, std::io::Error>(Response::new(format!("{:?}", request.headers())))
    });
    let proof = ADA.proof(&token);
    let request = request(&dpop(&token), &[&proof]);
    let printed = bound().layer(service_fn(inner)).oneshot(request).await.unwrap().into_body();
    assert!(printed.contains("dpop") && !printed.contains(&proof) && !printed.contains(&token), "{printed}");
}

#[test]
fn a_configuration_that_cannot_be_meant_is_refused() {
    use BuildErrorKind::*;
    let memory = MemoryReplayBackend::new;
    let good = || Dpop::new(ADDRESS, memory());
    for (name, dpop, expected) in [
        ("no address", Dpop::new("api.example", memory()), BadAddress),
        ("an address with a query", Dpop::new("https://api.example/?a", memory()), BadAddress),
        ("another one", good().add_address("https://ada@api.example"), BadAddress),
        ("no algorithms", good().algorithms([]), BadAlgorithms),
        ("HMAC", good().algorithms([Algorithm::ES256, Algorithm::HS256]), BadAlgorithms),
        ("old proofs", good().max_age(Duration::from_secs(601)), ProofAge),
        ("odd clocks", good().leeway(Duration::from_secs(301)), LeewayTooLong),
        ("a short key", good().nonces(NonceKeys::new(NONCE_KEY).add_key("short")), WeakSecret),
    ] {
        let refused = layer([ES256.issuer()]).dpop(dpop).unwrap_err();
        assert_eq!(refused.kind(), expected, "{name}");
    }
    assert!(layer([ES256.issuer()]).dpop(good()).is_ok());
}
