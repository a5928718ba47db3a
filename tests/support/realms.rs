//! [`Staff`] beside customers: the same small routes for each realm.

use axum::extract::Path;
use axum::routing::get;
use axum::{Json, Router};
use portcullis::session::{SessionError, SessionKey};
use portcullis::{Identity, Realm, Session};

/// The people behind the counter; customers are in the default realm.
pub enum Staff {}

impl Realm for Staff {
    const NAME: &'static str = "staff";
}

pub const CUSTOMERS_COOKIE: &str = "__Host-id";
pub const STAFF_COOKIE: &str = "__Host-staff-id";

const NOTE: SessionKey<String> = SessionKey::new("note");

/// Routes of one realm; who signs in is an admin.
pub fn routes<M: Realm>() -> Router {
    Router::new()
        .route("/login/{user}", get(login::<M>).post(login::<M>))
        .route("/me", get(me::<M>))
        .route("/logout", get(async |session: Session<M>| session.logout().await))
        .route("/note", get(note::<M>))
        .route("/note/{text}", get(set_note::<M>).post(set_note::<M>))
        .route("/devices", get(devices::<M>))
        .route("/revoke-all", get(async |session: Session<M>| session.devices().revoke_all().await))
}

async fn login<M: Realm>(session: Session<M>, Path(user): Path<String>) -> Result<(), SessionError> {
    session.login(Identity::new(user).role("admin")).await
}

async fn me<M: Realm>(me: Option<Identity<M>>) -> String {
    me.map_or("nobody".to_owned(), |me| me.subject().to_owned())
}

async fn note<M: Realm>(session: Session<M>) -> Result<String, SessionError> {
    Ok(session.get(&NOTE)?.unwrap_or_else(|| "none".to_owned()))
}

async fn set_note<M: Realm>(session: Session<M>, Path(text): Path<String>) -> Result<(), SessionError> {
    session.set(&NOTE, &text)
}

async fn devices<M: Realm>(session: Session<M>) -> Result<Json<usize>, SessionError> {
    Ok(Json(session.devices().list().await?.len()))
}
