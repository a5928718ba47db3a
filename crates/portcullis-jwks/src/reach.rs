//! [`Reach`]: how a server is reached: over which transport, by whose certificates, and through what.

use std::time::Duration;

use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;

use crate::endpoint::Transport;
use crate::error::{ConfigError, ConfigErrorKind};
use crate::proxy::{Proxy, Way};
use crate::tls::Roots;

/// The settings that all have who ask a server.
#[derive(Clone, Debug)]
pub(crate) struct Reach {
    transport: Transport,
    roots: Roots,
    proxy: Option<Proxy>,
    /// What was given and cannot be used.
    problem: Option<ConfigErrorKind>,
}

/// What connections are made by.
pub(crate) type Connector = HttpsConnector<Way>;

const CONNECT: Duration = Duration::from_secs(2);

impl Default for Reach {
    fn default() -> Self {
        Self { transport: Transport::Https, roots: Roots::default(), proxy: None, problem: None }
    }
}

impl Reach {
    pub(crate) const fn transport(&self) -> Transport {
        self.transport
    }

    pub(crate) const fn allow_loopback(&mut self) {
        self.transport = Transport::InsecureLoopback;
    }

    pub(crate) const fn forget_system_roots(&mut self) {
        self.roots.forget_system();
    }

    pub(crate) fn add_roots(&mut self, pem: &[u8]) {
        if self.roots.add(pem).is_err() {
            self.problem.get_or_insert(ConfigErrorKind::Certificate);
        }
    }

    pub(crate) fn go_through(&mut self, proxy: &str) {
        self.proxy = Proxy::parse(proxy);
        if self.proxy.is_none() {
            self.problem.get_or_insert(ConfigErrorKind::Proxy);
        }
    }

    /// `needs_tls` of the address that is asked first.
    pub(crate) fn connector(self, needs_tls: bool) -> Result<Connector, ConfigError> {
        let Self { transport, roots, proxy, problem } = self;
        if let Some(problem) = problem {
            return Err(problem.into());
        }
        let mut tcp = HttpConnector::new();
        tcp.set_connect_timeout(Some(CONNECT));
        tcp.enforce_http(false);
        let connector = HttpsConnectorBuilder::new().with_tls_config(roots.config(needs_tls)?);
        let connector = match transport {
            Transport::Https => connector.https_only(),
            Transport::InsecureLoopback => connector.https_or_http(),
        };
        Ok(connector.enable_http1().wrap_connector(Way::new(tcp, proxy)))
    }
}
