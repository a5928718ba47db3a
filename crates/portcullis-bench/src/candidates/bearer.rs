//! Layers that find nothing to do.

use http::{HeaderName, Method, Request};
use portcullis::authenticate::{AuthenticateLayer, Authenticator, Opening};
use portcullis::bearer::{Audience, Issuer, StaticKeys};
use portcullis::guard::{Check, GuardLayer, Head, Pass};
use portcullis::rejection::Rejection;
use portcullis::{BearerLayer, Identity};
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
            bearer()?.layer(service_fn(bare)),
        ),
    ])
}

fn bearer() -> Result<BearerLayer, Failure> {
    let issuer = Issuer::new("https://idp.example", Audience::one_of(["api"])).keys(StaticKeys::jwks(KEYS)?);
    Ok(BearerLayer::new([issuer])?)
}

/// Of which nothing is verified here.
const KEYS: &str = r#"{"keys": [{"kty": "EC", "crv": "P-256", "kid": "2026-01", "alg": "ES256",
    "x": "A0lw4kyfOjw0LuBAd2dqEBAgLvg4JRYKeBZlcpIE-hA", "y": "jktd7sOpZy8S2RYHUZxVLBeruazA-0MiMfaj5GhRUwc"}]}"#;

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
