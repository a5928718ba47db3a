//! [`SafePath`]: where to go after signing in, without leaving this site.

use axum::http::Uri;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;

/// A path of this site, perhaps with a query. A value from outside becomes one only if a browser cannot take it for
/// the address of another site.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct SafePath(String);

/// The value is not the path of a page of this site.
#[derive(Debug)]
pub(crate) struct NotSafe;

const MAX_LEN: usize = 1024;

/// What a parameter's value may hold as it is.
const VALUE: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'.').remove(b'_').remove(b'~');

impl SafePath {
    /// Takes `text` if it is in origin-form (RFC 9112, section 3.2.1): it begins with one slash, and holds nothing but
    /// visible ASCII. `//host` names another site, browsers read a backslash as a slash, and drop control characters.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let is_origin_form = text.starts_with('/') && !text.starts_with("//");
        let is_clean = text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
        (is_origin_form && is_clean && text.len() <= MAX_LEN).then(|| Self(text.to_owned()))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for SafePath {
    fn default() -> Self {
        Self("/account".to_owned())
    }
}

impl TryFrom<String> for SafePath {
    type Error = NotSafe;

    fn try_from(text: String) -> Result<Self, NotSafe> {
        Self::parse(&text).ok_or(NotSafe)
    }
}

impl std::fmt::Display for NotSafe {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("not the path of a page of this site")
    }
}

/// The login page, which leads back to `wanted`.
pub(crate) fn login_path(wanted: &Uri) -> String {
    match wanted.path_and_query().and_then(|wanted| SafePath::parse(wanted.as_str())) {
        Some(wanted) => format!("/login?next={}", utf8_percent_encode(wanted.as_str(), VALUE)),
        None => "/login".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_paths_of_this_site_are_safe() {
        let rows = [
            ("a page", "/account", true),
            ("the root", "/", true),
            ("a query", "/account?tab=1&x=%2F%2Fevil.example", true),
            ("an @ within the path", "/users/@ada", true),
            ("empty", "", false),
            ("relative", "account", false),
            ("another site", "https://evil.example/", false),
            ("another site, without a scheme", "//evil.example/", false),
            ("a slash and a backslash", "/\\evil.example", false),
            ("backslashes", "\\\\evil.example", false),
            ("a backslash further on", "/a\\b", false),
            ("a tab that browsers drop", "/\t/evil.example", false),
            ("a line break", "/a\r\nSet-Cookie: a=b", false),
            ("a leading space", " //evil.example", false),
            ("a script", "javascript:alert(1)", false),
            ("userinfo", "user@evil.example/", false),
            ("a host with userinfo", "//user@evil.example/", false),
            ("not ASCII", "/\u{ff0f}evil.example", false),
        ];
        for (name, text, safe) in rows {
            assert_eq!(SafePath::parse(text).is_some(), safe, "{name}");
        }
    }

    #[test]
    fn a_path_may_be_so_long_and_no_longer() {
        let long = |len: usize| format!("/{}", "a".repeat(len - 1));
        assert!(SafePath::parse(&long(MAX_LEN)).is_some());
        assert!(SafePath::parse(&long(MAX_LEN + 1)).is_none());
    }

    #[test]
    fn the_way_back_is_one_parameter() {
        let rows = [
            ("plain", "/account", "/login?next=/account"),
            ("with a query", "/account?a=1&b=2", "/login?next=/account%3Fa%3D1%26b%3D2"),
            ("absolute", "http://evil.example/account", "/login?next=/account"),
            ("two slashes", "//evil.example/", "/login"),
        ];
        for (name, wanted, expected) in rows {
            assert_eq!(login_path(&wanted.parse().unwrap()), expected, "{name}");
        }
    }
}
