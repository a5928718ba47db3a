//! [`RedisServerBuilder`]: how to start a server, and to find out that it runs.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use super::address::Address;
use super::resp::{self, Reply};
use super::wait::{PATIENCE, within};
use super::watchdog::Watched;
use super::{Certificates, RedisServer, acl, tls};

/// How to start a [`RedisServer`].
#[derive(Clone, Debug, Default)]
pub struct RedisServerBuilder {
    listen: Listen,
    pub(super) password: Option<String>,
    master_password: Option<String>,
    users: Option<Vec<String>>,
    config: Option<String>,
    arguments: Vec<String>,
}

#[derive(Clone, Copy, Debug, Default)]
enum Listen {
    #[default]
    Unix,
    Tcp,
    Tls {
        client_certificates: bool,
    },
}

impl RedisServerBuilder {
    /// Listens on a free port of 127.0.0.1 instead of a unix socket.
    #[must_use]
    pub fn tcp(mut self) -> Self {
        self.listen = Listen::Tcp;
        self
    }

    /// Listens with TLS on a free port of 127.0.0.1, and on nothing else but a unix socket that
    /// [`RedisServer::command`] uses. The server must have been built with TLS.
    ///
    /// ```
    /// use portcullis_testkit::redis::RedisServer;
    ///
    /// let server = RedisServer::builder().tls().start();
    /// assert!(server.url().starts_with("rediss://127.0.0.1:"));
    /// let trusted = server.certificates().ca(); // for the client that is tested
    /// assert!(trusted.starts_with("-----BEGIN CERTIFICATE-----"));
    /// assert_eq!(server.command(&["PING"]), "PONG");
    /// ```
    #[must_use]
    pub fn tls(mut self) -> Self {
        self.listen = Listen::Tls { client_certificates: false };
        self
    }

    /// [`tls`](Self::tls), and every client must have a certificate, as
    /// [`Certificates::client_certificate`](super::Certificates::client_certificate) is one.
    #[must_use]
    pub fn mutual_tls(mut self) -> Self {
        self.listen = Listen::Tls { client_certificates: true };
        self
    }

    /// Requires this password of the default user.
    #[must_use]
    pub fn password(mut self, password: impl Into<String>) -> Self {
        self.password = Some(password.into());
        self
    }

    /// What the server says to a master, should it become a replica.
    pub(super) fn master_password(mut self, password: &str) -> Self {
        self.master_password = Some(password.to_owned());
        self
    }

    /// Gives the server an aclfile of these lines. The default user keeps all rights and its
    /// [`password`](Self::password) unless a line is about it. One user is added, `portcullis-testkit`, so that
    /// [`RedisServer::command`] does not depend on what the others may do.
    ///
    /// ```
    /// use portcullis_testkit::redis::RedisServer;
    ///
    /// let server = RedisServer::builder().acl(["user reader on >secret ~* -@all +get", "user default off"]).start();
    /// assert!(server.url_as("reader", "secret").ends_with("/socket?user=reader&pass=secret"));
    /// assert_eq!(server.command(&["SET", "key", "1"]), "OK"); // as the testkit's own user
    /// ```
    #[must_use]
    pub fn acl<L: Into<String>>(mut self, lines: impl IntoIterator<Item = L>) -> Self {
        self.users.get_or_insert_default().extend(lines.into_iter().map(Into::into));
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

    /// Gives the server a configuration file of this text. A restarted server finds in it what it has rewritten, as a
    /// Sentinel does with all that it learns.
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
        // Between finding a free port and the server's binding it, somebody else may take it.
        let mut complaints = String::new();
        for _ in 0..5 {
            match self.try_start() {
                Ok(server) => return server,
                Err(complaint) if complaint.contains("in use") => complaints = complaint,
                Err(complaint) => panic!("{complaint}"),
            }
        }
        panic!("{complaints}")
    }

    fn try_start(&self) -> Result<RedisServer, String> {
        let directory = tempfile::Builder::new().prefix("redis-").tempdir().expect("a directory can be made");
        let socket = directory.path().join("socket");
        let mut certificates = None;
        let address = match self.listen {
            Listen::Unix => Address::Unix(socket),
            Listen::Tcp => Address::Tcp(Address::free_port()),
            Listen::Tls { .. } => {
                certificates.insert(Certificates::generate()).write_to(directory.path());
                Address::Tls { at: Address::free_port(), beside: socket }
            }
        };
        let process = Mutex::new(Some(self.launch(&address, directory.path())?));
        Ok(RedisServer { options: self.clone(), address, certificates, process, directory })
    }

    /// Starts a server at `address` and waits until it answers.
    pub(super) fn launch(&self, address: &Address, directory: &Path) -> Result<Watched, String> {
        let log = directory.join("log");
        let _ = std::fs::remove_file(&log);
        let process = Watched::spawn(&self.command_line(address, directory), directory, &log);
        let over = within(PATIENCE, || match process.has_ended() {
            true => Ok(false),
            false if self.is_answered_by(&process, address) => Ok(true),
            false => Err(String::new()),
        });
        if over == Ok(true) {
            return Ok(process);
        }
        let complaint = process.kill();
        let log = std::fs::read_to_string(&log).unwrap_or_default();
        Err(format!("redis-server did not start:\n{complaint}{log}"))
    }

    /// Another process's server may have taken the port at the same moment, and answer in this one's stead.
    fn is_answered_by(&self, process: &Watched, address: &Address) -> bool {
        let answer = self.call(address, &["INFO", "server"]);
        let own = format!("process_id:{}\r\n", process.pid());
        answer.is_ok_and(|answer| answer.is_ok_and(|reply| reply.into_text().contains(&own)))
    }

    fn command_line(&self, address: &Address, directory: &Path) -> Vec<OsString> {
        let mut line = vec![server_binary().into_os_string()];
        if let Some(text) = &self.config {
            line.push(kept(directory.join("redis.conf"), text));
        }
        line.extend(["--dir".into(), directory.into()]);
        line.extend(["--save", "", "--appendonly", "no", "--daemonize", "no"].map(OsString::from));
        // A new replica is sent its copy at once, and does not wait five seconds for company.
        line.extend(["--repl-diskless-sync-delay", "0"].map(OsString::from));
        line.extend(self.listening(address, directory));
        if let Some(users) = &self.users {
            let text = acl::file(users, self.password.as_deref());
            line.extend(["--aclfile".into(), kept(directory.join("users.acl"), &text)]);
        }
        line.extend(["--include".into(), kept(directory.join("passwords.conf"), &self.passwords())]);
        line.extend(self.arguments.iter().map(OsString::from));
        line
    }

    /// A file, because servers differ in how they read quotes on a command line: Valkey 8.1 doubles some of them.
    fn passwords(&self) -> String {
        // With an aclfile the server takes no other word for who may come in.
        let own = self.password.as_ref().filter(|_| self.users.is_none());
        let options = [("requirepass", own), ("masterauth", self.master_password.as_ref())];
        let line = |(option, password): (&str, Option<&String>)| {
            password.map(|password| format!("{option} {}\n", quoted(password)))
        };
        options.into_iter().filter_map(line).collect()
    }

    fn listening(&self, address: &Address, directory: &Path) -> Vec<OsString> {
        let at = |port: u16| ["--bind", "127.0.0.1", "--port", &port.to_string()].map(OsString::from);
        match address {
            Address::Unix(socket) => [&at(0)[..], &["--unixsocket".into(), socket.into()]].concat(),
            Address::Tcp(network) => at(network.port()).into(),
            Address::Tls { at: network, beside } => {
                let client_certificates = matches!(self.listen, Listen::Tls { client_certificates: true });
                let tls = tls::arguments(network.port(), client_certificates, directory);
                [&at(0)[..], &["--unixsocket".into(), beside.into()], &tls].concat()
            }
        }
    }

    /// Who asks the testkit's own questions, and the password; nobody in particular where none is required.
    pub(super) fn credentials(&self) -> Option<(Option<&str>, &str)> {
        match &self.users {
            Some(_) => Some((Some(acl::USER), acl::PASSWORD)),
            None => self.password.as_deref().map(|password| (None, password)),
        }
    }

    pub(super) fn call<A: AsRef<[u8]>>(
        &self,
        address: &Address,
        arguments: &[A],
    ) -> io::Result<Result<Reply, String>> {
        let mut stream = address.connect()?;
        if let Some((user, password)) = self.credentials() {
            let words: Vec<&str> = ["AUTH"].into_iter().chain(user).chain([password]).collect();
            if let Err(refusal) = resp::call(&mut stream, &words)? {
                return Ok(Err(refusal));
            }
        }
        resp::call(&mut stream, arguments)
    }
}

/// Writes a file that the server may rewrite and finds again after a restart.
fn kept(file: PathBuf, text: &str) -> OsString {
    if !file.exists() {
        std::fs::write(&file, text).expect("the file can be written");
    }
    file.into()
}

/// As one word of a configuration file.
pub(super) fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quoted_word_is_one_word() {
        assert_eq!(quoted(r#"a "b\ c"#), r#""a \"b\\ c""#);
    }

    #[test]
    fn another_server_on_the_port_is_not_taken_for_this_one() {
        let other = RedisServer::builder().tcp().start();
        let directory = tempfile::tempdir().unwrap();
        let complaint = RedisServer::builder().launch(&other.address, directory.path()).unwrap_err();
        assert!(complaint.contains("in use"), "so that another port is tried: {complaint}");
    }
}
