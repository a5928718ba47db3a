//! [`ConfigError`]: what is wrong with a configuration.

use std::error::Error;
use std::fmt;

use redis::RedisError;

/// The configuration cannot be used. Neither the text nor the source holds a password.
pub struct ConfigError {
    kind: ConfigErrorKind,
    source: Option<Box<dyn Error + Send + Sync>>,
}

/// The part of a [`RedisConfig`](crate::RedisConfig) that is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ConfigErrorKind {
    /// A URL is not one of a Redis server.
    Url,
    /// There is no URL, or some are `rediss` and some `redis`.
    Servers,
    /// A cluster has database 0 only.
    Database,
    /// The key prefix is empty, over 32 characters, or holds something other than ASCII letters, digits, `_`, `-`,
    /// `.` and `:`.
    KeyPrefix,
    /// A duration is zero, one attempt may take longer than the whole budget, or that is over an hour.
    Duration,
    /// Connections are to be encrypted, and this build lacks the feature `tls`.
    TlsMissing,
    /// The certificates or the key cannot be used.
    Tls,
}

impl ConfigError {
    pub(crate) fn url(source: RedisError) -> Self {
        Self::caused(ConfigErrorKind::Url, source)
    }

    pub(crate) fn caused(kind: ConfigErrorKind, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { kind, source: Some(source.into()) }
    }

    /// What is wrong.
    #[must_use]
    pub const fn kind(&self) -> ConfigErrorKind {
        self.kind
    }
}

impl From<ConfigErrorKind> for ConfigError {
    fn from(kind: ConfigErrorKind) -> Self {
        Self { kind, source: None }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            ConfigErrorKind::Url => "not the URL of a Redis server that can be used",
            ConfigErrorKind::Servers => "one URL at least is needed, and all of them with or all without TLS",
            ConfigErrorKind::Database => "a cluster has no other database than 0",
            ConfigErrorKind::KeyPrefix => {
                "a key prefix is 1 to 32 ASCII letters, digits, '_', '-', '.' and ':'"
            }
            ConfigErrorKind::Duration => {
                "the attempt timeout must be above zero and not above the budget, which is an hour at most"
            }
            ConfigErrorKind::TlsMissing => "TLS needs the feature `tls` of portcullis-redis",
            ConfigErrorKind::Tls => "the certificates or the key cannot be used",
        })
    }
}

/// With the text and its cause: it is this that a `main` prints that gives the error back.
impl fmt::Debug for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ConfigError({:?}: {self}", self.kind)?;
        self.source.iter().try_for_each(|source| write!(f, ": {source}"))?;
        f.write_str(")")
    }
}

impl Error for ConfigError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn Error + 'static))
    }
}
