//! The Redis that keeps the sessions, and a look at whether it is set up for that.

use portcullis_redis::{RedisBackend, RedisConfig};

use super::BoxError;

pub(crate) fn backend(url: &str) -> Result<RedisBackend, BoxError> {
    let config = RedisConfig::from_url(url).map_err(|error| format!("REDIS_URL: {error}"))?;
    Ok(RedisBackend::connect(config)?)
}

/// Looks at whether the Redis is set up for sessions. What an operator should see to is in the log afterwards.
///
/// # Errors
/// When it cannot be looked at, in words.
pub(crate) async fn look(url: &str) -> Result<(), String> {
    let backend = backend(url).map_err(|error| error.to_string())?;
    let looked = backend.check().await.map(drop);
    looked.map_err(|error| {
        format!("Redis cannot be looked at: {error}. Sessions are answered 503 until it is there.")
    })
}
