//! A real Redis for tests: [`RedisServer`], and [`Proxy`] to break the network in front of it.
//!
//! | to test | use |
//! | --- | --- |
//! | a server that dies, hangs or comes back empty | [`kill`](RedisServer::kill), [`pause`](RedisServer::pause), [`restart`](RedisServer::restart) |
//! | one that has become a replica | [`demote`](RedisServer::demote), [`promote`](RedisServer::promote) |
//! | passwords, users, certificates | [`password`](RedisServerBuilder::password), [`acl`](RedisServerBuilder::acl), [`tls`](RedisServerBuilder::tls), [`mutual_tls`](RedisServerBuilder::mutual_tls) |
//! | a full one | [`arg("--maxmemory", "3mb")`](RedisServerBuilder::arg) |
//! | a slow or broken network | [`Proxy`] |
//! | Redis Cluster: failovers, and slots that move | [`RedisCluster`] |
//! | Sentinel: failovers | [`RedisSentinel`] |
//!
//! * The server is private to the test: in a new directory, on a unix socket or a free loopback port, without
//!   persistence. Of Redis 6.2 to 8 or Valkey.
//! * It cannot outlive the test process, however that ends: also when it is killed or aborts.
//! * Without a server binary a test fails, it does not skip. Looked for: `$REDIS_SERVER_BIN`, then `redis-server` and
//!   `valkey-server` on the `PATH`. In the Portcullis repository `cargo xtask test` installs one.
//! * The calls block, for some ten milliseconds at start, and for seconds where servers must agree. They can be made inside
//!   and outside of a runtime.
//!
//! ```
//! use portcullis_testkit::redis::RedisServer;
//!
//! let server = RedisServer::start();
//! server.command(&["SET", "greeting", "hello"]);
//! assert_eq!(server.command(&["GET", "greeting"]), "hello");
//! assert!(server.url().starts_with("redis+unix://"));
//!
//! server.kill();
//! server.restart(); // at the same address, and empty
//! assert_eq!(server.command(&["GET", "greeting"]), "");
//! ```

mod acl;
mod address;
mod builder;
mod cluster;
mod proxy;
mod replication;
mod resp;
mod sentinel;
mod tls;
mod wait;
mod watchdog;

pub use builder::RedisServerBuilder;
pub use cluster::{Migration, RedisCluster, RedisClusterBuilder};
pub use proxy::Proxy;
pub use sentinel::{RedisSentinel, RedisSentinelBuilder};
pub use tls::Certificates;

use std::io;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use tempfile::TempDir;

use self::address::Address;
use self::resp::Reply;
use self::watchdog::Watched;

/// A private redis-server. It is killed on drop, and when the test process ends in any way.
#[derive(Debug)]
pub struct RedisServer {
    options: RedisServerBuilder,
    address: Address,
    certificates: Option<Certificates>,
    process: Mutex<Option<Watched>>,
    // Last, so that it is removed after the server has ended.
    directory: TempDir,
}

impl RedisServer {
    /// Starts a server on a unix socket.
    ///
    /// # Panics
    /// When there is no server binary, or it does not start.
    #[must_use]
    #[track_caller]
    pub fn start() -> Self {
        Self::builder().start()
    }

    /// The server that all tests of this binary share, started by the first; it ends with the process.
    ///
    /// Tests that share it keep to keys of their own and do not kill, pause or flush it.
    ///
    /// # Panics
    /// As [`RedisServer::start`].
    #[must_use]
    #[track_caller]
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<RedisServer> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    /// A server with options.
    #[must_use]
    pub fn builder() -> RedisServerBuilder {
        RedisServerBuilder::default()
    }

    /// The address, with the password if there is one, as the `redis` crate reads it: `redis+unix:///...`,
    /// `redis://127.0.0.1:...` or `rediss://127.0.0.1:...`. It stays the same over [`restart`](Self::restart).
    #[must_use]
    pub fn url(&self) -> String {
        self.address.url(None, self.options.password.as_deref())
    }

    /// The address with the name and the password of a user, who need not exist.
    #[must_use]
    pub fn url_as(&self, user: &str, password: &str) -> String {
        self.address.url(Some(user), Some(password))
    }

    /// The certificates of a server with TLS.
    ///
    /// # Panics
    /// When it has no TLS: [`RedisServerBuilder::tls`].
    #[must_use]
    #[track_caller]
    pub const fn certificates(&self) -> &Certificates {
        self.certificates.as_ref().expect("the server was started with TLS")
    }

    /// Where it listens; `None` on a unix socket.
    #[must_use]
    pub const fn address(&self) -> Option<SocketAddr> {
        self.address.network()
    }

    /// The TCP port; `None` on a unix socket.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        self.address().map(|address| address.port())
    }

    /// The process id; `None` after [`kill`](Self::kill).
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.process().as_ref().map(Watched::pid)
    }

    /// SIGKILL; the server has ended when this returns. Nothing when it was killed before.
    pub fn kill(&self) {
        if let Some(process) = self.process().take() {
            process.kill();
        }
    }

    /// Kills the server if it runs, and starts it at the same address with the same options. All data is lost.
    ///
    /// # Panics
    /// When it does not start.
    #[track_caller]
    pub fn restart(&self) {
        self.kill();
        let started = self.options.launch(&self.address, self.directory.path());
        *self.process() = Some(started.unwrap_or_else(|complaint| panic!("{complaint}")));
    }

    /// SIGSTOP: the server hangs. Its socket still accepts connections, and nothing is answered.
    ///
    /// # Panics
    /// When the server was killed.
    #[track_caller]
    pub fn pause(&self) {
        self.process().as_mut().expect("the server was killed").pause();
    }

    /// SIGCONT: the server goes on, and answers what was asked meanwhile.
    ///
    /// # Panics
    /// When the server was killed.
    #[track_caller]
    pub fn resume(&self) {
        self.process().as_mut().expect("the server was killed").resume();
    }

    /// Runs one command on a connection of its own, for arranging and observing: `INFO commandstats`, `SCRIPT FLUSH`.
    ///
    /// The elements of an array are joined with line feeds; nil is empty.
    ///
    /// # Panics
    /// When the server does not answer within 20 s, or answers with an error.
    #[track_caller]
    pub fn command(&self, arguments: &[&str]) -> String {
        match self.try_command(arguments) {
            Ok(reply) => reply,
            Err(refusal) => panic!("redis refused {arguments:?}: {refusal}"),
        }
    }

    /// [`command`](Self::command) that may be refused.
    ///
    /// # Errors
    /// The server's words: `MOVED 3999 127.0.0.1:12345`, `NOPERM ..`, `READONLY ..`.
    ///
    /// # Panics
    /// When the server does not answer within 20 s.
    #[track_caller]
    pub fn try_command(&self, arguments: &[&str]) -> Result<String, String> {
        match self.call(arguments) {
            Ok(answer) => answer.map(Reply::into_text),
            Err(error) => panic!("redis did not answer {arguments:?}: {error}"),
        }
    }

    /// How often the server has run a command since it was started or `CONFIG RESETSTAT` was sent: `calls("get")`.
    ///
    /// Redis 7 and Valkey count subcommands apart, `calls("config|get")`; Redis 6.2 counts them as their command.
    ///
    /// # Panics
    /// As [`command`](Self::command).
    #[must_use]
    #[track_caller]
    pub fn calls(&self, command: &str) -> u64 {
        let prefix = format!("cmdstat_{command}:calls=");
        let statistics = self.command(&["INFO", "commandstats"]);
        let calls = statistics.lines().find_map(|line| line.strip_prefix(&prefix)?.split(',').next());
        calls.map_or(0, |calls| calls.parse().expect("redis counts calls in a number"))
    }

    fn call<A: AsRef<[u8]>>(&self, arguments: &[A]) -> io::Result<Result<Reply, String>> {
        self.options.call(&self.address, arguments)
    }

    /// The answer of a server that may be dying, starting or refusing while others look for it.
    fn ask(&self, arguments: &[&str]) -> Result<String, String> {
        let answer = self.call(arguments).map_err(|error| format!("{}: {error}", self.url()))?;
        answer.map(Reply::into_text)
    }

    /// Whether it was neither killed nor paused.
    fn is_up(&self) -> bool {
        self.process().as_ref().is_some_and(|process| !process.is_paused())
    }

    fn process(&self) -> MutexGuard<'_, Option<Watched>> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
    }
}
