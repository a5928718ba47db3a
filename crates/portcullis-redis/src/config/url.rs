//! [`RedisConfig::from_url`]: one text that says all, for programs that are told by their environment where to go.

use redis::parse_redis_url;

use super::{ConfigError, ConfigErrorKind, RedisConfig, Servers};
use crate::server::{Address, Place};

/// What kind of servers a URL is about, by the end of its scheme.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Standalone,
    Sentinel,
    Cluster,
}

/// The query of a URL, as far as it is about several servers.
#[derive(Debug, Default)]
struct Query {
    nodes: Vec<String>,
    master: Option<String>,
    username: Option<String>,
    password: Option<String>,
}

impl RedisConfig {
    /// Whatever the URL says: one server, a Sentinel set-up or a cluster.
    ///
    /// | URL | as |
    /// | --- | --- |
    /// | `redis://..`, `redis+unix://..` and so on | [`standalone`](Self::standalone) |
    /// | `redis-sentinel://[user][:password@]host:port[/database]?sentinelServiceName=master&node=host:port&node=..` | [`sentinel`](Self::sentinel); the credentials are the master's, those of the Sentinels are `sentinelUsername=..` and `sentinelPassword=..` |
    /// | `redis-cluster://[user][:password@]host:port?node=host:port&node=..` | [`cluster`](Self::cluster) |
    ///
    /// And the same with `rediss`, `valkey` and `valkeys`. It is what the fred crate reads, too.
    ///
    /// ```
    /// use portcullis_redis::RedisConfig;
    ///
    /// for url in ["redis://10.0.0.5", "redis-cluster://10.0.0.5:7000?node=10.0.0.6:7000"] {
    ///     RedisConfig::from_url(url)?;
    /// }
    /// # Ok::<_, portcullis_redis::ConfigError>(())
    /// ```
    ///
    /// # Errors
    /// [`ConfigErrorKind::Url`], also when a Sentinel URL names no master. Nobody is contacted.
    pub fn from_url(url: impl AsRef<str>) -> Result<Self, ConfigError> {
        let (kind, url) = kind_of(url.as_ref());
        if kind == Kind::Standalone {
            return Self::standalone(url);
        }
        let query = Query::of(&url)?;
        let first = Address::parse(&url)?;
        let mut all = vec![first.clone()];
        for node in &query.nodes {
            let place = Place::of_node(node, &first.place).ok_or(ConfigErrorKind::Url)?;
            all.push(Address { place, ..first.clone() });
        }
        if kind == Kind::Cluster {
            return Ok(Self::of(Servers::Cluster(all)));
        }
        let master = query.master.clone().ok_or(ConfigErrorKind::Url)?;
        let sentinels = all.into_iter().map(|address| query.of_sentinel(address)).collect();
        let mut config = Self::of(Servers::Sentinel { sentinels, master });
        config.login = (&first.login).into();
        Ok(config)
    }
}

/// The kind, and the URL without it.
fn kind_of(url: &str) -> (Kind, String) {
    let Some((scheme, rest)) = url.split_once("://") else { return (Kind::Standalone, url.to_owned()) };
    let scheme = scheme.to_ascii_lowercase();
    let ends = [("-sentinel", Kind::Sentinel), ("-cluster", Kind::Cluster)];
    let found = ends.into_iter().find_map(|(end, kind)| Some((scheme.strip_suffix(end)?, kind)));
    let (scheme, kind) = found.unwrap_or((&scheme, Kind::Standalone));
    (kind, [scheme, "://", rest].concat())
}

impl Query {
    fn of(url: &str) -> Result<Self, ConfigError> {
        let url = parse_redis_url(url).ok_or(ConfigErrorKind::Url)?;
        let mut query = Self::default();
        for (name, value) in url.query_pairs() {
            let value = value.into_owned();
            match &*name {
                "node" => query.nodes.push(value),
                "sentinelServiceName" => query.master = Some(value),
                "sentinelUsername" => query.username = Some(value),
                "sentinelPassword" => query.password = Some(value),
                _ => {}
            }
        }
        Ok(query)
    }

    /// What stands before the host is the master's: a Sentinel has its own, or none, and no database.
    fn of_sentinel(&self, address: Address) -> Address {
        let mut login = redis::RedisConnectionInfo::default();
        if let Some(username) = &self.username {
            login = login.set_username(username);
        }
        if let Some(password) = &self.password {
            login = login.set_password(password);
        }
        Address { login, ..address }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Topology;
    use crate::connector::Connector;

    fn topology(url: &str) -> Topology {
        RedisConfig::from_url(url).unwrap().topology().unwrap()
    }

    #[test]
    fn a_url_says_what_kind_of_servers_there_are() {
        let Topology::One { connector: Connector::Server(server) } = topology("redis://u:p@a/3") else {
            panic!()
        };
        assert_eq!((server.login.username(), server.login.db()), (Some("u"), 3));

        let url = "valkey-cluster://u:p@a:7000?node=b:7001&node=%3A%3A1:7002";
        let Topology::Cluster { seeds, model } = topology(url) else { panic!() };
        assert_eq!(seeds, [Place::tcp("a", 7000), Place::tcp("b", 7001), Place::tcp("::1", 7002)]);
        assert_eq!(model.login.password(), Some("p"));

        let url = "REDIS-sentinel://u:p@a:26379/2?sentinelServiceName=m&node=b:26380&sentinelPassword=s";
        let Topology::One { connector: Connector::Sentinel(sentinel) } = topology(url) else { panic!() };
        assert_eq!(sentinel.name(), "m");
        let (sentinels, model) = sentinel.servers();
        let places: Vec<_> = sentinels.iter().map(|server| server.place.clone()).collect();
        assert_eq!(places, [Place::tcp("a", 26379), Place::tcp("b", 26380)]);
        let logins = sentinels.iter().map(|it| (it.login.username(), it.login.password(), it.login.db()));
        assert!(logins.eq([(None, Some("s"), 0); 2]));
        assert_eq!(
            (model.login.username(), model.login.password(), model.login.db()),
            (Some("u"), Some("p"), 2)
        );
    }

    #[test]
    fn what_is_incomplete_is_refused() {
        let urls = [
            "redis-sentinel://a:26379",
            "redis-cluster://",
            "redis-cluster://a?node=b",
            "redis-ring://a",
            "unix-cluster://a",
            "a:6379",
        ];
        for url in urls {
            let kind = RedisConfig::from_url(url).err().map(|error| error.kind());
            assert_eq!(kind, Some(ConfigErrorKind::Url), "{url}");
        }
    }
}
