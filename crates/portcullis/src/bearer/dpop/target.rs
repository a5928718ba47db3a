//! [`Base`]: where a service is for its clients, and what `htu` has to be for a request (RFC 9449, section 4.3).
//!
//! Two addresses are one if they are after syntax-based and scheme-based normalization (RFC 3986, sections 6.2.2 and
//! 6.2.3). Query and fragment do not count. Whatever a request says of its own host is not looked at.

use std::borrow::Cow;

/// A public origin, and perhaps a path in front of those that requests have: `https://api.example/v1`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Base {
    /// Normalised, and without a path.
    origin: String,
    /// As it was configured, without a slash at its end.
    prefix: String,
}

/// An absolute `http` or `https` address, taken apart.
struct Address<'a> {
    origin: String,
    path: &'a str,
}

impl Base {
    /// Without user information, query or fragment.
    pub(super) fn parse(url: &str) -> Option<Self> {
        let Address { origin, path } = Address::parse(url)?;
        let is_plain = !url.contains(['?', '#']) && path.bytes().all(|byte| byte.is_ascii_graphic());
        is_plain.then(|| Self { origin, prefix: path.trim_end_matches('/').to_owned() })
    }

    /// Whether this is the address of a request with this path.
    pub(super) fn is_target(&self, htu: &str, path: &str) -> bool {
        let Some(found) = Address::parse(htu) else { return false };
        // `OPTIONS *` has no address, and `CONNECT` no path.
        let has_path = path.is_empty() || path.starts_with('/');
        let expected = || normalised(&format!("{}{path}", self.prefix));
        has_path && found.origin == self.origin && normalised(found.path) == expected()
    }
}

impl<'a> Address<'a> {
    fn parse(url: &'a str) -> Option<Self> {
        let (scheme, rest) = url.split_once("://")?;
        let default_port = match scheme.to_ascii_lowercase().as_str() {
            "https" => "443",
            "http" => "80",
            _ => return None,
        };
        let (authority, path) = rest.split_at_checked(rest.find(['/', '?', '#']).unwrap_or(rest.len()))?;
        let path = path.split(['?', '#']).next().unwrap_or_default();
        let (host, port) = host_and_port(authority)?;
        let origin = match port {
            "" => format!("{scheme}://{host}"),
            port if port == default_port => format!("{scheme}://{host}"),
            port => format!("{scheme}://{host}:{port}"),
        };
        Some(Self { origin: origin.to_ascii_lowercase(), path })
    }
}

/// What stands before the last colon that is not part of an address in brackets, and the digits after it.
fn host_and_port(authority: &str) -> Option<(&str, &str)> {
    let is_inside = |at: usize| authority.rfind(']').is_some_and(|end| at < end);
    let colon = authority.rfind(':').filter(|&at| !is_inside(at));
    let (host, port) = match colon {
        Some(at) => (authority.get(..at)?, authority.get(at + 1..)?),
        None => (authority, ""),
    };
    let is_host = !host.is_empty()
        && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~[]:".contains(&byte))
        && if host.starts_with('[') { host.ends_with(']') } else { !host.contains([':', '[', ']']) };
    let is_port = port.len() <= 5 && port.bytes().all(|byte| byte.is_ascii_digit());
    (is_host && is_port).then_some((host, port))
}

fn normalised(path: &str) -> String {
    without_dot_segments(&with_usual_escapes(path))
}

/// Escapes in capitals, and none of what needs none (RFC 3986, sections 6.2.2.1 and 6.2.2.2).
fn with_usual_escapes(path: &str) -> Cow<'_, str> {
    if !path.bytes().any(|byte| byte == b'%' || !byte.is_ascii_graphic()) {
        return Cow::Borrowed(path);
    }
    let mut text = String::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let escaped = after.get(..2).filter(|_| byte == b'%').and_then(hexadecimal);
        rest = if escaped.is_some() { after.get(2..).unwrap_or_default() } else { after };
        match escaped.unwrap_or(byte) {
            decoded if is_unreserved(decoded) => text.push(char::from(decoded)),
            decoded if escaped.is_some() || !decoded.is_ascii_graphic() => {
                text.push_str(&format!("%{decoded:02X}"));
            }
            plain => text.push(char::from(plain)),
        }
    }
    Cow::Owned(text)
}

fn hexadecimal(digits: &[u8]) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    match digits {
        [high, low] => Some(digit(*high)? * 16 + digit(*low)?),
        _ => None,
    }
}

const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// RFC 3986, section 5.2.4, for a path that begins with a slash; an empty one is `/`.
fn without_dot_segments(path: &str) -> String {
    let mut segments: Vec<&str> = Vec::new();
    let mut ends_open = true;
    for segment in path.split('/').skip(1) {
        ends_open = matches!(segment, "." | "..");
        match segment {
            "." => {}
            ".." => _ = segments.pop(),
            segment => segments.push(segment),
        }
    }
    let mut text = String::with_capacity(path.len() + 1);
    for segment in &segments {
        text.push('/');
        text.push_str(segment);
    }
    if ends_open {
        text.push('/');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_compared_as_rfc_9449_says() {
        let rows = [
            ("the same", "https://api.example/a/b", "/a/b", true),
            ("scheme and host in capitals", "HTTPS://API.Example/a/b", "/a/b", true),
            ("the usual port", "https://api.example:443/a/b", "/a/b", true),
            ("an empty port", "https://api.example:/a/b", "/a/b", true),
            ("with a query", "https://api.example/a/b?c=d", "/a/b", true),
            ("with a fragment", "https://api.example/a/b#c", "/a/b", true),
            ("escaped without need", "https://api.example/%61/b", "/a/b", true),
            ("escaped in small letters", "https://api.example/a%2fb", "/a%2Fb", true),
            ("dots", "https://api.example/a/./c/../b", "/a/b", true),
            ("dots at the end", "https://api.example/a/b/..", "/a/", true),
            ("escaped dots", "https://api.example/a/%2e%2E/b", "/b", true),
            ("the root without a slash", "https://api.example", "/", true),
            ("the root with a query only", "https://api.example?a", "/", true),
            ("no escape", "https://api.example/100%", "/100%", true),
            ("a letter as it is", "https://api.example/\u{e9}", "/%C3%A9", true),
            ("another path", "https://api.example/a/c", "/a/b", false),
            ("a slash more", "https://api.example/a/b/", "/a/b", false),
            ("a path in capitals", "https://api.example/A/b", "/a/b", false),
            ("an escaped slash", "https://api.example/a%2Fb", "/a/b", false),
            ("two slashes", "https://api.example//a/b", "/a/b", false),
            ("plain http", "http://api.example/a/b", "/a/b", false),
            ("another port", "https://api.example:8443/a/b", "/a/b", false),
            ("another host", "https://api.example.evil/a/b", "/a/b", false),
            ("a subdomain", "https://v1.api.example/a/b", "/a/b", false),
            ("a dot at its end", "https://api.example./a/b", "/a/b", false),
            ("somebody's name", "https://ada@api.example/a/b", "/a/b", false),
            ("a host in somebody's name", "https://api.example@evil.example/a/b", "/a/b", false),
            ("a backslash", "https://api.example\\@evil.example/a/b", "/a/b", false),
            ("no scheme", "//api.example/a/b", "/a/b", false),
            ("a path alone", "/a/b", "/a/b", false),
            ("nothing", "", "/", false),
            ("another scheme", "ftp://api.example/a/b", "/a/b", false),
            ("the asterisk", "https://api.example*", "*", false),
            ("the asterisk as a path", "https://api.example/*", "*", false),
        ];
        let base = Base::parse("https://api.example").unwrap();
        for (name, htu, path, expected) in rows {
            assert_eq!(base.is_target(htu, path), expected, "{name}");
        }
    }

    #[test]
    fn a_base_has_the_path_that_a_proxy_or_router_takes_away() {
        for url in ["https://api.example/v1", "https://api.example/v1/", "https://API.example:443/v1"] {
            let base = Base::parse(url).unwrap();
            assert!(base.is_target("https://api.example/v1/a", "/a"), "{url}");
            assert!(!base.is_target("https://api.example/a", "/a"), "{url}");
            assert!(!base.is_target("https://api.example/v1a", "a"), "{url}");
        }
        let local = Base::parse("http://[::1]:3000").unwrap();
        assert!(local.is_target("http://[::1]:3000/a", "/a") && !local.is_target("http://[::1]/a", "/a"));
    }

    #[test]
    fn what_is_no_plain_origin_is_refused() {
        for url in [
            "",
            "api.example",
            "https://",
            "https:///a",
            "https://ada@api.example",
            "https://api.example?a",
            "https://api.example#a",
            "https://api.example:port",
            "https://api.example:123456",
            "https://api example",
            "https://api.example/a b",
            "https://a:b:443",
            "https://[::1",
            "wss://api.example",
        ] {
            assert_eq!(Base::parse(url), None, "{url}");
        }
    }
}
