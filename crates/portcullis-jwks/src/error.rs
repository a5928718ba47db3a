//! [`ConfigError`]: what is wrong with a configuration. Nothing of it is found when keys are fetched.

use std::fmt;

/// A source cannot be made of what was given.
///
/// The text is for the developer and not part of the API; match on [`ConfigError::kind`].
#[derive(Clone, PartialEq, Eq)]
pub struct ConfigError {
    kind: ConfigErrorKind,
}

/// The classes of [`ConfigError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ConfigErrorKind {
    /// The address is not an absolute `https` URL, or has user information or a fragment. Plain `http` needs
    /// [`insecure_http`](crate::RemoteJwksBuilder::insecure_http), and is for this machine only.
    Url,
    /// The issuer is not such a URL, or has a query.
    Issuer,
    /// The text holds no certificate in PEM, or one that cannot be used.
    Certificate,
    /// There is no certificate authority to trust: this machine has none installed, and none was given.
    NoRoots,
    /// The proxy is no `http` URL of a host and a port.
    Proxy,
    /// There is no client to ask as: no id, or no secret.
    Client,
    /// [`max_stale`](crate::RemoteJwksBuilder::max_stale) is shorter than an hour.
    MaxStale,
}

impl ConfigError {
    /// The class of the error.
    #[must_use]
    pub const fn kind(&self) -> ConfigErrorKind {
        self.kind
    }
}

impl From<ConfigErrorKind> for ConfigError {
    fn from(kind: ConfigErrorKind) -> Self {
        Self { kind }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            ConfigErrorKind::Url => {
                "the address is no plain https URL; http on this machine needs insecure_http"
            }
            ConfigErrorKind::Issuer => {
                "the issuer is no plain https URL; http on this machine needs insecure_http"
            }
            ConfigErrorKind::Certificate => "the certificates are not PEM or cannot be used",
            ConfigErrorKind::NoRoots => "there is no certificate authority to trust",
            ConfigErrorKind::Proxy => "the proxy is no plain http URL of a host and a port",
            ConfigErrorKind::Client => "there is no client to ask as",
            ConfigErrorKind::MaxStale => "max_stale is shorter than an hour",
        })
    }
}

/// With the text: it is this that a `main` prints that gives the error back.
impl fmt::Debug for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ConfigError({:?}: {self})", self.kind)
    }
}

impl std::error::Error for ConfigError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_main_prints_says_what_to_do() {
        let error = ConfigError::from(ConfigErrorKind::Issuer);
        let expected =
            "ConfigError(Issuer: the issuer is no plain https URL; http on this machine needs insecure_http)";
        assert_eq!(format!("{error:?}"), expected);
    }
}
