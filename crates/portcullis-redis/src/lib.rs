//! The Redis backend of Portcullis.

mod backoff;
mod client;
mod config;
mod health;
mod keys;
mod link;
mod reply;
mod script;
mod session;
mod verdict;

pub use config::{ConfigError, ConfigErrorKind, RedisConfig};
pub use session::RedisBackend;
