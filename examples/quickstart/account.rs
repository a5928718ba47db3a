//! What the session holds: `GET /`, `GET /account`, `POST /note`, `POST /counter`.

use axum::response::{IntoResponse, Redirect};
use axum::routing::{get, post};
use axum::{Form, Json, Router};
use maud::{Markup, html};
use portcullis::identity::AuthMethod;
use portcullis::session::SessionKey;
use portcullis::{Identity, RequireLayer, Session};
use serde::Deserialize;
use serde_json::{Value, json};

use super::AppState;
use super::failure::{Failure, refuse};
use super::page::page;

const NOTE: SessionKey<String> = SessionKey::new("note");
const COUNT: SessionKey<i64> = SessionKey::new("count");

const MAX_NOTE: usize = 2000;

pub(crate) fn routes() -> Router<AppState> {
    Router::new()
        .route("/account", get(account))
        .route("/note", post(write_note))
        // For the routes above: somebody is signed in, and by a session, not by a bearer token.
        .route_layer(RequireLayer::authenticated().method(AuthMethod::Session).responder(refuse))
        .route("/", get(home))
        .route("/counter", post(count))
}

async fn home(me: Option<Identity>) -> impl IntoResponse {
    let content = html! {
        p { "Sign in as " strong { "ada" } ", or as " strong { "grace" } ", who is an admin." }
        ul {
            li { a href="/account" { "Account" } ": a note that is kept in your session" }
            li { a href="/devices" { "Devices" } ": your sessions, and how to end them" }
            li { a href="/api/me" { "/api/me" } ": who you are, by session or by bearer token" }
            li { a href="/api/admin" { "/api/admin" } ": for admins" }
        }
    };
    page("Welcome", me.as_ref(), &content)
}

async fn account(me: Identity, session: Session) -> Result<impl IntoResponse, Failure> {
    let note = session.get(&NOTE)?.unwrap_or_default();
    let count = session.get(&COUNT)?.unwrap_or_default();
    let content = html! {
        p { "You are " strong { (me.subject()) } "." (roles(&me)) }
        h2 { "Note" }
        @if note.is_empty() { p { "You have written none." } } @else { blockquote { (note) } }
        form.stacked method="post" action="/note" {
            label {
                "Write one"
                textarea name="note" rows="4" maxlength=(MAX_NOTE) { (note) }
            }
            button { "Keep it" }
        }
        h2 { "Counter" }
        p { "It stands at " strong { (count) } "; every POST to " code { "/counter" } " adds one." }
    };
    Ok(page("Account", Some(&me), &content))
}

fn roles(me: &Identity) -> Markup {
    let roles = me.roles().collect::<Vec<_>>().join(", ");
    html! { @if !roles.is_empty() { " Your roles: " (roles) "." } }
}

#[derive(Deserialize)]
struct NoteForm {
    note: String,
}

/// An empty note takes the old one away.
async fn write_note(session: Session, Form(form): Form<NoteForm>) -> Result<Redirect, Failure> {
    // A browser counts a line break as one character and sends two.
    let note = form.note.trim().replace("\r\n", "\n");
    if note.chars().count() > MAX_NOTE {
        return Err(Failure::BadField("a note has at most 2000 characters"));
    }
    if note.is_empty() {
        session.remove(&NOTE)?;
    } else {
        session.set(&NOTE, &note)?;
    }
    Ok(Redirect::to("/account"))
}

/// Exact, however many requests do it at once. It needs no sign-in: visitors have sessions too, once they write.
async fn count(session: Session) -> Result<Json<Value>, Failure> {
    session.increment(&COUNT, 1)?;
    session.commit().await?;
    Ok(Json(json!({ "count": session.get(&COUNT)? })))
}
