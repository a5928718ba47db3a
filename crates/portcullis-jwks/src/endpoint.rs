//! [`Endpoint`]: an address that keys may be fetched from. [`IssuerUrl`]: the issuer that says where they are.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use http::Uri;
use http::uri::{PathAndQuery, Scheme};

/// Whether an address may be one of plain http.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    Https,
    /// Plain http too, on this machine.
    InsecureLoopback,
}

/// An absolute URL over a transport that is allowed, without user information.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Endpoint(Uri);

/// An issuer identifier: an endpoint without a query, and its text to the letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct IssuerUrl {
    name: String,
    endpoint: Endpoint,
}

impl Endpoint {
    pub(crate) fn parse(url: &str, transport: Transport) -> Option<Self> {
        // The parser drops a fragment; an address that has one is a mistake.
        let uri = Uri::from_str(url).ok().filter(|_| !url.contains('#'))?;
        let host = uri.host().filter(|host| !host.is_empty())?;
        let is_plain = uri.authority().is_some_and(|authority| !authority.as_str().contains('@'));
        let is_allowed = match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTPS => true,
            Some(scheme) if *scheme == Scheme::HTTP => {
                transport == Transport::InsecureLoopback && is_loopback(host)
            }
            _ => false,
        };
        (is_plain && is_allowed).then_some(Self(uri))
    }

    pub(crate) const fn uri(&self) -> &Uri {
        &self.0
    }

    pub(crate) fn is_https(&self) -> bool {
        self.0.scheme() == Some(&Scheme::HTTPS)
    }

    /// Host and path: what stands in logs and labels. A query may hold what is nobody's business.
    pub(crate) fn label(&self) -> String {
        let authority = self.0.authority().map_or("", |authority| authority.as_str());
        format!("{authority}{}", self.0.path().trim_end_matches('/'))
    }

    fn with_path(&self, path: &str) -> Option<Self> {
        let mut parts = self.0.clone().into_parts();
        parts.path_and_query = Some(PathAndQuery::from_str(path).ok()?);
        Uri::from_parts(parts).ok().map(Self)
    }
}

impl IssuerUrl {
    pub(crate) fn parse(name: &str, transport: Transport) -> Option<Self> {
        let endpoint = Endpoint::parse(name, transport).filter(|it| it.0.query().is_none())?;
        Some(Self { name: name.to_owned(), endpoint })
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) const fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Where the metadata may be: behind the issuer's path (OpenID Connect Discovery 1.0, section 4.1), and before it
    /// (RFC 8414, section 3.1).
    pub(crate) fn metadata(&self) -> [Option<Endpoint>; 2] {
        let path = self.endpoint.0.path().trim_end_matches('/');
        [
            self.endpoint.with_path(&format!("{path}/.well-known/openid-configuration")),
            self.endpoint.with_path(&format!("/.well-known/oauth-authorization-server{path}")),
        ]
    }
}

pub(crate) fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || address.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.label())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_https_or_loopback_by_permission() {
        use Transport::{Https, InsecureLoopback};
        let rows = [
            ("https://idp.example/jwks", Https, true),
            ("https://idp.example:8443/jwks?p=sign_in", Https, true),
            ("HTTPS://idp.example/jwks", Https, true),
            ("https://127.0.0.1/jwks", Https, true),
            ("http://idp.example/jwks", Https, false),
            ("http://127.0.0.1/jwks", Https, false),
            ("http://127.0.0.1/jwks", InsecureLoopback, true),
            ("http://[::1]:80/jwks", InsecureLoopback, true),
            ("http://localhost:8080/jwks", InsecureLoopback, true),
            ("https://idp.example/jwks", InsecureLoopback, true),
            ("http://idp.example/jwks", InsecureLoopback, false),
            ("http://10.0.0.1/jwks", InsecureLoopback, false),
            ("http://localhost.idp.example/", InsecureLoopback, false),
            ("http://127.0.0.1.idp.example/", InsecureLoopback, false),
            ("http://localhost@idp.example/", InsecureLoopback, false),
            ("https://user:secret@idp.example/", Https, false),
            ("https://idp.example/#keys", Https, false),
            ("https://idp.example/a b", Https, false),
            ("https://idp.example/\r\nHost: x", Https, false),
            ("https:///jwks", Https, false),
            ("https://", Https, false),
            ("//idp.example/jwks", Https, false),
            ("/jwks", Https, false),
            ("idp.example", Https, false),
            ("file:///etc/passwd", Https, false),
            ("ftp://idp.example/", Https, false),
            ("", Https, false),
        ];
        for (url, transport, expected) in rows {
            assert_eq!(Endpoint::parse(url, transport).is_some(), expected, "{url}, {transport:?}");
        }
    }

    #[test]
    fn metadata_is_behind_the_path_and_before_it() {
        let rows = [
            (
                "https://idp.example",
                ["/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"],
            ),
            (
                "https://idp.example/",
                ["/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"],
            ),
            (
                "https://idp.example/tenant/v2.0",
                [
                    "/tenant/v2.0/.well-known/openid-configuration",
                    "/.well-known/oauth-authorization-server/tenant/v2.0",
                ],
            ),
            (
                "https://idp.example/tenant/",
                [
                    "/tenant/.well-known/openid-configuration",
                    "/.well-known/oauth-authorization-server/tenant",
                ],
            ),
        ];
        for (name, expected) in rows {
            let issuer = IssuerUrl::parse(name, Transport::Https).unwrap();
            let found = issuer.metadata().map(|endpoint| endpoint.unwrap().0.to_string());
            assert_eq!(found, expected.map(|path| format!("https://idp.example{path}")), "{name}");
            assert_eq!(issuer.name(), name);
        }
        assert_eq!(IssuerUrl::parse("https://idp.example/?tenant=a", Transport::Https), None);
    }

    #[test]
    fn a_label_has_no_query() {
        let endpoint = Endpoint::parse("https://idp.example:8443/keys/?code=hush", Transport::Https).unwrap();
        assert_eq!(endpoint.to_string(), "idp.example:8443/keys");
    }
}
