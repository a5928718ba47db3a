//! [`RedisConfig`]: where the servers are, as whom to log in there, and how long a call may take.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use redis::RedisConnectionInfo;

use crate::connector::Connector;
use crate::provider::Provider;
use crate::sentinel::Sentinel;
use crate::server::{Address, Place, Server, Tls, TlsConfig};

mod error;
mod url;

pub use error::{ConfigError, ConfigErrorKind};

/// Whoever waits for longer has given up, and a deadline has to be a time that there is.
const LONGEST_BUDGET: Duration = Duration::from_secs(3600);

/// Where the servers are, as whom to log in there, and how long a call may take.
///
/// `Debug` shows addresses and never a password.
#[derive(Clone)]
pub struct RedisConfig {
    servers: Servers,
    login: Login,
    pub(crate) tls: TlsConfig,
    pub(crate) budget: Duration,
    pub(crate) attempt_timeout: Duration,
    pub(crate) key_prefix: String,
    pub(crate) max_record_len: usize,
}

/// Which servers there are, and how the right one is found.
#[derive(Clone)]
enum Servers {
    One(Address),
    /// Whoever these call the master of this name.
    Sentinel {
        sentinels: Vec<Address>,
        master: String,
    },
    /// The nodes of a cluster, of which these are some.
    Cluster(Vec<Address>),
    /// The application's own connections.
    Provided(Arc<dyn Provider>),
}

/// What the application says of logging in, besides the URLs.
#[derive(Clone, Default)]
struct Login {
    username: Option<String>,
    password: Option<String>,
    database: Option<i64>,
}

/// A configuration that has been checked.
pub(crate) enum Topology {
    /// There is one server at a time.
    One { connector: Connector },
    /// Some of the nodes of a cluster, and how to log in to all of them.
    Cluster { seeds: Vec<Place>, model: Server },
}

impl RedisConfig {
    /// One server, or whatever stands at one address.
    ///
    /// `redis://[user][:password@]host[:port][/database]`, encrypted `rediss://` (feature `tls`), and
    /// `redis+unix:///path[?db=..&user=..&pass=..]` (also `unix://`); and the same with `valkey` and `valkeys`. A host
    /// name is resolved anew for every connection.
    ///
    /// # Errors
    /// [`ConfigErrorKind::Url`]. The server is not contacted.
    pub fn standalone(url: impl AsRef<str>) -> Result<Self, ConfigError> {
        Ok(Self::of(Servers::One(Address::parse(url.as_ref())?)))
    }

    /// The server that Redis Sentinel calls the master named `master`, whichever that is at the time.
    ///
    /// The URLs are those of the Sentinels, of whom one that is there is enough, with the credentials of their own if
    /// they ask for some. Those of the master and its database are set by [`username`](Self::username),
    /// [`password`](Self::password) and [`database`](Self::database). With `rediss` URLs the connections to the master
    /// are encrypted too.
    ///
    /// A connection is given up as soon as a Sentinel announces another master, and the Sentinels are asked every second
    /// besides. It is never kept to a server that says it is a replica.
    ///
    /// # Errors
    /// [`ConfigErrorKind::Url`]. Nobody is contacted.
    pub fn sentinel<T: AsRef<str>>(
        urls: impl IntoIterator<Item = T>,
        master: impl Into<String>,
    ) -> Result<Self, ConfigError> {
        Ok(Self::of(Servers::Sentinel { sentinels: addresses(urls)?, master: master.into() }))
    }

    /// A Redis Cluster, of which these are some of the nodes; the others are found.
    ///
    /// Credentials in the first URL, or set by [`username`](Self::username) and [`password`](Self::password), are those
    /// of all nodes.
    ///
    /// # Errors
    /// [`ConfigErrorKind::Url`]. Nobody is contacted.
    pub fn cluster<T: AsRef<str>>(urls: impl IntoIterator<Item = T>) -> Result<Self, ConfigError> {
        Ok(Self::of(Servers::Cluster(addresses(urls)?)))
    }

    pub(crate) fn provided(provider: Arc<dyn Provider>) -> Self {
        Self::of(Servers::Provided(provider))
    }

    fn of(servers: Servers) -> Self {
        Self {
            servers,
            login: Login::default(),
            tls: TlsConfig::new(),
            budget: Duration::from_millis(450),
            attempt_timeout: Duration::from_millis(200),
            key_prefix: "p".to_owned(),
            max_record_len: 64 * 1024,
        }
    }

    /// The ACL user to log in as, instead of the URL's. Default: the URL's, or the server's default user.
    #[must_use]
    pub fn username(mut self, username: impl Into<String>) -> Self {
        self.login.username = Some(username.into());
        self
    }

    /// The password to log in with, instead of the URL's. Default: the URL's, or none.
    ///
    /// To change it, let Redis take both (`ACL SETUSER app >new`) until every process has the new one: connections that were
    /// made before go on without it, but none can be made anew.
    #[must_use]
    pub fn password(mut self, password: impl Into<String>) -> Self {
        self.login.password = Some(password.into());
        self
    }

    /// The database, instead of the URL's. Default: the URL's, or 0. A cluster has no other.
    #[must_use]
    pub fn database(mut self, database: u32) -> Self {
        self.login.database = Some(database.into());
        self
    }

    /// How long a call to the backend may take in all, connecting and resending included. Default 450 ms; at most an hour.
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
    ///
    /// Applications with one prefix have their sessions in common: whoever signs in at one is signed in at all of them, under
    /// the name and with the roles that the one has given.
    #[must_use]
    pub fn key_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.key_prefix = prefix.into();
        self
    }

    /// The largest record that is written, in bytes, header included. Default 64 KiB. A session layer allows no larger
    /// sessions, whatever it is told.
    ///
    /// All calls share a connection: a large record holds up those behind it.
    #[must_use]
    pub fn max_record_len(mut self, bytes: usize) -> Self {
        self.max_record_len = bytes;
        self
    }

    /// What the configuration comes to.
    pub(crate) fn topology(&self) -> Result<Topology, ConfigError> {
        self.check()?;
        let connector = match &self.servers {
            Servers::One(address) => Connector::Server(self.server(address)?),
            Servers::Sentinel { sentinels, master } => {
                let sentinels = self.sentinels(sentinels)?;
                let first = sentinels.first().ok_or(ConfigErrorKind::Servers)?;
                let model = Server { login: self.login.on(&RedisConnectionInfo::default()), ..first.clone() };
                Connector::Sentinel(Sentinel::new(sentinels, master.clone(), model, self.attempt_timeout))
            }
            Servers::Cluster(addresses) => return self.nodes(addresses),
            Servers::Provided(provider) => Connector::Provided(Arc::clone(provider)),
        };
        Ok(Topology::One { connector })
    }

    /// Which database it is; that of the application's own connections is taken to be 0 unless it is named.
    pub(crate) fn database_number(&self) -> i64 {
        match &self.servers {
            Servers::One(address) => self.login.on(&address.login).db(),
            Servers::Sentinel { .. } | Servers::Cluster(_) | Servers::Provided(_) => {
                self.login.on(&RedisConnectionInfo::default()).db()
            }
        }
    }

    fn server(&self, address: &Address) -> Result<Server, ConfigError> {
        Ok(Server { login: self.login.on(&address.login), ..self.sentinel_at(address)? })
    }

    /// With the credentials of its own URL only.
    fn sentinel_at(&self, address: &Address) -> Result<Server, ConfigError> {
        let tls = if address.encrypted { Some(Tls::new(&self.tls)?) } else { None };
        Ok(Server { place: address.place.clone(), login: address.login.clone(), tls })
    }

    fn sentinels(&self, addresses: &[Address]) -> Result<Vec<Server>, ConfigError> {
        alike(addresses)?;
        addresses.iter().map(|address| self.sentinel_at(address)).collect()
    }

    fn nodes(&self, addresses: &[Address]) -> Result<Topology, ConfigError> {
        let model = self.server(alike(addresses)?)?;
        if model.login.db() != 0 {
            return Err(ConfigErrorKind::Database.into());
        }
        Ok(Topology::Cluster {
            seeds: addresses.iter().map(|address| address.place.clone()).collect(),
            model,
        })
    }

    fn check(&self) -> Result<(), ConfigError> {
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b':');
        if !(1..=32).contains(&self.key_prefix.len()) || !self.key_prefix.bytes().all(legal) {
            return Err(ConfigErrorKind::KeyPrefix.into());
        }
        let in_order = self.attempt_timeout <= self.budget && self.budget <= LONGEST_BUDGET;
        if self.attempt_timeout.is_zero() || !in_order {
            return Err(ConfigErrorKind::Duration.into());
        }
        Ok(())
    }
}

fn addresses<T: AsRef<str>>(urls: impl IntoIterator<Item = T>) -> Result<Vec<Address>, ConfigError> {
    urls.into_iter().map(|url| Address::parse(url.as_ref())).collect()
}

/// The first, if all are encrypted or none is.
fn alike(addresses: &[Address]) -> Result<&Address, ConfigError> {
    let first = addresses.first().ok_or(ConfigErrorKind::Servers)?;
    let alike = addresses.iter().all(|address| address.encrypted == first.encrypted);
    if alike { Ok(first) } else { Err(ConfigErrorKind::Servers.into()) }
}

impl Login {
    fn on(&self, url: &RedisConnectionInfo) -> RedisConnectionInfo {
        let mut login = url.clone();
        if let Some(username) = &self.username {
            login = login.set_username(username);
        }
        if let Some(password) = &self.password {
            login = login.set_password(password);
        }
        match self.database {
            Some(database) => login.set_db(database),
            None => login,
        }
    }
}

impl From<&RedisConnectionInfo> for Login {
    fn from(url: &RedisConnectionInfo) -> Self {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        Self { username: owned(url.username()), password: owned(url.password()), database: Some(url.db()) }
    }
}

impl fmt::Debug for RedisConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisConfig")
            .field("servers", &self.servers)
            .field("budget", &self.budget)
            .field("attempt_timeout", &self.attempt_timeout)
            .field("key_prefix", &self.key_prefix)
            .field("max_record_len", &self.max_record_len)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Servers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let places =
            |addresses: &[Address]| addresses.iter().map(|it| it.place.to_string()).collect::<Vec<_>>();
        match self {
            Self::One(address) => write!(f, "{}", address.place),
            Self::Sentinel { sentinels, master } => f
                .debug_struct("Sentinel")
                .field("sentinels", &places(sentinels))
                .field("master", master)
                .finish(),
            Self::Cluster(nodes) => f.debug_tuple("Cluster").field(&places(nodes)).finish(),
            Self::Provided(_) => f.write_str("Provided"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use redis::ProtocolVersion;

    use super::*;

    fn config() -> RedisConfig {
        RedisConfig::standalone("redis://user:hunter2@localhost:6379/3").unwrap()
    }

    #[test]
    fn what_the_application_says_comes_before_the_url() {
        let config = config().username("app").password("secret").database(5);
        let Topology::One { connector: Connector::Server(server) } = config.topology().unwrap() else {
            panic!()
        };
        assert_eq!((server.login.username(), server.login.db()), (Some("app"), 5));
        assert_eq!(server.login.password(), Some("secret"));
        assert_eq!(server.place, Place::tcp("localhost", 6379));
    }

    #[test]
    fn every_connection_is_of_one_protocol() {
        let config = RedisConfig::standalone("redis://localhost/?protocol=resp3").unwrap();
        let Topology::One { connector: Connector::Server(server) } = config.topology().unwrap() else {
            panic!()
        };
        assert_eq!(server.login.protocol(), ProtocolVersion::RESP2);
    }

    #[test]
    fn servers_that_cannot_be_together_are_refused() {
        let none: [&str; 0] = [];
        let mixed = ["redis://a", "rediss://b"];
        let cases = [
            ("no node", RedisConfig::cluster(none), Some(ConfigErrorKind::Servers)),
            ("no sentinel", RedisConfig::sentinel(none, "m"), Some(ConfigErrorKind::Servers)),
            ("half encrypted", RedisConfig::cluster(mixed), Some(ConfigErrorKind::Servers)),
            ("half encrypted sentinels", RedisConfig::sentinel(mixed, "m"), Some(ConfigErrorKind::Servers)),
            (
                "a database of a cluster",
                RedisConfig::cluster(["redis://a/1"]),
                Some(ConfigErrorKind::Database),
            ),
            ("a cluster", RedisConfig::cluster(["redis://a", "valkey://b:7000"]), None),
            ("sentinels", RedisConfig::sentinel(["redis://a"], "m").map(|config| config.database(3)), None),
        ];
        for (name, config, kind) in cases {
            assert_eq!(config.unwrap().topology().err().map(|error| error.kind()), kind, "{name}");
        }
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
            ("an hour", config().budget(LONGEST_BUDGET), None),
            ("no end", config().budget(Duration::MAX), Some(ConfigErrorKind::Duration)),
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
            assert!(
                format!("{error:?}").contains(&error.to_string()),
                "a main that gives it back prints this"
            );
            let text = format!("{error} {error:?} {:?}", error.source());
            assert!(!text.contains("hunter2"), "{text}");
        }
        let text = format!("{:?}", config());
        assert!(!text.contains("hunter2") && text.contains("localhost:6379"), "{text}");
    }
}
