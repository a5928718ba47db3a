//! JWK sets.

use http::Request;
use http::header::AUTHORIZATION;
use portcullis::BearerLayer;
use portcullis::bearer::{Audience, Issuer, KeySet, StaticKeys};
use serde_json::Value;

use crate::ask::ask;
use crate::reference::{AUDIENCE, ISSUER};

/// Tokens by a key of P-256 and one of Ed25519, whose private halves nobody has any more. They name no `kid`.
/// Beside each what its key has for `x`.
const TOKENS: [(&str, &str); 2] = [
    (include_str!("keys/es256.x"), include_str!("keys/es256.jwt")),
    (include_str!("keys/eddsa.x"), include_str!("keys/eddsa.jwt")),
];

pub(crate) fn jwks(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let (Ok(set), Ok(keys)) = (KeySet::jwks(text), StaticKeys::jwks(text)) else { return };
    // An RSA key that names no algorithm counts as six.
    assert!(!set.is_empty() && set.len() <= 600, "{} keys", set.len());
    let issuer = Issuer::new(ISSUER, Audience::one_of([AUDIENCE])).keys(keys);
    // A set of another algorithm's keys is no configuration.
    let Ok(layer) = BearerLayer::new([issuer]) else { return };
    for (x, token) in TOKENS {
        let header = format!("Bearer {}", token.trim());
        let request = Request::get("/").header(AUTHORIZATION, header).body(()).expect("a request");
        match ask(&layer, request) {
            (200, Some(_)) => assert!(has(text, x.trim()), "verified by a key that is not in the set"),
            (401, None) => {}
            other => panic!("{other:?}"),
        }
    }
}

/// Whether some key of the set has this for `x`.
fn has(text: &str, x: &str) -> bool {
    let Ok(set) = serde_json::from_str::<Value>(text) else { return false };
    set.get("keys")
        .and_then(Value::as_array)
        .is_some_and(|keys| keys.iter().any(|key| key.get("x").is_some_and(|member| member == x)))
}
