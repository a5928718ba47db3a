//! What becomes of good tokens while it cannot be told whether they are revoked.

use std::time::Duration;

use http::{Method, Request};
use portcullis::bearer::{OnOutage, RevocationCheck, RevocationErrorKind, Revocations};
use portcullis::rejection::Rejection;
use portcullis_store::StoreErrorKind;

use super::{HOUR, Stage, call, send, token};
use crate::mint::{ES256, ISSUER};
use crate::store::Mood;

const KINDS: [StoreErrorKind; 5] = [
    StoreErrorKind::Timeout,
    StoreErrorKind::Unavailable,
    StoreErrorKind::Full,
    StoreErrorKind::Corrupt,
    StoreErrorKind::Config,
];

#[tokio::test]
async fn an_outage_is_503_and_14_and_never_a_verdict() {
    let stage = Stage::new(Mood::AtOnce);
    let good = token("1", "a");
    stage.expect(&good, true, "before, so that it is cached").await;
    for kind in KINDS {
        stage.store.set(Mood::Fails(kind));
        for layer in &stage.layers {
            let response = send(layer, &good).await;
            assert_eq!(response.status(), 503, "{kind:?}");
            assert_eq!(response.headers()["retry-after"], "1");
            assert!(!response.headers().contains_key("www-authenticate"));
            assert!(matches!(response.extensions().get(), Some(Rejection::Unavailable { .. })));
            let grpc = Request::post("/").header("content-type", "application/grpc");
            assert_eq!(call(layer, grpc, &good).await.headers()["grpc-status"], "14", "{kind:?}");
            assert_eq!(send(layer, "garbage").await.status(), 401, "which nobody need be asked about");
        }
        let revoked = stage.revocations.revoke_user(ISSUER, "ada").await.unwrap_err();
        assert_eq!(revoked.kind(), RevocationErrorKind::Store(kind));
    }
    stage.store.set(Mood::Waits);
    stage.expect(&good, true, "when it is over").await;
}

#[tokio::test(start_paused = true)]
async fn a_store_that_hangs_costs_its_budget_and_no_more() {
    let stage = Stage::new(Mood::Hangs);
    let began = tokio::time::Instant::now();
    assert_eq!(send(&stage.layers[0], &token("1", "a")).await.status(), 503);
    assert_eq!(began.elapsed(), Duration::from_millis(500));
    let outcome = stage.revocations.clone().budget(Duration::from_millis(50)).revoke_everyone().await;
    assert_eq!(outcome.unwrap_err().kind(), RevocationErrorKind::Store(StoreErrorKind::Timeout));
    assert_eq!(began.elapsed(), Duration::from_millis(550));
}

#[tokio::test]
async fn tokens_pass_an_outage_that_is_allowed_and_not_a_longer_one() {
    let open = OnOutage::FailOpen { max_outage: Duration::from_secs(60) };
    let check = |revocations: &Revocations| RevocationCheck::by(revocations).on_outage(open);
    let stage = Stage::with(Mood::AtOnce, ES256.issuer(), check);
    let (good, taken_back) = (token("1", "a"), token("2", "a"));
    stage.revocations.revoke_token(ISSUER, "ada", "2", None).await.unwrap();
    stage.store.set(Mood::Fails(StoreErrorKind::Unavailable));
    for seconds in [0, 30, 29] {
        stage.clock.advance(Duration::from_secs(seconds));
        stage.expect(&good, true, "within the time").await;
    }
    stage.clock.advance(Duration::from_secs(1));
    assert_eq!(stage.ask(&good).await.0, 503);
    // An answer ends the outage, and the next one begins anew.
    stage.store.set(Mood::Waits);
    stage.expect(&good, true, "an answer").await;
    stage.expect(&taken_back, false, "an answer").await;
    stage.store.set(Mood::Fails(StoreErrorKind::Timeout));
    stage.expect(&good, true, "another outage").await;
    for kind in [StoreErrorKind::Config, StoreErrorKind::Corrupt, StoreErrorKind::Full] {
        stage.store.set(Mood::Fails(kind));
        assert_eq!(stage.ask(&good).await.0, 503, "{kind:?} is no outage");
    }
}

#[tokio::test]
async fn reads_may_pass_an_outage_where_writes_do_not() {
    let open = OnOutage::FailOpen { max_outage: HOUR };
    let check = |revocations: &Revocations| {
        RevocationCheck::by(revocations).on_outage_of([Method::GET, Method::HEAD], open)
    };
    let stage = Stage::with(Mood::Fails(StoreErrorKind::Unavailable), ES256.issuer(), check);
    for layer in &stage.layers {
        for (method, status) in
            [(Method::GET, 200), (Method::HEAD, 200), (Method::POST, 503), (Method::PUT, 503)]
        {
            let request = Request::builder().method(method.clone()).uri("/");
            assert_eq!(call(layer, request, &token("1", "a")).await.status().as_u16(), status, "{method}");
        }
    }
}
