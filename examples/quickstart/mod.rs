//! The application: its configuration, its routes, and the layers around them.

mod account;
mod api;
mod authority;
mod devices;
mod failure;
mod login;
mod page;
pub(crate) mod redis;
mod users;

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::rand;
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::header::{
    AUTHORIZATION, CONTENT_SECURITY_POLICY, COOKIE, REFERRER_POLICY, SET_COOKIE, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::middleware::from_fn;
use axum::routing::get;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portcullis::session::{MemoryBackend, SessionLayerBuilder};
use portcullis::{BearerLayer, CsrfLayer, SessionLayer};
use tower::ServiceBuilder;
use tower_http::sensitive_headers::{SetSensitiveRequestHeadersLayer, SetSensitiveResponseHeadersLayer};
use tower_http::set_header::SetResponseHeaderLayer;
use tower_http::timeout::TimeoutLayer;
use tower_http::trace::{DefaultMakeSpan, DefaultOnResponse, TraceLayer};
use tracing::Level;

use self::authority::Authority;
use self::failure::{explain, refuse};
use self::users::Users;

pub(crate) type BoxError = Box<dyn Error + Send + Sync>;

/// What differs from one deployment to the next.
pub(crate) struct Config {
    /// The password of the demo users.
    pub(crate) demo_password: String,
    /// Where sessions are kept; in memory if nowhere.
    pub(crate) redis_url: Option<String>,
    /// A session cookie without `Secure`.
    pub(crate) insecure_dev: bool,
}

/// What handlers share.
#[derive(Clone)]
struct AppState {
    users: Arc<Users>,
    authority: Arc<Authority>,
}

/// Who vouches for the users: of tokens and of sessions, so that one person with both is one person.
const ISSUER: &str = "https://quickstart.example";

/// Whom the tokens are for.
const AUDIENCE: &str = "quickstart-api";

/// No form and no JSON of this application is larger.
const MAX_BODY: usize = 16 * 1024;

const POLICY: &str =
    "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// The whole service. It contacts nobody: with Redis away it starts, and answers 503 where it needs it.
pub(crate) fn app(config: &Config) -> Result<Router, BoxError> {
    let authority = Authority::new(ISSUER, AUDIENCE)?;
    let bearer = BearerLayer::new([authority.issuer().roles_claim("roles")])?;
    let users = Users::demo(&config.demo_password)?;
    let state = AppState { users: Arc::new(users), authority: Arc::new(authority) };

    // From the outside in. Each of our layers needs what the one before has found out: the session first, because a
    // bearer token beside it must be of the same user; then CSRF, which asks whether a cookie was used. What only some
    // routes demand (`RequireLayer`) stands at those routes, inside all of this. `always`, because of visitors: another
    // site could sign them in to an account of its own, or have a new session's cookie take the place of theirs.
    let identification = ServiceBuilder::new()
        .layer(sessions(config)?.responder(refuse).build()?)
        .layer(bearer.responder(refuse))
        .layer(CsrfLayer::new().always().responder(refuse));

    // tower-http stands outside: every answer is traced, refusals too, and a request that runs out of time is dropped
    // as a whole, with what it would have written to the session.
    let surroundings = ServiceBuilder::new()
        .layer(SetSensitiveRequestHeadersLayer::new([AUTHORIZATION, COOKIE]))
        .layer(
            TraceLayer::new_for_http()
                .make_span_with(DefaultMakeSpan::new().level(Level::INFO))
                .on_response(DefaultOnResponse::new().level(Level::INFO)),
        )
        .layer(SetSensitiveResponseHeadersLayer::new([SET_COOKIE]))
        .layer(header(CONTENT_SECURITY_POLICY, POLICY))
        .layer(header(REFERRER_POLICY, "same-origin"))
        .layer(header(X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .layer(from_fn(explain))
        .layer(TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, Duration::from_secs(10)));

    Ok(Router::new()
        .merge(login::routes())
        .merge(account::routes())
        .merge(devices::routes())
        .merge(api::routes())
        .layer(identification)
        // Without a look at who is calling: these answer while Redis is away.
        .route("/healthz", get(async || "ok\n"))
        .route("/style.css", get(page::style))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(surroundings)
        .with_state(state))
}

fn sessions(config: &Config) -> Result<SessionLayerBuilder, BoxError> {
    let builder = match &config.redis_url {
        Some(url) => SessionLayer::builder(redis::backend(url)?),
        None => SessionLayer::builder(MemoryBackend::new()),
    };
    let builder = builder.issuer(ISSUER);
    Ok(if config.insecure_dev { builder.insecure_dev() } else { builder })
}

fn header(name: HeaderName, value: &'static str) -> SetResponseHeaderLayer<HeaderValue> {
    SetResponseHeaderLayer::overriding(name, HeaderValue::from_static(value))
}

/// This many random bytes, as base64url.
pub(crate) fn random_text(bytes: usize) -> Result<String, BoxError> {
    let mut random = vec![0; bytes];
    rand::fill(&mut random)?;
    Ok(URL_SAFE_NO_PAD.encode(random))
}
