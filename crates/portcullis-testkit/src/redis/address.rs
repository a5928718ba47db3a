//! [`Address`]: where a server listens.

use std::hash::{BuildHasher, RandomState};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU16, Ordering};

use super::wait::PATIENCE;
use crate::percent::percent_encoded;

/// The ports that are tried, and as many for the buses of clusters, [`BUS`] above. Systems take the port of an outgoing
/// connection from 32768 up, so nobody is given the port of a server while it is down.
const FIRST_PORT: u16 = 12_000;
const PORTS: u16 = 10_000;

/// How far above its own port a cluster's node talks to the others.
const BUS: u16 = 10_000;

/// Where a server listens.
#[derive(Clone, Debug)]
pub(super) enum Address {
    Unix(PathBuf),
    Tcp(SocketAddr),
    /// TLS, and a unix socket beside it for the testkit's own questions.
    Tls {
        at: SocketAddr,
        beside: PathBuf,
    },
}

pub(super) trait Stream: Read + Write {}

impl<S: Read + Write> Stream for S {}

impl Address {
    /// A loopback port that is free now, together with the port of a cluster's bus.
    pub(super) fn free_port() -> SocketAddr {
        // Test processes that run at once start at different places, and each takes one port after the other.
        static NEXT: LazyLock<AtomicU16> = LazyLock::new(|| {
            let anywhere = RandomState::new().hash_one(std::process::id()) % u64::from(PORTS);
            AtomicU16::new(u16::try_from(anywhere).unwrap_or_default())
        });
        let candidate = || FIRST_PORT + NEXT.fetch_add(1, Ordering::Relaxed) % PORTS;
        let port = std::iter::repeat_with(candidate)
            .take(1000)
            .find(|&port| is_free(port) && is_free(port + BUS))
            .expect("a loopback port is free");
        (Ipv4Addr::LOCALHOST, port).into()
    }

    /// Where clients come in over the network.
    pub(super) const fn network(&self) -> Option<SocketAddr> {
        match self {
            Self::Unix(_) => None,
            Self::Tcp(at) | Self::Tls { at, .. } => Some(*at),
        }
    }

    /// The same server as clients of a proxy see it that listens at `proxy`.
    pub(super) fn seen_at(&self, proxy: SocketAddr) -> Self {
        match self {
            Self::Unix(_) | Self::Tcp(_) => Self::Tcp(proxy),
            Self::Tls { beside, .. } => Self::Tls { at: proxy, beside: beside.clone() },
        }
    }

    pub(super) fn connect(&self) -> io::Result<Box<dyn Stream>> {
        match self {
            Self::Unix(path) | Self::Tls { beside: path, .. } => {
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

    pub(super) fn url(&self, user: Option<&str>, password: Option<&str>) -> String {
        let [user, password] = [user, password].map(|word| word.map(percent_encoded));
        match self {
            Self::Unix(path) => {
                let words = [("user", user), ("pass", password)].into_iter();
                let given = words.filter_map(|(name, word)| Some(format!("{name}={}", word?)));
                let query = given.collect::<Vec<_>>().join("&");
                let mark = if query.is_empty() { "" } else { "?" };
                format!("redis+unix://{}{mark}{query}", path.display())
            }
            Self::Tcp(at) => format!("redis://{}{at}", user_info(user, password)),
            Self::Tls { at, .. } => format!("rediss://{}{at}", user_info(user, password)),
        }
    }
}

fn user_info(user: Option<String>, password: Option<String>) -> String {
    let user = user.unwrap_or_default();
    password.map_or_else(String::new, |password| format!("{user}:{password}@"))
}

fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_and_a_password_cannot_break_the_address() {
        let at = SocketAddr::from(([127, 0, 0, 1], 6000));
        let unix = Address::Unix("/tmp/socket".into());
        let tls = Address::Tls { at, beside: "/tmp/socket".into() };
        let cases = [
            (&unix, None, None, "redis+unix:///tmp/socket"),
            (&unix, None, Some("a&b"), "redis+unix:///tmp/socket?pass=a%26b"),
            (&unix, Some("c=d"), Some("a&b"), "redis+unix:///tmp/socket?user=c%3Dd&pass=a%26b"),
            (&Address::Tcp(at), None, None, "redis://127.0.0.1:6000"),
            (&Address::Tcp(at), None, Some("p@ss:/?"), "redis://:p%40ss%3A%2F%3F@127.0.0.1:6000"),
            (&tls, Some("a:b"), Some("p@ss"), "rediss://a%3Ab:p%40ss@127.0.0.1:6000"),
        ];
        for (address, user, password, url) in cases {
            assert_eq!(address.url(user, password), url);
        }
    }

    #[test]
    fn a_port_whose_bus_is_taken_is_not_free() {
        let next = Address::free_port().port();
        let taken: Vec<TcpListener> = (next + 1..next + 20)
            .filter_map(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, port + BUS)).ok())
            .collect();
        assert!(!taken.is_empty());
        for _ in 0..5 {
            let found = Address::free_port().port();
            assert!(taken.iter().all(|bus| bus.local_addr().unwrap().port() != found + BUS));
        }
    }
}
