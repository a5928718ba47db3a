//! Sessions on the connections of a pool that the application has anyway: deadpool-redis.
//!
//! ```sh
//! REDIS_URL=redis://127.0.0.1 cargo run --example deadpool_redis     # PORT, or 3014
//! curl -sS -c jar -b jar http://localhost:3014/                      # visit 1
//! curl -sS -c jar -b jar http://localhost:3014/                      # visit 2
//! ```
#![allow(clippy::print_stdout, reason = "a program says where to go")]
#![allow(clippy::disallowed_methods, reason = "a program reads its configuration from the environment")]

mod start;

use std::env;
use std::error::Error;

use axum::Router;
use axum::routing::get;
use deadpool_redis::{Config, Pool, Runtime};
use portcullis::session::{SessionError, SessionKey};
use portcullis::{Session, SessionLayer};
use portcullis_redis::{RedisBackend, RedisConfig};

use self::start::{Failure, listen};

type BoxError = Box<dyn Error + Send + Sync>;

const VISITS: SessionKey<i64> = SessionKey::new("visits");

/// The pool is the application's, and so are its size and its timeouts; of these the backend's budget is the stricter one.
pub(crate) fn app(pool: Pool) -> Result<Router, BoxError> {
    let config = RedisConfig::from_provider(move || {
        let pool = pool.clone();
        async move { pool.get().await }
    });
    let sessions = SessionLayer::new(RedisBackend::connect(config)?);
    Ok(Router::new().route("/", get(visit)).layer(sessions))
}

pub(crate) fn pool(url: &str) -> Result<Pool, BoxError> {
    Ok(Config::from_url(url).create_pool(Some(Runtime::Tokio1))?)
}

async fn visit(session: Session) -> Result<String, SessionError> {
    session.increment(&VISITS, 1)?;
    session.commit().await?;
    Ok(format!("visit {}\n", session.get(&VISITS)?.unwrap_or_default()))
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let url = env::var("REDIS_URL").unwrap_or_else(|_| "redis://127.0.0.1".to_owned());
    let listener = listen(3014).await?;
    println!("Open http://localhost:{}/", listener.local_addr()?.port());
    Ok(axum::serve(listener, app(pool(&url)?)?).await?)
}
