//! For programs: `POST /api/token`, `GET /api/me`, `GET /api/admin`.

use axum::extract::State;
use axum::http::header::CACHE_CONTROL;
use axum::response::IntoResponse;
use axum::routing::{get, post};
use axum::{Json, Router};
use portcullis::identity::AuthMethod;
use portcullis::issue::Grant;
use portcullis::{Identity, RequireLayer};
use serde_json::{Value, json};

use super::failure::{Failure, refuse};
use super::users::Credentials;
use super::{AppState, BoxError};

/// The program that tokens are given to.
const CLIENT: &str = "quickstart-cli";

pub(crate) fn routes() -> Router<AppState> {
    let somebody = RequireLayer::authenticated().responder(refuse);
    Router::new()
        .route("/api/token", post(token))
        .route("/api/me", get(me).route_layer(somebody.clone()))
        .route("/api/admin", get(admin).route_layer(somebody.role("admin")))
}

async fn token(
    State(app): State<AppState>,
    Json(credentials): Json<Credentials>,
) -> Result<impl IntoResponse, Failure> {
    let user = app.users.verify(credentials).await?.ok_or(Failure::WrongPassword)?;
    let grant = Grant::new(user.name, CLIENT).claim("roles", user.roles).map_err(BoxError::from)?;
    let token = app.authority.mint(&grant).await.map_err(BoxError::from)?;
    let token = json!({
        "access_token": token.as_str(),
        "token_type": token.token_type(),
        "expires_in": token.expires_in().as_secs(),
    });
    Ok(([(CACHE_CONTROL, "no-store")], Json(token)))
}

async fn me(me: Identity) -> Json<Value> {
    let method = match me.method() {
        AuthMethod::Session => "session",
        AuthMethod::Bearer => "bearer",
        AuthMethod::Custom(name) => name,
        _ => "other",
    };
    Json(json!({
        "subject": me.subject(),
        "issuer": me.issuer(),
        "method": method,
        "roles": me.roles().collect::<Vec<_>>(),
        "expires_at": me.expires_at().map(|at| at.as_secs()),
    }))
}

async fn admin(me: Identity) -> Json<Value> {
    Json(json!({ "message": format!("hello, {}", me.subject()) }))
}
