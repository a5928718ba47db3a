//! [`CookieConfig`]: the session's cookie, how it is found in a request and written to a response.

use std::time::Duration;

use cookie::Cookie;
use http::HeaderValue;

use crate::cookie_line;

/// When a browser sends the cookie along with requests that another site makes it send (RFC 6265bis, 5.6.7).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SameSite {
    /// Never, not even when a link on another site is followed.
    Strict,
    /// Only when a link is followed.
    #[default]
    Lax,
    /// Always. Needs `Secure`.
    None,
}

/// The session's cookie: its name and attributes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CookieConfig {
    pub(crate) name: String,
    pub(crate) same_site: SameSite,
    pub(crate) path: String,
    pub(crate) domain: Option<String>,
    pub(crate) secure: bool,
    pub(crate) partitioned: bool,
}

/// RFC 6265, section 6.1: browsers keep cookies of at least this many bytes, name and value together.
const MAX_COOKIE_LEN: usize = 4096;

/// Browsers ignore an attribute with a longer value (RFC 6265bis, section 5.6), and so would scope the cookie otherwise.
const MAX_ATTRIBUTE_LEN: usize = 1024;

/// RFC 1035, section 2.3.4.
const MAX_DOMAIN_LEN: usize = 253;

/// Browsers keep no cookie for longer (RFC 6265bis, section 5.5).
pub(crate) const LONGEST_LIFE: Duration = Duration::from_secs(400 * 24 * 3600);

impl Default for CookieConfig {
    fn default() -> Self {
        Self {
            name: "__Host-id".to_owned(),
            same_site: SameSite::Lax,
            path: "/".to_owned(),
            domain: None,
            secure: true,
            partitioned: false,
        }
    }
}

impl CookieConfig {
    /// What is wrong with the combination, if anything, when values are `value_len` bytes long.
    pub(crate) fn problem(&self, value_len: usize) -> Option<&'static str> {
        let host_only = self.path == "/" && self.domain.is_none() && self.secure;
        if self.name.is_empty() || !self.name.bytes().all(is_token) {
            Some("a cookie's name is an RFC 9110 token")
        } else if self.name.len() + value_len > MAX_COOKIE_LEN {
            Some("the cookie's name and value exceed 4096 bytes")
        } else if !is_path(&self.path) {
            Some("a cookie's path starts with '/' and is at most 1024 bytes of printable ASCII without ';'")
        } else if self.domain.as_deref().is_some_and(|domain| !is_domain(domain)) {
            Some("a cookie's domain is a domain name, without dot in front, scheme or port")
        } else if has_prefix(&self.name, "__Host-") && !host_only {
            Some("a __Host- cookie is Secure, has Path=/ and no Domain")
        } else if ["__Secure-", "__Http-"].iter().any(|prefix| has_prefix(&self.name, prefix)) && !self.secure
        {
            Some("a __Secure- or __Http- cookie is Secure")
        } else if self.same_site == SameSite::None && !self.secure {
            Some("SameSite=None needs Secure")
        } else if self.partitioned && !self.secure {
            Some("Partitioned needs Secure")
        } else {
            None
        }
    }

    /// The values of the cookies of this name in a line of `Cookie`.
    pub(crate) fn values<'a>(&self, line: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        cookie_line::pairs(line).filter_map(|pair| cookie_line::value(pair, &self.name))
    }

    /// `Set-Cookie` that hands out this value: for `life`, or until the browser is closed.
    pub(crate) fn set(&self, value: String, life: Option<Duration>) -> Option<HeaderValue> {
        let seconds = |life: Duration| i64::try_from(life.min(LONGEST_LIFE).as_secs()).unwrap_or(i64::MAX);
        self.header(value, life.map(|life| cookie::time::Duration::seconds(seconds(life))))
    }

    /// `Set-Cookie` that takes the cookie away. It repeats every attribute, because a browser removes only the cookie
    /// of the same name, domain, path and partition, and honours `__Host-` only with its attributes.
    pub(crate) fn removal(&self) -> Option<HeaderValue> {
        self.header(String::new(), Some(cookie::time::Duration::ZERO))
    }

    fn header(&self, value: String, max_age: Option<cookie::time::Duration>) -> Option<HeaderValue> {
        let mut cookie = Cookie::new(&self.name, value);
        cookie.set_path(&self.path);
        if let Some(domain) = &self.domain {
            cookie.set_domain(domain);
        }
        cookie.set_secure(self.secure);
        if self.partitioned {
            cookie.set_partitioned(true);
        }
        cookie.set_http_only(true);
        cookie.set_same_site(match self.same_site {
            SameSite::Strict => cookie::SameSite::Strict,
            SameSite::Lax => cookie::SameSite::Lax,
            SameSite::None => cookie::SameSite::None,
        });
        cookie.set_max_age(max_age);
        let mut value = HeaderValue::try_from(cookie.to_string()).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

/// Browsers compare the prefixes without regard to case (RFC 6265bis, 5.7).
fn has_prefix(name: &str, prefix: &str) -> bool {
    name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

fn is_path(path: &str) -> bool {
    let legal = |byte: u8| matches!(byte, b' '..=b'~') && byte != b';';
    path.starts_with('/') && path.len() <= MAX_ATTRIBUTE_LEN && path.bytes().all(legal)
}

/// Letters, digits and hyphens; other scripts in their ASCII form (RFC 5890).
fn is_domain(domain: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    let is_label = |label: &str| !label.is_empty() && label.bytes().all(legal);
    domain.len() <= MAX_DOMAIN_LEN && domain.split('.').all(is_label)
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As long as a signed token.
    const VALUE_LEN: usize = 89;

    fn config() -> CookieConfig {
        CookieConfig::default()
    }

    #[test]
    fn the_default_cookie_has_every_attribute() {
        let value = config().set("value".to_owned(), None).unwrap();
        assert_eq!(value, "__Host-id=value; HttpOnly; SameSite=Lax; Secure; Path=/");
        assert!(value.is_sensitive());
    }

    #[test]
    fn a_persistent_cookie_lives_as_long_as_browsers_let_it() {
        for (life, expected) in [(Duration::from_millis(1500), "1"), (Duration::MAX, "34560000")] {
            let value = config().set("value".to_owned(), Some(life)).unwrap();
            let expected =
                format!("__Host-id=value; HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age={expected}");
            assert_eq!(value, expected);
        }
    }

    #[test]
    fn removal_repeats_the_attributes() {
        let config = CookieConfig {
            name: "id".into(),
            domain: Some("example.com".into()),
            path: "/app".into(),
            same_site: SameSite::None,
            partitioned: true,
            secure: true,
        };
        let (set, removal) = (config.set("value".into(), None).unwrap(), config.removal().unwrap());
        let attributes = "HttpOnly; SameSite=None; Partitioned; Secure; Path=/app; Domain=example.com";
        assert_eq!(set, format!("id=value; {attributes}"));
        assert_eq!(removal, format!("id=; {attributes}; Max-Age=0"));
    }

    #[test]
    fn the_cookie_is_found_wherever_it_stands() {
        let rows: [(&str, &[&str], &[&str]); 9] = [
            ("alone", &["__Host-id=1"], &["1"]),
            ("among others", &["a=b; __Host-id=1;c=d"], &["1"]),
            ("in a second header", &["a=b", "__Host-id=1"], &["1"]),
            ("spaces around", &[" __Host-id = 1 "], &["1"]),
            ("empty", &["__Host-id="], &[""]),
            ("twice", &["__Host-id=1; __Host-id=2"], &["1", "2"]),
            ("without a value", &["__Host-id"], &[]),
            ("another name with the same end", &["x__Host-id=1"], &[]),
            ("another name with the same start", &["__Host-id2=1"], &[]),
        ];
        for (name, cookies, expected) in rows {
            let config = config();
            let values: Vec<_> = cookies.iter().flat_map(|line| config.values(line.as_bytes())).collect();
            let expected: Vec<_> = expected.iter().map(|value| value.as_bytes()).collect();
            assert_eq!(values, expected, "{name}");
        }
    }

    #[test]
    fn contradictions_are_found_when_the_layer_is_built() {
        let rows = [
            ("sound", config(), true),
            ("__Host- with a domain", CookieConfig { domain: Some("example.com".into()), ..config() }, false),
            ("__Host- with a path", CookieConfig { path: "/app".into(), ..config() }, false),
            ("__Host- without Secure", CookieConfig { secure: false, ..config() }, false),
            (
                "__host- in small letters",
                CookieConfig { name: "__host-id".into(), secure: false, ..config() },
                false,
            ),
            (
                "__Secure- without Secure",
                CookieConfig { name: "__Secure-id".into(), secure: false, ..config() },
                false,
            ),
            (
                "SameSite=None without Secure",
                CookieConfig { name: "id".into(), secure: false, same_site: SameSite::None, ..config() },
                false,
            ),
            ("a name with a space", CookieConfig { name: "i d".into(), ..config() }, false),
            ("an empty name", CookieConfig { name: String::new(), ..config() }, false),
            (
                "a path that injects",
                CookieConfig { name: "id".into(), path: "/; Domain=evil".into(), ..config() },
                false,
            ),
            (
                "a path without a slash",
                CookieConfig { name: "id".into(), path: "app".into(), ..config() },
                false,
            ),
            (
                "a path over the size",
                CookieConfig { name: "id".into(), path: format!("/{:01024}", 0), ..config() },
                false,
            ),
            ("a name over the size", CookieConfig { name: "n".repeat(4096), ..config() }, false),
            ("the longest name", CookieConfig { name: "n".repeat(4096 - VALUE_LEN), ..config() }, true),
            (
                "__HTTP- without Secure",
                CookieConfig { name: "__HTTP-id".into(), secure: false, ..config() },
                false,
            ),
            ("Partitioned", CookieConfig { partitioned: true, ..config() }, true),
            (
                "Partitioned without Secure",
                CookieConfig { name: "id".into(), secure: false, partitioned: true, ..config() },
                false,
            ),
        ];
        for (name, config, sound) in rows {
            assert_eq!(config.problem(VALUE_LEN).is_none(), sound, "{name}");
        }
    }

    #[test]
    fn a_domain_is_a_domain_name() {
        let rows = [
            ("example.com", true),
            ("EXAMPLE.com", true),
            ("xn--bcher-kva.example", true),
            ("", false),
            (".example.com", false),
            ("example.com.", false),
            ("https://example.com", false),
            ("example.com:443", false),
            ("bücher.example", false),
            ("example.com; Path=/", false),
            (&"a.".repeat(127), false),
            (&format!("{}a", "a.".repeat(126)), true),
            (&format!("{}ab", "a.".repeat(126)), false),
        ];
        for (domain, sound) in rows {
            let config = CookieConfig { name: "id".into(), domain: Some(domain.to_owned()), ..config() };
            assert_eq!(config.problem(VALUE_LEN).is_none(), sound, "{domain}");
        }
    }
}
