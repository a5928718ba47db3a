//! Remote key sets.

mod builder;
mod desk;
mod endpoint;
mod error;
mod fetch;
mod origin;
mod report;
mod schedule;
mod source;
mod tls;

pub use builder::RemoteJwksBuilder;
pub use error::{ConfigError, ConfigErrorKind};
pub use source::RemoteJwks;
