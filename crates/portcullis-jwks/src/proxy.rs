//! [`Proxy`]: a way out for services that have no other. [`Way`]: how connections are made, through one or without.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::str::FromStr;
use std::task::{Context, Poll};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::uri::{Authority, Scheme};
use http::{HeaderValue, Uri};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::rt::TokioIo;
use percent_encoding::percent_decode_str;
use tokio::net::TcpStream;
use tower_service::Service;

use crate::endpoint::is_loopback;

/// An HTTP proxy that hands on what it cannot read (`CONNECT`: RFC 9110, section 9.3.6).
#[derive(Clone)]
pub(crate) struct Proxy {
    address: Uri,
    authorization: Option<HeaderValue>,
}

/// To the server itself, or through a proxy.
#[derive(Clone)]
pub(crate) struct Way {
    direct: HttpConnector,
    tunnel: Option<Tunnel<HttpConnector>>,
}

type Connecting<T> = Pin<Box<dyn Future<Output = Result<T, Box<dyn Error + Send + Sync>>> + Send>>;

impl Proxy {
    /// `http://proxy.example:3128`, or `http://user:password@proxy.example:3128`.
    pub(crate) fn parse(url: &str) -> Option<Self> {
        let uri = Uri::from_str(url).ok().filter(|_| !url.contains('#'))?;
        let is_bare = uri.path().trim_matches('/').is_empty() && uri.query().is_none();
        let authority = uri.authority().filter(|_| is_bare && uri.scheme() == Some(&Scheme::HTTP))?;
        let (user, place) = match authority.as_str().rsplit_once('@') {
            Some((user, place)) => (Some(user), place),
            None => (None, authority.as_str()),
        };
        let place = Authority::from_str(place).ok().filter(|place| !place.host().is_empty())?;
        let address =
            Uri::builder().scheme(Scheme::HTTP).authority(place).path_and_query("/").build().ok()?;
        let authorization = match user {
            Some(user) => Some(basic(user)?),
            None => None,
        };
        Some(Self { address, authorization })
    }
}

/// RFC 7617. Of a URL's user and password, which are encoded each (RFC 3986, section 3.2.1).
fn basic(user: &str) -> Option<HeaderValue> {
    let (name, password) = user.split_once(':').unwrap_or((user, ""));
    let mut pair: Vec<u8> = percent_decode_str(name).collect();
    if pair.contains(&b':') {
        return None;
    }
    pair.push(b':');
    pair.extend(percent_decode_str(password));
    let mut value = HeaderValue::try_from(format!("Basic {}", BASE64_STANDARD.encode(pair))).ok()?;
    value.set_sensitive(true);
    Some(value)
}

impl Way {
    pub(crate) fn new(direct: HttpConnector, proxy: Option<Proxy>) -> Self {
        let tunnel = proxy.map(|Proxy { address, authorization }| {
            let tunnel = Tunnel::new(address, direct.clone());
            match authorization {
                Some(authorization) => tunnel.with_auth(authorization),
                None => tunnel,
            }
        });
        Self { direct, tunnel }
    }
}

impl Service<Uri> for Way {
    type Response = TokioIo<TcpStream>;
    type Error = Box<dyn Error + Send + Sync>;
    type Future = Connecting<Self::Response>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.direct.poll_ready(cx).map_err(Into::into)
    }

    /// What is on this machine no proxy could reach.
    fn call(&mut self, to: Uri) -> Self::Future {
        match &mut self.tunnel {
            Some(tunnel) if !to.host().is_some_and(is_loopback) => {
                let connecting = tunnel.call(to);
                Box::pin(async move { Ok(connecting.await?) })
            }
            Some(_) | None => {
                let connecting = self.direct.call(to);
                Box::pin(async move { Ok(connecting.await?) })
            }
        }
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxy").field("address", &self.address).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_a_host_and_perhaps_a_user() {
        let rows = [
            ("http://proxy.example:3128", Some(("proxy.example:3128", None))),
            ("http://proxy.example/", Some(("proxy.example", None))),
            ("http://[2001:db8::1]:3128", Some(("[2001:db8::1]:3128", None))),
            ("http://ada:secret@proxy.example:3128", Some(("proxy.example:3128", Some("ada:secret")))),
            ("http://ada@proxy.example:3128", Some(("proxy.example:3128", Some("ada:")))),
            ("http://ada:a%40b%3Ac@proxy.example", Some(("proxy.example", Some("ada:a@b:c")))),
            ("http://a%3Ab:c@proxy.example", None),
            ("https://proxy.example:3128", None),
            ("socks5://proxy.example:1080", None),
            ("proxy.example:3128", None),
            ("http://proxy.example/path", None),
            ("http://proxy.example/?a=b", None),
            ("http://proxy.example#a", None),
            ("http://", None),
            ("", None),
        ];
        for (url, expected) in rows {
            let found = Proxy::parse(url);
            let found = found.as_ref().map(|proxy| {
                let user = proxy.authorization.as_ref().map(|value| {
                    assert!(value.is_sensitive(), "{url}");
                    let pair = value.to_str().unwrap().strip_prefix("Basic ").unwrap();
                    String::from_utf8(BASE64_STANDARD.decode(pair).unwrap()).unwrap()
                });
                (proxy.address.authority().unwrap().as_str(), user)
            });
            assert_eq!(found, expected.map(|(place, user)| (place, user.map(str::to_owned))), "{url}");
        }
    }

    #[test]
    fn debug_shows_no_password() {
        let shown = format!("{:?}", Proxy::parse("http://ada:hush@proxy.example:3128"));
        assert!(shown.contains("proxy.example:3128") && !shown.contains("hush"), "{shown}");
    }
}
