//! What stands in for `tls.rs` in a build without the feature `tls`.

use std::convert::Infallible;

use redis::RedisResult;
use tokio::net::TcpStream;

use super::Stream;
use crate::config::{ConfigError, ConfigErrorKind};

/// Never there.
#[derive(Clone)]
pub(crate) struct Tls(Infallible);

/// Nothing to configure.
#[derive(Clone)]
pub(crate) struct TlsConfig;

impl TlsConfig {
    pub(crate) const fn new() -> Self {
        Self
    }
}

impl Tls {
    pub(crate) fn new(_: &TlsConfig) -> Result<Self, ConfigError> {
        Err(ConfigErrorKind::TlsMissing.into())
    }

    pub(crate) async fn over(&self, _: &str, _: TcpStream) -> RedisResult<Stream> {
        match self.0 {}
    }
}
