//! `BearerLayer`, and layers that find nothing to do.

use http::{HeaderName, Method, Request, StatusCode};
use portcullis::Identity;
use portcullis::authenticate::{AuthenticateLayer, Authenticator, Opening};
use portcullis::bearer::{MemoryTokenBackend, Revocations, TokenCache};
use portcullis::guard::{Check, GuardLayer, Head, Pass};
use portcullis::rejection::Rejection;
use portcullis_testkit::jwt::Algorithm;
use tower::{Layer as _, service_fn};

use super::{bound, browser, ours, tokens};
use crate::Failure;
use crate::harness::{Bounds, Candidate, bare};

/// Lets everything pass.
struct Passes;

/// Looks for a header that is not there.
struct ApiKeys;

pub(super) fn candidates() -> Result<Vec<Candidate>, Failure> {
    let request = browser(Method::GET, None)?;
    let issuer = tokens::issuer();
    let bearer = tokens::layer(&issuer, Algorithm::Es256)?;
    let token = issuer.token(tokens::claims()).to_string();
    let with_token = tokens::authorized(&format!("Bearer {token}"))?;
    // What nobody should pay a signature for: its header is no JSON.
    let with_garbage = tokens::authorized(&format!("Bearer {}", token.replacen('e', "A", 1)))?;
    let known = bearer.clone().cache(TokenCache::default());
    let aim = |aim| Bounds { promised: None, aim };
    let mut all = vec![
        Candidate::new(
            ours("Guard, a check that passes", None, aim(bound(15.0, 0))),
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
            request.clone(),
            bearer.layer(service_fn(bare)),
        ),
        Candidate::new(
            ours("BearerLayer, required, no token", Some(tokens::MISSING), aim(bound(70.0, 2))),
            request.clone(),
            bearer.clone().required().layer(service_fn(bare)),
        )
        .answering(StatusCode::UNAUTHORIZED),
        Candidate::new(
            ours("BearerLayer, a garbage token", Some(tokens::GARBAGE), aim(bound(450.0, 13))),
            with_garbage.clone(),
            bearer.layer(service_fn(bare)),
        )
        .answering(StatusCode::UNAUTHORIZED),
        Candidate::new(
            ours("BearerLayer, ES256, known", None, aim(bound(300.0, 4))),
            with_token.clone(),
            known.layer(service_fn(bare)),
        ),
        Candidate::new(
            ours("BearerLayer, ES256, known, not revoked in memory", None, Bounds::default()),
            with_token,
            known.revocation(Revocations::new(MemoryTokenBackend::new())).layer(service_fn(bare)),
        ),
    ];
    all.extend(tokens::refusals(&issuer, request, with_garbage)?);
    Ok(all)
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
