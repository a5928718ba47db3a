//! [`CookieConfig`]: the session's cookie, how it is found in a request and written to a response.

use cookie::Cookie;
use http::header::COOKIE;
use http::{HeaderMap, HeaderValue};
use smallvec::SmallVec;

use super::id::{Presented, TOKEN_LEN, Token};

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
#[derive(Clone, Debug)]
pub(crate) struct CookieConfig {
    pub(crate) name: String,
    pub(crate) same_site: SameSite,
    pub(crate) path: String,
    pub(crate) domain: Option<String>,
    pub(crate) secure: bool,
}

/// At most this many well-formed cookies of the name are looked up; one is normal, a few come from subdomains and
/// sub-paths, and more from somebody who wants work done.
pub(crate) const MAX_CANDIDATES: usize = 4;

/// The tokens that a request presents.
pub(crate) type Candidates = SmallVec<[Presented; MAX_CANDIDATES]>;

/// RFC 6265, section 6.1: browsers keep cookies of at least this many bytes, name and value together.
const MAX_COOKIE_LEN: usize = 4096;

impl CookieConfig {
    /// What is wrong with the combination, if anything.
    pub(crate) fn problem(&self) -> Option<&'static str> {
        let host_only = self.path == "/" && self.domain.is_none() && self.secure;
        let legal = |text: &str| text.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b';');
        if self.name.is_empty() || !self.name.bytes().all(is_token) {
            Some("a cookie's name is an RFC 9110 token")
        } else if self.name.len() + TOKEN_LEN > MAX_COOKIE_LEN {
            Some("the cookie's name and value exceed 4096 bytes")
        } else if !self.path.starts_with('/') || !legal(&self.path) {
            Some("a cookie's path starts with '/' and is printable ASCII without ';'")
        } else if self.domain.as_deref().is_some_and(|domain| domain.is_empty() || !legal(domain)) {
            Some("a cookie's domain is printable ASCII without ';'")
        } else if has_prefix(&self.name, "__Host-") && !host_only {
            Some("a __Host- cookie is Secure, has Path=/ and no Domain")
        } else if has_prefix(&self.name, "__Secure-") && !self.secure {
            Some("a __Secure- cookie is Secure")
        } else if self.same_site == SameSite::None && !self.secure {
            Some("SameSite=None needs Secure")
        } else {
            None
        }
    }

    /// The tokens that a request presents: the first well-formed ones, each once. What is not well-formed counts as
    /// absent.
    pub(crate) fn find(&self, headers: &HeaderMap) -> Candidates {
        let mut found = Candidates::new();
        let pairs = headers
            .get_all(COOKIE)
            .into_iter()
            .flat_map(|value| value.as_bytes().split(|byte| *byte == b';'));
        for presented in pairs.filter_map(|pair| self.value(pair)).filter_map(Presented::parse) {
            if found.len() == MAX_CANDIDATES {
                break;
            }
            if !found.contains(&presented) {
                found.push(presented);
            }
        }
        found
    }

    fn value<'a>(&self, pair: &'a [u8]) -> Option<&'a [u8]> {
        let rest = pair.trim_ascii().strip_prefix(self.name.as_bytes())?;
        rest.trim_ascii_start().strip_prefix(b"=").map(<[u8]>::trim_ascii)
    }

    /// `Set-Cookie` that hands out this token.
    pub(crate) fn set(&self, token: &Token) -> Option<HeaderValue> {
        self.header(token.value(), None)
    }

    /// `Set-Cookie` that takes the cookie away. It repeats every attribute, because a browser removes only the cookie
    /// of the same name, domain and path, and honours `__Host-` only with its attributes.
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

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> CookieConfig {
        CookieConfig {
            name: "__Host-id".to_owned(),
            same_site: SameSite::Lax,
            path: "/".to_owned(),
            domain: None,
            secure: true,
        }
    }

    fn request(cookies: &[&str]) -> HeaderMap {
        cookies.iter().map(|cookie| (COOKIE, HeaderValue::from_str(cookie).unwrap())).collect()
    }

    #[test]
    fn the_default_cookie_has_every_attribute() {
        let token = Token::mint().unwrap();
        let expected = format!("__Host-id={}; HttpOnly; SameSite=Lax; Secure; Path=/", token.value());
        let value = config().set(&token).unwrap();
        assert_eq!(value, expected);
        assert!(value.is_sensitive());
    }

    #[test]
    fn removal_repeats_the_attributes() {
        let config = CookieConfig {
            name: "id".into(),
            domain: Some("example.com".into()),
            path: "/app".into(),
            ..config()
        };
        let value = config.removal().unwrap();
        assert_eq!(value, "id=; HttpOnly; SameSite=Lax; Secure; Path=/app; Domain=example.com; Max-Age=0");
    }

    #[test]
    fn the_cookie_is_found_wherever_it_stands() {
        let [one, two] = [Token::mint().unwrap().value(), Token::mint().unwrap().value()];
        let rows: [(&str, Vec<String>, usize); 9] = [
            ("alone", vec![format!("__Host-id={one}")], 1),
            ("among others", vec![format!("a=b; __Host-id={one};c=d")], 1),
            ("in a second header", vec!["a=b".into(), format!("__Host-id={one}")], 1),
            ("spaces around", vec![format!(" __Host-id = {one} ")], 1),
            ("after a malformed one", vec![format!("__Host-id=shadow; __Host-id={one}")], 1),
            ("twice the same", vec![format!("__Host-id={one}; __Host-id={one}")], 1),
            ("two different ones", vec![format!("__Host-id={one}; __Host-id={two}")], 2),
            ("another name with the same end", vec![format!("x__Host-id={one}")], 0),
            ("another name with the same start", vec![format!("__Host-id2={one}")], 0),
        ];
        for (name, cookies, expected) in rows {
            let cookies: Vec<&str> = cookies.iter().map(String::as_str).collect();
            assert_eq!(config().find(&request(&cookies)).len(), expected, "{name}");
        }
    }

    #[test]
    fn a_hundred_cookies_are_four_candidates() {
        let many: Vec<String> =
            (0..100).map(|_| format!("__Host-id={}", Token::mint().unwrap().value())).collect();
        assert_eq!(config().find(&request(&[&many.join("; ")])).len(), MAX_CANDIDATES);
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
            ("a name over the size", CookieConfig { name: "n".repeat(4096), ..config() }, false),
        ];
        for (name, config, sound) in rows {
            assert_eq!(config.problem().is_none(), sound, "{name}");
        }
    }
}
