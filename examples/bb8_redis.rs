//! Sessions on the connections of a pool that the application has anyway: bb8.
//!
//! ```sh
//! REDIS_URL=redis://127.0.0.1 cargo run --example bb8_redis          # PORT, or 3015
//! curl -sS -c jar -b jar http://localhost:3015/                      # visit 1
//! curl -sS -c jar -b jar http://localhost:3015/                      # visit 2
//! ```
#![allow(clippy::print_stdout, reason = "a program says where to go")]
#![allow(clippy::disallowed_methods, reason = "a program reads its configuration from the environment")]

mod start;

use std::env;
use std::error::Error;

use axum::Router;
use axum::routing::get;
use bb8::Pool;
use portcullis::session::{SessionError, SessionKey};
use portcullis::{Session, SessionLayer};
use portcullis_redis::{RedisBackend, RedisConfig};

use self::start::{Failure, listen};

type BoxError = Box<dyn Error + Send + Sync>;

const VISITS: SessionKey<i64> = SessionKey::new("visits");

/// The pool is the application's, and so are its size and its timeouts; of these the backend's budget is the stricter one.
pub(crate) fn app(pool: Pool<redis::Client>) -> Result<Router, BoxError> {
    let config = RedisConfig::from_provider(move || {
        let pool = pool.clone();
        async move { pool.get_owned().await }
    });
    let sessions = SessionLayer::new(RedisBackend::connect(config)?);
    Ok(Router::new().route("/", get(visit)).layer(sessions))
}

/// Connects when it is first needed, so that the service starts while Redis is down.
pub(crate) fn pool(url: &str) -> Result<Pool<redis::Client>, BoxError> {
    Ok(Pool::builder().build_unchecked(redis::Client::open(url)?))
}

async fn visit(session: Session) -> Result<String, SessionError> {
    session.increment(&VISITS, 1)?;
    session.commit().await?;
    Ok(format!("visit {}\n", session.get(&VISITS)?.unwrap_or_default()))
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let url = env::var("REDIS_URL").unwrap_or_else(|_| "redis://127.0.0.1".to_owned());
    let listener = listen(3015).await?;
    println!("Open http://localhost:{}/", listener.local_addr()?.port());
    Ok(axum::serve(listener, app(pool(&url)?)?).await?)
}
