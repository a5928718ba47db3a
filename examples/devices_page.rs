//! "Where you are signed in": list a user's sessions, end one, the others, or all, by [`Session::devices`].
//!
//! ```sh
//! cargo run --example devices_page                         # PORT, or 3007; DEMO_PASSWORD, or one that it prints
//! URL=http://localhost:3007 PASSWORD=...                   # as printed
//! curl() { command curl -sS -H "Origin: $URL" "$@"; }
//! for jar in laptop phone desk; do                         # three browsers of one user
//!     curl -b $jar -c $jar -A "Firefox/140 ($jar)" $URL/login -d username=ada --data-urlencode "password=$PASSWORD"
//! done
//! curl -b laptop $URL/                                     # the page: three of them, one is this one
//! REF=$(curl -b phone $URL/ | sed -n 's|.*<code>\([^<]*\)</code> (this one).*|\1|p')
//! curl -b laptop -X POST $URL/revoke -d session_ref=$REF   # ends the phone's
//! curl -b phone $URL/                                      # the form to sign in
//! curl -b laptop -X POST $URL/revoke-others                # ends the one on the desk
//! curl -b laptop -X POST $URL/revoke -d session_ref=$REF -i   # 404: there is no such one any more
//! curl -b laptop -c laptop -X POST $URL/revoke-all -i      # ends this one too; the cookie is taken away
//! ```
#![allow(clippy::print_stdout, reason = "a program says where to go")]
#![allow(clippy::disallowed_methods, reason = "a program reads its configuration from the environment")]

mod start;

use std::env;
use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;

use aws_lc_rs::rand;
use axum::extract::{ConnectInfo, DefaultBodyLimit, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, USER_AGENT};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Form, Router};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use maud::{DOCTYPE, Markup, html};
use portcullis::session::{Device, Login, MemoryBackend, SessionError};
use portcullis::{CsrfLayer, Identity, Session, SessionLayer};
use portcullis_store::{Clock, SystemClock, Timestamp};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use tower::ServiceBuilder;

use self::start::{Failure, listen};

type BoxError = Box<dyn Error + Send + Sync>;

/// No other site may lay this page invisibly under its visitors' clicks.
const POLICY: &str = "default-src 'none'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

pub(crate) fn app(password: &str) -> Router {
    Router::new()
        .route("/", get(devices))
        .route("/login", post(sign_in))
        .route("/revoke", post(revoke))
        .route("/revoke-others", post(revoke_others))
        .route("/revoke-all", post(revoke_all))
        .layer(
            ServiceBuilder::new()
                .layer(SessionLayer::new(MemoryBackend::new()))
                // `always`: another site could sign its visitors in to an account of its own otherwise.
                .layer(CsrfLayer::new().always()),
        )
        .layer(DefaultBodyLimit::max(1024))
        .with_state(Arc::from(password))
}

#[derive(Deserialize)]
struct Credentials {
    username: String,
    password: String,
}

async fn sign_in(
    State(right): State<Arc<str>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    session: Session,
    Form(form): Form<Credentials>,
) -> Result<Response, SessionError> {
    if !["ada", "grace"].contains(&&*form.username) || !is_right(&form.password, &right) {
        return Ok((StatusCode::UNAUTHORIZED, page(&login_form(true))).into_response());
    }
    // What it calls itself is for its owner to recognise it by, and proves nothing. It is cut to 128 bytes.
    let agent = headers.get(USER_AGENT).and_then(|agent| agent.to_str().ok()).unwrap_or("unknown");
    // Behind a proxy: the address that the proxy says. No more than its network is kept.
    session.login(Login::new(Identity::new(form.username)).device(agent).network(peer.ip())).await?;
    Ok(Redirect::to("/").into_response())
}

/// For a demo. An application keeps a hash of each password that is slow to make: see `quickstart/users.rs`.
fn is_right(password: &str, right: &str) -> bool {
    Sha256::digest(password).ct_eq(&Sha256::digest(right)).into()
}

async fn devices(me: Option<Identity>, session: Session) -> Result<impl IntoResponse, SessionError> {
    let Some(me) = me else { return Ok(page(&login_form(false))) };
    let devices = session.devices().list().await?;
    let now = SystemClock.now();
    Ok(page(&html! {
        h1 { "Where " (me.subject()) " is signed in" }
        table {
            thead { tr { th { "Device" } th { "Network" } th { "Session" } th { "Signed in" } th { "Last used" } td {} } }
            tbody { @for device in &devices { (row(device, now)) } }
        }
        form method="post" {
            button formaction="/revoke-others" { "Sign out everywhere else" }
            " "
            button formaction="/revoke-all" { "Sign out everywhere" }
        }
    }))
}

fn row(device: &Device, now: Timestamp) -> Markup {
    html! {
        tr {
            td { (device.label.as_deref().unwrap_or("unknown")) }
            td { @if let Some(network) = device.network { (network) } }
            td { code { (device.session_ref) } @if device.current { " (this one)" } }
            td { (ago(device.created, now)) }
            td { (ago(device.last_seen, now)) }
            td {
                form method="post" action="/revoke" {
                    button name="session_ref" value=(device.session_ref) { "Sign out" }
                }
            }
        }
    }
}

/// To the minute: when a session was last used is known to within five.
fn ago(then: Timestamp, now: Timestamp) -> String {
    match now.since(then).as_secs() / 60 {
        0 => "just now".to_owned(),
        minutes @ 1..120 => format!("{minutes} min ago"),
        minutes => format!("{} h ago", minutes / 60),
    }
}

#[derive(Deserialize)]
struct Which {
    session_ref: String,
}

/// The reference is no secret. Somebody else's session is not found, like one that is not there; one's own is signed out.
async fn revoke(session: Session, Form(which): Form<Which>) -> Result<Redirect, SessionError> {
    session.devices().revoke(&which.session_ref).await?;
    Ok(Redirect::to("/"))
}

async fn revoke_others(session: Session) -> Result<Redirect, SessionError> {
    session.devices().revoke_others().await?;
    Ok(Redirect::to("/"))
}

async fn revoke_all(session: Session) -> Result<Redirect, SessionError> {
    session.devices().revoke_all().await?;
    Ok(Redirect::to("/"))
}

fn login_form(was_wrong: bool) -> Markup {
    html! {
        @if was_wrong { p role="alert" { "Unknown user, or wrong password." } }
        form method="post" action="/login" {
            p { label { "User name " input name="username" autocomplete="username" required autofocus; } }
            p { label { "Password " input name="password" type="password" autocomplete="current-password" required; } }
            p { button { "Sign in" } }
        }
    }
}

/// What it says depends on who is signed in: the back button must not show it after signing out.
fn page(content: &Markup) -> impl IntoResponse + use<> {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head { meta charset="utf-8"; meta name="color-scheme" content="light dark"; title { "Devices" } }
            body { (content) }
        }
    };
    ([(CACHE_CONTROL, "no-store"), (CONTENT_SECURITY_POLICY, POLICY)], page)
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let password = env::var("DEMO_PASSWORD").or_else(|_| random_text())?;
    let listener = listen(3007).await?;
    println!("Open http://localhost:{}/ and sign in as ada: {password}", listener.local_addr()?.port());
    axum::serve(listener, app(&password).into_make_service_with_connect_info::<SocketAddr>()).await?;
    Ok(())
}

fn random_text() -> Result<String, BoxError> {
    let mut random = [0; 9];
    rand::fill(&mut random)?;
    Ok(URL_SAFE_NO_PAD.encode(random))
}
