//! The Redis that keeps the sessions, and a look at whether it is set up for that.

use portcullis_redis::{RedisBackend, RedisConfig};

use super::BoxError;

pub(crate) fn backend(url: &str) -> Result<RedisBackend, BoxError> {
    let config = RedisConfig::from_url(url).map_err(|error| format!("REDIS_URL: {error}"))?;
    Ok(RedisBackend::connect(config)?)
}

/// What an operator should see to; empty if there is nothing.
pub(crate) async fn warnings(url: &str) -> Vec<String> {
    let checked = match backend(url) {
        Ok(backend) => backend.check().await,
        Err(error) => return vec![error.to_string()],
    };
    match checked {
        Ok(report) => report.warnings(),
        Err(error) => {
            vec![format!("Redis cannot be looked at: {error}. Sessions are answered 503 until it is there.")]
        }
    }
}
