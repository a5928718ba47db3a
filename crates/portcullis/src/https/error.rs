//! [`HttpsConfigError`]: why a [`RequireHttpsLayer`](super::RequireHttpsLayer) cannot be built as it was asked to be.

use std::fmt;

/// What is wrong with a layer's configuration. The text is for developers and not part of the API.
#[derive(Clone, PartialEq, Eq)]
pub struct HttpsConfigError {
    kind: Kind,
    input: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    NotAnOrigin,
    NotANetwork,
    HostBits,
    MappedNetwork,
    NoProxies,
    TwoHeaders,
    NoPeer,
    LoopbackProxy,
}

impl HttpsConfigError {
    pub(super) fn new(kind: Kind, input: &str) -> Self {
        Self { kind, input: input.to_owned() }
    }
}

impl From<Kind> for HttpsConfigError {
    fn from(kind: Kind) -> Self {
        Self::new(kind, "")
    }
}

impl fmt::Display for HttpsConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let wrong = match self.kind {
            Kind::NotAnOrigin => "is not of the form https://host[:port]",
            Kind::NotANetwork => "is neither an address nor a network in CIDR notation",
            Kind::HostBits => "has bits set behind its prefix; which network is meant cannot be told",
            Kind::MappedNetwork => "is of mapped addresses, which are read as IPv4; write it as such",
            Kind::NoProxies => {
                return f.write_str("a proxy's header is to be trusted, and no proxy is named");
            }
            Kind::TwoHeaders => {
                return f.write_str(
                    "only one header can be trusted: clients can send the one that the proxy does not set",
                );
            }
            Kind::NoPeer => {
                return f.write_str(
                    "proxies and localhost are known by the peer's address; say where it is with peer",
                );
            }
            Kind::LoopbackProxy => {
                return f.write_str(
                    "allow_localhost with a trusted proxy on this machine would let everybody pass who comes through it",
                );
            }
        };
        write!(f, "{:?} {wrong}", self.input)
    }
}

/// With the text: it is this that a `main` prints that gives the error back.
impl fmt::Debug for HttpsConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HttpsConfigError({:?}: {self})", self.kind)
    }
}

impl std::error::Error for HttpsConfigError {}
