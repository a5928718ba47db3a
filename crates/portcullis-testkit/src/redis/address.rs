//! [`Address`]: where a server listens.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use super::builder::PATIENCE;
use crate::percent::percent_encoded;

/// Where a server listens.
#[derive(Clone, Debug)]
pub(super) enum Address {
    Unix(PathBuf),
    Tcp(SocketAddr),
}

pub(super) trait Stream: Read + Write {}

impl<S: Read + Write> Stream for S {}

impl Address {
    /// A loopback port that is free now. A cluster's bus takes the port 10000 above, which must exist.
    pub(super) fn free_port() -> Self {
        let free = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr();
        let address = std::iter::repeat_with(free)
            .take(100)
            .filter_map(Result::ok)
            .find(|address| address.port() < 55_000)
            .expect("a loopback port is free");
        Self::Tcp(address)
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
