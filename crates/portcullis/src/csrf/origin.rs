//! [`Origin`]: where a page came from, parsed so that two spellings of one origin are equal.
//!
//! The type is borrowed from a request (`T = &[u8]`, no allocation) or kept in a policy (`T = Box<[u8]>`).

use super::authority::Authority;
use super::error::{ConfigError, ConfigErrorKind};

/// What a browser sends as `Origin` when it is not `null` (RFC 6454, section 6.2).
#[derive(Clone, Copy, Debug)]
pub(super) struct Origin<T = Box<[u8]>> {
    scheme: Scheme<T>,
    authority: Authority<T>,
}

#[derive(Clone, Copy, Debug)]
enum Scheme<T> {
    Http,
    Https,
    /// An app's or an extension's.
    Other(T),
}

impl<'a> Origin<&'a [u8]> {
    /// Reads `scheme://host[:port]`; `None` for anything more or less than that.
    pub(super) fn parse(text: &'a [u8]) -> Option<Self> {
        let (scheme, rest) = Scheme::split(text)?;
        Some(Self { scheme, authority: Authority::parse(rest.strip_prefix(b"://")?)? })
    }

    /// Reads an origin of the configuration, which must be one that browsers send.
    pub(super) fn configured(text: &'a str) -> Result<Origin, ConfigError> {
        let fail = |kind| ConfigError::new(kind, text);
        if !text.is_ascii() {
            return Err(fail(ConfigErrorKind::NotAscii));
        }
        let (_, after_scheme) = text.split_once("://").ok_or_else(|| fail(ConfigErrorKind::NotAnOrigin))?;
        if after_scheme.contains(['/', '?', '#']) {
            return Err(fail(ConfigErrorKind::HasPath));
        }
        let origin = Self::parse(text.as_bytes()).ok_or_else(|| fail(ConfigErrorKind::NotAnOrigin))?;
        if origin.scheme.is_sent() && origin.authority.host.is_sent() {
            Ok(origin.to_owned())
        } else {
            Err(fail(ConfigErrorKind::NeverSent))
        }
    }

    fn to_owned(self) -> Origin {
        let authority = Authority { host: self.authority.host.to_owned(), port: self.authority.port };
        Origin { scheme: self.scheme.to_owned(), authority }
    }
}

/// Browsers send `null` for pages of these, or the origin of `http` and `https` in their place.
const NEVER_ORIGINS: [&[u8]; 4] = [b"ws", b"wss", b"file", b"ftp"];

impl<'a> Scheme<&'a [u8]> {
    /// Reads a scheme (RFC 3986, section 3.1); the rest begins with the colon.
    fn split(text: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let colon = text.iter().position(|&byte| byte == b':')?;
        let (scheme, rest) = text.split_at_checked(colon)?;
        let legal = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
        let scheme = match scheme {
            b"https" => Self::Https,
            b"http" => Self::Http,
            _ if scheme.eq_ignore_ascii_case(b"https") => Self::Https,
            _ if scheme.eq_ignore_ascii_case(b"http") => Self::Http,
            [first, ..] if first.is_ascii_alphabetic() && scheme.iter().all(legal) => Self::Other(scheme),
            _ => return None,
        };
        Some((scheme, rest))
    }

    fn is_sent(self) -> bool {
        match self {
            Self::Http | Self::Https => true,
            Self::Other(scheme) => !NEVER_ORIGINS.iter().any(|never| scheme.eq_ignore_ascii_case(never)),
        }
    }

    fn to_owned(self) -> Scheme<Box<[u8]>> {
        match self {
            Self::Http => Scheme::Http,
            Self::Https => Scheme::Https,
            Self::Other(scheme) => Scheme::Other(scheme.into()),
        }
    }
}

impl<T: AsRef<[u8]>> Scheme<T> {
    fn is<U: AsRef<[u8]>>(&self, other: &Scheme<U>) -> bool {
        match (self, other) {
            (Self::Http, Scheme::Http) | (Self::Https, Scheme::Https) => true,
            (Self::Other(one), Scheme::Other(other)) => one.as_ref().eq_ignore_ascii_case(other.as_ref()),
            (Self::Http | Self::Https | Self::Other(_), _) => false,
        }
    }

    /// The port that goes without saying.
    fn default_port(&self) -> Option<u16> {
        match self {
            Self::Http => Some(80),
            Self::Https => Some(443),
            Self::Other(_) => None,
        }
    }
}

impl<T: AsRef<[u8]>> Origin<T> {
    /// Whether this is an origin of `http` or `https`.
    pub(super) fn is_http(&self) -> bool {
        self.scheme.default_port().is_some()
    }

    /// Whether both are one origin; a port may be written or go without saying.
    pub(super) fn is<U: AsRef<[u8]>>(&self, other: &Origin<U>) -> bool {
        let default = self.scheme.default_port();
        self.scheme.is(&other.scheme)
            && self.authority.host.is(&other.authority.host)
            && self.authority.port.or(default) == other.authority.port.or(default)
    }

    /// Whether a page of this origin would reach `authority` by its own scheme.
    ///
    /// A request does not say by which scheme it came, so `http` and `https` are told apart only by a written port.
    pub(super) fn is_at<U: AsRef<[u8]>>(&self, authority: &Authority<U>) -> bool {
        let default = self.scheme.default_port();
        default.is_some()
            && self.authority.host.is(&authority.host)
            && self.authority.port.or(default) == authority.port.or(default)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_read_whole_or_not_at_all() {
        let rows = [
            ("plain", "https://example.com", true),
            ("port", "http://example.com:8080", true),
            ("capitals", "HTTPS://Example.COM", true),
            ("an app's scheme", "capacitor://localhost", true),
            ("an extension's", "chrome-extension://abcdefghijklmnop", true),
            ("IPv6", "http://[::1]:3000", true),
            ("highest port", "http://a:65535", true),
            ("empty", "", false),
            ("null", "null", false),
            ("no scheme", "example.com", false),
            ("no scheme, port", "example.com:443", false),
            ("scheme that starts with a digit", "1https://example.com", false),
            ("a character that no scheme has", "my_app://example.com", false),
            ("empty scheme", "://example.com", false),
            ("empty host", "https://", false),
            ("empty host, port", "https://:443", false),
            ("userinfo", "https://www.example.com@evil.example", false),
            ("userinfo with password", "https://a:b@evil.example", false),
            ("path", "https://example.com/", false),
            ("query", "https://example.com?a", false),
            ("two", "https://example.com https://evil.example", false),
            ("two with comma", "https://example.com,https://evil.example", false),
            ("backslash", "https:\\\\example.com", false),
            ("empty port", "https://example.com:", false),
            ("signed port", "https://example.com:+443", false),
            ("port too high", "https://example.com:65536", false),
            ("port of letters", "https://example.com:http", false),
            ("two ports", "https://example.com:1:2", false),
            ("open bracket", "http://[::1", false),
            ("after the bracket", "http://[::1]x", false),
            ("no address", "http://[example.com]", false),
            ("not ASCII", "https://exämple.com", false),
            ("NUL", "https://example.com\0", false),
            ("wildcard", "https://*.example.com", false),
        ];
        for (name, text, legal) in rows {
            assert_eq!(Origin::parse(text.as_bytes()).is_some(), legal, "{name}: {text}");
        }
    }

    #[test]
    fn two_spellings_of_one_origin_are_equal() {
        let rows = [
            ("to the letter", "https://a.example", "https://a.example", true),
            ("case", "HTTPS://A.example", "https://a.EXAMPLE", true),
            ("default port", "https://a.example:443", "https://a.example", true),
            ("default port of http", "http://a.example", "http://a.example:80", true),
            ("IPv6", "http://[0:0::1]", "http://[::1]", true),
            ("scheme", "http://a.example", "https://a.example", false),
            ("port", "https://a.example:8443", "https://a.example", false),
            ("the other scheme's port", "https://a.example:80", "https://a.example", false),
            ("subdomain", "https://b.a.example", "https://a.example", false),
            ("longer name", "https://a.example.evil", "https://a.example", false),
            ("prefix", "https://evil-a.example", "https://a.example", false),
            ("trailing dot", "https://a.example.", "https://a.example", false),
            ("no default port", "app://a:443", "app://a", false),
        ];
        for (name, one, other, equal) in rows {
            let (one, other) =
                (Origin::parse(one.as_bytes()).unwrap(), Origin::parse(other.as_bytes()).unwrap());
            assert_eq!((one.is(&other), other.is(&one)), (equal, equal), "{name}");
        }
    }

    #[test]
    fn an_origin_is_at_the_authority_that_its_scheme_leads_to() {
        let rows = [
            ("plain", "https://a.example", "a.example", true),
            ("scheme is not known", "http://a.example", "a.example", true),
            ("capitals", "https://a.example", "A.EXAMPLE", true),
            ("port", "http://a.example:3000", "a.example:3000", true),
            ("host writes :443", "https://a.example", "a.example:443", true),
            ("host writes :443, page of http", "http://a.example", "a.example:443", false),
            ("another port", "http://a.example:3001", "a.example:3000", false),
            ("another host", "https://b.example", "a.example", false),
            ("an extension with the host's name", "chrome-extension://a.example", "a.example", false),
            ("IPv6", "http://[::1]:3000", "[::1]:3000", true),
        ];
        for (name, origin, authority, expected) in rows {
            let origin = Origin::parse(origin.as_bytes()).unwrap();
            let authority = Authority::parse(authority.as_bytes()).unwrap();
            assert_eq!(origin.is_at(&authority), expected, "{name}");
        }
    }

    #[test]
    fn what_can_never_match_is_an_error_of_the_configuration() {
        use ConfigErrorKind::{HasPath, NeverSent, NotAnOrigin, NotAscii};
        let rows = [
            ("plain", "https://app.example.com", None),
            ("capitals and default port", "HTTPS://App.Example.com:443", None),
            ("an app's scheme", "tauri://localhost", None),
            ("IPv4", "http://127.0.0.1:3000", None),
            ("IPv6 spelled out", "http://[0:0:0:0:0:0:0:1]", None),
            ("a digit in front", "https://1password.com", None),
            ("null", "null", Some(NotAnOrigin)),
            ("empty", "", Some(NotAnOrigin)),
            ("host only", "app.example.com", Some(NotAnOrigin)),
            ("trailing slash", "https://app.example.com/", Some(HasPath)),
            ("path", "https://app.example.com/a", Some(HasPath)),
            ("fragment", "https://app.example.com#a", Some(HasPath)),
            ("wildcard", "https://*.example.com", Some(NotAnOrigin)),
            ("userinfo", "https://me@example.com", Some(NotAnOrigin)),
            ("white space", " https://example.com", Some(NotAnOrigin)),
            ("umlaut", "https://ümlaut.example", Some(NotAscii)),
            ("websocket scheme", "wss://example.com", Some(NeverSent)),
            ("file", "file://host", Some(NeverSent)),
            ("IPv4 in short", "http://127.1", Some(NeverSent)),
            ("IPv4 in hex", "http://0x7f000001", Some(NeverSent)),
            ("empty label", "https://a..example", Some(NeverSent)),
        ];
        for (name, text, expected) in rows {
            let kind = Origin::configured(text).err().map(|error| error.kind());
            assert_eq!(kind, expected, "{name}");
        }
    }
}
