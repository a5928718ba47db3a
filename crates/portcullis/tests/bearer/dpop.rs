//! Tokens that are bound to a key of their holder (RFC 9449), and the proofs that go with them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::{Method, Request, Response};
use jsonwebtoken::{Algorithm as Theirs, Header};
use portcullis::bearer::{
    Algorithm, Audience, BuildErrorKind, Dpop, Issuer, KeyQuery, KeySet, KeySource, MemoryReplayBackend,
    Missed, Missing, NonceKeys, Revocations, TokenCache,
};
use portcullis::identity::IdentityExt;
use portcullis::rejection::Rejection;
use portcullis::{BearerLayer, RequireLayer};
use portcullis_store::{Clock, ManualClock, StoreErrorKind, Timestamp};
use portcullis_testkit::conformance::replay::{self, Harness};
use serde_json::{Value, json};
use tower::{Layer, ServiceExt, service_fn};

use crate::mint::{ES256, ISSUER, claims, claims_with, handler, layer};
use crate::proof::{ADA, ADDRESS, EVE, Holder, Replays, request};
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
async fn a_bound_token_with_a_proof_of_its_key_is_let_in() {
    let all = [Algorithm::ES256, Algorithm::EdDSA, Algorithm::RS256, Algorithm::PS256, Algorithm::RS512];
    for holder in [
        Holder::ec(),
        Holder::ed(),
        Holder::rsa(Theirs::RS256),
        Holder::rsa(Theirs::PS256),
        Holder::rsa(Theirs::RS512),
    ] {
        let layer = layer([ES256.issuer()]).dpop(Replays::new(Mood::Waits).dpop().algorithms(all)).unwrap();
        let token = holder.token();
        let response = send(&layer, request(&dpop(&token), &[&holder.proof(&token)])).await;
        assert_eq!(
            (response.status().as_u16(), response.body().as_str()),
            (200, "ada"),
            "{:?}",
            holder.algorithm
        );
        let lower = send(&layer, request(&format!("dpop {token}"), &[&holder.proof(&token)])).await;
        assert_eq!(lower.status(), 200, "the scheme in small letters");
    }
}

#[tokio::test]
async fn no_bound_token_is_let_in_without_its_own_proof() {
    let (layer, token) = (bound(), ADA.token());
    let other = ES256.token(&claims_with("cnf", json!({ "jkt": EVE.jkt() })));
    let later = |seconds: i64| json!(ManualClock::default().now().as_secs() as i64 + seconds);
    let with = |name: &str, value: Value| vec![ADA.proof_with(&token, name, Some(value))];
    let without = |name: &str| vec![ADA.proof_with(&token, name, None)];
    let bad = |description| err("invalid_dpop_proof", description);
    let rows = [
        ("no proof", vec![], bad("the DPoP proof is missing")),
        ("two", vec![ADA.proof(&token), ADA.proof(&token)], bad("there is more than one DPoP proof")),
        ("another method", with("htm", json!("POST")), bad("the DPoP proof is for another method")),
        (
            "the method in small letters",
            with("htm", json!("get")),
            bad("the DPoP proof is for another method"),
        ),
        (
            "another path",
            with("htu", json!("https://api.example/a")),
            bad("the DPoP proof is for another address"),
        ),
        (
            "another host",
            with("htu", json!("https://evil.example/")),
            bad("the DPoP proof is for another address"),
        ),
        ("a query is no matter", with("htu", json!("https://API.example:443/?a#b")), Ok(())),
        ("another token's", vec![ADA.proof(&other)], bad("the DPoP proof is for another token")),
        ("no token's", without("ath"), bad("a required claim of the DPoP proof is missing")),
        ("no address", without("htu"), bad("a required claim of the DPoP proof is missing")),
        ("no method", without("htm"), bad("a required claim of the DPoP proof is missing")),
        ("no id", without("jti"), bad("a required claim of the DPoP proof is missing")),
        ("an empty id", with("jti", json!("")), bad("a required claim of the DPoP proof is missing")),
        ("no time", without("iat"), bad("a required claim of the DPoP proof is missing")),
        ("too old", with("iat", later(-66)), bad("the DPoP proof is too old")),
        ("just new enough", with("iat", later(-65)), Ok(())),
        ("in the future", with("iat", later(6)), bad("the DPoP proof is not valid yet")),
        ("almost in the future", with("iat", later(5)), Ok(())),
        ("expired", with("exp", later(-5)), bad("the DPoP proof is too old")),
        ("not begun", with("nbf", later(6)), bad("the DPoP proof is not valid yet")),
        ("a fraction of a second", with("iat", json!(1.5)), bad("the DPoP proof is malformed")),
        ("a negative time", with("iat", json!(-1)), bad("the DPoP proof is malformed")),
        ("an id that is a number", with("jti", json!(7)), bad("the DPoP proof is malformed")),
        ("another key's", vec![EVE.proof(&token)], err("invalid_token", "the token is bound to another key")),
        ("the token itself", vec![token.clone()], bad("the typ of the DPoP proof is not dpop+jwt")),
        ("nothing", vec![String::new()], bad("the DPoP proof is malformed")),
    ];
    for (name, proofs, expected) in rows {
        let proofs: Vec<&str> = proofs.iter().map(String::as_str).collect();
        assert_eq!(verdict(&layer, request(&dpop(&token), &proofs)).await, expected, "{name}");
    }
}

#[tokio::test]
async fn a_proof_whose_header_is_not_that_of_one_is_refused() {
    let (layer, token) = (bound(), ADA.token());
    let claims = Holder::claims(&token);
    let header = |change: fn(&mut Header)| {
        let mut header = ADA.header();
        change(&mut header);
        ADA.sign(&header, &claims)
    };
    let raw = |header: Value| crate::mint::Signer::new(Algorithm::ES256).token_with(&header, &claims);
    let jwk = serde_json::to_value(&ADA.jwk).unwrap();
    let mut private = jwk.clone();
    private["d"] = json!("AQAB");
    let secret = json!({ "kty": "oct", "k": "AQAB" });
    let bad = |description| err("invalid_dpop_proof", description);
    let (no_type, no_key) =
        ("the typ of the DPoP proof is not dpop+jwt", "the DPoP proof has no public key of its algorithm");
    let rows = [
        ("no typ", header(|header| header.typ = None), bad(no_type)),
        ("any JWT", header(|header| header.typ = Some("JWT".into())), bad(no_type)),
        ("no key", header(|header| header.jwk = None), bad(no_key)),
        ("a key by name", header(|header| (header.jwk, header.kid) = (None, Some("k".into()))), bad(no_key)),
        ("a private key", raw(json!({ "typ": "dpop+jwt", "alg": "ES256", "jwk": private })), bad(no_key)),
        ("a secret", raw(json!({ "typ": "dpop+jwt", "alg": "ES256", "jwk": secret })), bad(no_key)),
        (
            "HMAC",
            raw(json!({ "typ": "dpop+jwt", "alg": "HS256", "jwk": secret })),
            bad("the algorithm of the DPoP proof is not accepted"),
        ),
        (
            "none",
            raw(json!({ "typ": "dpop+jwt", "alg": "none", "jwk": jwk })),
            bad("the algorithm of the DPoP proof is not accepted"),
        ),
        (
            "an algorithm that is not allowed",
            raw(json!({ "typ": "dpop+jwt", "alg": "ES384", "jwk": jwk })),
            bad("the algorithm of the DPoP proof is not accepted"),
        ),
        (
            "a key of another algorithm",
            raw(json!({ "typ": "dpop+jwt", "alg": "EdDSA", "jwk": jwk })),
            bad(no_key),
        ),
        (
            "crit",
            raw(json!({ "typ": "dpop+jwt", "alg": "ES256", "jwk": jwk, "crit": [] })),
            bad("the DPoP proof is malformed"),
        ),
        (
            "the key of the holder over another's signature",
            raw(json!({ "typ": "dpop+jwt", "alg": "ES256", "jwk": jwk })),
            bad("the signature of the DPoP proof cannot be verified"),
        ),
    ];
    for (name, proof, expected) in rows {
        assert_eq!(verdict(&layer, request(&dpop(&token), &[&proof])).await, expected, "{name}");
    }
}

#[tokio::test]
async fn no_token_can_be_brought_down_to_a_weaker_scheme() {
    let (bound, plain) = (bound(), layer([ES256.issuer()]));
    let token = ADA.token();
    let proof = || ADA.proof(&token);
    let bearer = format!("Bearer {token}");
    let unproved = err("invalid_token", "the token is bound to a key that was not proved");
    assert_eq!(verdict(&bound, request(&bearer, &[])).await, unproved);
    assert_eq!(verdict(&bound, request(&bearer, &[&proof()])).await, unproved, "with a proof");
    assert_eq!(answer(&plain, request(&bearer, &[&proof()])).await.0, 401, "where nothing is enforced");
    let response = send(&plain, request(&dpop(&token), &[&proof()])).await;
    assert_eq!(response.body(), "nobody", "another scheme is no token");
    assert_eq!(answer(&plain.required(), request(&dpop(&token), &[&proof()])).await.0, 401);

    let unbound = ES256.token(&claims());
    let not_bound = err("invalid_token", "the token is not bound to a key");
    assert_eq!(verdict(&bound, request(&dpop(&unbound), &[&ADA.proof(&unbound)])).await, not_bound);
    assert_eq!(answer(&bound, request(&format!("Bearer {unbound}"), &[])).await.0, 200);
    let strict = layer([ES256.issuer()]).dpop(Replays::new(Mood::AtOnce).dpop().required()).unwrap();
    assert_eq!(verdict(&strict, request(&format!("Bearer {unbound}"), &[])).await, not_bound);
    assert_eq!(verdict(&strict, request(&dpop(&token), &[&proof()])).await, Ok(()));

    for cnf in [
        json!({}),
        json!(null),
        json!({ "jkt": ADA.jkt(), "x5t#S256": ADA.jkt() }),
        json!({ "jkt": ADA.jkt(), "kid": "k" }),
        json!({ "jwk": ADA.jwk }),
        json!({ "jkt": [ADA.jkt()] }),
    ] {
        let token = ES256.token(&claims_with("cnf", cnf.clone()));
        let found = verdict(&bound, request(&dpop(&token), &[&ADA.proof(&token)])).await;
        assert_eq!(found, unproved, "bound to more than is checked: {cnf}");
    }
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
async fn a_token_that_is_known_is_proved_again_each_time() {
    let plain = layer([ES256.issuer()]).cache(TokenCache::default());
    let bound = plain.clone().dpop(Replays::new(Mood::AtOnce).dpop()).unwrap();
    let token = ADA.token();
    let proof = ADA.proof(&token);
    assert_eq!(verdict(&bound, request(&dpop(&token), &[&proof])).await, Ok(()));
    assert_eq!(bound.cache_usage().unwrap().tokens, 1);
    let bad = |description| err("invalid_dpop_proof", description);
    for (name, proofs, expected) in [
        ("none", vec![], bad("the DPoP proof is missing")),
        ("the same", vec![proof.as_str()], bad("the DPoP proof was used before")),
        (
            "another key's",
            vec![&*EVE.proof(&token)],
            err("invalid_token", "the token is bound to another key"),
        ),
        ("a new one", vec![&*ADA.proof(&token)], Ok(())),
    ] {
        assert_eq!(verdict(&bound, request(&dpop(&token), &proofs)).await, expected, "{name}");
    }
    let as_bearer = request(&format!("Bearer {token}"), &[]);
    assert_eq!(
        verdict(&bound, as_bearer.clone()).await,
        err("invalid_token", "the token is bound to a key that was not proved")
    );
    assert_eq!(answer(&plain, as_bearer).await.0, 401, "a layer with the same memory that enforces nothing");
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

/// Keys that are there when they have been asked for.
#[derive(Debug)]
struct Late(Arc<std::sync::Mutex<Arc<KeySet>>>);

impl KeySource for Late {
    fn snapshot(&self) -> Arc<KeySet> {
        Arc::clone(&self.0.lock().unwrap())
    }

    fn miss(&self, _: KeyQuery) -> Missing {
        let keys = Arc::clone(&self.0);
        Missing::pending(async move {
            tokio::task::yield_now().await;
            let set = json!({ "keys": [ES256.jwk("k")] }).to_string();
            *keys.lock().unwrap() = Arc::new(KeySet::jwks(&set).unwrap());
            Missed::Replaced
        })
    }
}

#[tokio::test]
async fn a_request_that_had_to_wait_for_keys_is_proved_all_the_same() {
    let late = || {
        let keys = Late(Arc::new(std::sync::Mutex::new(Arc::new(KeySet::empty()))));
        let issuer = Issuer::new(ISSUER, Audience::one_of(["api"])).keys(keys);
        layer([issuer]).dpop(Replays::new(Mood::Waits).dpop()).unwrap()
    };
    let token = ADA.token();
    assert_eq!(verdict(&late(), request(&dpop(&token), &[&ADA.proof(&token)])).await, Ok(()));
    let missing = err("invalid_dpop_proof", "the DPoP proof is missing");
    assert_eq!(verdict(&late(), request(&dpop(&token), &[])).await, missing);
    let unproved = err("invalid_token", "the token is bound to a key that was not proved");
    assert_eq!(verdict(&late(), request(&format!("Bearer {token}"), &[])).await, unproved);
}

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
