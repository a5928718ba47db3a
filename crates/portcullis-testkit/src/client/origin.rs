//! [`Origin`], [`Site`] and [`Url`]: who is the same as whom, for cookies and for Fetch Metadata.

use std::fmt;
use std::net::IpAddr;

use http::Uri;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Origin {
    scheme: String,
    pub(super) host: String,
    /// `None` for the scheme's own port.
    port: Option<u16>,
}

/// Scheme and registrable domain ("schemeful same-site", HTML, section 7.1.1).
///
/// There is no list of public suffixes here: the registrable domain is taken to be the last two labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Site {
    scheme: String,
    domain: String,
}

/// How the initiator of a request is related to its target, the least related last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Relation {
    /// The user typed the address.
    None,
    SameOrigin,
    SameSite,
    CrossSite,
}

#[derive(Clone, Debug)]
pub(super) struct Url {
    pub(super) origin: Origin,
    pub(super) path_and_query: String,
}

impl Origin {
    /// "Potentially trustworthy" (Secure Contexts, section 3.1), as Chromium has it: https, or this machine.
    pub(super) fn is_trustworthy(&self) -> bool {
        let local = self.host == "localhost" || self.host.ends_with(".localhost");
        let loopback = ip(&self.host).is_some_and(|address| address.is_loopback());
        self.scheme == "https" || local || loopback
    }

    pub(super) fn site(&self) -> Site {
        Site { scheme: self.scheme.clone(), domain: registrable(&self.host) }
    }

    pub(super) fn relation_to(&self, target: &Self) -> Relation {
        if self == target {
            Relation::SameOrigin
        } else if self.site() == target.site() {
            Relation::SameSite
        } else {
            Relation::CrossSite
        }
    }

    /// Host and port, as in a `Host` header.
    pub(super) fn authority(&self) -> String {
        self.port.map_or_else(|| self.host.clone(), |port| format!("{}:{port}", self.host))
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme, self.authority())
    }
}

impl Relation {
    /// The value of `Sec-Fetch-Site`.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::SameOrigin => "same-origin",
            Self::SameSite => "same-site",
            Self::CrossSite => "cross-site",
        }
    }
}

impl Url {
    /// Reads an absolute URL.
    #[track_caller]
    pub(super) fn parse(text: &str) -> Self {
        Self::try_parse(text)
            .unwrap_or_else(|| panic!("not a path, and not an absolute http(s) URL: {text:?}"))
    }

    fn try_parse(text: &str) -> Option<Self> {
        let uri: Uri = text.split('#').next()?.parse().ok()?;
        let scheme = uri.scheme_str()?.to_ascii_lowercase();
        let own_port = match scheme.as_str() {
            "https" | "wss" => 443,
            "http" | "ws" => 80,
            _ => return None,
        };
        // Origins of WebSockets are compared as those of HTTP.
        let scheme = scheme.replace("ws", "http");
        let host = uri.host()?.to_ascii_lowercase();
        let port = uri.port_u16().filter(|port| *port != own_port);
        let path_and_query = uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        Some(Self { origin: Origin { scheme, host, port }, path_and_query })
    }

    /// Reads a `Location`, absolute or relative to this URL (RFC 3986, section 5, without dot segments).
    pub(super) fn join(&self, location: &str) -> Option<Self> {
        if location.contains("://") {
            return Self::try_parse(location);
        }
        if location.starts_with("//") {
            return Self::try_parse(&format!("{}:{location}", self.origin.scheme));
        }
        let path = self.path();
        let directory = path.rsplit_once('/').map_or("", |(directory, _)| directory);
        let joined = match location.chars().next() {
            Some('/') => location.to_owned(),
            Some('?') => format!("{path}{location}"),
            Some(_) => format!("{directory}/{location}"),
            None => self.path_and_query.clone(),
        };
        Self::try_parse(&format!("{}{joined}", self.origin))
    }

    pub(super) fn path(&self) -> &str {
        self.path_and_query.split('?').next().unwrap_or("/")
    }
}

fn ip(host: &str) -> Option<IpAddr> {
    host.trim_start_matches('[').trim_end_matches(']').parse().ok()
}

fn registrable(host: &str) -> String {
    if ip(host).is_some() {
        return host.to_owned();
    }
    let labels: Vec<&str> = host.rsplit('.').take(2).collect();
    labels.into_iter().rev().collect::<Vec<_>>().join(".")
}

/// "Domain-match" (RFC 6265bis, section 5.1.3).
pub(super) fn domain_matches(host: &str, domain: &str) -> bool {
    let below = || host.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.'));
    host == domain || (ip(host).is_none() && below())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_related_as_browsers_relate_them() {
        use Relation::{CrossSite, SameOrigin, SameSite};
        let cases = [
            ("the scheme's port", "https://a.example:443", "https://a.example", SameOrigin),
            ("case", "HTTPS://A.example/x?y#z", "https://a.EXAMPLE", SameOrigin),
            ("sibling", "https://b.app.example", "https://app.example", SameSite),
            ("another port", "https://app.example:8443", "https://app.example", SameSite),
            ("another scheme", "http://app.example", "https://app.example", CrossSite),
            ("another domain", "https://evil.example", "https://app.example", CrossSite),
            ("a suffix without a dot", "https://xapp.example", "https://app.example", CrossSite),
            ("addresses", "http://127.0.0.2", "http://127.0.0.1", CrossSite),
            ("a websocket", "wss://app.example", "https://app.example", SameOrigin),
        ];
        for (name, one, other, relation) in cases {
            assert_eq!(Url::parse(one).origin.relation_to(&Url::parse(other).origin), relation, "{name}");
        }
    }

    #[test]
    fn trustworthy_is_https_or_this_machine() {
        for origin in [
            "https://a.example",
            "http://localhost:3000",
            "http://a.localhost",
            "http://127.0.0.1",
            "http://[::1]:1",
        ] {
            assert!(Url::parse(origin).origin.is_trustworthy(), "{origin}");
        }
        for origin in ["http://a.example", "http://localhost.example", "http://10.0.0.1"] {
            assert!(!Url::parse(origin).origin.is_trustworthy(), "{origin}");
        }
    }

    #[test]
    fn domains_match_downwards_only() {
        let cases = [
            ("itself", "app.example", "app.example", true),
            ("below", "a.app.example", "app.example", true),
            ("above", "app.example", "a.app.example", false),
            ("no dot", "xapp.example", "app.example", false),
            ("an address", "1.2.3.4", "3.4", false),
        ];
        for (name, host, domain, matches) in cases {
            assert_eq!(domain_matches(host, domain), matches, "{name}");
        }
    }

    #[test]
    fn a_location_is_read_against_where_it_came_from() {
        let here = Url::parse("https://app.example:8443/a/b?c");
        let cases = [
            ("https://other.example/x?y#z", "https://other.example", "/x?y"),
            ("//other.example/x", "https://other.example", "/x"),
            ("/x", "https://app.example:8443", "/x"),
            ("x", "https://app.example:8443", "/a/x"),
            ("?x", "https://app.example:8443", "/a/b?x"),
        ];
        for (location, origin, path) in cases {
            let there = here.join(location).unwrap();
            assert_eq!((there.origin.to_string().as_str(), there.path_and_query.as_str()), (origin, path));
        }
        assert!(here.join("ftp://x/").is_none());
    }
}
