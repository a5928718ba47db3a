//! [`RedisSentinelBuilder`]: a master, its replicas, and the sentinels that watch them.

use std::time::Duration;

use super::{MASTER_NAME, RedisSentinel};
use crate::redis::RedisServer;
use crate::redis::builder::quoted;

const SENTINELS: usize = 3;
/// How many of them must miss the master before it is replaced.
const QUORUM: usize = 2;
/// A sentinel connects to a new master at most a second after it has been named, and holds it for down meanwhile if that
/// is longer than this: with 500 ms each failover was followed by another, back to the old master if that was there.
const DOWN_AFTER: Duration = Duration::from_millis(1500);

/// How to start a [`RedisSentinel`].
#[derive(Clone, Debug)]
pub struct RedisSentinelBuilder {
    replicas: usize,
    password: Option<String>,
    sentinel_password: Option<String>,
    down_after: Duration,
}

impl Default for RedisSentinelBuilder {
    fn default() -> Self {
        Self { replicas: 1, password: None, sentinel_password: None, down_after: DOWN_AFTER }
    }
}

impl RedisSentinelBuilder {
    /// Gives the master this many replicas. Default: one.
    #[must_use]
    pub const fn replicas(mut self, count: usize) -> Self {
        self.replicas = count;
        self
    }

    /// Requires this password of the default user, on the master and the replicas. They and the sentinels use it, too.
    #[must_use]
    pub fn password(mut self, password: impl Into<String>) -> Self {
        self.password = Some(password.into());
        self
    }

    /// Requires this password of the default user, on the sentinels.
    #[must_use]
    pub fn sentinel_password(mut self, password: impl Into<String>) -> Self {
        self.sentinel_password = Some(password.into());
        self
    }

    /// How long a master is silent before it is held for down and replaced (`down-after-milliseconds`). Default: 1.5 s.
    ///
    /// On a machine that is busy a master may be silent for so long although it is well, and what was written to it while
    /// it was being replaced is lost. A test that is not about failovers gives it a minute.
    #[must_use]
    pub const fn down_after(mut self, silence: Duration) -> Self {
        self.down_after = silence;
        self
    }

    /// Starts the servers, which takes two seconds: as often as a sentinel makes itself known.
    /// [`RedisSentinel::wait_until_ok`] holds when this returns.
    ///
    /// # Panics
    /// When there is no server binary, a server does not start, or they do not find each other within 40 s.
    #[must_use]
    #[track_caller]
    pub fn start(self) -> RedisSentinel {
        let master = self.node();
        let replicas: Vec<RedisServer> = (0..self.replicas).map(|_| self.node()).collect();
        for replica in &replicas {
            // A sentinel looks at once and then only every ten seconds, so the replicas are ready before it starts.
            replica.demote(&master);
            replica.command(&["CONFIG", "REWRITE"]);
        }
        let sentinels = (0..SENTINELS).map(|_| self.sentinel(&master)).collect();
        let nodes = std::iter::once(master).chain(replicas).collect();
        let started = RedisSentinel { nodes, sentinels };
        started.wait_until_ok();
        started
    }

    /// A configuration file, for the sentinels to write into whose replica the server is, so that it is after a restart.
    fn node(&self) -> RedisServer {
        let node = RedisServer::builder().tcp().config("");
        match &self.password {
            Some(password) => node.password(password).master_password(password).start(),
            None => node.start(),
        }
    }

    fn sentinel(&self, master: &RedisServer) -> RedisServer {
        let sentinel = RedisServer::builder().tcp().config(self.configuration(master)).flag("--sentinel");
        match &self.sentinel_password {
            // The sentinels use the password that they require among themselves, too.
            Some(password) => sentinel.password(password).start(),
            None => sentinel.start(),
        }
    }

    fn configuration(&self, master: &RedisServer) -> String {
        let address = master.address().expect("the master listens on TCP");
        let mut text = format!(
            "sentinel monitor {MASTER_NAME} {} {} {QUORUM}\n\
             sentinel down-after-milliseconds {MASTER_NAME} {}\n\
             sentinel failover-timeout {MASTER_NAME} 3000\n",
            address.ip(),
            address.port(),
            self.down_after.as_millis()
        );
        if let Some(password) = &self.password {
            text.push_str(&format!("sentinel auth-pass {MASTER_NAME} {}\n", quoted(password)));
        }
        text
    }
}
