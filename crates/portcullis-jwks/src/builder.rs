//! [`RemoteJwksBuilder`]: the settings of a source.

use std::time::Duration;

use portcullis_store::KeySetBackend;

use crate::desk::Desk;
use crate::endpoint::{Endpoint, IssuerUrl, Transport};
use crate::error::{ConfigError, ConfigErrorKind};
use crate::fetch::Fetcher;
use crate::fleet::{Fleet, Shared};
use crate::origin::{Origin, Place};
use crate::reach::Reach;
use crate::source::RemoteJwks;

/// The settings of a [`RemoteJwks`]. They are checked by [`build`](Self::build).
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until it builds"]
pub struct RemoteJwksBuilder {
    target: Target,
    shared: Option<Shared>,
    reach: Reach,
    max_stale: Duration,
}

#[derive(Clone, Debug)]
enum Target {
    Url(String),
    Issuer(String),
}

/// With less, an hour's outage that begins just before a refresh would be seen by users.
const LEAST_STALE: Duration = Duration::from_secs(60 * 60);

impl RemoteJwksBuilder {
    pub(crate) fn at_url(url: &str) -> Self {
        Self::new(Target::Url(url.to_owned()))
    }

    pub(crate) fn of_issuer(issuer: &str) -> Self {
        Self::new(Target::Issuer(issuer.to_owned()))
    }

    fn new(target: Target) -> Self {
        Self { target, shared: None, reach: Reach::default(), max_stale: Duration::from_secs(24 * 60 * 60) }
    }

    /// For how long keys are used while the issuer cannot be asked whether they are still its keys; an hour at least.
    /// Default: 24 hours.
    ///
    /// A key that was stolen and withdrawn while the issuer is away is trusted for that long.
    pub const fn max_stale(mut self, max_stale: Duration) -> Self {
        self.max_stale = max_stale;
        self
    }

    /// Shares the issuer's keys with the other processes that name the same address, or the same issuer, and this place: of
    /// all of them one asks, and one that starts while the issuer is away has the keys that were last heard of, within
    /// [`max_stale`](Self::max_stale). Default: each process is on its own.
    ///
    /// While the place is out of reach, or holds what is no key set, it is as if there were none. Whoever can write to it can
    /// sign every token: guard it like the sessions.
    pub fn shared(mut self, place: impl KeySetBackend) -> Self {
        self.shared = Some(Shared::new(place));
        self
    }

    /// Certificate authorities to trust besides those of the machine: one or more certificates in PEM. A server's own is none: one
    /// that `openssl req -x509` makes is an authority's, and refused as a server's.
    pub fn add_roots(mut self, pem: impl AsRef<[u8]>) -> Self {
        self.reach.add_roots(pem.as_ref());
        self
    }

    /// Does not trust the certificate authorities that are installed on the machine, only those that are
    /// [added](Self::add_roots). Default: trusts them.
    pub const fn without_system_roots(mut self) -> Self {
        self.reach.forget_system_roots();
        self
    }

    /// Asks through this HTTP proxy, `http://proxy.example:3128`, or `http://user:password@proxy.example:3128` (each of the two
    /// percent-encoded). It is told host and port (`CONNECT`: RFC 9110, section 9.3.6), and resolves the name; TLS is with the
    /// server, as without it. What is on this machine (`localhost`, `127.0.0.1`, `[::1]`) is asked directly. Default: none, and
    /// none is taken from the environment.
    pub fn proxy(mut self, url: impl AsRef<str>) -> Self {
        self.reach.go_through(url.as_ref());
        self
    }

    /// Allows plain `http` to this machine (`localhost`, `127.0.0.1`, `[::1]`), for development and tests. Default: `https`
    /// only. There is no way to fetch keys without TLS from elsewhere: whoever can answer in the issuer's place could
    /// sign every token.
    pub const fn insecure_http(mut self) -> Self {
        self.reach.allow_loopback();
        self
    }

    /// The source. Nobody is asked yet; the certificates that the machine trusts are read.
    ///
    /// # Errors
    /// See [`ConfigErrorKind`].
    pub fn build(self) -> Result<RemoteJwks, ConfigError> {
        let Self { target, shared, reach, max_stale } = self;
        let transport = reach.transport();
        let fleet = shared.map(|shared| Fleet::new(shared, target.name(), max_stale));
        let place = target.place(transport)?;
        if max_stale < LEAST_STALE {
            return Err(ConfigErrorKind::MaxStale.into());
        }
        let desk = Desk::new(place.endpoint().label(), max_stale);
        let fetcher = Fetcher::new(reach.connector(place.endpoint().is_https())?);
        Ok(RemoteJwks::of(Origin::new(fetcher, place, transport), desk, fleet))
    }
}

impl Target {
    fn name(&self) -> &str {
        match self {
            Self::Url(name) | Self::Issuer(name) => name,
        }
    }

    fn place(self, transport: Transport) -> Result<Place, ConfigError> {
        match self {
            Self::Url(url) => {
                let endpoint = Endpoint::parse(&url, transport).map(Place::Keys);
                endpoint.ok_or_else(|| ConfigErrorKind::Url.into())
            }
            Self::Issuer(name) => {
                let issuer = IssuerUrl::parse(&name, transport).map(Place::Issuer);
                issuer.ok_or_else(|| ConfigErrorKind::Issuer.into())
            }
        }
    }
}
