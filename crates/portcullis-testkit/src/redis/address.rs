//! [`Address`]: where a server listens.

use std::hash::{BuildHasher, RandomState};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
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
}

pub(super) trait Stream: Read + Write {}

impl<S: Read + Write> Stream for S {}

impl Address {
    pub(super) fn socket_in(directory: &Path) -> Self {
        Self::Unix(directory.join("socket"))
    }

    /// A loopback port that is free now, together with the port of a cluster's bus.
    pub(super) fn free_port() -> Self {
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
        Self::Tcp((Ipv4Addr::LOCALHOST, port).into())
    }

    pub(super) fn connect(&self) -> io::Result<Box<dyn Stream>> {
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

    pub(super) fn url(&self, password: Option<&str>) -> String {
        let password = password.map(percent_encoded);
        match (self, password) {
            (Self::Unix(path), None) => format!("redis+unix://{}", path.display()),
            (Self::Unix(path), Some(password)) => format!("redis+unix://{}?pass={password}", path.display()),
            (Self::Tcp(address), None) => format!("redis://{address}"),
            (Self::Tcp(address), Some(password)) => format!("redis://:{password}@{address}"),
        }
    }
}

fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
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

    #[test]
    fn a_port_whose_bus_is_taken_is_not_free() {
        let Address::Tcp(next) = Address::free_port() else { panic!("a port") };
        let taken: Vec<TcpListener> = (next.port() + 1..next.port() + 20)
            .filter_map(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, port + BUS)).ok())
            .collect();
        assert!(!taken.is_empty());
        for _ in 0..5 {
            let Address::Tcp(found) = Address::free_port() else { panic!("a port") };
            assert!(taken.iter().all(|bus| bus.local_addr().unwrap().port() != found.port() + BUS));
        }
    }
}
