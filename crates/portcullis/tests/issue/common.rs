//! Clocks, rings and judges. The judge of tokens is `jsonwebtoken`, which shares no code with what is tested.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::AUTHORIZATION;
use http::{Request, Response, StatusCode};
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{DecodingKey, Validation};
use portcullis::BearerLayer;
use portcullis::bearer::Algorithm;
use portcullis::issue::{KeyRing, SigningKey};
use portcullis_store::{Clock, ManualClock};
use serde_json::Value;
use tower::{Layer, ServiceExt, service_fn};

pub(crate) const ISSUER: &str = "https://auth.example";

pub(crate) const ASYMMETRIC: [Algorithm; 9] = [
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
];

pub(crate) const SYMMETRIC: [Algorithm; 3] = [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512];

pub(crate) fn key(algorithm: Algorithm) -> SigningKey {
    SigningKey::generate(algorithm).unwrap()
}

pub(crate) fn ring(clock: &ManualClock) -> KeyRing {
    KeyRing::builder(key(Algorithm::ES256).named("first").unwrap()).clock(clock.clone()).build().unwrap()
}

/// A part of a compact serialisation, read without verifying.
pub(crate) fn part(token: &str, at: usize) -> Value {
    let bytes = URL_SAFE_NO_PAD.decode(token.split('.').nth(at).unwrap()).unwrap();
    serde_json::from_slice(&bytes).unwrap()
}

pub(crate) fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// The claims, if `jsonwebtoken` verifies the token by a published key. Its own clock is not asked.
pub(crate) fn judge(jwks: &str, token: &str) -> Option<Value> {
    let set: JwkSet = serde_json::from_str(jwks).unwrap();
    let header = jsonwebtoken::decode_header(token).unwrap();
    let jwk = set.find(header.kid.as_deref()?)?;
    judge_by(&DecodingKey::from_jwk(jwk).unwrap(), token)
}

pub(crate) fn judge_by(key: &DecodingKey, token: &str) -> Option<Value> {
    let header = jsonwebtoken::decode_header(token).unwrap();
    let mut validation = Validation::new(header.alg);
    validation.validate_exp = false;
    validation.set_audience(&["api"]);
    validation.set_issuer(&[ISSUER]);
    jsonwebtoken::decode::<Value>(token, key, &validation).ok().map(|data| data.claims)
}

/// What a layer answers to a token, and whom it saw.
pub(crate) async fn present(bearer: &BearerLayer, token: &str) -> (StatusCode, String) {
    let service = bearer.layer(service_fn(|request: Request<String>| async move {
        use portcullis::identity::IdentityExt;
        let identity = request.identity().unwrap();
        let scopes: Vec<_> = identity.scopes().collect();
        Ok::<_, std::io::Error>(Response::new(format!("{} {}", identity.subject(), scopes.join(","))))
    }));
    let request = Request::get("/").header(AUTHORIZATION, format!("Bearer {token}"));
    let response = service.oneshot(request.body(String::new()).unwrap()).await.unwrap();
    (response.status(), response.into_body())
}

pub(crate) fn now(clock: &ManualClock) -> u64 {
    clock.now().as_secs()
}
