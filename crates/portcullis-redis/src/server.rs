//! [`Server`]: where a server is, and as whom to log in there.

mod dial;
#[cfg(feature = "tls")]
mod tls;
#[cfg(not(feature = "tls"))]
#[path = "server/no_tls.rs"]
mod tls;

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use redis::{ConnectionAddr, ConnectionInfo, ErrorKind, ProtocolVersion, RedisConnectionInfo, RedisError};

pub(crate) use self::dial::Stream;
pub(crate) use self::tls::Tls;
#[cfg(not(feature = "tls"))]
pub(crate) use self::tls::TlsConfig;
#[cfg(feature = "tls")]
pub use self::tls::TlsConfig;
use crate::config::{ConfigError, ConfigErrorKind};

/// Where a server is, and as whom to log in there.
#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) place: Place,
    pub(crate) login: RedisConnectionInfo,
    /// How to encrypt the connection, if it is to be.
    pub(crate) tls: Option<Tls>,
}

/// Where a server is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Place {
    Tcp { host: String, port: u16 },
    Unix(PathBuf),
}

/// What a URL says.
#[derive(Clone)]
pub(crate) struct Address {
    pub(crate) place: Place,
    pub(crate) login: RedisConnectionInfo,
    /// `rediss` or `valkeys`.
    pub(crate) encrypted: bool,
}

impl Server {
    /// Another server of the same kind: a node of the same cluster, or the master that a Sentinel names.
    pub(crate) fn at(&self, place: Place) -> Self {
        Self { place, login: self.login.clone(), tls: self.tls.clone() }
    }
}

impl Place {
    pub(crate) fn tcp(host: impl Into<String>, port: u16) -> Self {
        Self::Tcp { host: host.into(), port }
    }

    fn of(address: &ConnectionAddr) -> Option<Self> {
        if let ConnectionAddr::Tcp(host, port) = address {
            return Some(Self::tcp(host, *port));
        }
        let ConnectionAddr::Unix(path) = address else { return None };
        Some(Self::Unix(path.clone()))
    }

    /// From `host:port` as a cluster writes it; the host of an IPv6 address has no brackets. A node that does not know its
    /// own name leaves the host out: then it is `asked`'s.
    pub(crate) fn of_node(text: &str, asked: &Self) -> Option<Self> {
        let (host, port) = text.rsplit_once(':')?;
        Some(Self::of_node_parts(host, port.parse().ok()?, asked))
    }

    /// As [`of_node`](Self::of_node), from its parts.
    pub(crate) fn of_node_parts(host: &str, port: u16, asked: &Self) -> Self {
        match (host, asked) {
            ("" | "?", Self::Tcp { host, .. }) => Self::tcp(host, port),
            _ => Self::tcp(host, port),
        }
    }
}

impl Address {
    /// Reads `redis`, `rediss`, `valkey` and `valkeys` URLs, and those of unix sockets.
    pub(crate) fn parse(url: &str) -> Result<Self, ConfigError> {
        let (url, encrypted) = plain(url);
        if encrypted && url.contains('#') {
            return Err(ConfigErrorKind::Url.into());
        }
        let info = ConnectionInfo::from_str(&url).map_err(ConfigError::url)?;
        let place = Place::of(info.addr()).ok_or(ConfigErrorKind::Url)?;
        // One protocol, so that replies have one shape.
        let login = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP2);
        Ok(Self { place, login, encrypted })
    }
}

/// The URL without encryption, which the redis crate reads in every build, and whether there is to be some.
fn plain(url: &str) -> (String, bool) {
    let secure = [("rediss://", "redis://"), ("valkeys://", "valkey://")];
    let found = secure.iter().find_map(|(secure, plain)| {
        let (scheme, rest) = url.split_at_checked(secure.len())?;
        scheme.eq_ignore_ascii_case(secure).then(|| [plain, rest].concat())
    });
    found.map_or_else(|| (url.to_owned(), false), |url| (url, true))
}

/// An error of the redis crate's kind for a server that is not what it was taken for.
pub(crate) fn misled(why: &'static str) -> RedisError {
    (ErrorKind::Io, why).into()
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
            Self::Unix(path) => write!(f, "{}", path.display()),
        }
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("place", &format_args!("{}", self.place))
            .field("user", &self.login.username())
            .field("encrypted", &self.tls.is_some())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_of_every_scheme_are_read() {
        let tcp = |host: &str, port| Place::tcp(host, port);
        // url, place, user, database, encrypted
        let cases = [
            ("redis://10.0.0.5", tcp("10.0.0.5", 6379), None, 0, false),
            ("valkey://u:p@cache.example:7000/3", tcp("cache.example", 7000), Some("u"), 3, false),
            ("rediss://:p@[::1]:6380/1", tcp("::1", 6380), None, 1, true),
            ("valkeys://u@cache.example", tcp("cache.example", 6379), Some("u"), 0, true),
            ("REDISS://cache.example", tcp("cache.example", 6379), None, 0, true),
            (
                "redis+unix:///run/redis.sock?db=2&user=u",
                Place::Unix("/run/redis.sock".into()),
                Some("u"),
                2,
                false,
            ),
            ("unix:///run/redis.sock", Place::Unix("/run/redis.sock".into()), None, 0, false),
            ("valkey+unix:///run/valkey.sock", Place::Unix("/run/valkey.sock".into()), None, 0, false),
        ];
        for (url, place, user, database, encrypted) in cases {
            let address = Address::parse(url).unwrap_or_else(|error| panic!("{url}: {error}"));
            assert_eq!(address.place, place, "{url}");
            assert_eq!(address.login.username(), user, "{url}");
            assert_eq!(address.login.db(), database, "{url}");
            assert_eq!(address.encrypted, encrypted, "{url}");
        }
    }

    #[test]
    fn what_is_no_url_of_a_server_is_refused() {
        for url in
            ["", "redis://", "http://localhost", "redis://localhost/x", "rediss://localhost/#insecure", "é"]
        {
            assert_eq!(
                Address::parse(url).err().map(|error| error.kind()),
                Some(ConfigErrorKind::Url),
                "{url}"
            );
        }
    }

    #[test]
    fn a_node_that_does_not_know_its_name_has_that_of_whoever_spoke_of_it() {
        let asked = Place::tcp("10.0.0.5", 7000);
        let cases = [
            ("10.0.0.6:7001", Some(Place::tcp("10.0.0.6", 7001))),
            ("fd00::6:7001", Some(Place::tcp("fd00::6", 7001))),
            (":7001", Some(Place::tcp("10.0.0.5", 7001))),
            ("?:7001", Some(Place::tcp("10.0.0.5", 7001))),
            ("10.0.0.6", None),
            ("10.0.0.6:x", None),
        ];
        for (text, place) in cases {
            assert_eq!(Place::of_node(text, &asked), place, "{text}");
        }
    }
}
