//! A real Redis for tests: [`RedisServer`], and [`Proxy`] to break the network in front of it.
//!
//! * The server is private to the test: in a new directory, on a unix socket or a free loopback port, without
//!   persistence.
//! * It cannot outlive the test process, however that ends: also when it is killed or aborts.
//! * Without a server binary a test fails, it does not skip. Looked for: `$REDIS_SERVER_BIN`, then `redis-server` and
//!   `valkey-server` on the `PATH`. In the Portcullis repository `cargo xtask test` installs one.
//! * The calls block, for some ten milliseconds at start. They can be made inside and outside of a runtime.
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

mod proxy;
mod resp;
mod watchdog;

pub use proxy::Proxy;

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use tempfile::TempDir;

use self::watchdog::Watched;
use crate::percent::percent_encoded;

/// How long a server may take to answer: generous, because test machines are busy.
const PATIENCE: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(4);

/// A private redis-server. It is killed on drop, and when the test process ends in any way.
#[derive(Debug)]
pub struct RedisServer {
    options: RedisServerBuilder,
    address: Address,
    process: Mutex<Option<Watched>>,
    // Last, so that it is removed after the server has ended.
    directory: TempDir,
}

/// How to start a [`RedisServer`].
#[derive(Clone, Debug, Default)]
pub struct RedisServerBuilder {
    tcp: bool,
    password: Option<String>,
    config: Option<String>,
    arguments: Vec<String>,
}

/// Where a server listens.
#[derive(Clone, Debug)]
enum Address {
    Unix(PathBuf),
    Tcp(SocketAddr),
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

    /// The address, with the password if there is one, as the `redis` crate reads it: `redis+unix:///...` or
    /// `redis://127.0.0.1:...`. It stays the same over [`restart`](Self::restart).
    #[must_use]
    pub fn url(&self) -> String {
        self.address.url(self.options.password.as_deref())
    }

    /// The TCP port; `None` on a unix socket.
    #[must_use]
    pub const fn port(&self) -> Option<u16> {
        match &self.address {
            Address::Unix(_) => None,
            Address::Tcp(address) => Some(address.port()),
        }
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
        self.signal("STOP");
    }

    /// SIGCONT: the server goes on, and answers what was asked meanwhile.
    ///
    /// # Panics
    /// When the server was killed.
    #[track_caller]
    pub fn resume(&self) {
        self.signal("CONT");
    }

    /// Runs one command on a connection of its own, for arranging and observing: `INFO commandstats`, `SCRIPT FLUSH`.
    ///
    /// The elements of an array are joined with line feeds; nil is empty.
    ///
    /// # Panics
    /// When the server does not answer within 20 s, or answers with an error.
    #[track_caller]
    pub fn command(&self, arguments: &[&str]) -> String {
        match self.options.call(&self.address, arguments) {
            Ok(Ok(reply)) => reply,
            Ok(Err(refusal)) => panic!("redis refused {arguments:?}: {refusal}"),
            Err(error) => panic!("redis did not answer {arguments:?}: {error}"),
        }
    }

    /// How often the server has run a command since it was started or `CONFIG RESETSTAT` was sent: `calls("get")`.
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

    fn signal(&self, name: &str) {
        self.process().as_mut().expect("the server was killed").signal(name);
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

impl RedisServerBuilder {
    /// Listens on a free port of 127.0.0.1 instead of a unix socket.
    #[must_use]
    pub fn tcp(mut self) -> Self {
        self.tcp = true;
        self
    }

    /// Requires this password of the default user.
    #[must_use]
    pub fn password(mut self, password: impl Into<String>) -> Self {
        self.password = Some(password.into());
        self
    }

    /// Adds an option of the command line and its value: `arg("--maxmemory", "3mb")`.
    #[must_use]
    pub fn arg(self, option: &str, value: &str) -> Self {
        self.flag(option).flag(value)
    }

    /// Adds one word to the command line: `flag("--sentinel")`.
    #[must_use]
    pub fn flag(mut self, word: &str) -> Self {
        self.arguments.push(word.to_owned());
        self
    }

    /// Gives the server a configuration file of this text, which a Sentinel needs and rewrites. A restart writes it
    /// anew.
    #[must_use]
    pub fn config(mut self, text: impl Into<String>) -> Self {
        self.config = Some(text.into());
        self
    }

    /// Starts the server; it answers when this returns.
    ///
    /// # Panics
    /// When there is no server binary, or it does not start.
    #[must_use]
    #[track_caller]
    pub fn start(self) -> RedisServer {
        let directory = tempfile::Builder::new().prefix("redis-").tempdir().expect("a directory can be made");
        // Between finding a free port and the server's binding it, somebody else may take it.
        let mut complaints = String::new();
        for _ in 0..5 {
            let address =
                if self.tcp { Address::free_port() } else { Address::Unix(directory.path().join("socket")) };
            match self.launch(&address, directory.path()) {
                Ok(process) => {
                    let process = Mutex::new(Some(process));
                    return RedisServer { options: self, address, process, directory };
                }
                Err(complaint) if complaint.contains("in use") => complaints = complaint,
                Err(complaint) => panic!("{complaint}"),
            }
        }
        panic!("{complaints}")
    }

    /// Starts a server at `address` and waits until it answers.
    fn launch(&self, address: &Address, directory: &Path) -> Result<Watched, String> {
        let log = directory.join("log");
        let _ = std::fs::remove_file(&log);
        let process = Watched::spawn(&self.command_line(address, directory), directory, &log);
        let polls = PATIENCE.as_millis() / POLL.as_millis();
        for _ in 0..polls {
            if process.has_ended() {
                break;
            }
            if matches!(self.call(address, &["PING"]), Ok(Ok(_))) {
                return Ok(process);
            }
            pause(POLL);
        }
        let complaint = process.kill();
        let log = std::fs::read_to_string(&log).unwrap_or_default();
        Err(format!("redis-server did not start:\n{complaint}{log}"))
    }

    fn command_line(&self, address: &Address, directory: &Path) -> Vec<OsString> {
        let mut line = vec![server_binary().into_os_string()];
        if let Some(text) = &self.config {
            let file = directory.join("redis.conf");
            std::fs::write(&file, text).expect("the configuration can be written");
            line.push(file.into());
        }
        line.extend(["--dir".into(), directory.into()]);
        line.extend(["--save", "", "--appendonly", "no", "--daemonize", "no"].map(OsString::from));
        match address {
            Address::Unix(socket) => {
                line.extend(["--port", "0", "--unixsocket"].map(OsString::from));
                line.push(socket.into());
            }
            Address::Tcp(at) => {
                line.extend(["--bind", "127.0.0.1", "--port", &at.port().to_string()].map(OsString::from));
            }
        }
        if let Some(password) = &self.password {
            line.extend(["--requirepass", password].map(OsString::from));
        }
        line.extend(self.arguments.iter().map(OsString::from));
        line
    }

    fn call(&self, address: &Address, arguments: &[&str]) -> io::Result<Result<String, String>> {
        let mut stream = address.connect()?;
        if let Some(password) = &self.password
            && let Err(refusal) = resp::call(&mut stream, &["AUTH", password])?
        {
            return Ok(Err(refusal));
        }
        resp::call(&mut stream, arguments)
    }
}

trait Stream: Read + Write {}

impl<S: Read + Write> Stream for S {}

impl Address {
    /// A loopback port that is free now. A cluster's bus takes the port 10000 above, which must exist.
    fn free_port() -> Self {
        let free = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr();
        let address = std::iter::repeat_with(free)
            .take(100)
            .filter_map(Result::ok)
            .find(|address| address.port() < 55_000)
            .expect("a loopback port is free");
        Self::Tcp(address)
    }

    fn connect(&self) -> io::Result<Box<dyn Stream>> {
        match self {
            Self::Unix(path) => {
                let stream = UnixStream::connect(path)?;
                stream.set_read_timeout(Some(PATIENCE))?;
                Ok(Box::new(stream))
            }
            Self::Tcp(address) => {
                let stream = TcpStream::connect(address)?;
                stream.set_read_timeout(Some(PATIENCE))?;
                Ok(Box::new(stream))
            }
        }
    }

    fn url(&self, password: Option<&str>) -> String {
        let password = password.map(percent_encoded);
        match (self, password) {
            (Self::Unix(path), None) => format!("redis+unix://{}", path.display()),
            (Self::Unix(path), Some(password)) => format!("redis+unix://{}?pass={password}", path.display()),
            (Self::Tcp(address), None) => format!("redis://{address}"),
            (Self::Tcp(address), Some(password)) => format!("redis://:{password}@{address}"),
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one place where the caller's machine says which server to test with"
)]
fn server_binary() -> PathBuf {
    if let Some(named) = std::env::var_os("REDIS_SERVER_BIN").filter(|named| !named.is_empty()) {
        return named.into();
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    ["redis-server", "valkey-server"]
        .iter()
        .flat_map(|name| folders.iter().map(move |folder| folder.join(name)))
        .find(|file| file.is_file())
        .unwrap_or_else(|| {
            panic!(
                "this test needs a real redis-server, and neither $REDIS_SERVER_BIN nor redis-server nor \
                 valkey-server on the PATH is there; `cargo xtask test` installs one"
            )
        })
}

#[expect(clippy::disallowed_methods, reason = "a server that starts sends no notification")]
fn pause(time: Duration) {
    std::thread::sleep(time);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_cannot_break_the_address() {
        let tcp = Address::Tcp(SocketAddr::from(([127, 0, 0, 1], 6000)));
        assert_eq!(tcp.url(Some("p@ss:/?")), "redis://:p%40ss%3A%2F%3F@127.0.0.1:6000");
        let unix = Address::Unix("/tmp/socket".into());
        assert_eq!(unix.url(Some("a&b")), "redis+unix:///tmp/socket?pass=a%26b");
    }
}
