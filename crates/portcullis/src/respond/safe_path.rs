//! [`SafePath`]: where to go within this site. Pure.

use std::error::Error;
use std::fmt;
use std::str::FromStr;

use http::{HeaderValue, Uri};
use serde::Deserialize;

/// A path of this site, perhaps with a query: what somebody who has signed in may be sent back to.
///
/// A value from outside becomes one only if no browser takes it for the address of another site, and if it can stand in
/// a header and in a quoted attribute of HTML as it is. As a field of a form it is read with `serde`:
///
/// ```
/// use portcullis::respond::SafePath;
///
/// assert_eq!(SafePath::parse("/account?tab=2")?.as_str(), "/account?tab=2");
/// for hostile in ["//evil.example", "/\\evil.example", "\t//evil.example", "https:evil.example", ""] {
///     assert!(SafePath::parse(hostile).is_err());
/// }
/// # Ok::<(), portcullis::respond::NotSafe>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct SafePath(String);

/// The text is not the path of a page of this site. It does not quote the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotSafe(());

/// More than this in an address is not a page that somebody wanted.
const MAX_LEN: usize = 1024;

impl SafePath {
    /// Takes `text` if it is in origin-form (RFC 9112, section 3.2.1): one slash, and visible ASCII after it.
    ///
    /// Refused are `//host` and `/.//host`, which name another site or come to it when dot segments are removed
    /// (RFC 3986, section 5.2.4); backslashes, which browsers read as slashes, and control characters, which they drop
    /// (WHATWG URL, section 4.4); a fragment; `"`, `<` and `>`; and what is longer than 1024 bytes.
    ///
    /// # Errors
    /// When it is anything else.
    pub fn parse(text: &str) -> Result<Self, NotSafe> {
        let path = text.split_once('?').map_or(text, |(path, _)| path);
        let is_origin_form = path.starts_with('/') && !path.starts_with("//");
        let is_safe = text.len() <= MAX_LEN
            && is_origin_form
            && text.bytes().all(is_harmless)
            && !path.split('/').any(is_dot_segment);
        if is_safe { Ok(Self(text.to_owned())) } else { Err(NotSafe(())) }
    }

    /// Path and query of a request, whatever its scheme and host.
    ///
    /// # Errors
    /// When it has none, or as [`parse`](Self::parse).
    pub fn of(uri: &Uri) -> Result<Self, NotSafe> {
        Self::parse(uri.path_and_query().ok_or(NotSafe(()))?.as_str())
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn is_harmless(byte: u8) -> bool {
    byte.is_ascii_graphic() && !matches!(byte, b'\\' | b'#' | b'"' | b'<' | b'>')
}

/// `.` and `..`, also percent-encoded (WHATWG URL, section 4.1, "single-dot URL path segment").
fn is_dot_segment(segment: &str) -> bool {
    const DOTS: [&str; 6] = [".", "..", "%2e", ".%2e", "%2e.", "%2e%2e"];
    DOTS.iter().any(|dots| segment.eq_ignore_ascii_case(dots))
}

impl FromStr for SafePath {
    type Err = NotSafe;

    fn from_str(text: &str) -> Result<Self, NotSafe> {
        Self::parse(text)
    }
}

impl TryFrom<String> for SafePath {
    type Error = NotSafe;

    fn try_from(text: String) -> Result<Self, NotSafe> {
        Self::parse(&text)
    }
}

impl AsRef<str> for SafePath {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

/// For `Location`.
impl From<&SafePath> for HeaderValue {
    fn from(path: &SafePath) -> Self {
        // Visible ASCII is a legal value, so this does not come to the root.
        Self::from_str(&path.0).unwrap_or_else(|_| Self::from_static("/"))
    }
}

impl fmt::Display for SafePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for NotSafe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not the path of a page of this site")
    }
}

impl Error for NotSafe {}

#[cfg(test)]
mod tests {
    use url::Url;

    use super::*;

    #[test]
    fn only_paths_of_this_site_are_safe() {
        let rows = [
            ("a page", "/account", true),
            ("the root", "/", true),
            ("a query", "/account?tab=1&x=%2F%2Fevil.example", true),
            ("an address in the query", "/go?to=https://evil.example/..//", true),
            ("an @ within the path", "/users/@ada", true),
            ("two slashes further on", "/a//b", true),
            ("dots that are no segment", "/a.b/..c/...", true),
            ("empty", "", false),
            ("relative", "account", false),
            ("a query alone", "?next=/", false),
            ("another site", "https://evil.example/", false),
            ("another site, without slashes", "https:evil.example", false),
            ("another site, without a scheme", "//evil.example/", false),
            ("three slashes", "///evil.example/", false),
            ("a slash and a backslash", "/\\evil.example", false),
            ("backslashes", "\\\\evil.example", false),
            ("a backslash further on", "/a\\b", false),
            ("a tab that browsers drop", "/\t/evil.example", false),
            ("a tab in front", "\t//evil.example", false),
            ("a line break", "/a\r\nSet-Cookie: a=b", false),
            ("NUL", "/\0", false),
            ("DEL", "/\u{7f}", false),
            ("a leading space", " //evil.example", false),
            ("a space", "/a b", false),
            ("a script", "javascript:alert(1)", false),
            ("userinfo", "user@evil.example/", false),
            ("a host with userinfo", "//user@evil.example/", false),
            ("a dot segment before two slashes", "/.//evil.example", false),
            ("two dots before two slashes", "/..//evil.example", false),
            ("a way up to two slashes", "/a/..//evil.example", false),
            ("encoded dots", "/%2e%2E//evil.example", false),
            ("a dot and an encoded one", "/.%2e//evil.example", false),
            ("a dot segment at the end", "/a/..", false),
            ("a fragment", "/a#b", false),
            ("what ends an attribute", "/a\"onload=alert(1)", false),
            ("what begins a tag", "/a?<script>", false),
            ("not ASCII", "/\u{ff0f}evil.example", false),
            ("not ASCII, a line separator", "/\u{2028}/evil.example", false),
        ];
        for (name, text, safe) in rows {
            assert_eq!(SafePath::parse(text).is_ok(), safe, "{name}");
        }
    }

    #[test]
    fn a_path_may_be_so_long_and_no_longer() {
        let long = |len: usize| format!("/{}", "a".repeat(len - 1));
        assert!(SafePath::parse(&long(MAX_LEN)).is_ok());
        assert!(SafePath::parse(&long(MAX_LEN + 1)).is_err());
    }

    /// The judge is an independent reader of addresses, the one that browsers are specified by.
    #[test]
    fn whatever_is_taken_stays_on_this_site_and_is_where_it_says() {
        const PIECES: [&str; 28] = [
            "/",
            "//",
            "\\",
            ".",
            "..",
            "%2e",
            "%2E",
            "%2f",
            "%5c",
            "@",
            ":",
            "evil.example",
            "https:",
            "http://",
            "javascript:",
            "\t",
            "\n",
            "\r",
            "\0",
            " ",
            "?",
            "#",
            "a",
            "[::1]",
            "user:pw@",
            "\u{3002}",
            "%",
            "&",
        ];
        let base = Url::parse("https://app.example/deep/page").unwrap();
        // A generator of Lehmer's: the same texts each time.
        let mut state: u64 = 20_261_128;
        let mut random = |below: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            usize::try_from(state >> 33).unwrap() % below
        };
        let mut taken = 0;
        for _ in 0..200_000 {
            let len = 1 + random(7);
            let lead = if random(2) == 0 { "/" } else { "" };
            let text: String = std::iter::once(lead).chain((0..len).map(|_| PIECES[random(28)])).collect();
            let Ok(safe) = SafePath::parse(&text) else { continue };
            taken += 1;
            let resolved = base.join(safe.as_str()).unwrap();
            assert_eq!(resolved.origin(), base.origin(), "{text:?}");
            // Once more, as what a proxy has made of it: the path alone does not lead away either.
            let again = base.join(resolved.path()).unwrap();
            assert_eq!(again.origin(), base.origin(), "{text:?}");
            assert_eq!((resolved.username(), resolved.password()), ("", None), "{text:?}");
        }
        assert!(taken > 1000, "{taken}");
    }

    #[test]
    fn a_request_s_path_is_taken_without_its_host() {
        let rows = [
            ("plain", "/account?a=1", Some("/account?a=1")),
            ("absolute", "http://evil.example/account", Some("/account")),
            ("two slashes", "//evil.example/", None),
            ("asterisk-form", "*", None),
        ];
        for (name, uri, expected) in rows {
            let path = SafePath::of(&uri.parse().unwrap()).ok();
            assert_eq!(path.as_ref().map(SafePath::as_str), expected, "{name}");
        }
    }

    #[test]
    fn a_field_of_a_form_is_checked_when_it_is_read() {
        assert!(serde_json::from_str::<SafePath>(r#""/account""#).is_ok());
        let error = serde_json::from_str::<SafePath>(r#""//evil.example""#).unwrap_err();
        assert!(error.to_string().starts_with("not the path of a page of this site"), "{error}");
    }
}
