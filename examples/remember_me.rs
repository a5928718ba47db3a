//! "Stay signed in": a choice at each login, by [`Login::remember`].
//!
//! ```sh
//! cargo run --example remember_me                          # PORT, or 3006; DEMO_PASSWORD, or one that it prints
//! URL=http://localhost:3006 PASSWORD=...                   # as printed
//! curl() { command curl -sS -b jar -c jar -H "Origin: $URL" "$@"; }
//! curl $URL/login -d username=ada --data-urlencode "password=$PASSWORD" -i              # a cookie without Max-Age
//! curl $URL/                                                                          # for 12 hours
//! curl $URL/login -d username=ada --data-urlencode "password=$PASSWORD" -d remember=on -i   # Max-Age, a new id
//! curl $URL/                                                                          # for 90 days
//! curl -X POST $URL/logout -i
//! ```
//!
//! Somebody who is remembered may sit at another's desk by now. What would hurt should ask for the password again: put a
//! `RequireLayer::authenticated().fresh(..)` on it.
#![allow(clippy::print_stdout, reason = "a program says where to go")]
#![allow(clippy::disallowed_methods, reason = "a program reads its configuration from the environment")]

mod start;

use std::env;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::rand;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::http::header::CACHE_CONTROL;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Form, Router};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use maud::{DOCTYPE, Markup, html};
use portcullis::session::{Lifetime, Login, MemoryBackend, SessionError};
use portcullis::{CsrfLayer, Identity, Session, SessionLayer};
use portcullis_store::{Clock, SystemClock};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use tower::ServiceBuilder;

use self::start::{Failure, listen};

type BoxError = Box<dyn Error + Send + Sync>;

const DAY: Duration = Duration::from_secs(24 * 3600);

pub(crate) fn app(password: &str) -> Result<Router, BoxError> {
    let sessions = SessionLayer::builder(MemoryBackend::new())
        // Both are the defaults. Whoever is not remembered is signed out at night; whoever is, after two weeks away.
        .lifetime(Lifetime { idle: DAY / 48, absolute: DAY / 2 })
        .remembered_lifetime(Lifetime { idle: 14 * DAY, absolute: 90 * DAY })
        .build()?;
    Ok(Router::new()
        .route("/", get(home))
        .route("/login", post(sign_in))
        .route("/logout", post(sign_out))
        // `always`: another site could sign its visitors in to an account of its own otherwise.
        .layer(ServiceBuilder::new().layer(sessions).layer(CsrfLayer::new().always()))
        .layer(DefaultBodyLimit::max(1024))
        .with_state(Arc::from(password)))
}

#[derive(Deserialize)]
struct Credentials {
    username: String,
    password: String,
    /// A box that is not checked is not sent.
    remember: Option<String>,
}

async fn sign_in(
    State(right): State<Arc<str>>,
    session: Session,
    Form(form): Form<Credentials>,
) -> Result<Response, SessionError> {
    if form.username != "ada" || !is_right(&form.password, &right) {
        return Ok((StatusCode::UNAUTHORIZED, page(&login_form(true))).into_response());
    }
    let login = Login::new(Identity::new(form.username));
    let login = if form.remember.is_some() { login.remember() } else { login };
    session.login(login).await?;
    Ok(Redirect::to("/").into_response())
}

/// For a demo. An application keeps a hash of each password that is slow to make: see `quickstart/users.rs`.
fn is_right(password: &str, right: &str) -> bool {
    Sha256::digest(password).ct_eq(&Sha256::digest(right)).into()
}

async fn sign_out(session: Session) -> Result<Redirect, SessionError> {
    session.logout().await?;
    Ok(Redirect::to("/"))
}

async fn home(me: Option<Identity>, session: Session) -> Result<impl IntoResponse, SessionError> {
    let Some(me) = me else { return Ok(page(&login_form(false))) };
    let devices = session.devices().list().await?;
    let ends = devices.iter().find(|device| device.current).map(|device| device.expires);
    let left = ends.map(|ends| ends.since(SystemClock.now())).unwrap_or_default();
    Ok(page(&html! {
        p { "Signed in as " strong { (me.subject()) } " for " (in_words(left)) " at most." }
        form method="post" action="/logout" { button { "Sign out" } }
    }))
}

fn in_words(time: Duration) -> String {
    match time.as_secs().div_ceil(3600) {
        hours @ 0..=48 => format!("{hours} hours"),
        hours => format!("{} days", hours.div_ceil(24)),
    }
}

fn login_form(was_wrong: bool) -> Markup {
    html! {
        @if was_wrong { p role="alert" { "Unknown user, or wrong password." } }
        form method="post" action="/login" {
            p { label { "User name " input name="username" autocomplete="username" required autofocus; } }
            p { label { "Password " input name="password" type="password" autocomplete="current-password" required; } }
            p { label { input name="remember" type="checkbox"; " Stay signed in on this device" } }
            p { button { "Sign in" } }
        }
    }
}

/// What it says depends on who is signed in: the back button must not show it after signing out.
fn page(content: &Markup) -> impl IntoResponse + use<> {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head { meta charset="utf-8"; meta name="color-scheme" content="light dark"; title { "Remember me" } }
            body { (content) }
        }
    };
    ([(CACHE_CONTROL, "no-store")], page)
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let password = env::var("DEMO_PASSWORD").or_else(|_| random_text())?;
    let listener = listen(3006).await?;
    println!("Open http://localhost:{}/ and sign in as ada: {password}", listener.local_addr()?.port());
    axum::serve(listener, app(&password)?).await?;
    Ok(())
}

fn random_text() -> Result<String, BoxError> {
    let mut random = [0; 9];
    rand::fill(&mut random)?;
    Ok(URL_SAFE_NO_PAD.encode(random))
}
