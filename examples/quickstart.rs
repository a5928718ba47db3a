//! A small web application: pages with sign-in by session, and an API with bearer tokens, on axum.
//!
//! ```sh
//! cargo run --example quickstart                                   # sessions in memory
//! REDIS_URL=redis://127.0.0.1:6379 cargo run --example quickstart  # sessions in Redis
//! ```
//!
//! | variable | meaning | default |
//! | --- | --- | --- |
//! | `PORT` | where to listen on 127.0.0.1 | 3000 |
//! | `REDIS_URL` | where the sessions are kept: any URL of `RedisConfig::from_url`, a cluster too | memory |
//! | `DEMO_PASSWORD` | the password of `ada` and of `grace`, who is an admin | made at start and printed |
//! | `INSECURE_DEV` | `1`: a cookie without `Secure`, for Safari | `__Host-id` with `Secure` |
//! | `RUST_LOG` | what is logged | `info` |
//!
//! Open <http://localhost:3000/>, or try it with curl. A POST that carries the cookie must say where it comes from, as
//! a browser does by itself:
//!
//! ```sh
//! URL=http://localhost:3000 PASSWORD=...                                        # as printed
//! curl() { command curl -sS -b jar -c jar -H "Origin: $URL" "$@"; }             # keeps cookies in ./jar
//! curl $URL/login -d username=ada --data-urlencode password=$PASSWORD -i        # 303 and a cookie
//! curl $URL/note -d note='hello' && curl $URL/account                           # the page with the note
//! seq 20 | xargs -P 20 -I{} curl -sS -b jar -H "Origin: $URL" -X POST $URL/counter  # 20 different answers
//! curl $URL/devices                                                             # the page of sessions
//! curl -X POST $URL/devices/revoke-others
//! command curl -sS -b jar -X POST $URL/counter                                      # 403, and it says why
//! curl -X POST $URL/logout -i
//! ```
//!
//! ```sh
//! TOKEN=$(command curl -sS $URL/api/token --json '{"username":"grace","password":"'$PASSWORD'"}' | jq -r .access_token)
//! command curl -sSi $URL/api/me                                                   # 401
//! command curl -sSi $URL/api/me -H "Authorization: Bearer $TOKEN"                 # 200
//! command curl -sSi $URL/api/me -H "Authorization: Bearer ${TOKEN}x"              # 401, error="invalid_token"
//! command curl -sSi $URL/api/admin -H "Authorization: Bearer $TOKEN"              # 200 for grace, 403 for ada
//! ```
#![allow(clippy::print_stdout, reason = "a program says where to go")]
#![allow(clippy::disallowed_methods, reason = "a program reads its configuration from the environment")]

#[path = "quickstart/mod.rs"]
mod quickstart;
mod start;

use std::env;
use std::io::{IsTerminal, stderr};

use tokio::signal;
use tracing_subscriber::EnvFilter;

use self::quickstart::{Config, app, random_text, redis};
use self::start::{Failure, listen};

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let filter = var("RUST_LOG").unwrap_or_else(|| "info".to_owned());
    let filter = EnvFilter::try_new(filter).map_err(|error| format!("RUST_LOG: {error}"))?;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(stderr)
        .with_ansi(stderr().is_terminal())
        .init();

    let config = Config {
        demo_password: var("DEMO_PASSWORD").map_or_else(|| random_text(9), Ok)?,
        redis_url: var("REDIS_URL"),
        insecure_dev: insecure_dev()?,
    };
    let app = app(&config)?;
    let listener = listen(3000).await?;
    welcome(&config, listener.local_addr()?.port());
    // Beside the service, which need not wait for it: Redis may be away for now.
    tokio::spawn(warn(config.redis_url));
    axum::serve(listener, app).with_graceful_shutdown(stopped()).await?;
    Ok(())
}

/// A variable that is set to nothing counts as not set.
fn var(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

fn insecure_dev() -> Result<bool, Failure> {
    match var("INSECURE_DEV").as_deref() {
        None | Some("0") => Ok(false),
        Some("1") => Ok(true),
        Some(other) => Err(format!("INSECURE_DEV={other} is neither 1 nor 0").into()),
    }
}

fn welcome(config: &Config, port: u16) {
    let url = format!("http://localhost:{port}");
    let store = if config.redis_url.is_some() { "Redis" } else { "memory" };
    println!("Open {url}/ and sign in as ada, or as grace, who is an admin. Sessions are kept in {store}.");
    match var("DEMO_PASSWORD") {
        Some(_) => println!("Their password is the one in DEMO_PASSWORD."),
        None => println!("Their password: {}", config.demo_password),
    }
    if config.insecure_dev {
        println!("INSECURE_DEV=1: the session cookie goes out without Secure.");
    } else {
        println!("Safari never keeps Secure cookies on http://localhost: for it, start with INSECURE_DEV=1.");
    }
    println!("With curl, send -H 'Origin: {url}' on every POST, as a browser would.");
}

/// Says what is wrong with the Redis, if there is one and anything is.
async fn warn(redis_url: Option<String>) {
    let Some(url) = redis_url else { return };
    if let Err(warning) = redis::look(&url).await {
        println!("Warning: {warning}");
    }
}

/// Ctrl-C, or what a service manager sends.
async fn stopped() {
    let interrupt = async { signal::ctrl_c().await.unwrap_or_default() };
    #[cfg(unix)]
    let terminate = async {
        match signal::unix::signal(signal::unix::SignalKind::terminate()) {
            Ok(mut signal) => signal.recv().await.unwrap_or_default(),
            Err(_) => std::future::pending().await,
        }
    };
    #[cfg(not(unix))]
    let terminate = std::future::pending::<()>();
    tokio::select! {
        () = interrupt => {}
        () = terminate => {}
    }
}
