//! `BearerLayer`, and layers that find nothing to do.

use http::header::AUTHORIZATION;
use http::{HeaderName, HeaderValue, Method, Request};
use portcullis::authenticate::{AuthenticateLayer, Authenticator, Opening};
use portcullis::bearer::{Audience, Issuer, MemoryTokenBackend, Revocations, StaticKeys, TokenCache};
use portcullis::guard::{Check, GuardLayer, Head, Pass};
use portcullis::rejection::Rejection;
use portcullis::{BearerLayer, Identity};
use portcullis_testkit::jwt::{Algorithm, TestIssuer};
use serde_json::json;
use tower::{Layer as _, service_fn};

use super::{bound, browser, ours};
use crate::Failure;
use crate::harness::{Bounds, Candidate, bare};

/// Lets everything pass.
struct Passes;

/// Looks for a header that is not there.
struct ApiKeys;

pub(super) fn candidates() -> Result<Vec<Candidate>, Failure> {
    let request = browser(Method::GET, None)?;
    let (bearer, with_token) = with_token(request.clone())?;
    let known = bearer.clone().cache(TokenCache::default());
    Ok(vec![
        Candidate::new(
            ours("Guard, a check that passes", None, Bounds { promised: None, aim: bound(15.0, 0) }),
            request.clone(),
            GuardLayer::new(Passes).layer(service_fn(bare)),
        ),
        Candidate::new(
            ours("Authenticate, an absent header", None, Bounds::default()),
            request.clone(),
            AuthenticateLayer::new(ApiKeys).layer(service_fn(bare)),
        ),
        Candidate::new(
            ours("BearerLayer, no token", None, Bounds::default()),
            request,
            bearer.layer(service_fn(bare)),
        ),
        Candidate::new(
            ours("BearerLayer, ES256, verified", None, Bounds::default()),
            with_token.clone(),
            bearer.layer(service_fn(bare)),
        ),
        Candidate::new(
            ours("BearerLayer, ES256, known", None, Bounds { promised: None, aim: bound(300.0, 4) }),
            with_token.clone(),
            known.layer(service_fn(bare)),
        ),
        Candidate::new(
            ours("BearerLayer, ES256, known, not revoked in memory", None, Bounds::default()),
            with_token,
            known.revocation(Revocations::new(MemoryTokenBackend::new())).layer(service_fn(bare)),
        ),
    ])
}

/// A layer, and a request with a token for it such as providers issue, with a dozen claims.
fn with_token(mut request: Request<()>) -> Result<(BearerLayer, Request<()>), Failure> {
    let issuer = TestIssuer::new("https://idp.example", "api");
    let token = issuer.token(json!({
        "sub": "auth0|65f1c0a2b7d94e0012ab34cd", "jti": "0123456789abcdef0123456789abcdef",
        "sid": "f3b1c7d2-8a4e-4f0b-9c1d-2e3f4a5b6c7d", "azp": "b2c4d6e8f0a1b3c5d7e9", "gty": "refresh_token",
        "scope": "openid profile email orders:read orders:write", "acr": "urn:example:gold", "amr": ["pwd", "otp"],
        "name": "Ada Lovelace", "email": "ada@example.com", 
    }));
    let value = HeaderValue::try_from(format!("Bearer {token}"))?;
    request.headers_mut().insert(AUTHORIZATION, value);
    let keys = StaticKeys::jwks(&issuer.jwks_of(&[Algorithm::Es256]))?;
    let layer = BearerLayer::new([Issuer::new("https://idp.example", Audience::one_of(["api"])).keys(keys)])?;
    Ok((layer, request))
}

impl Check for Passes {
    fn check(&self, _: Head<'_>) -> Result<Pass, Rejection> {
        Ok(Pass::new())
    }
}

impl Authenticator for ApiKeys {
    type Visit = ();

    fn open<B>(&self, request: &mut Request<B>) -> Opening<()> {
        match request.headers().get(&API_KEY) {
            None => Opening::anonymous(()),
            Some(_) => Opening::authenticated(Identity::new("reporting"), ()),
        }
    }
}

static API_KEY: HeaderName = HeaderName::from_static("x-api-key");
