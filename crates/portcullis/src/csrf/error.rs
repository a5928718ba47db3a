//! [`ConfigError`]: why a [`CsrfLayer`](super::CsrfLayer) cannot be built as it was asked to be.

use std::fmt;

/// A configured origin or host that no request could ever match, or keys that protect nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct ConfigError {
    kind: ConfigErrorKind,
    input: String,
}

/// What is wrong with a configured origin or host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ConfigErrorKind {
    /// Not of the form `scheme://host[:port]`. There are no wildcards, and `null` is what any page can be made to say.
    NotAnOrigin,
    /// Not a host name or address alone.
    NotAHost,
    /// A path, query or fragment, also a lone `/` at the end.
    HasPath,
    /// Characters beyond ASCII; browsers send such names in punycode.
    NotAscii,
    /// No browser sends it: `wss:` instead of `https:`, `127.1` instead of `127.0.0.1`, an impossible name.
    NeverSent,
    /// The service's own origin is neither `http` nor `https`.
    NotHttp,
    /// A key of tokens has less than 32 bytes.
    ShortKey,
    /// No host is allowed, so every request would be refused.
    NoHosts,
}

impl ConfigError {
    pub(super) fn new(kind: ConfigErrorKind, input: &str) -> Self {
        Self { kind, input: input.to_owned() }
    }

    /// What is wrong.
    #[must_use]
    pub fn kind(&self) -> ConfigErrorKind {
        self.kind
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let wrong = match self.kind {
            ConfigErrorKind::NotAnOrigin => "is not of the form scheme://host[:port]",
            ConfigErrorKind::NotAHost => "is not a host name or address without port",
            ConfigErrorKind::HasPath => "has a path, query or fragment, which an origin has not",
            ConfigErrorKind::NotAscii => "is not ASCII; write it in punycode, as browsers do",
            ConfigErrorKind::NeverSent => "is nothing that a browser ever sends",
            ConfigErrorKind::NotHttp => "is neither http nor https",
            ConfigErrorKind::ShortKey => return f.write_str("a key of CSRF tokens has at least 32 bytes"),
            ConfigErrorKind::NoHosts => return f.write_str("allowed_hosts names no host"),
        };
        write!(f, "{:?} {wrong}", self.input)
    }
}

/// With the text: it is this that a `main` prints that gives the error back.
impl fmt::Debug for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ConfigError({:?}: {self})", self.kind)
    }
}

impl std::error::Error for ConfigError {}
