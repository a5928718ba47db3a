//! A page that htmx changes in place: the CSRF token in `hx-headers`, and a login page that opens when nobody is signed in
//! any more.
//!
//! ```sh
//! cargo run --example axum_htmx                                    # PORT, or 3012
//! URL=http://localhost:3012
//! curl -sS $URL/notes -H 'HX-Request: true' -d text=x -i            # 401, HX-Redirect: /login
//! curl -sS -c jar $URL/login                                      # a form with its token
//! curl -sS -b jar -c jar $URL/login -d name=ada -d csrf_token=... -i # 303, as one that it was sent
//! curl -sS -b jar $URL/                                           # the page, with hx-headers
//! curl -sS -b jar -H "Origin: $URL" $URL/notes -d text=x -i         # 403: "the form holds no CSRF token"
//! ```
//!
//! `examples/axum_htmx/htmx.min.js` is htmx 2.0.11 as it is published (Zero-Clause BSD), served by the program itself.
#![allow(clippy::print_stdout, reason = "a program says where to go")]
#![allow(clippy::disallowed_methods, reason = "a program reads its configuration from the environment")]

mod start;

use std::error::Error;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Query};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Redirect};
use axum::routing::{get, post};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use portcullis::axum::CsrfForm;
use portcullis::csrf::{CsrfKeys, CsrfToken};
use portcullis::respond::{LoginRedirect, ProblemResponder, SafePath};
use portcullis::session::{MemoryBackend, SessionError, SessionKey, SessionLayer};
use portcullis::{CsrfLayer, Identity, RequireLayer, Session};
use serde::Deserialize;
use tower::ServiceBuilder;

use self::start::{Failure, listen};

type BoxError = Box<dyn Error + Send + Sync>;

const NOTES: SessionKey<Vec<String>> = SessionKey::new("notes");

/// `key`: the same in every process of the service.
pub(crate) fn app(key: &[u8]) -> Result<Router, BoxError> {
    // People on the way to a page are sent to the login page, and so is htmx, which opens it in place of a fragment.
    let refusals = LoginRedirect::to("/login").otherwise(ProblemResponder);
    let sessions = SessionLayer::builder(MemoryBackend::new()).responder(refusals.clone()).build()?;
    let csrf = CsrfLayer::new().always().tokens(CsrfKeys::new(key))?.responder(refusals.clone());
    Ok(Router::new()
        .route("/", get(home))
        .route("/notes", post(keep))
        // Before a form is asked for its token, which is worth nothing when its session has ended.
        .route_layer(RequireLayer::authenticated().responder(refusals))
        .route("/login", get(login_page).post(login))
        .route("/logout", post(logout))
        .layer(ServiceBuilder::new().layer(sessions).layer(csrf))
        .route("/htmx.js", get(htmx))
        .layer(DefaultBodyLimit::max(4096)))
}

async fn htmx() -> impl IntoResponse {
    ([(CONTENT_TYPE, "text/javascript")], include_str!("axum_htmx/htmx.min.js"))
}

/// By itself htmx leaves a page as it is when it is refused. What is wrong, such as a token of somebody who was signed in here
/// before, stands in the problem's `detail`.
const TELL: &str = "problem.textContent = JSON.parse(event.detail.xhr.responseText).detail";

/// What was kept need not stand in the form any longer.
const CLEAR: &str = "if (event.detail.successful) { this.reset(); problem.textContent = '' }";

async fn home(me: Identity, session: Session, token: CsrfToken) -> Result<impl IntoResponse, SessionError> {
    let notes = session.get(&NOTES)?.unwrap_or_default();
    Ok(page(html! {
        h1 { "Notes of " (me.subject()) }
        // Whatever htmx sends from here carries the token.
        main hx-headers=(token.header()) hx-on--response-error=(TELL) {
            p #problem role="alert" {}
            form hx-post="/notes" hx-target="#notes" hx-swap="outerHTML" hx-on--after-request=(CLEAR) {
                label { "Note " input name="text" maxlength="200" required autofocus; }
                " "
                button { "Keep it" }
            }
            (list(&notes))
        }
        // Without a script a form carries its own.
        form method="post" action="/logout" { (PreEscaped(token.field())) button { "Sign out" } }
    }))
}

#[derive(Deserialize)]
struct Note {
    text: String,
}

/// Answers with the part of the page that changes. Nothing of a form is here before it is verified.
async fn keep(CsrfForm(session, note): CsrfForm<Note, Session>) -> Result<Markup, SessionError> {
    session.update(&NOTES, move |held| {
        let mut notes = held.unwrap_or_default();
        notes.push(note.text.clone());
        Some(notes)
    })?;
    Ok(list(&session.get(&NOTES)?.unwrap_or_default()))
}

fn list(notes: &[String]) -> Markup {
    html! { ul id="notes" { @for note in notes { li { (note) } } } }
}

#[derive(Deserialize)]
struct Next {
    next: Option<String>,
}

impl Next {
    /// A page of this service, whatever the address says.
    fn path(self) -> String {
        let next = self.next.filter(|next| SafePath::parse(next).is_ok());
        next.unwrap_or_else(|| "/".to_owned())
    }
}

async fn login_page(token: CsrfToken, Query(next): Query<Next>) -> impl IntoResponse {
    page(html! {
        h1 { "Sign in" }
        form method="post" {
            (PreEscaped(token.field()))
            input type="hidden" name="next" value=(next.path());
            label { "Name " input name="name" required autofocus; }
            " "
            button { "Sign in" }
        }
    })
}

#[derive(Deserialize)]
struct Login {
    name: String,
    next: Option<String>,
}

/// A real service checks a password first: see the example `remember_me`.
async fn login(CsrfForm(session, form): CsrfForm<Login, Session>) -> Result<Redirect, SessionError> {
    session.login(Identity::new(form.name)).await?;
    Ok(Redirect::to(&Next { next: form.next }.path()))
}

#[derive(Deserialize)]
struct Nothing {}

async fn logout(CsrfForm(session, _): CsrfForm<Nothing, Session>) -> Result<Redirect, SessionError> {
    session.logout().await?;
    Ok(Redirect::to("/login"))
}

fn page(content: Markup) -> impl IntoResponse {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="color-scheme" content="light dark";
                title { "Notes" }
                script src="/htmx.js" defer {}
            }
            body { (content) }
        }
    };
    // Each page has tokens of whoever was signed in when it was made: the back button must not show an old one.
    ([(CACHE_CONTROL, "no-store")], page)
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    // A service with more than one process is given its key.
    let mut key = [0; 32];
    aws_lc_rs::rand::fill(&mut key)?;
    let listener = listen(3012).await?;
    println!("Open http://localhost:{}/", listener.local_addr()?.port());
    axum::serve(listener, app(&key)?).await?;
    Ok(())
}
