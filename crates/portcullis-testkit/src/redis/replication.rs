//! Which server is a copy of which: [`RedisServer::demote`] and [`RedisServer::promote`].

use super::RedisServer;
use super::wait::settled;

impl RedisServer {
    /// REPLICAOF: the server becomes a replica of `to`, and has its data when this returns. It refuses writes with
    /// READONLY from then on, as what was the master does after a failover.
    ///
    /// ```
    /// use portcullis_testkit::redis::RedisServer;
    ///
    /// let [old, new] = [RedisServer::builder().tcp().start(), RedisServer::builder().tcp().start()];
    /// new.command(&["SET", "greeting", "hello"]);
    /// old.demote(&new);
    /// assert_eq!(old.command(&["GET", "greeting"]), "hello");
    /// assert!(old.try_command(&["SET", "greeting", "bye"]).unwrap_err().starts_with("READONLY"));
    /// old.promote();
    /// assert_eq!(old.command(&["SET", "greeting", "bye"]), "OK");
    /// ```
    ///
    /// # Panics
    /// When `to` listens on a unix socket only or with TLS, or one of them does not answer.
    #[track_caller]
    pub fn demote(&self, to: &Self) {
        let address =
            to.address().expect("a replica reaches its master by TCP: RedisServer::builder().tcp()");
        assert!(to.certificates.is_none(), "a replica of a server with TLS is more than is offered here");
        if let Some((user, password)) = to.options.credentials() {
            self.command(&["CONFIG", "SET", "masteruser", user.unwrap_or_default()]);
            self.command(&["CONFIG", "SET", "masterauth", password]);
        }
        self.command(&["REPLICAOF", &address.ip().to_string(), &address.port().to_string()]);
        settled("a replica has its master's data", || self.has_its_masters_data());
    }

    /// REPLICAOF NO ONE: the server becomes a master, with the data that it has.
    ///
    /// # Panics
    /// As [`command`](Self::command).
    #[track_caller]
    pub fn promote(&self) {
        self.command(&["REPLICAOF", "NO", "ONE"]);
    }

    /// Whether it is a master, or a replica whose link is up.
    pub(super) fn has_its_masters_data(&self) -> Result<(), String> {
        self.says(&["role:master", "master_link_status:up"])
    }

    /// Whether it is a `master` or a `slave`.
    pub(super) fn has_role(&self, role: &str) -> Result<(), String> {
        self.says(&[&format!("role:{role}")])
    }

    fn says(&self, any_of: &[&str]) -> Result<(), String> {
        let replication = self.ask(&["INFO", "replication"])?;
        let found = replication.lines().any(|line| any_of.contains(&line));
        found.then_some(()).ok_or_else(|| format!("{} says nothing of {any_of:?}: {replication}", self.url()))
    }
}
