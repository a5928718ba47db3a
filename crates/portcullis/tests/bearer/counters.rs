//! What is counted of requests that go no further: each once, by its reason, and of the others nothing.

use std::collections::BTreeMap;

use http::{Method, Request, Response};
use metrics_util::debugging::{DebugValue, DebuggingRecorder};
use portcullis::BearerLayer;
use portcullis::bearer::{Audience, Issuer, KeySet, KeySource, RevocationCheck, Revocations};
use portcullis_store::{ManualClock, StoreErrorKind};
use serde_json::json;
use tokio::runtime::Builder;
use tower::{Layer, ServiceExt, service_fn};

use crate::mint::{ES256, ISSUER, claims, claims_with, handler, layer};
use crate::proof::{ADA, Replays, request};
use crate::store::{Mood, Store};

/// Keys that never come.
#[derive(Debug)]
struct NoKeys;

impl KeySource for NoKeys {
    fn snapshot(&self) -> std::sync::Arc<KeySet> {
        std::sync::Arc::new(KeySet::empty())
    }
}

async fn send(layer: &BearerLayer, request: Request<String>) -> Response<String> {
    layer.layer(service_fn(handler)).oneshot(request).await.unwrap()
}

/// The status, and how often which reason was counted.
fn counted(layer: &BearerLayer, request: Request<String>) -> (u16, BTreeMap<String, u64>) {
    let recorder = DebuggingRecorder::new();
    let runtime = Builder::new_current_thread().enable_time().build().unwrap();
    let response = metrics::with_local_recorder(&recorder, || runtime.block_on(send(layer, request)));
    let all = recorder.snapshotter().snapshot().into_vec().into_iter();
    let refused = all.filter(|(key, ..)| key.key().name() == "portcullis_refused_total");
    let reasons = refused.map(|(key, _, _, value)| {
        let DebugValue::Counter(count) = value else { panic!("{value:?}") };
        let labels: Vec<_> =
            key.key().labels().map(|it| (it.key().to_owned(), it.value().to_owned())).collect();
        let [(name, reason)] = labels.as_slice() else { panic!("{labels:?}") };
        assert_eq!(name, "reason");
        (reason.clone(), count)
    });
    (response.status().as_u16(), reasons.collect())
}

/// A layer that asks a store in this mood whether tokens were revoked.
fn checked(mood: Mood) -> BearerLayer {
    let store = Store::new(&ManualClock::default(), mood);
    let revocations = Revocations::new(store).clock(ManualClock::default());
    layer([ES256.issuer()]).revocation(RevocationCheck::by(&revocations))
}

#[test]
fn each_request_that_is_refused_is_counted_once_by_its_reason_and_no_other() {
    let (plain, good) = (layer([ES256.issuer()]), format!("Bearer {}", ES256.token(&claims())));
    let expired = format!("Bearer {}", ES256.token(&claims_with("exp", json!(1))));
    let keyless = layer([Issuer::new(ISSUER, Audience::one_of(["api"])).keys(NoKeys)]);
    let bound = |mood| layer([ES256.issuer()]).dpop(Replays::new(mood).dpop()).unwrap();
    let (proved, token) = (bound(Mood::AtOnce), ADA.token());
    let (held, proof, other) = (format!("DPoP {token}"), ADA.proof(&token), ADA.proof(&good));
    let away = Mood::Fails(StoreErrorKind::Unavailable);
    let nobody = || Request::builder().method(Method::GET).uri("/").body(String::new()).unwrap();
    let rows = [
        ("nobody", &plain, nobody(), 200, None),
        ("good", &plain, request(&good, &[]), 200, None),
        ("good, and not revoked", &checked(Mood::Waits), request(&good, &[]), 200, None),
        ("good, and proved", &proved, request(&held, &[&proof]), 200, None),
        (
            "nobody, where somebody is wanted",
            &plain.clone().required(),
            nobody(),
            401,
            Some("unauthenticated"),
        ),
        ("two tokens in one", &plain, request("Bearer a b", &[]), 400, Some("bad_request")),
        ("garbage", &plain, request("Bearer garbage", &[]), 401, Some("invalid_credential")),
        ("expired", &plain, request(&expired, &[]), 401, Some("invalid_credential")),
        ("without keys", &keyless, request(&good, &[]), 503, Some("unavailable")),
        ("nobody knows whether it is revoked", &checked(away), request(&good, &[]), 503, Some("unavailable")),
        ("no proof", &proved, request(&held, &[]), 401, Some("invalid_proof")),
        ("another token's proof", &proved, request(&held, &[&other]), 401, Some("invalid_proof")),
        ("a proof once more", &proved, request(&held, &[&proof]), 401, Some("invalid_proof")),
        (
            "nobody knows whether it was used",
            &bound(away),
            request(&held, &[&proof]),
            503,
            Some("unavailable"),
        ),
        (
            "bound, and brought without a proof",
            &plain,
            request(&format!("Bearer {token}"), &[]),
            401,
            Some("invalid_credential"),
        ),
    ];
    for (name, layer, request, status, reason) in rows {
        let expected = reason.map(|reason| (reason.to_owned(), 1)).into_iter().collect();
        assert_eq!(counted(layer, request), (status, expected), "{name}");
    }
}
