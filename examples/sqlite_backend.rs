//! A session backend of your own, on SQLite: sessions that outlive the process, and that several processes share.
//!
//! ```sh
//! FILE=/tmp/sessions.db PORT=3003 cargo run --example sqlite_backend     # these are the defaults
//! FILE=/tmp/sessions.db PORT=3004 cargo run --example sqlite_backend     # in another terminal: one more process
//! for i in $(seq 20); do for port in 3003 3004; do                       # both count in one session
//!     curl -sS -c jar -b jar -H "Origin: http://localhost:$port" -X POST http://localhost:$port/count
//! done; done
//! curl -sS -c jar -b jar http://localhost:3004/                          # 40
//! ```
//!
//! The backend stands in [`sqlite_backend/mod.rs`](sqlite_backend/mod.rs). The conformance suite runs on it in
//! `tests/examples/sqlite_backend.rs`; what it has to promise, and why, is told in the documentation of
//! `portcullis_store::guide`.
#![allow(clippy::print_stdout, reason = "a program says where to go")]
#![allow(clippy::disallowed_methods, reason = "a program reads its configuration from the environment")]

#[path = "sqlite_backend/mod.rs"]
pub(crate) mod sqlite_backend;
mod start;

use std::env;

use axum::Router;
use axum::routing::{get, post};
use portcullis::session::{SessionError, SessionKey};
use portcullis::{CsrfLayer, Session, SessionLayer};
use tower::ServiceBuilder;

use self::sqlite_backend::SqliteBackend;
use self::start::{Failure, listen};

const COUNT: SessionKey<i64> = SessionKey::new("count");

/// A counter for every visitor. That sessions are kept in SQLite is the affair of whoever makes the layer.
pub(crate) fn app(sessions: SessionLayer) -> Router {
    Router::new().route("/", get(show)).route("/count", post(count)).layer(
        ServiceBuilder::new()
            .layer(sessions)
            // Nobody signs in here, and what visitors have in their sessions is theirs all the same.
            .layer(CsrfLayer::new().always()),
    )
}

async fn show(session: Session) -> Result<String, SessionError> {
    let count = session.get(&COUNT)?.unwrap_or_default();
    Ok(format!("{count}\n"))
}

/// Exact, however many requests count at once, in however many processes.
async fn count(session: Session) -> Result<String, SessionError> {
    session.increment(&COUNT, 1)?;
    session.commit().await?;
    show(session).await
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let file = env::var("FILE").unwrap_or_else(|_| "/tmp/sessions.db".to_owned());
    let listener = listen(3003).await?;
    println!("Open http://localhost:{}/, which keeps its sessions in {file}", listener.local_addr()?.port());
    let sessions = SessionLayer::new(SqliteBackend::new(file));
    axum::serve(listener, app(sessions)).await?;
    Ok(())
}
