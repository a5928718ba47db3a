//! An application that is its own authority: its login answers with an access token and a refresh token.
//!
//! ```sh
//! cargo run --example token_service          # PORT, or 3009; REDIS_URL, or in memory; DEMO_PASSWORD, or one that it prints
//! URL=http://localhost:3009 PASSWORD=...     # as printed
//! curl $URL/.well-known/jwks.json                                                   # what its tokens are verified with
//! curl $URL/.well-known/oauth-authorization-server                                  # where everything is
//! curl $URL/login -d username=ada --data-urlencode "password=$PASSWORD"              # access_token and refresh_token
//! curl $URL/me -H "Authorization: Bearer $ACCESS"                                    # hello ada
//! curl $URL/token -d grant_type=refresh_token -d client_id=web -d refresh_token=$REFRESH     # the next two
//! curl $URL/token -d grant_type=refresh_token -d client_id=web -d refresh_token=$REFRESH     # the same refresh token, for 10 s
//! curl -X POST $URL/logout -H "Authorization: Bearer $ACCESS" -i                     # 204
//! curl $URL/me -H "Authorization: Bearer $ACCESS" -i                                 # 401, and no refresh token helps
//! ```
//!
//! Keys are read from the environment: `SIGNING_KEY`, a private key in PEM (`openssl genpkey -algorithm EC -pkeyopt
//! ec_paramgen_curve:P-256`), and `REFRESH_KEY`, at least 32 random bytes. Without them the process makes its own, and what
//! it has given ends with it.
#![allow(clippy::print_stdout, reason = "a program says where to go")]
#![allow(clippy::disallowed_methods, reason = "a program reads its configuration from the environment")]

mod start;

use std::env;
use std::error::Error;
use std::sync::Arc;

use aws_lc_rs::rand;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::http::header::CACHE_CONTROL;
use axum::response::IntoResponse;
use axum::routing::{get, post};
use axum::{Form, Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portcullis::bearer::{Algorithm, MemoryTokenBackend, Revocations};
use portcullis::issue::{
    Grant, KeyRing, Metadata, RefreshKeys, RefreshTokens, SigningKey, StaticClients, TokenEndpoints,
    TokenIssuer,
};
use portcullis::{BearerLayer, Identity, RequireLayer};
use portcullis_redis::{RedisBackend, RedisConfig};
use portcullis_store::FamilyBackend;
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use self::start::{Failure, listen};

type BoxError = Box<dyn Error + Send + Sync>;

/// The only client: pages of this application.
const CLIENT: &str = "web";

#[derive(Clone)]
struct Service {
    password: Arc<str>,
    refresh: RefreshTokens,
    revocations: Revocations,
}

#[derive(Deserialize)]
struct Credentials {
    username: String,
    password: String,
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let password = env::var("DEMO_PASSWORD").or_else(|_| random_text())?;
    let listener = listen(3009).await?;
    let url = format!("http://localhost:{}", listener.local_addr()?.port());
    let app = match env::var("REDIS_URL") {
        Ok(redis) => app(&url, &password, RedisBackend::connect(RedisConfig::from_url(&redis)?)?)?,
        Err(_) => app(&url, &password, MemoryTokenBackend::new())?,
    };
    println!("{url} is ready. ada's password: {password}");
    axum::serve(listener, app).await?;
    Ok(())
}

pub(crate) fn app<B>(url: &str, password: &str, store: B) -> Result<Router, BoxError>
where
    B: FamilyBackend + Clone,
{
    let revocations = Revocations::new(store.clone());
    let ring = KeyRing::new(signing_key()?)?;
    let issuer = TokenIssuer::builder(url, ["token-service"], &ring).revocations(&revocations).build()?;
    let refresh = RefreshTokens::builder(&issuer, store, RefreshKeys::new(refresh_key()?)).build()?;
    let endpoints = TokenEndpoints::new(&refresh, StaticClients::new().public(CLIENT))?;
    let metadata = Metadata::new(&issuer, &format!("{url}/.well-known/jwks.json"))?
        .token_endpoint(&format!("{url}/token"))?
        .revocation_endpoint(&format!("{url}/revoke"))?;
    let metadata = metadata.service::<Body>();
    let bearer = BearerLayer::new([issuer.trusted()])?.revocation(&revocations);
    let signed_in = Router::new()
        .route("/me", get(async |me: Identity| format!("hello {}\n", me.subject())))
        .route("/logout", post(logout))
        .layer(RequireLayer::authenticated())
        .layer(bearer);
    Ok(Router::new()
        .route("/login", post(login))
        .merge(signed_in)
        .route_service("/token", endpoints.token_service::<Body>())
        .route_service("/revoke", endpoints.revocation_service::<Body>())
        .route_service("/.well-known/jwks.json", ring.jwks_service::<Body>())
        .route_service("/.well-known/oauth-authorization-server", metadata.clone())
        .route_service("/.well-known/openid-configuration", metadata)
        .layer(DefaultBodyLimit::max(16 * 1024))
        .with_state(Service { password: password.into(), refresh, revocations }))
}

/// A real application asks its database, with a slow hash; see the quickstart.
async fn login(
    State(service): State<Service>,
    Form(credentials): Form<Credentials>,
) -> Result<impl IntoResponse, (StatusCode, &'static str)> {
    let hash = |text: &str| Sha256::digest(text);
    let is_right: bool = hash(&credentials.password).ct_eq(&hash(&service.password)).into();
    if !is_right || credentials.username != "ada" {
        return Err((StatusCode::UNAUTHORIZED, "unknown user, or wrong password\n"));
    }
    let grant = Grant::new(credentials.username, CLIENT).scope("profile");
    let pair = service.refresh.begin(&grant).await;
    let pair = pair.map_err(|_| (StatusCode::SERVICE_UNAVAILABLE, "try again\n"))?;
    let answer: Value = json!({
        "access_token": pair.access().as_str(),
        "token_type": pair.token_type(),
        "expires_in": pair.access().expires_in().as_secs(),
        "refresh_token": pair.refresh_token(),
    });
    Ok(([(CACHE_CONTROL, "no-store")], Json(answer)))
}

/// Ends the login: its refresh tokens, and its access tokens in every process.
async fn logout(State(service): State<Service>, me: Identity) -> StatusCode {
    match service.revocations.revoke_login(&me).await {
        Ok(()) => StatusCode::NO_CONTENT,
        Err(_) => StatusCode::SERVICE_UNAVAILABLE,
    }
}

fn signing_key() -> Result<SigningKey, BoxError> {
    Ok(match env::var("SIGNING_KEY") {
        Ok(pem) => {
            SigningKey::pem(&pem, Algorithm::ES256).map_err(|error| format!("SIGNING_KEY: {error}"))?
        }
        Err(_) => SigningKey::generate(Algorithm::ES256)?,
    })
}

fn refresh_key() -> Result<String, BoxError> {
    env::var("REFRESH_KEY").or_else(|_| random_text())
}

fn random_text() -> Result<String, BoxError> {
    let mut random = [0; 32];
    rand::fill(&mut random)?;
    Ok(URL_SAFE_NO_PAD.encode(random))
}
