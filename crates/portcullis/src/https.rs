//! [`RequireHttpsLayer`]: lets no request pass that came over plain http, and tells browsers to stay with https.
//!
//! * A request is secure if its connection is, by what the acceptor has said of it: [`Transport`] in its extensions, or
//!   what [`transport`](RequireHttpsBuilder::transport) finds. Its URI says nothing: clients write it.
//! * From a [trusted proxy](RequireHttpsBuilder::behind), known by the peer's address, it is secure if the proxy says so, in
//!   exactly one header, by the rightmost value.
//! * What is not secure: GET and HEAD are sent to the same page of the configured public origin (308), everything else is
//!   refused (403, gRPC 7). Nothing in the answer is from `Host` or any other header.
//! * Responses to secure requests carry `Strict-Transport-Security` (RFC 6797).
//! * Where the peer's address is needed and not there, the answer is 500, and the log says what to add. A proxy that does not set
//!   the header, or is not named, sends browsers round in circles; the log warns of it, once for each layer.
//!
//! It stands outside all layers that read credentials. A credential that came along in the clear has been seen by whoever
//! could see it: that the request is refused does not make it good again.
//!
//! ```
//! use http::{Request, Response};
//! use portcullis::https::{ProxyHeader, RequireHttpsLayer, Transport};
//! use std::net::IpAddr;
//! use tower::{Layer, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let layer = RequireHttpsLayer::builder("https://www.example.com")
//!     .peer(|extensions| extensions.get::<IpAddr>().copied())     // axum: ConnectInfo<SocketAddr>
//!     .behind(ProxyHeader::XForwardedProto, ["10.0.0.0/8"])
//!     .build()?;
//! let inner = service_fn(|_: Request<String>| async { Ok::<_, std::io::Error>(Response::new(String::new())) });
//! let service = layer.layer(inner);
//!
//! let ask = |peer: [u8; 4]| {
//!     let mut request = Request::get("/account").header("x-forwarded-proto", "https").body(String::new())?;
//!     request.extensions_mut().insert(IpAddr::from(peer));
//!     Ok::<_, http::Error>(service.clone().oneshot(request))
//! };
//! assert_eq!(ask([10, 0, 0, 7])?.await?.status(), 200);
//! let stranger = ask([203, 0, 113, 9])?.await?;
//! assert_eq!((stranger.status().as_u16(), &stranger.headers()["location"]), (308, &"https://www.example.com/account".parse()?));
//! # Ok(()) }
//! ```

mod doubts;
mod error;
mod forwarded;
mod origin;
mod proxies;

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::header::STRICT_TRANSPORT_SECURITY;
use http::{Extensions, HeaderValue, Method, Uri};
use tower_layer::Layer;

use self::doubts::Doubts;
pub use self::error::HttpsConfigError;
use self::error::Kind;
pub use self::forwarded::ProxyHeader;
use self::origin::PublicOrigin;
use self::proxies::Proxies;
use crate::guard::{Check, Guard, GuardLayer, Head, Pass, Words};
use crate::rejection::{Misassembly, Rejection};
use crate::respond::DefaultResponder;

/// Lets no request pass that came over plain http; see the [module page](self).
#[derive(Clone)]
#[must_use]
pub struct RequireHttpsLayer<R = DefaultResponder> {
    check: Https,
    responder: R,
}

/// Configures a [`RequireHttpsLayer`].
#[must_use]
pub struct RequireHttpsBuilder {
    public_origin: String,
    transport: Find<Transport>,
    peer: Option<Find<IpAddr>>,
    proxies: Vec<(ProxyHeader, Vec<String>)>,
    original_uri: Option<FindUri>,
    allow_localhost: bool,
    hsts: Hsts,
}

/// What a request's connection is. An acceptor puts it into the extensions of each request of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// Encrypted.
    Tls,
    /// Plain, as if nothing were said.
    Plain,
}

/// The check that a [`RequireHttpsLayer`] makes.
#[derive(Clone)]
pub struct Https {
    public_origin: PublicOrigin,
    transport: Find<Transport>,
    peer: Option<Find<IpAddr>>,
    header: ProxyHeader,
    proxies: Proxies,
    original_uri: Option<FindUri>,
    allow_localhost: bool,
    hsts: Arc<dyn Words>,
    doubts: Arc<Doubts>,
}

type Find<T> = Arc<dyn Fn(&Extensions) -> Option<T> + Send + Sync>;
type FindUri = Arc<dyn Fn(&Extensions) -> Option<&Uri> + Send + Sync>;

#[derive(Clone, Copy, Debug)]
struct Hsts {
    max_age: Duration,
    include_subdomains: bool,
}

/// How a request has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Secure,
    /// Plainly, and from this machine.
    Local,
    Plain,
}

/// What the preload list of browsers asks for at least.
const A_YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);

impl RequireHttpsLayer {
    /// For a service that browsers find at `public_origin`, `https://host[:port]`, to which they are sent.
    pub fn builder(public_origin: impl Into<String>) -> RequireHttpsBuilder {
        RequireHttpsBuilder {
            public_origin: public_origin.into(),
            transport: Arc::new(|extensions| extensions.get().copied()),
            peer: None,
            proxies: Vec::new(),
            original_uri: None,
            allow_localhost: false,
            hsts: Hsts { max_age: A_YEAR, include_subdomains: false },
        }
    }
}

impl<R> RequireHttpsLayer<R> {
    /// Who answers a refused request. Default: [`DefaultResponder`].
    pub fn responder<T>(self, responder: T) -> RequireHttpsLayer<T> {
        RequireHttpsLayer { check: self.check, responder }
    }

    pub(crate) fn into_check(self) -> Https {
        self.check
    }
}

impl RequireHttpsBuilder {
    /// Where it is said what the connection is. Default: a [`Transport`] among the extensions; nothing is plain.
    pub fn transport(
        mut self,
        find: impl Fn(&Extensions) -> Option<Transport> + Send + Sync + 'static,
    ) -> Self {
        self.transport = Arc::new(find);
        self
    }

    /// Where the peer's address is. Needed for proxies and localhost. Default: nowhere.
    ///
    /// Under axum's `into_make_service_with_connect_info`:
    /// `.peer(|extensions| extensions.get::<ConnectInfo<SocketAddr>>().map(|peer| peer.ip()))`.
    pub fn peer(mut self, find: impl Fn(&Extensions) -> Option<IpAddr> + Send + Sync + 'static) -> Self {
        self.peer = Some(Arc::new(find));
        self
    }

    /// Takes the word of these proxies, addresses or networks such as `10.0.0.0/8`, about the scheme by which their clients
    /// came, in this header. The proxy must set it on every request. Default: nobody's word is taken.
    ///
    /// Of a request from a trusted proxy the header decides alone, also where the proxy's own connection is encrypted.
    pub fn behind<T: Into<String>>(
        mut self,
        header: ProxyHeader,
        proxies: impl IntoIterator<Item = T>,
    ) -> Self {
        self.proxies.push((header, proxies.into_iter().map(Into::into).collect()));
        self
    }

    /// Where the request's whole URI is, for a layer inside a router that strips a prefix from it. Default: it is what the
    /// layer sees.
    pub fn original_uri(
        mut self,
        find: impl Fn(&Extensions) -> Option<&Uri> + Send + Sync + 'static,
    ) -> Self {
        self.original_uri = Some(Arc::new(find));
        self
    }

    /// Lets requests of programs on this machine pass over plain http, for development. They are known by the peer's
    /// address, never by `Host`. Default: they are refused.
    pub fn allow_localhost(mut self) -> Self {
        self.allow_localhost = true;
        self
    }

    /// For how long browsers are to use nothing but https here, in whole seconds. Default: a year. Zero makes them forget
    /// what they were told before.
    pub fn hsts_max_age(mut self, max_age: Duration) -> Self {
        self.hsts.max_age = max_age;
        self
    }

    /// They are to do so with all subdomains too. Default: not with those.
    pub fn hsts_include_subdomains(mut self) -> Self {
        self.hsts.include_subdomains = true;
        self
    }

    /// The layer.
    ///
    /// # Errors
    /// When the origin or a network is none, two headers are to be trusted or a header without a proxy, the peer's address
    /// is needed and not to be had, or [`allow_localhost`](Self::allow_localhost) meets a trusted proxy on this machine,
    /// through which everybody would pass.
    pub fn build(self) -> Result<RequireHttpsLayer, HttpsConfigError> {
        let mut proxies = Proxies::default();
        let header = self.proxies.first().map_or(ProxyHeader::XForwardedProto, |(header, _)| *header);
        for (other, networks) in &self.proxies {
            if *other != header {
                return Err(Kind::TwoHeaders.into());
            }
            networks.iter().try_for_each(|network| proxies.add(network))?;
        }
        if proxies.is_empty() && !self.proxies.is_empty() {
            return Err(Kind::NoProxies.into());
        }
        if self.peer.is_none() && (self.allow_localhost || !proxies.is_empty()) {
            return Err(Kind::NoPeer.into());
        }
        if self.allow_localhost && proxies.have_loopback() {
            return Err(Kind::LoopbackProxy.into());
        }
        let check = Https {
            public_origin: PublicOrigin::parse(&self.public_origin)?,
            transport: self.transport,
            peer: self.peer,
            header,
            proxies,
            original_uri: self.original_uri,
            allow_localhost: self.allow_localhost,
            hsts: Arc::new((STRICT_TRANSPORT_SECURITY, self.hsts.header())),
            doubts: Arc::default(),
        };
        Ok(RequireHttpsLayer { check, responder: DefaultResponder })
    }
}

impl Hsts {
    fn header(self) -> HeaderValue {
        let subdomains = if self.include_subdomains { "; includeSubDomains" } else { "" };
        let text = format!("max-age={}{subdomains}", self.max_age.as_secs());
        // Digits and letters are a legal value.
        HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static("max-age=0"))
    }
}

impl Https {
    fn way(&self, head: Head<'_>) -> Result<Way, Misassembly> {
        let peer = match &self.peer {
            Some(find) => Some(find(head.extensions).ok_or(Misassembly::PeerUnknown)?.to_canonical()),
            None => None,
        };
        let is_trusted = peer.is_some_and(|peer| self.proxies.trust(peer));
        let is_secure = if is_trusted {
            self.header.says_https(head.headers)
        } else {
            (self.transport)(head.extensions) == Some(Transport::Tls)
        };
        let is_local = self.allow_localhost && peer.is_some_and(|peer| peer.is_loopback());
        Ok(match (is_secure, is_local) {
            (true, _) => Way::Secure,
            (false, true) => Way::Local,
            (false, false) => {
                self.doubts.about(self.header, head.headers, peer, is_trusted);
                Way::Plain
            }
        })
    }

    /// What is not a page is not sent elsewhere: its body went over the network already.
    fn redirect(&self, head: Head<'_>) -> Option<HeaderValue> {
        let uri = self.original_uri.as_ref().and_then(|find| find(head.extensions)).unwrap_or(head.uri);
        matches!(*head.method, Method::GET | Method::HEAD).then(|| self.public_origin.page(uri)).flatten()
    }
}

impl Check for Https {
    fn check(&self, head: Head<'_>) -> Result<Pass, Rejection> {
        match self.way(head).map_err(Rejection::Misconfigured)? {
            Way::Secure => Ok(Pass::parting(Arc::clone(&self.hsts))),
            Way::Local => Ok(Pass::new()),
            Way::Plain => Err(Rejection::InsecureTransport { redirect: self.redirect(head) }),
        }
    }
}

impl<S, R: Clone> Layer<S> for RequireHttpsLayer<R> {
    type Service = Guard<S, Https, R>;

    fn layer(&self, inner: S) -> Self::Service {
        GuardLayer::with_responder(self.check.clone(), self.responder.clone()).layer(inner)
    }
}

impl<R> fmt::Debug for RequireHttpsLayer<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RequireHttpsLayer").field(&self.check).finish()
    }
}

impl fmt::Debug for RequireHttpsBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequireHttpsBuilder")
            .field("public_origin", &self.public_origin)
            .field("proxies", &self.proxies)
            .field("allow_localhost", &self.allow_localhost)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Https {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Https")
            .field("public_origin", &self.public_origin)
            .field("header", &self.header)
            .field("proxies", &self.proxies)
            .field("allow_localhost", &self.allow_localhost)
            .finish_non_exhaustive()
    }
}
