//! A proof is good once: in the store of used ones, between processes, and while that is away.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::{Method, Request};
use portcullis::BearerLayer;
use portcullis::bearer::{Dpop, MemoryReplayBackend, Revocations};
use portcullis_store::{Clock, ManualClock, StoreErrorKind, Timestamp};
use portcullis_testkit::conformance::{Harness, replay};
use serde_json::json;
use tower::{Layer, ServiceExt, service_fn};

use super::{MOODS, answer, dpop, err, send, verdict};
use crate::mint::{ES256, ISSUER, claims, handler, layer};
use crate::proof::{ADA, ADDRESS, EVE, Replays, request};
use crate::store::{Mood, Store};

/// The memory backend as the conformance suite reaches it.
struct Memory(MemoryReplayBackend, ManualClock);

impl Harness for Memory {
    type Backend = MemoryReplayBackend;

    async fn handle(&self) -> MemoryReplayBackend {
        self.0.clone()
    }

    fn now(&self) -> Timestamp {
        self.1.now()
    }

    async fn advance(&self, time: Duration) {
        self.1.advance(time);
    }
}

struct Real(MemoryReplayBackend);

impl Harness for Real {
    type Backend = MemoryReplayBackend;

    async fn handle(&self) -> MemoryReplayBackend {
        self.0.clone()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_memory_backend_keeps_its_contract() {
    let clock = ManualClock::default();
    replay::run(&Memory(MemoryReplayBackend::with_clock(clock.clone()), clock)).await;
    replay::run(&Real(MemoryReplayBackend::default())).await;
}

#[tokio::test]
async fn a_proof_is_good_once_in_all_processes() {
    for mood in MOODS {
        let replays = Replays::new(mood);
        let process = || layer([ES256.issuer()]).dpop(replays.dpop()).unwrap();
        let (one, other) = (process(), process());
        let token = ADA.token();
        let proof = ADA.proof(&token);
        assert_eq!(verdict(&one, request(&dpop(&token), &[&proof])).await, Ok(()));
        let replayed = err("invalid_dpop_proof", "the DPoP proof was used before");
        for process in [&one, &other] {
            assert_eq!(verdict(process, request(&dpop(&token), &[&proof])).await, replayed, "{mood:?}");
        }
        let again = ADA.proof_with(&token, "jti", Some(json!("one id")));
        let different = ADA.proof_with(&token, "jti", Some(json!("one id")));
        assert_eq!(verdict(&one, request(&dpop(&token), &[&again])).await, Ok(()));
        assert_eq!(
            verdict(&other, request(&dpop(&token), &[&different])).await,
            replayed,
            "another of its id"
        );
        let eve = EVE.token();
        let theirs = EVE.proof_with(&eve, "jti", Some(json!("one id")));
        assert_eq!(verdict(&one, request(&dpop(&eve), &[&theirs])).await, Ok(()), "an id is its key's own");
    }
}

#[tokio::test]
async fn of_many_requests_with_one_proof_one_is_let_in() {
    for mood in MOODS {
        let layer = layer([ES256.issuer()]).dpop(Replays::new(mood).dpop()).unwrap();
        let token = ADA.token();
        let proof = ADA.proof(&token);
        let mut requests = tokio::task::JoinSet::new();
        for _ in 0..32 {
            let (layer, request) = (layer.clone(), request(&dpop(&token), &[&proof]));
            requests.spawn(async move { send(&layer, request).await.status().as_u16() });
        }
        let statuses = requests.join_all().await;
        assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{mood:?}");
        assert!(statuses.iter().all(|status| [200, 401].contains(status)), "{statuses:?}");
    }
}

#[tokio::test]
async fn what_is_refused_for_another_reason_does_not_use_a_proof_up() {
    let (replays, clock) = (Replays::new(Mood::AtOnce), ManualClock::default());
    let revocations = Revocations::new(Store::new(&clock, Mood::Waits)).clock(clock);
    let layer = layer([ES256.issuer()]).dpop(replays.dpop()).unwrap().revocation(&revocations);
    let token = ADA.token();
    let proof = ADA.proof(&token);
    let mut post = request(&dpop(&token), &[&proof]);
    *post.method_mut() = Method::POST;
    for refused in
        [post, request(&format!("Bearer {token}"), &[&proof]), request(&dpop(&EVE.token()), &[&proof])]
    {
        assert_eq!(answer(&layer, refused).await.0, 401);
    }
    assert_eq!(replays.asked(), 0);
    assert_eq!(verdict(&layer, request(&dpop(&token), &[&proof])).await, Ok(()));
    assert_eq!(replays.asked(), 1, "one call for a request");
    revocations.revoke_user(ISSUER, "ada").await.unwrap();
    let revoked = err("invalid_token", "the token has been revoked");
    assert_eq!(verdict(&layer, request(&dpop(&token), &[&ADA.proof(&token)])).await, revoked);
    assert_eq!(replays.asked(), 0, "a revoked token writes nothing");
}

#[tokio::test(start_paused = true)]
async fn while_the_store_is_away_nobody_is_let_in_and_nobody_is_called_a_thief() {
    use StoreErrorKind::*;
    let (replays, calls) = (Replays::new(Mood::AtOnce), Arc::new(AtomicUsize::new(0)));
    let layer = layer([ES256.issuer()]).dpop(replays.dpop().budget(Duration::from_millis(300))).unwrap();
    let service = layer.layer(service_fn(|request: Request<String>| {
        calls.fetch_add(1, Ordering::Relaxed);
        handler(request)
    }));
    let token = ADA.token();
    let kinds = [Timeout, Unavailable, Config, Corrupt, Full];
    for mood in kinds.map(Mood::Fails).into_iter().chain([Mood::Hangs]) {
        replays.set(mood);
        let began = tokio::time::Instant::now();
        let response = service.clone().oneshot(request(&dpop(&token), &[&ADA.proof(&token)])).await.unwrap();
        assert_eq!(response.status(), 503, "{mood:?}");
        assert!(response.headers().contains_key("retry-after"));
        assert!(began.elapsed() <= Duration::from_millis(310), "{mood:?} took {:?}", began.elapsed());
        let unbound = request(&format!("Bearer {}", ES256.token(&claims())), &[]);
        assert_eq!(send(&layer, unbound).await.status(), 200, "a token that needs no proof needs no store");
    }
    assert_eq!(calls.load(Ordering::Relaxed), 0, "no handler has run");
    replays.set(Mood::Waits);
    assert_eq!(verdict(&layer, request(&dpop(&token), &[&ADA.proof(&token)])).await, Ok(()));
}

#[tokio::test]
async fn an_inner_copy_of_the_layer_does_not_take_its_own_request_for_another() {
    let replays = Replays::new(Mood::Waits);
    let outer = layer([ES256.issuer()]).dpop(replays.dpop()).unwrap();
    let inner = outer.clone().required();
    let token = ADA.token();
    let stacked = |inner: &BearerLayer, proof: &str| {
        let service = outer.layer(inner.layer(service_fn(handler)));
        let request = request(&dpop(&token), &[proof]);
        async move { service.oneshot(request).await.unwrap().status().as_u16() }
    };
    let proof = ADA.proof(&token);
    assert_eq!(stacked(&inner, &proof).await, 200);
    assert_eq!(replays.asked(), 1, "claimed once");
    assert_eq!(stacked(&inner, &proof).await, 401, "another request");
    let elsewhere = Replays::new(Mood::AtOnce);
    let other = layer([ES256.issuer()]).dpop(elsewhere.dpop()).unwrap();
    assert_eq!(stacked(&other, &ADA.proof(&token)).await, 200);
    assert_eq!(elsewhere.asked(), 1, "another store is asked for itself");
}

#[tokio::test]
async fn a_used_proof_is_remembered_for_as_long_as_it_would_be_good() {
    for leeway in [0, 5].map(Duration::from_secs) {
        let clock = ManualClock::default();
        let dpop_of = Dpop::new(ADDRESS, MemoryReplayBackend::with_clock(clock.clone())).leeway(leeway);
        let layer = layer([ES256.issuer()]).clock(clock.clone()).dpop(dpop_of).unwrap();
        let token = ADA.token();
        let ahead = clock.now().saturating_add(leeway).as_secs();
        let proof = ADA.proof_with(&token, "iat", Some(json!(ahead)));
        let sent = async || verdict(&layer, request(&dpop(&token), &[&proof])).await;
        assert_eq!(sent().await, Ok(()), "{leeway:?}");
        clock.advance(Duration::from_secs(60) + 2 * leeway);
        let again = err("invalid_dpop_proof", "the DPoP proof was used before");
        assert_eq!(sent().await, again, "{leeway:?}, its last moment");
        clock.advance(Duration::from_millis(1));
        assert_eq!(sent().await, err("invalid_dpop_proof", "the DPoP proof is too old"), "{leeway:?}");
    }
}
