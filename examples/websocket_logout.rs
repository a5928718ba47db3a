//! A chat over WebSockets that hangs up when its user logs out: in another tab, or on another node.
//!
//! ```sh
//! cargo run --example websocket_logout                                   # PORT, or 3013; sessions in memory
//! REDIS_URL=redis://127.0.0.1:6379 cargo run --example websocket_logout  # sessions in Redis
//! ```
//!
//! Open <http://localhost:3013/> in two tabs and sign in: each has a socket of its own. Sign out in one, and both are
//! closed with 4401. With Redis, run it a second time with `PORT=3014`: cookies know no ports, so a tab of each
//! shares the session, and signing out in one closes the other's socket in the other process.
#![allow(clippy::print_stdout, reason = "a program says where to go")]
#![allow(clippy::disallowed_methods, reason = "a program reads its configuration from the environment")]

mod start;

use std::env;

use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use axum::response::{Html, Redirect, Response};
use axum::routing::{get, post};
use axum::{Form, Router};
use portcullis::session::{MemoryBackend, SessionEnd, SessionError, SessionKey, SessionLayer};
use portcullis::{CsrfLayer, Identity, RequireLayer, Session};
use portcullis_redis::{RedisBackend, RedisConfig};
use serde::Deserialize;
use tower::ServiceBuilder;

use self::start::{Failure, listen};

/// How many messages this session has sent, in all its tabs.
const SENT: SessionKey<i64> = SessionKey::new("sent");

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let sessions = match env::var("REDIS_URL") {
        Ok(url) => SessionLayer::new(RedisBackend::connect(RedisConfig::from_url(&url)?)?),
        Err(_) => SessionLayer::new(MemoryBackend::new()),
    };
    let listener = listen(3013).await?;
    println!("Open http://localhost:{}/ in two tabs", listener.local_addr()?.port());
    axum::serve(listener, app(sessions)).await?;
    Ok(())
}

pub(crate) fn app(sessions: SessionLayer) -> Router {
    Router::new()
        // A handshake is a GET that no browser asks leave for: CsrfLayer refuses those of other sites.
        .route("/chat", get(chat).layer(RequireLayer::authenticated()))
        .route("/", get(page))
        .route("/login", post(login))
        .route("/logout", post(logout))
        .layer(ServiceBuilder::new().layer(sessions).layer(CsrfLayer::new().always()))
}

async fn chat(upgrade: WebSocketUpgrade, session: Session) -> Result<Response, SessionError> {
    let (watch, session) = (session.watch()?, session.detach()?);
    let echo = async move |socket: &mut WebSocket| {
        while let Some(Ok(message)) = socket.recv().await {
            let Message::Text(text) = message else { continue };
            // The response's head is long gone: what is recorded is saved when it is committed.
            if session.increment(&SENT, 1).is_err() || session.commit().await.is_err() {
                return;
            }
            let sent = session.get(&SENT).ok().flatten().unwrap_or_default();
            if socket.send(Message::Text(format!("{sent}: {text}").into())).await.is_err() {
                return;
            }
        }
    };
    Ok(upgrade.on_upgrade(|socket| watch.serve(socket, echo, hang_up)))
}

async fn hang_up(socket: &mut WebSocket, end: SessionEnd) {
    let frame = CloseFrame { code: SessionEnd::CLOSE_CODE, reason: end.reason().into() };
    let _ = socket.send(Message::Close(Some(frame))).await;
}

#[derive(Deserialize)]
struct Name {
    name: String,
}

/// Anybody, by any name: the passwords are in the quick start.
async fn login(session: Session, Form(form): Form<Name>) -> Result<Redirect, SessionError> {
    session.login(Identity::new(form.name)).await?;
    Ok(Redirect::to("/"))
}

async fn logout(session: Session) -> Result<Redirect, SessionError> {
    session.logout().await?;
    Ok(Redirect::to("/"))
}

async fn page(me: Option<Identity>) -> Html<&'static str> {
    Html(if me.is_some() { CHAT } else { SIGN_IN })
}

const SIGN_IN: &str = r#"<!doctype html><title>Chat</title>
<form method=post action=/login><input name=name required placeholder=name> <button>Sign in</button></form>"#;

const CHAT: &str = r#"<!doctype html><title>Chat</title>
<form id=say><input id=text autofocus> <button>Send</button></form>
<form method=post action=/logout><button>Sign out</button></form>
<pre id=log></pre>
<script>
  const log = (line) => document.getElementById("log").append(line + "\n");
  const socket = new WebSocket(location.origin.replace(/^http/, "ws") + "/chat");
  socket.onopen = () => log("connected");
  socket.onmessage = (event) => log(event.data);
  socket.onclose = (event) => {
    log(`closed: ${event.code} ${event.reason}`);
    // 4401: there is nobody signed in any more. Anything else is worth another try.
    if (event.code === 4401) setTimeout(() => location.reload(), 2000);
  };
  document.getElementById("say").onsubmit = (event) => {
    event.preventDefault();
    const text = document.getElementById("text");
    socket.send(text.value);
    text.value = "";
  };
</script>"#;
