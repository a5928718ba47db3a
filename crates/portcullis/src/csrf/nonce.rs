//! The cookie that names a visitor who is not signed in, so that the tokens of anonymous forms are bound to something.
//!
//! It is handed out when a token is made, and dropped when somebody signs in. `__Host-` keeps other hosts of the site, and
//! pages that came over plain http, from setting one that they know.

use std::sync::LazyLock;

use http::header::{CACHE_CONTROL, COOKIE, SET_COOKIE};
use http::{HeaderMap, HeaderValue};
use memchr::memmem::Finder;
use portcullis_store::Locator;

use crate::cookie_line;
use crate::realm::{NameOrigin, Presence};
use crate::vary;

const NAME: &[u8] = b"__Host-csrf";

const ATTRIBUTES: &str = "Path=/; Secure; HttpOnly; SameSite=Lax";

/// Most requests bring no such cookie, which is sooner known of a whole line than of each of its pairs.
static FINDER: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(NAME));

/// The name that a request brings. There is one at most, because no other place can set a `__Host-` cookie.
pub(super) fn presented(headers: &HeaderMap) -> Option<Locator> {
    let lines = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes);
    lines.filter(|line| FINDER.find(line).is_some()).flat_map(cookie_line::pairs).find_map(value)
}

fn value(pair: &[u8]) -> Option<Locator> {
    let value = pair.trim_ascii().strip_prefix(NAME)?.strip_prefix(b"=")?;
    Locator::parse(std::str::from_utf8(value).ok()?)
}

/// What a response says of the cookie, and of the tokens in it.
pub(super) fn part(presence: &dyn Presence, headers: &mut HeaderMap) {
    let guest = presence.guest();
    if guest.was_used() {
        vary::add(headers, HeaderValue::from_static("cookie"));
    }
    let Some(name) = *guest.name() else { return };
    let cookie = match name.origin {
        NameOrigin::New => set(name.locator),
        NameOrigin::Stale => removal(),
        NameOrigin::Presented if presence.session().is_some() => removal(),
        NameOrigin::Presented => return,
    };
    // Two copies of the layer on one path say it once.
    if let Ok(cookie) = HeaderValue::try_from(cookie)
        && !headers.get_all(SET_COOKIE).iter().any(|other| *other == cookie)
    {
        headers.append(SET_COOKIE, cookie);
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
}

fn set(name: Locator) -> String {
    format!("__Host-csrf={name}; {ATTRIBUTES}")
}

fn removal() -> String {
    format!("__Host-csrf=; {ATTRIBUTES}; Max-Age=0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_visitors_name_is_found_among_cookies_and_only_in_its_one_spelling() {
        let name = Locator::from_bytes([7; 16]);
        let rows = [
            ("alone", format!("__Host-csrf={name}"), true),
            ("among others", format!("a=1; __Host-csrf={name}; b=2"), true),
            ("without spaces", format!("a=1;__Host-csrf={name};b=2"), true),
            ("behind one that is malformed", format!("__Host-csrf=x; __Host-csrf={name}"), true),
            ("no cookies", String::new(), false),
            ("another's name", format!("csrf={name}"), false),
            ("a longer name", format!("__Host-csrf2={name}"), false),
            ("in lower case, which has no rights", format!("__host-csrf={name}"), false),
            ("quoted", format!("__Host-csrf=\"{name}\""), false),
            ("a byte long", format!("__Host-csrf={name}A"), false),
            ("empty", "__Host-csrf=".to_owned(), false),
        ];
        for (row, cookies, found) in rows {
            let mut headers = HeaderMap::new();
            headers.insert(COOKIE, cookies.parse().unwrap());
            assert_eq!(presented(&headers), found.then_some(name), "{row}");
        }
    }
}
