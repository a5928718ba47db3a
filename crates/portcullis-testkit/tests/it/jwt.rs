//! Tokens are good when nothing is asked for, and bad exactly where it is. The judge is `jsonwebtoken`, which the
//! testkit does not use.

use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm as Judged, DecodingKey};
use portcullis_store::{Clock, ManualClock};
use portcullis_testkit::jwt::{Algorithm, TestIssuer, Token};
use serde_json::{Value, json};

type FromPem = fn(&[u8]) -> jsonwebtoken::errors::Result<DecodingKey>;

const ASYMMETRIC: [(Algorithm, Judged, FromPem); 4] = [
    (Algorithm::Es256, Judged::ES256, DecodingKey::from_ec_pem),
    (Algorithm::Rs256, Judged::RS256, DecodingKey::from_rsa_pem),
    (Algorithm::Ps256, Judged::PS256, DecodingKey::from_rsa_pem),
    (Algorithm::EdDsa, Judged::EdDSA, DecodingKey::from_ed_pem),
];

fn issuer() -> TestIssuer {
    TestIssuer::new("https://idp.example", "api")
}

fn verifies(token: &str, algorithm: Judged, key: &DecodingKey) -> bool {
    let (message, signature) = token.rsplit_once('.').unwrap();
    let signature = BASE64_URL_SAFE_NO_PAD.decode(signature).unwrap();
    let verifier = (DEFAULT_PROVIDER.verifier_factory)(&algorithm, key).unwrap();
    verifier.verify(message.as_bytes(), &signature).is_ok()
}

fn part(token: &Token<'_>, index: usize) -> Value {
    let token = token.to_string();
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(token.split('.').nth(index).unwrap()).unwrap();
    serde_json::from_slice(&bytes).unwrap()
}

#[test]
fn a_token_verifies_with_the_published_keys_in_both_forms() {
    let issuer = issuer();
    let set: JwkSet =
        serde_json::from_str(&issuer.jwks_of(&ASYMMETRIC.map(|(algorithm, ..)| algorithm))).unwrap();
    for (algorithm, judged, from_pem) in ASYMMETRIC {
        let token = issuer.token(json!({})).algorithm(algorithm).to_string();
        let jwk = set.find(&issuer.key_id(algorithm)).unwrap();
        assert!(verifies(&token, judged, &DecodingKey::from_jwk(jwk).unwrap()), "{algorithm:?} by JWK");
        let pem = issuer.public_key_pem(algorithm);
        let key = from_pem(pem.as_bytes());
        assert!(verifies(&token, judged, &key.unwrap()), "{algorithm:?} by PEM");
    }
    let token = issuer.token(json!({})).algorithm(Algorithm::Hs256).to_string();
    assert!(verifies(&token, Judged::HS256, &DecodingKey::from_secret(issuer.hmac_secret())));
}

#[test]
fn a_broken_signature_does_not_verify() {
    let issuer = issuer();
    let other = TestIssuer::new("https://idp.example", "api");
    for (algorithm, judged, _) in ASYMMETRIC {
        let jwk = serde_json::from_value(issuer.jwk(algorithm)).unwrap();
        let key = DecodingKey::from_jwk(&jwk).unwrap();
        let token = || issuer.token(json!({})).algorithm(algorithm);
        let broken = [
            ("tampered", token().tampered()),
            ("somebody else's", token().signed_by(&other)),
            ("after a rotation", token().signed_by(&issuer.rotated("-2"))),
            ("empty", token().signature([])),
            ("an HMAC", token().hmac(issuer.public_key_pem(algorithm))),
        ];
        for (name, token) in broken {
            assert!(!verifies(&token.to_string(), judged, &key), "{algorithm:?}, {name}");
        }
    }
}

#[test]
fn an_hmac_with_the_public_key_is_a_real_confusion() {
    let issuer = issuer();
    let pem = issuer.public_key_pem(Algorithm::Rs256);
    let token = issuer.token(json!({})).algorithm(Algorithm::Rs256).hmac(pem.clone());
    assert!(verifies(&token.to_string(), Judged::HS256, &DecodingKey::from_secret(pem.as_bytes())));
    assert_eq!(part(&token, 0), json!({ "alg": "HS256", "kid": "rs256", "typ": "JWT" }));
}

#[test]
fn header_and_claims_are_as_asked() {
    let clock = ManualClock::default();
    let issuer = issuer().clock(clock.clone());
    clock.advance(Duration::from_secs(5));
    let now = clock.now().as_secs();
    let defaults =
        json!({ "iss": "https://idp.example", "aud": "api", "sub": "ada", "iat": now, "exp": now + 600 });
    assert_eq!(part(&issuer.token(json!({})), 1), defaults);
    assert_eq!(part(&issuer.token(json!({})), 0), json!({ "alg": "ES256", "kid": "es256", "typ": "JWT" }));

    let token = issuer.rotated("-2").clone();
    let token =
        token.token(json!({ "sub": "bob", "aud": ["a", "b"] })).without_claim("exp").claim("iat", "now");
    assert_eq!(
        part(&token, 1),
        json!({ "iss": "https://idp.example", "aud": ["a", "b"], "sub": "bob", "iat": "now" })
    );
    let token = token.algorithm(Algorithm::EdDsa).header("typ", Value::Null).header("crit", json!(["x"]));
    assert_eq!(part(&token, 0), json!({ "alg": "EdDSA", "kid": "eddsa-2", "typ": null, "crit": ["x"] }));
}

#[test]
fn raw_parts_are_signed_as_they_are() {
    let issuer = issuer();
    let token = issuer.token(json!({})).raw_header(r#"{"alg":"ES256","alg":"none"}"#).raw_payload([0xff, 0]);
    let text = token.to_string();
    let parts: Vec<Vec<u8>> =
        text.split('.').map(|part| BASE64_URL_SAFE_NO_PAD.decode(part).unwrap()).collect();
    assert_eq!((&parts[0][..], &parts[1][..]), (&br#"{"alg":"ES256","alg":"none"}"#[..], &[0xff, 0][..]));
    let jwk = serde_json::from_value(issuer.jwk(Algorithm::Es256)).unwrap();
    assert!(verifies(&text, Judged::ES256, &DecodingKey::from_jwk(&jwk).unwrap()));
}

#[test]
fn an_unsecured_token_has_no_signature() {
    let issuer = issuer();
    let token = issuer.token(json!({})).unsecured();
    assert!(token.to_string().ends_with('.'));
    assert_eq!(part(&token, 0), json!({ "alg": "none", "typ": "JWT" }));
}

#[test]
fn two_issuers_and_two_rotations_share_no_key() {
    let one = issuer();
    let keys =
        [one.clone(), issuer(), one.rotated("-2")].map(|issuer| issuer.jwk(Algorithm::EdDsa)["x"].clone());
    assert!(keys[0] != keys[1] && keys[0] != keys[2] && keys[1] != keys[2]);
    assert_eq!(one.clone().jwk(Algorithm::EdDsa), one.jwk(Algorithm::EdDsa));
}
