//! [`PublicOrigin`]: where a service is to be had over https. Pure.

use http::uri::Authority;
use http::{HeaderValue, Uri};

use super::error::{HttpsConfigError, Kind};

/// `https://host[:port]`, as it was configured: nothing in it is from a request.
#[derive(Clone, Debug)]
pub(super) struct PublicOrigin(String);

impl PublicOrigin {
    pub(super) fn parse(text: &str) -> Result<Self, HttpsConfigError> {
        let authority = text.strip_prefix("https://").and_then(|rest| rest.parse::<Authority>().ok());
        match authority {
            Some(authority) if is_plain(&authority) => Ok(Self(format!("https://{authority}"))),
            _ => Err(HttpsConfigError::new(Kind::NotAnOrigin, text)),
        }
    }

    /// The same page over https; `None` of what has no page, or cannot stand in a header.
    pub(super) fn page(&self, uri: &Uri) -> Option<HeaderValue> {
        let page = uri.path_and_query().map(|page| page.as_str()).filter(|page| page.starts_with('/'))?;
        HeaderValue::from_str(&format!("{}{page}", self.0)).ok()
    }
}

/// Without user, and a port that is one.
fn is_plain(authority: &Authority) -> bool {
    let after_host = authority.as_str().strip_prefix(authority.host());
    let is_port =
        after_host.is_some_and(|rest| rest.is_empty() || authority.port_u16().is_some_and(|port| port > 0));
    !authority.host().is_empty() && is_port
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_a_scheme_and_a_host() {
        let rows = [
            ("plain", "https://www.example.com", true),
            ("a port", "https://www.example.com:8443", true),
            ("IPv6", "https://[2001:db8::1]:8443", true),
            ("http", "http://www.example.com", false),
            ("no scheme", "www.example.com", false),
            ("a path", "https://www.example.com/", false),
            ("a query", "https://www.example.com?a", false),
            ("userinfo", "https://me@www.example.com", false),
            ("no host", "https://", false),
            ("a port alone", "https://:443", false),
            ("no port", "https://www.example.com:", false),
            ("a port that nobody has", "https://www.example.com:0", false),
            ("a space", "https://www.example.com ", false),
            ("a line break", "https://www.example.com\r\n", false),
        ];
        for (name, text, is_legal) in rows {
            assert_eq!(PublicOrigin::parse(text).is_ok(), is_legal, "{name}");
        }
    }

    #[test]
    fn a_page_is_at_the_configured_origin_wherever_the_request_says_that_it_is() {
        let origin = PublicOrigin::parse("https://www.example.com").unwrap();
        let rows = [
            ("/a?b=1", Some("https://www.example.com/a?b=1")),
            ("http://evil.example/a", Some("https://www.example.com/a")),
            ("http://evil.example", Some("https://www.example.com/")),
            ("//evil.example/a", Some("https://www.example.com//evil.example/a")),
            ("*", None),
            ("evil.example:443", None),
        ];
        for (uri, expected) in rows {
            let page = origin.page(&uri.parse().unwrap());
            assert_eq!(page.as_ref().map(|page| page.to_str().unwrap()), expected, "{uri}");
        }
    }
}
