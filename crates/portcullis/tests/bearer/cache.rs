//! Tokens that were verified a moment ago: the same answers, without the signature.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use allocation_counter::measure;
use http::header::AUTHORIZATION;
use http::{Request, Response};
use metrics_util::debugging::{DebugValue, DebuggingRecorder};
use portcullis::BearerLayer;
use portcullis::bearer::{
    Algorithm, Audience, HmacKeys, Issuer, KeySet, KeySource, MemoryTokenBackend, RevocationCheck,
    Revocations, TokenCache,
};
use portcullis_store::{Clock, ManualClock};
use serde_json::{Value, json};
use tower::{Layer, Service, service_fn};

use crate::mint::{
    ALL, ES256, ISSUER, SECRET, Signer, ask, at_once, claims, claims_with, claims_without, layer, offer,
};

/// Keys that can be replaced.
#[derive(Clone, Debug)]
struct Keys(Arc<Mutex<Arc<KeySet>>>);

impl Keys {
    fn new(keys: &[Value]) -> Self {
        Self(Arc::new(Mutex::new(set(keys))))
    }

    fn replace(&self, keys: &[Value]) {
        *self.0.lock().unwrap() = set(keys);
    }

    fn issuer(&self) -> Issuer {
        Issuer::new(ISSUER, Audience::one_of(["api"])).keys(self.clone())
    }
}

impl KeySource for Keys {
    fn snapshot(&self) -> Arc<KeySet> {
        Arc::clone(&self.0.lock().unwrap())
    }
}

fn set(keys: &[Value]) -> Arc<KeySet> {
    Arc::new(KeySet::jwks(&json!({ "keys": keys }).to_string()).unwrap())
}

fn cached(issuer: Issuer) -> BearerLayer {
    layer([issuer]).cache(TokenCache::default())
}

/// How often tokens were known, were not, and made room, while `work` was done.
fn counted(work: impl FnOnce()) -> [u64; 3] {
    let recorder = DebuggingRecorder::new();
    metrics::with_local_recorder(&recorder, work);
    let counts: Vec<_> = recorder.snapshotter().snapshot().into_vec();
    ["hit", "miss", "evicted"].map(|result| {
        let of = |(key, ..): &&(metrics_util::CompositeKey, _, _, DebugValue)| {
            let key = key.key();
            key.name() == "portcullis_bearer_cache_total" && key.labels().any(|label| label.value() == result)
        };
        counts.iter().find(of).map_or(0, |(.., value)| match value {
            DebugValue::Counter(count) => *count,
            DebugValue::Gauge(_) | DebugValue::Histogram(_) => panic!("{value:?}"),
        })
    })
}

#[test]
fn a_token_is_verified_once_and_known_from_then_on() {
    for signer in ALL.iter() {
        let (layer, token) = (cached(signer.issuer()), signer.token(&claims()));
        let first = ask(&layer, &token).unwrap();
        let counts = counted(|| {
            for _ in 0..5 {
                let again = ask(&layer, &token).unwrap();
                assert_eq!(again.claims::<Value>().unwrap(), first.claims::<Value>().unwrap());
                assert_eq!((again.subject(), again.expires_at()), (first.subject(), first.expires_at()));
            }
        });
        assert_eq!(counts, [5, 0, 0], "{}", signer.algorithm);
    }
}

#[test]
fn a_known_token_costs_four_allocations_and_no_box() {
    let (layer, token) = (cached(ES256.issuer()), ES256.token(&claims()));
    let mut service =
        layer.layer(service_fn(async |_: Request<()>| Ok::<_, std::io::Error>(Response::new(()))));
    let mut request =
        Some(Request::get("/").header(AUTHORIZATION, format!("Bearer {token}")).body(()).unwrap());
    at_once(service.call(request.clone().unwrap()));
    let request = request.take().unwrap();
    let counts = measure(|| drop(at_once(service.call(request))));
    assert!(counts.count_total <= 4, "{counts:?}");
}

#[test]
fn a_token_whose_key_is_removed_is_refused_at_once() {
    let other = Signer::new(Algorithm::ES256);
    let keys = Keys::new(&[ES256.jwk("k"), other.jwk("l")]);
    let (layer, token) = (cached(keys.issuer()), ES256.token(&claims()));
    assert!(ask(&layer, &token).is_ok());
    keys.replace(&[other.jwk("l")]);
    assert_eq!(ask(&layer, &token).unwrap_err(), "the signature cannot be verified");
    keys.replace(&[ES256.jwk("k")]);
    assert!(ask(&layer, &token).is_ok(), "it is back");
    keys.replace(&[other.jwk("k")]);
    assert!(ask(&layer, &token).is_err(), "another key under its id");
    keys.replace(&[ES256.jwk("m")]);
    assert!(ask(&layer, &token).is_err(), "the key under another id");
}

#[test]
fn a_token_is_refused_at_once_when_its_key_is_for_another_algorithm_from_then_on() {
    let [signer, other] = [Algorithm::RS256, Algorithm::PS256].map(Signer::new);
    let keys = Keys::new(&[signer.jwk("k")]);
    let (layer, token) = (cached(keys.issuer()), signer.token(&claims()));
    assert!(ask(&layer, &token).is_ok());
    keys.replace(&[other.jwk("k")]);
    assert!(ask(&layer, &token).is_err());
    assert!(ask(&layer, &other.token(&claims())).is_ok());
}

#[test]
fn a_token_whose_shared_secret_is_replaced_is_refused_at_once() {
    let secrets = |secret: &[u8]| HmacKeys::new([secret.to_vec()]).unwrap().snapshot();
    let keys = Keys(Arc::new(Mutex::new(secrets(SECRET))));
    let (layer, token) = (cached(keys.issuer()), Signer::new(Algorithm::HS256).token(&claims()));
    assert!(ask(&layer, &token).is_ok());
    *keys.0.lock().unwrap() = secrets(&[7; 64]);
    assert!(ask(&layer, &token).is_err());
}

#[test]
fn a_token_is_still_known_when_keys_are_added_and_its_own_stays() {
    let other = Signer::new(Algorithm::ES256);
    let keys = Keys::new(&[ES256.jwk("k")]);
    let (layer, token) = (cached(keys.issuer()), ES256.token(&claims()));
    assert!(ask(&layer, &token).is_ok());
    keys.replace(&[other.jwk("l"), ES256.jwk("k")]);
    assert_eq!(counted(|| assert!(ask(&layer, &token).is_ok())), [1, 0, 0]);
}

#[test]
fn a_known_token_expires_on_time() {
    let seconds = Duration::from_secs;
    let build = |issuer: Issuer, clock: &ManualClock| {
        BearerLayer::new([issuer]).unwrap().clock(clock.clone()).cache(TokenCache::default())
    };
    let rows = [
        ("exp and the leeway", ES256.issuer(), seconds(20), seconds(25)),
        ("exp alone", ES256.issuer().leeway(Duration::ZERO), seconds(20), seconds(20)),
        (
            "max_age, which includes its last moment",
            ES256.issuer().max_age(seconds(8)),
            seconds(20),
            Duration::from_millis(13_001),
        ),
    ];
    for (name, issuer, exp, end) in rows {
        let clock = ManualClock::default();
        let layer = build(issuer, &clock);
        let token = ES256.token(&claims_with("exp", json!(clock.now().saturating_add(exp).as_secs())));
        assert!(ask(&layer, &token).is_ok(), "{name}");
        clock.advance(end - Duration::from_millis(1));
        assert_eq!(counted(|| assert!(ask(&layer, &token).is_ok(), "{name}")), [1, 0, 0], "{name}");
        clock.advance(Duration::from_millis(1));
        assert_eq!(ask(&layer, &token).unwrap_err(), "the token has expired", "{name}");
    }
}

#[test]
fn a_token_is_known_for_a_minute() {
    let clock = ManualClock::default();
    let layer = BearerLayer::new([ES256.issuer()]).unwrap().clock(clock.clone()).cache(TokenCache::default());
    let token = ES256.token(&claims());
    let ask = || counted(|| assert!(ask(&layer, &token).is_ok()));
    assert_eq!(ask(), [0, 1, 0]);
    clock.advance(Duration::from_millis(59_999));
    assert_eq!(ask(), [1, 0, 0]);
    clock.advance(Duration::from_millis(1));
    assert_eq!(ask(), [0, 1, 0]);
    assert_eq!(ask(), [1, 0, 0]);
}

#[test]
fn a_clock_that_is_set_back_makes_no_token_valid_before_its_time() {
    let clock = ManualClock::default();
    let start = clock.now();
    let layer = BearerLayer::new([ES256.issuer()]).unwrap().clock(clock.clone()).cache(TokenCache::default());
    let token = ES256.token(&claims_with("nbf", json!(start.as_secs())));
    assert!(ask(&layer, &token).is_ok());
    clock.set(start.saturating_sub(Duration::from_secs(6)));
    assert_eq!(ask(&layer, &token).unwrap_err(), "the token is not valid yet");
}

#[test]
fn no_bit_of_a_known_token_can_be_changed() {
    let (layer, token) = (cached(ES256.issuer()), ES256.token(&claims()));
    assert!(offer(&layer, token.as_bytes()));
    let counts = counted(|| {
        for at in 0..token.len() {
            for bit in 0..8 {
                let mut other = token.clone().into_bytes();
                other[at] ^= 1 << bit;
                assert!(!offer(&layer, &other), "byte {at}, bit {bit}");
            }
        }
        let bytes = token.as_bytes();
        for other in [&bytes[1..], &bytes[..bytes.len() - 1], format!("{token}A").as_bytes()] {
            assert!(!offer(&layer, other));
        }
    });
    assert_eq!(counts[0], 0);
    assert_eq!(layer.cache_usage().unwrap().tokens, 1, "and none of them is kept");
}

#[test]
fn many_tokens_at_once_name_their_own_users() {
    let signer = Signer::new(Algorithm::HS256);
    let layer = cached(signer.issuer());
    let names: Vec<String> = (0..200).map(|at| format!("user-{at:03}")).collect();
    let tokens: Vec<String> =
        names.iter().map(|name| signer.token(&claims_with("sub", json!(name)))).collect();
    for _ in 0..2 {
        for (name, token) in names.iter().zip(&tokens) {
            assert_eq!(ask(&layer, token).unwrap().subject(), name);
        }
    }
}

#[test]
fn what_is_refused_is_not_remembered() {
    let layer = cached(ES256.issuer());
    let stranger = Signer::new(Algorithm::ES256);
    let refused = [
        ES256.token(&claims_with("exp", json!(1))),
        ES256.token(&claims_with("aud", json!("other"))),
        ES256.token(&claims_without("sub")),
        stranger.token(&claims()),
        "garbage".to_owned(),
    ];
    for token in &refused {
        assert_eq!(counted(|| (0..3).for_each(|_| assert!(ask(&layer, token).is_err()))), [0, 3, 0]);
    }
    assert_eq!(layer.cache_usage(), Some(Default::default()));
    assert_eq!(layer.clone().required().cache_usage(), layer.cache_usage());
    assert_eq!(self::layer([ES256.issuer()]).cache_usage(), None);
}

#[test]
fn the_cache_is_bounded_in_tokens_and_in_bytes() {
    let signer = Signer::new(Algorithm::HS256);
    let flood = |limits: TokenCache, padding: usize| {
        let layer = layer([signer.issuer()]).cache(limits);
        for at in 0..3000 {
            let mut claims = claims_with("jti", json!(at.to_string()));
            claims["padding"] = json!("x".repeat(padding));
            let token = signer.token(&claims);
            assert!(ask(&layer, &token).is_ok());
        }
        layer.cache_usage().unwrap()
    };
    let few = flood(TokenCache::default().max_tokens(256), 0);
    assert!((200..=256).contains(&few.tokens), "{few:?}");
    let small = flood(TokenCache::default().max_tokens(256).max_bytes(128 << 10), 500);
    assert!(small.bytes <= 128 << 10 && small.bytes > 64 << 10, "{small:?}");
    let smallest = flood(TokenCache::default().max_tokens(256).max_bytes(4 << 10), 0);
    assert!((1..=8).contains(&smallest.tokens) && smallest.bytes <= 4 << 10, "{smallest:?}");
    assert_eq!(flood(TokenCache::default().max_bytes(1 << 10), 500).tokens, 0, "none finds room");
    assert_eq!(flood(TokenCache::default().max_tokens(0), 0).tokens, 0);
}

/// Somebody who wants it large, and leaves the bytes as they are, or has no limit in mind.
#[test]
fn a_cache_for_more_tokens_than_it_has_bytes_for_keeps_what_it_can() {
    let limits = TokenCache::default().max_tokens(usize::MAX);
    for limits in [limits, limits.max_bytes(usize::MAX)] {
        let layer = layer([ES256.issuer()]).cache(limits);
        let tokens: Vec<_> =
            (0..100).map(|at| ES256.token(&claims_with("jti", json!(at.to_string())))).collect();
        let asked = || tokens.iter().for_each(|token| assert!(ask(&layer, token).is_ok()));
        asked();
        assert_eq!(counted(asked), [100, 0, 0]);
    }
}

#[test]
fn a_layer_asks_for_what_it_asks_for_after_a_hit_too() {
    let clock = ManualClock::default();
    let base = BearerLayer::new([ES256.issuer()]).unwrap().clock(clock.clone()).cache(TokenCache::default());
    let revocations = Revocations::new(MemoryTokenBackend::with_clock(clock));
    let strict = base.clone().revocation(&revocations);
    let lax = base.clone().revocation(RevocationCheck::by(&revocations).insecure_accept_incomplete());
    let nameless = ES256.token(&claims_without("jti"));
    // Remembered by a layer that does not care by what it could be revoked.
    assert!(ask(&base, &nameless).is_ok());
    assert!(ask(&strict, &nameless).is_err());
    assert!(ask(&lax, &nameless).is_ok());
    assert!(ask(&strict, &nameless).is_err());
    let token = ES256.token(&claims());
    assert!(ask(&base, &token).is_ok());
    at_once(std::pin::pin!(revocations.revoke_token(ISSUER, "ada", "j", None)));
    assert!(ask(&strict, &token).is_err());
    assert!(ask(&lax, &token).is_err());
    assert!(ask(&base, &token).is_ok(), "which asks nobody");
}

#[test]
fn layers_that_are_made_alike_share_nothing() {
    let limits = TokenCache::default();
    let token = ES256.token(&claims());
    let here = layer([ES256.issuer()]).cache(limits);
    let other =
        layer([Issuer::new(ISSUER, Audience::one_of(["other"])).keys(crate::mint::jwks([ES256.jwk("k")]))]);
    let other = other.cache(limits);
    assert!(ask(&here, &token).is_ok());
    assert_eq!(ask(&other, &token).unwrap_err(), "the token is meant for another audience");
}
