//! What clients are told: nonces, challenges, and gRPC in its own way.

use std::time::Duration;

use http::Request;
use portcullis::bearer::NonceKeys;
use portcullis::rejection::Rejection;
use portcullis::{BearerLayer, RequireLayer};
use portcullis_store::ManualClock;
use serde_json::json;
use tower::{Layer, ServiceExt, service_fn};

use super::{NONCE_KEY, answer, dpop, err, send, verdict};
use crate::mint::{ES256, claims, handler, layer};
use crate::proof::{ADA, Replays, request};
use crate::store::Mood;

#[tokio::test]
async fn where_nonces_are_asked_for_a_client_gets_one_and_has_to_use_it() {
    let clock = ManualClock::default();
    let replays = Replays::new(Mood::AtOnce);
    let process = |keys: NonceKeys| {
        layer([ES256.issuer()])
            .clock(clock.clone())
            .dpop(replays.dpop().max_age(Duration::from_secs(600)).nonces(keys))
            .unwrap()
    };
    let one = process(NonceKeys::new(NONCE_KEY));
    let token = ADA.token();
    let proof = |nonce: Option<&str>| match nonce {
        Some(nonce) => ADA.proof_with(&token, "nonce", Some(json!(nonce))),
        None => ADA.proof(&token),
    };
    let needs = err("use_dpop_nonce", "the DPoP proof needs a nonce");
    for nonce in [None, Some("made-up"), Some("")] {
        assert_eq!(verdict(&one, request(&dpop(&token), &[&proof(nonce)])).await, needs, "{nonce:?}");
    }
    let response = send(&one, request(&dpop(&token), &[&proof(None)])).await;
    assert_eq!(response.headers()["cache-control"], "no-store");
    let nonce = response.headers()["dpop-nonce"].to_str().unwrap().to_owned();
    assert!(matches!(response.extensions().get(), Some(Rejection::InvalidProof { nonce: Some(_), .. })));
    assert_eq!(replays.asked(), 0, "no proof was used up");

    let response = send(&one, request(&dpop(&token), &[&proof(Some(&nonce))])).await;
    assert_eq!(
        (response.status().as_u16(), response.headers().get("dpop-nonce")),
        (200, None),
        "it is the newest"
    );
    let other = process(NonceKeys::new([8; 32]).add_key(NONCE_KEY));
    assert_eq!(
        verdict(&other, request(&dpop(&token), &[&proof(Some(&nonce))])).await,
        Ok(()),
        "the key before"
    );
    let stranger = process(NonceKeys::new([8; 32]));
    assert_eq!(verdict(&stranger, request(&dpop(&token), &[&proof(Some(&nonce))])).await, needs);

    clock.advance(Duration::from_secs(120));
    let response = send(&one, request(&dpop(&token), &[&proof(Some(&nonce))])).await;
    assert_eq!(response.status(), 200, "good for as long again");
    let next = response.headers()["dpop-nonce"].to_str().unwrap().to_owned();
    assert_ne!(next, nonce, "and there is a newer one");
    clock.advance(Duration::from_secs(120));
    assert_eq!(verdict(&one, request(&dpop(&token), &[&proof(Some(&nonce))])).await, needs, "too old");
    assert_eq!(verdict(&one, request(&dpop(&token), &[&proof(Some(&next))])).await, Ok(()));
}

#[tokio::test]
async fn a_grpc_client_is_told_in_its_own_way() {
    let dpop_of = Replays::new(Mood::AtOnce).dpop().nonces(NonceKeys::new(NONCE_KEY));
    let (layer, token) = (layer([ES256.issuer()]).dpop(dpop_of).unwrap(), ADA.token());
    let mut call = request(&dpop(&token), &[&ADA.proof(&token)]);
    call.headers_mut().insert("content-type", "application/grpc".parse().unwrap());
    let response = send(&layer, call).await;
    assert_eq!(
        (response.status().as_u16(), &response.headers()["grpc-status"]),
        (200, &"16".parse().unwrap())
    );
    assert!(response.headers().contains_key("dpop-nonce"));
}

#[tokio::test]
async fn challenges_name_the_schemes_that_would_do() {
    let replays = Replays::new(Mood::AtOnce);
    let both = layer([ES256.issuer()]).dpop(replays.dpop()).unwrap();
    let strict = layer([ES256.issuer()]).dpop(replays.dpop().required()).unwrap().protection_space("s");
    let (bearer, algs) = (r#"Bearer realm="api""#, r#"algs="ES256 RS256 PS256 EdDSA""#);
    let nothing = || Request::new(String::new());
    let expected = vec![bearer.to_owned(), format!(r#"DPoP realm="api", {algs}"#)];
    assert_eq!(answer(&both.clone().required(), nothing()).await, (401, expected.clone()));
    let guarded = |layer: &BearerLayer, request| {
        let service = RequireLayer::authenticated().scope("write").layer(service_fn(handler));
        let service = layer.layer(service);
        async move {
            let response = service.oneshot(request).await.unwrap();
            let challenges = response.headers().get_all("www-authenticate").iter();
            (
                response.status().as_u16(),
                challenges.map(|it| it.to_str().unwrap().to_owned()).collect::<Vec<_>>(),
            )
        }
    };
    assert_eq!(guarded(&both, nothing()).await, (401, expected), "a guard further in");
    let expected = vec![format!(r#"DPoP realm="s", {algs}"#)];
    assert_eq!(answer(&strict.clone().required(), nothing()).await, (401, expected.clone()));
    assert_eq!(guarded(&strict, nothing()).await, (401, expected));

    let (token, unbound) = (ADA.token(), ES256.token(&claims()));
    for (name, request, scheme) in [
        ("a bound token", request(&dpop(&token), &[&ADA.proof(&token)]), "DPoP realm=\"api\", algs="),
        (
            "a token",
            request(&format!("Bearer {unbound}"), &[]),
            "Bearer realm=\"api\", error=\"insufficient_scope\"",
        ),
    ] {
        let (status, challenges) = guarded(&both, request).await;
        assert_eq!((status, challenges.len()), (403, 1), "{name}");
        assert!(
            challenges[0].starts_with(scheme) && challenges[0].contains("insufficient_scope"),
            "{challenges:?}"
        );
    }
    let (status, challenges) = answer(&both, request("Bearer garbage", &[])).await;
    assert!(status == 401 && challenges[0].starts_with("Bearer "), "{challenges:?}");
    let (status, challenges) = answer(&both, request("DPoP garbage", &[])).await;
    assert!(status == 401 && challenges[0].starts_with("DPoP "), "{challenges:?}");
    assert_eq!(answer(&both, request("DPoP a b", &[])).await.0, 400);
}
