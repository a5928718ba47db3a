//! What others do with the same tokens. Each has its key parsed as far as it parses keys beforehand, and reads the claims
//! into the same type.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "four algorithms are measured, and the last one stands for all others"
)]

use std::hint::black_box;
use std::sync::Arc;

use axum::extract::FromRequestParts as _;
use axum_jwt_auth::{Decoder, LocalDecoder};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use http::header::AUTHORIZATION;
use http::{Request, Response, StatusCode};
use jsonwebtoken::DecodingKey;
use jwt_authorizer::{AuthError, IntoLayer as _, JwtAuthorizer};
use portcullis_testkit::jwt::{Algorithm, TestIssuer};
use serde::Deserialize;
use serde_json::json;
use tokio::runtime::Builder;
use tower::{Layer as _, ServiceExt as _, service_fn};
use tower_oauth2_resource_server::server::OAuth2ResourceServer;
use tower_oauth2_resource_server::tenant::TenantConfiguration;
use tower_oauth2_resource_server::validation::ClaimsValidationSpec;

use super::{AUDIENCE, ISSUER, SECRET, Sample};
use crate::Failure;
use crate::candidates::ours as peer;
use crate::harness::{Bounds, Candidate, bare};

/// What an application would have of a token.
#[derive(Clone, Debug, Deserialize)]
#[expect(dead_code, reason = "it is made, which is what costs, and not looked at")]
pub(crate) struct Claims {
    sub: String,
    scope: String,
    acr: String,
    amr: Vec<String>,
    exp: u64,
}

/// The response type of an inner service has to be made from the error of jwt-authorizer.
struct Answer(Response<()>);

impl From<AuthError> for Answer {
    fn from(_: AuthError) -> Self {
        let mut response = Response::new(());
        *response.status_mut() = StatusCode::UNAUTHORIZED;
        Self(response)
    }
}

pub(super) fn candidates(sample: &Sample) -> Result<Vec<Candidate>, Failure> {
    let mut all = vec![jsonwebtoken(sample)?, jwt_authorizer(sample)?, tower_oauth2(sample)?];
    // Its extractor tries keys in turn and knows nothing of key sets.
    all.push(axum_jwt_auth(sample)?);
    Ok(all)
}

pub(crate) const MISSING: &str = "tower-oauth2-resource-server, no token";
pub(crate) const GARBAGE: &str = "tower-oauth2-resource-server, a garbage token";

/// What the quickest of them makes of requests that it refuses without verifying anything.
pub(crate) fn refusals(
    issuer: &TestIssuer,
    without: Request<()>,
    with_garbage: Request<()>,
) -> Result<[Candidate; 2], Failure> {
    let build = resource_server(issuer, Algorithm::Es256);
    let server = Builder::new_current_thread().build()?.block_on(build)?;
    let refused = |name, request| {
        let service = server.into_layer().layer(service_fn(bare));
        Candidate::new(peer(name, None, Bounds::default()), request, service)
            .answering(StatusCode::UNAUTHORIZED)
    };
    Ok([refused(MISSING, without), refused(GARBAGE, with_garbage)])
}

fn candidate<S>(name: &'static str, sample: &Sample, service: S) -> Candidate
where
    S: tower::Service<Request<()>, Response = Response<()>, Error = Failure> + Send + 'static,
    S::Future: Send,
{
    Candidate::new(peer(name, None, Bounds::default()), sample.request.clone(), service)
}

fn jsonwebtoken(sample: &Sample) -> Result<Candidate, Failure> {
    let algorithm = named(sample.algorithm);
    let key = match sample.algorithm {
        Algorithm::Hs256 => DecodingKey::from_secret(SECRET.as_bytes()),
        _ => DecodingKey::from_jwk(&serde_json::from_value(sample.issuer.jwk(sample.algorithm))?)?,
    };
    let mut validation = jsonwebtoken::Validation::new(algorithm);
    validation.set_audience(&[AUDIENCE]);
    validation.set_issuer(&[ISSUER]);
    let service = service_fn(move |request: Request<()>| {
        let value = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let token = value.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
        let decoded = jsonwebtoken::decode::<Claims>(token, &key, &validation);
        async move {
            black_box(decoded?);
            bare(request).await
        }
    });
    Ok(candidate(sample.names.jsonwebtoken, sample, service))
}

fn named(algorithm: Algorithm) -> jsonwebtoken::Algorithm {
    match algorithm {
        Algorithm::Hs256 => jsonwebtoken::Algorithm::HS256,
        Algorithm::Rs256 => jsonwebtoken::Algorithm::RS256,
        Algorithm::EdDsa => jsonwebtoken::Algorithm::EdDSA,
        _ => jsonwebtoken::Algorithm::ES256,
    }
}

fn jwt_authorizer(sample: &Sample) -> Result<Candidate, Failure> {
    let builder = match sample.algorithm {
        Algorithm::Hs256 => JwtAuthorizer::<Claims>::from_secret(SECRET),
        algorithm => JwtAuthorizer::<Claims>::from_jwks_text(&sample.issuer.jwks_of(&[algorithm])),
    };
    let validation = jwt_authorizer::Validation::new().iss(&[ISSUER]).aud(&[AUDIENCE]);
    let build = builder.validation(validation).build();
    let authorizer = Builder::new_current_thread().build()?.block_on(build)?;
    let inner = service_fn(async |request| bare(request).await.map(Answer));
    let service = authorizer.into_layer().layer(inner).map_response(|Answer(response)| response);
    Ok(candidate(sample.names.jwt_authorizer, sample, service))
}

fn tower_oauth2(sample: &Sample) -> Result<Candidate, Failure> {
    let build = resource_server(&sample.issuer, sample.algorithm);
    let server = Builder::new_current_thread().build()?.block_on(build)?;
    Ok(candidate(sample.names.tower_oauth2, sample, server.into_layer().layer(service_fn(bare))))
}

pub(crate) async fn resource_server(
    issuer: &TestIssuer,
    algorithm: Algorithm,
) -> Result<OAuth2ResourceServer<Claims>, Failure> {
    let jwks = match algorithm {
        Algorithm::Hs256 => secret_as_jwks(issuer),
        _ => issuer.jwks_of(&[algorithm]),
    };
    let validation = ClaimsValidationSpec::recommended(ISSUER, &vec![AUDIENCE.to_owned()]).nbf(false);
    let tenant = TenantConfiguration::static_builder(jwks)
        .allowed_algorithms(&[named(algorithm)])
        .claims_validation(validation)
        .build()?;
    Ok(OAuth2ResourceServer::<Claims>::builder().add_tenant(tenant).build().await?)
}

/// It finds keys by their ids, so the secret goes by the one that the token names.
fn secret_as_jwks(issuer: &TestIssuer) -> String {
    let (kid, secret) = (issuer.key_id(Algorithm::Es256), BASE64_URL_SAFE_NO_PAD.encode(SECRET));
    json!({ "keys": [{ "kty": "oct", "k": secret, "alg": "HS256", "kid": kid }] }).to_string()
}

fn axum_jwt_auth(sample: &Sample) -> Result<Candidate, Failure> {
    use jsonwebtoken_10::{Algorithm as Named, DecodingKey, Validation};
    let jwk = || Ok::<_, Failure>(serde_json::from_value(sample.issuer.jwk(sample.algorithm))?);
    let (algorithm, key) = match sample.algorithm {
        Algorithm::Hs256 => (Named::HS256, DecodingKey::from_secret(SECRET.as_bytes())),
        Algorithm::Rs256 => (Named::RS256, DecodingKey::from_jwk(&jwk()?)?),
        Algorithm::EdDsa => (Named::EdDSA, DecodingKey::from_jwk(&jwk()?)?),
        _ => (Named::ES256, DecodingKey::from_jwk(&jwk()?)?),
    };
    let mut validation = Validation::new(algorithm);
    validation.set_audience(&[AUDIENCE]);
    validation.set_issuer(&[ISSUER]);
    let decoder: Decoder<Claims> = Arc::new(LocalDecoder::new(vec![key], validation)?);
    let service = service_fn(move |request: Request<()>| {
        let decoder = Arc::clone(&decoder);
        async move {
            let (mut parts, body) = request.into_parts();
            let claims: axum_jwt_auth::Claims<Claims> =
                axum_jwt_auth::Claims::from_request_parts(&mut parts, &decoder).await?;
            black_box(claims);
            bare(Request::from_parts(parts, body)).await
        }
    });
    Ok(candidate(sample.names.axum_jwt_auth, sample, service))
}
