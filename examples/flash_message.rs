//! A message for the next page, shown once: redirect after POST, and [`Session::take`].
//!
//! ```sh
//! cargo run --example flash_message                                             # PORT, or 3005
//! URL=http://localhost:3005
//! curl -sS -c jar -b jar -H "Origin: $URL" $URL/notes -d text='buy milk' -i     # 303, a cookie
//! curl -sS -c jar -b jar $URL/                                                  # the note, and "Kept."
//! curl -sS -c jar -b jar $URL/                                                  # the note
//! curl -sS -c jar -b jar -H "Origin: $URL" $URL/notes -d text= && curl -sS -c jar -b jar $URL/    # "Nothing to keep."
//! curl -sS -c jar -b jar -H 'Origin: https://evil.example' $URL/notes -d text=x -i    # 403
//! ```
#![allow(clippy::print_stdout, reason = "a program says where to go")]
#![allow(clippy::disallowed_methods, reason = "a program reads its configuration from the environment")]

mod start;

use axum::extract::DefaultBodyLimit;
use axum::http::header::CACHE_CONTROL;
use axum::response::{IntoResponse, Redirect};
use axum::routing::{get, post};
use axum::{Form, Router};
use maud::{DOCTYPE, html};
use portcullis::session::{MemoryBackend, SessionError, SessionKey};
use portcullis::{CsrfLayer, Session, SessionLayer};
use serde::{Deserialize, Serialize};
use tower::ServiceBuilder;

use self::start::{Failure, listen};

const NOTES: SessionKey<Vec<String>> = SessionKey::new("notes");
const FLASH: SessionKey<Flash> = SessionKey::new("flash");

/// What there is to tell. The words are found when it is shown, so nothing that a visitor has typed comes back as a
/// message, and it is told in the language of the page.
#[derive(Clone, Copy, Serialize, Deserialize)]
enum Flash {
    Kept,
    Empty,
    Full,
}

const MOST_NOTES: usize = 10;

pub(crate) fn app() -> Router {
    Router::new()
        .route("/", get(notes))
        .route("/notes", post(keep))
        .layer(
            ServiceBuilder::new()
                .layer(SessionLayer::new(MemoryBackend::new()))
                // Nobody signs in here, and what visitors have in their sessions is theirs all the same.
                .layer(CsrfLayer::new().always()),
        )
        .layer(DefaultBodyLimit::max(1024))
}

#[derive(Deserialize)]
struct Note {
    text: String,
}

/// Writes, says so to the next page, and redirects there: reloading that page sends nothing a second time.
async fn keep(session: Session, Form(note): Form<Note>) -> Result<Redirect, SessionError> {
    let text = note.text.trim().to_owned();
    let held = session.get(&NOTES)?.unwrap_or_default();
    let flash = match (text.is_empty(), held.len() < MOST_NOTES) {
        (true, _) => Flash::Empty,
        (false, false) => Flash::Full,
        (false, true) => Flash::Kept,
    };
    if matches!(flash, Flash::Kept) {
        // It is applied again to what another tab may have written meanwhile, so that both notes are kept.
        session.update(&NOTES, move |held| {
            let mut notes = held.unwrap_or_default();
            notes.push(text.clone());
            Some(notes)
        })?;
    }
    session.set(&FLASH, &flash)?;
    Ok(Redirect::to("/"))
}

/// Reading the message takes it away, in one step: of two tabs that load, one shows it. A page without one writes nothing.
async fn notes(session: Session) -> Result<impl IntoResponse, SessionError> {
    let flash = session.take(&FLASH).await?;
    let notes = session.get(&NOTES)?.unwrap_or_default();
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head { meta charset="utf-8"; meta name="color-scheme" content="light dark"; title { "Notes" } }
            body {
                @if let Some(flash) = flash { p role="status" { (words(flash)) } }
                ul { @for note in &notes { li { (note) } } }
                form method="post" action="/notes" {
                    label { "Note " input name="text" maxlength="200" autofocus; }
                    " "
                    button { "Keep it" }
                }
            }
        }
    };
    // The back button must not show a message again.
    Ok(([(CACHE_CONTROL, "no-store")], page))
}

fn words(flash: Flash) -> &'static str {
    match flash {
        Flash::Kept => "Kept.",
        Flash::Empty => "Nothing to keep.",
        Flash::Full => "You have as many notes as you may.",
    }
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let listener = listen(3005).await?;
    println!("Open http://localhost:{}/", listener.local_addr()?.port());
    axum::serve(listener, app()).await?;
    Ok(())
}
