//! [`TokenCookies`]: tokens in cookies that scripts cannot read, for browser clients.

use http::header::{CACHE_CONTROL, COOKIE, SET_COOKIE};
use http::{HeaderMap, HeaderValue};

use super::refresh::TokenPair;

/// Tokens in `__Host-` cookies, which no script reads and no other host sets: for browser clients, whose storage every script
/// of the page can read.
///
/// A browser sends cookies of its own accord, so what comes in one is an *ambient* credential: stack
/// [`CsrfLayer`](crate::CsrfLayer) inside the [`BearerLayer`](crate::BearerLayer) that reads the access token from its cookie, and
/// around the route that refreshes.
///
/// Both cookies are `Secure`, `HttpOnly` and of the whole host. That of the access token is `SameSite=Lax`, that of the refresh
/// token `SameSite=Strict`; each goes when its token does.
///
/// ```
/// use http::HeaderMap;
/// use portcullis::bearer::TokenSource;
/// use portcullis::issue::TokenCookies;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let source = TokenSource::cookie(TokenCookies::ACCESS)?; // for `BearerLayer::add_source`
///
/// let mut headers = HeaderMap::new();
/// TokenCookies::clear(&mut headers); // a logout
/// assert_eq!(headers.get_all("set-cookie").iter().count(), 2);
/// # drop(source); Ok(()) }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct TokenCookies;

impl TokenCookies {
    /// The cookie of the access token.
    pub const ACCESS: &'static str = "__Host-access";

    /// The cookie of the refresh token.
    pub const REFRESH: &'static str = "__Host-refresh";

    /// Hands out both tokens, by the headers of a response, which then is `no-store`.
    pub fn set(pair: &TokenPair, headers: &mut HeaderMap) {
        let (access, refresh) = (pair.access(), pair.refresh_token());
        append(headers, Self::ACCESS, access.as_str(), access.expires_in().as_secs(), "Lax");
        append(headers, Self::REFRESH, refresh, pair.refresh_expires_in().as_secs(), "Strict");
    }

    /// Takes both away.
    pub fn clear(headers: &mut HeaderMap) {
        append(headers, Self::ACCESS, "", 0, "Lax");
        append(headers, Self::REFRESH, "", 0, "Strict");
    }

    /// The refresh token that a request brings; `None` if there is none, or more than one.
    #[must_use]
    pub fn refresh_token(headers: &HeaderMap) -> Option<&str> {
        let pairs = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
        let pairs = pairs.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
        let mut found = pairs.filter(|(name, _)| *name == Self::REFRESH).map(|(_, value)| value);
        let first = found.next();
        if found.next().is_some() { None } else { first.filter(|value| !value.is_empty()) }
    }
}

/// The tokens are base64url and dots, which a cookie takes as they are (RFC 6265, section 4.1.1).
fn append(headers: &mut HeaderMap, name: &str, value: &str, age: u64, same_site: &str) {
    let cookie = format!("{name}={value}; Path=/; Secure; HttpOnly; SameSite={same_site}; Max-Age={age}");
    if let Ok(mut cookie) = HeaderValue::try_from(cookie) {
        cookie.set_sensitive(true);
        headers.append(SET_COOKIE, cookie);
    }
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_as_sensitive_as_its_token() {
        let mut headers = HeaderMap::new();
        TokenCookies::clear(&mut headers);
        let cookies: Vec<_> = headers.get_all(SET_COOKIE).iter().collect();
        assert_eq!(cookies.len(), 2);
        assert!(cookies.iter().all(|cookie| cookie.is_sensitive()));
    }

    #[test]
    fn one_refresh_token_is_read_and_two_are_none() {
        for (name, cookies, expected) in [
            ("alone", &["__Host-refresh=a.b"][..], Some("a.b")),
            ("among others", &["x=1; __Host-refresh=a ;y=2"], Some("a")),
            ("in a second header", &["x=1", "__Host-refresh=a"], Some("a")),
            ("twice", &["__Host-refresh=a; __Host-refresh=b"], None),
            ("twice in two headers", &["__Host-refresh=a", "__Host-refresh=a"], None),
            ("another's", &["__host-refresh=a; refresh=b; x__Host-refresh=c"], None),
            ("empty", &["__Host-refresh="], None),
            ("none", &[], None),
        ] {
            let mut headers = HeaderMap::new();
            for cookie in cookies {
                headers.append(COOKIE, HeaderValue::from_static(cookie));
            }
            assert_eq!(TokenCookies::refresh_token(&headers), expected, "{name}");
        }
    }
}
