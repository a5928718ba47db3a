//! The field of a form that holds its token (`application/x-www-form-urlencoded`, WHATWG URL, section 5).

use std::borrow::Cow;

use http::header::CONTENT_TYPE;
use http::{HeaderMap, Method};

use super::metadata::is_safe;

/// The field's name.
pub(crate) const FIELD: &str = "csrf_token";

/// Whether a request brings a form of this kind in its body.
pub(crate) fn is_form(method: &Method, headers: &HeaderMap) -> bool {
    !is_safe(method) && is_urlencoded(headers)
}

/// Whether the content is a form of this kind; a parameter, such as a charset, may follow.
pub(crate) fn is_urlencoded(headers: &HeaderMap) -> bool {
    let content_type = headers.get(CONTENT_TYPE).map_or(&b""[..], |value| value.as_bytes());
    let essence = content_type.split(|&byte| byte == b';').next().unwrap_or_default();
    essence.trim_ascii().eq_ignore_ascii_case(b"application/x-www-form-urlencoded")
}

/// The token in a form; of several fields of its name the first one.
pub(crate) fn token(form: &[u8]) -> Option<Cow<'_, str>> {
    form_urlencoded::parse(form).find_map(|(name, value)| (name == FIELD).then_some(value))
}

/// The form without its token, for types that refuse fields which they do not know.
pub(crate) fn without_token(form: &[u8]) -> Vec<u8> {
    let is_token = |pair: &[u8]| form_urlencoded::parse(pair).next().is_some_and(|(name, _)| name == FIELD);
    let others = form.split(|&byte| byte == b'&').filter(|pair| !is_token(pair));
    others.collect::<Vec<_>>().join(&b'&')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_is_found_wherever_it_stands_and_taken_out_again() {
        let rows = [
            ("first", "csrf_token=a&to=mallory", Some("a"), "to=mallory"),
            ("last", "to=mallory&csrf_token=a", Some("a"), "to=mallory"),
            ("alone", "csrf_token=a", Some("a"), ""),
            ("encoded", "csrf%5Ftoken=a%2Db&to=x+y", Some("a-b"), "to=x+y"),
            ("twice", "csrf_token=a&to=x&csrf_token=b", Some("a"), "to=x"),
            ("empty", "csrf_token=&to=x", Some(""), "to=x"),
            ("in a value", "to=csrf_token%3Da", None, "to=csrf_token%3Da"),
            ("a longer name", "csrf_token2=a", None, "csrf_token2=a"),
            ("none", "", None, ""),
            ("not text", "to=%ff", None, "to=%ff"),
        ];
        for (name, form, found, rest) in rows {
            assert_eq!(token(form.as_bytes()).as_deref(), found, "{name}");
            assert_eq!(without_token(form.as_bytes()), rest.as_bytes(), "{name}");
        }
    }

    #[test]
    fn forms_are_told_by_method_and_content_type() {
        let rows = [
            ("form", "POST", "application/x-www-form-urlencoded", true),
            ("charset", "POST", "application/x-www-form-urlencoded; charset=UTF-8", true),
            ("capitals", "PUT", "Application/X-WWW-Form-Urlencoded", true),
            ("GET", "GET", "application/x-www-form-urlencoded", false),
            ("JSON", "POST", "application/json", false),
            ("a longer name", "POST", "application/x-www-form-urlencoded2", false),
            ("a parameter that pretends", "POST", "text/plain; application/x-www-form-urlencoded", false),
            ("none", "POST", "", false),
        ];
        for (name, method, content_type, expected) in rows {
            let request = http::Request::builder().method(method).header(CONTENT_TYPE, content_type);
            let request = request.body(()).unwrap();
            assert_eq!(is_form(request.method(), request.headers()), expected, "{name}");
        }
    }
}
