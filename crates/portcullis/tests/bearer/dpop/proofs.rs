//! Which proofs let a bound token in, and that nothing else does.

use std::sync::Arc;

use jsonwebtoken::{Algorithm as Theirs, Header};
use portcullis::bearer::{
    Algorithm, Audience, Issuer, KeyQuery, KeySet, KeySource, Missed, Missing, TokenCache,
};
use portcullis_store::{Clock, ManualClock};
use serde_json::{Value, json};

use super::{answer, bound, dpop, err, send, verdict};
use crate::mint::{ES256, ISSUER, claims, claims_with, layer};
use crate::proof::{ADA, EVE, Holder, Replays, request};
use crate::store::Mood;

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
        ("almost expired", with("exp", later(-4)), Ok(())),
        ("almost begun", with("nbf", later(5)), Ok(())),
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
    let malformed = bad("the DPoP proof is malformed");
    for more in [json!({ "b64": false }), json!({ "enc": "A256GCM" }), json!({ "zip": "DEF" })] {
        let mut header = json!({ "typ": "dpop+jwt", "alg": "ES256", "jwk": jwk });
        header.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        assert_eq!(verdict(&layer, request(&dpop(&token), &[&raw(header)])).await, malformed, "{more}");
    }
}

#[tokio::test]
async fn a_proof_that_says_something_twice_is_refused() {
    let (layer, token) = (bound(), ADA.token());
    let header = json!({ "typ": "dpop+jwt", "alg": "ES256", "jwk": ADA.jwk }).to_string();
    let claims = Holder::claims(&token).to_string();
    let by_another_key = |header: &str, claims: &str| {
        crate::mint::Signer::new(Algorithm::ES256).compact(header.as_bytes(), claims.as_bytes())
    };
    let twice = |json: &str, name: &str| json.replacen('{', &format!("{{\"{name}\":\"x\","), 1);
    let rows = [
        ("its type", by_another_key(&twice(&header, "typ"), &claims)),
        ("its method", by_another_key(&header, &twice(&claims, "htm"))),
        ("its address", by_another_key(&header, &twice(&claims, "htu"))),
        ("its id", by_another_key(&header, &twice(&claims, "jti"))),
        ("its token", by_another_key(&header, &twice(&claims, "ath"))),
        ("what nobody knows", by_another_key(&header, &twice(&twice(&claims, "a"), "a"))),
    ];
    for (name, proof) in rows {
        let expected = err("invalid_dpop_proof", "the DPoP proof is malformed");
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
