//! [`RedisConfig`]: where the server is, and how long a call may take.

use std::error::Error;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use redis::io::tcp::TcpSettings;
use redis::{ConnectionInfo, ProtocolVersion, RedisError};

/// Where the server is, and how long a call may take.
///
/// `Debug` shows the address and never the password.
#[derive(Clone)]
pub struct RedisConfig {
    pub(crate) server: ConnectionInfo,
    pub(crate) budget: Duration,
    pub(crate) attempt_timeout: Duration,
    pub(crate) key_prefix: String,
    pub(crate) max_record_len: usize,
}

/// The configuration cannot be used. Neither the text nor the source holds the password.
#[derive(Debug)]
pub struct ConfigError {
    kind: ConfigErrorKind,
    source: Option<RedisError>,
}

/// The part of a [`RedisConfig`] that is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ConfigErrorKind {
    /// The URL is not one of a Redis server, or asks for something that this build lacks.
    Url,
    /// The key prefix is empty, over 32 characters, or holds something other than ASCII letters, digits, `_`, `-`,
    /// `.` and `:`.
    KeyPrefix,
    /// A duration is zero, or one attempt may take longer than the whole budget.
    Duration,
}

impl RedisConfig {
    /// One server, or whatever stands at one address.
    ///
    /// `redis://[user][:password@]host[:port][/database]`, `redis+unix:///path[?db=..&user=..&pass=..]` (also
    /// `unix://`), and the same with `valkey`. A host name is resolved anew for every connection.
    ///
    /// # Errors
    /// [`ConfigErrorKind::Url`]. The server is not contacted.
    pub fn standalone(url: impl AsRef<str>) -> Result<Self, ConfigError> {
        let server = ConnectionInfo::from_str(url.as_ref()).map_err(ConfigError::url)?;
        // One protocol, so that replies have one shape. TCP_NODELAY is off by default in the redis crate, and a
        // request must not wait for the acknowledgement of the one before.
        let redis = server.redis_settings().clone().set_protocol(ProtocolVersion::RESP2);
        let tcp = TcpSettings::default().set_nodelay(true);
        Ok(Self {
            server: server.set_redis_settings(redis).set_tcp_settings(tcp),
            budget: Duration::from_millis(450),
            attempt_timeout: Duration::from_millis(200),
            key_prefix: "p".to_owned(),
            max_record_len: 64 * 1024,
        })
    }

    /// How long a call to the backend may take in all, connecting and resending included. Default 450 ms.
    ///
    /// It is also how long a request can be held up by a store that is away.
    #[must_use]
    pub fn budget(mut self, budget: Duration) -> Self {
        self.budget = budget;
        self
    }

    /// How long one send of a command, or one attempt to connect, may take. Default 200 ms.
    ///
    /// Two sends in a row without an answer in this time condemn the connection. It should be well above the slowest
    /// answer of a healthy server, and at most half the budget.
    #[must_use]
    pub fn attempt_timeout(mut self, timeout: Duration) -> Self {
        self.attempt_timeout = timeout;
        self
    }

    /// What every key starts with, for several applications on one server. Default `p`.
    #[must_use]
    pub fn key_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.key_prefix = prefix.into();
        self
    }

    /// The largest record that is written, in bytes, header included. Default 64 KiB.
    ///
    /// All calls share a connection: a large record holds up those behind it.
    #[must_use]
    pub fn max_record_len(mut self, bytes: usize) -> Self {
        self.max_record_len = bytes;
        self
    }

    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b':');
        if !(1..=32).contains(&self.key_prefix.len()) || !self.key_prefix.bytes().all(legal) {
            return Err(ConfigErrorKind::KeyPrefix.into());
        }
        if self.attempt_timeout.is_zero() || self.attempt_timeout > self.budget {
            return Err(ConfigErrorKind::Duration.into());
        }
        Ok(())
    }
}

impl ConfigError {
    pub(crate) const fn url(source: RedisError) -> Self {
        Self { kind: ConfigErrorKind::Url, source: Some(source) }
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
            ConfigErrorKind::KeyPrefix => {
                "a key prefix is 1 to 32 ASCII letters, digits, '_', '-', '.' and ':'"
            }
            ConfigErrorKind::Duration => "the attempt timeout must be above zero and not above the budget",
        })
    }
}

impl Error for ConfigError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_ref().map(|source| source as &(dyn Error + 'static))
    }
}

impl fmt::Debug for RedisConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisConfig")
            .field("server", &format_args!("{}", self.server.addr()))
            .field("budget", &self.budget)
            .field("attempt_timeout", &self.attempt_timeout)
            .field("key_prefix", &self.key_prefix)
            .field("max_record_len", &self.max_record_len)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> RedisConfig {
        RedisConfig::standalone("redis://user:hunter2@localhost:6379/3").unwrap()
    }

    #[test]
    fn addresses_are_read_when_the_configuration_is_made() {
        let cases = [
            ("tcp", "redis://127.0.0.1:6379", true),
            ("tcp with everything", "redis://user:pass@localhost:6379/3", true),
            ("valkey", "valkey://localhost", true),
            ("socket", "unix:///run/redis.sock", true),
            ("socket with everything", "redis+unix:///run/redis.sock?db=1&user=u&pass=p", true),
            ("TLS, which this build lacks", "rediss://localhost", false),
            ("empty", "", false),
            ("no scheme", "localhost:6379", false),
            ("another protocol", "http://localhost", false),
            ("no host", "redis://", false),
            ("a database that is no number", "redis://localhost/users", false),
        ];
        for (name, url, legal) in cases {
            let kind = RedisConfig::standalone(url).err().map(|error| error.kind());
            assert_eq!(kind, (!legal).then_some(ConfigErrorKind::Url), "{name}");
        }
    }

    #[test]
    fn every_connection_is_without_delay_and_of_one_protocol() {
        let server = RedisConfig::standalone("redis://localhost/?protocol=resp3").unwrap().server;
        assert!(server.tcp_settings().nodelay());
        assert_eq!(server.redis_settings().protocol(), ProtocolVersion::RESP2);
    }

    #[test]
    fn what_contradicts_itself_is_refused() {
        let zero = Duration::ZERO;
        let second = Duration::from_secs(1);
        let cases = [
            ("default", config(), None),
            ("prefix with a colon", config().key_prefix("shop:eu-1"), None),
            ("empty prefix", config().key_prefix(""), Some(ConfigErrorKind::KeyPrefix)),
            ("hash tag in the prefix", config().key_prefix("{a}"), Some(ConfigErrorKind::KeyPrefix)),
            ("long prefix", config().key_prefix("x".repeat(33)), Some(ConfigErrorKind::KeyPrefix)),
            ("no budget", config().budget(zero), Some(ConfigErrorKind::Duration)),
            ("no time per attempt", config().attempt_timeout(zero), Some(ConfigErrorKind::Duration)),
            ("an attempt over the budget", config().attempt_timeout(second), Some(ConfigErrorKind::Duration)),
        ];
        for (name, config, kind) in cases {
            assert_eq!(config.check().err().map(|error| error.kind()), kind, "{name}");
        }
    }

    #[test]
    fn the_password_is_in_no_text() {
        let broken =
            ["redis://user:hunter2@localhost/x", "redis://user:hunter2@", "foo://user:hunter2@localhost"];
        for url in broken {
            let error = RedisConfig::standalone(url).unwrap_err();
            let text = format!("{error} {error:?} {:?}", error.source());
            assert!(!text.contains("hunter2"), "{text}");
        }
        let text = format!("{:?}", config());
        assert!(!text.contains("hunter2") && text.contains("localhost:6379"), "{text}");
    }
}
