//! For how long a server says that its answer holds (RFC 9111, section 4.2).

use std::time::Duration;

use http::HeaderMap;
use http::header::{AGE, CACHE_CONTROL};

/// `max-age` less `Age`; nothing for `no-store` and `no-cache`. `None` if `Cache-Control` does not say.
pub(super) fn ttl(headers: &HeaderMap) -> Option<Duration> {
    let values = headers.get_all(CACHE_CONTROL).iter().filter_map(|value| value.to_str().ok());
    let directives: Vec<&str> = values.flat_map(|value| value.split(',')).map(str::trim).collect();
    let is = |name: &str| directives.iter().any(|it| it.eq_ignore_ascii_case(name));
    if is("no-store") || is("no-cache") {
        return Some(Duration::ZERO);
    }
    let age = headers.get(AGE).and_then(|age| age.to_str().ok()?.trim().parse().ok()).unwrap_or(0);
    let max_age = directives.iter().find_map(|it| max_age(it))?;
    Some(Duration::from_secs(max_age.saturating_sub(age)))
}

/// A number that is too large for us is as large as it can be.
fn max_age(directive: &str) -> Option<u64> {
    let (name, value) = directive.split_once('=')?;
    let digits = value.trim().trim_matches('"');
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    (name.trim().eq_ignore_ascii_case("max-age") && is_number).then(|| digits.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn cache_control_says_how_long() {
        type Row = (&'static str, &'static [&'static str], Option<&'static str>, Option<u64>);
        let rows: [Row; 14] = [
            ("nothing", &[], None, None),
            ("max-age", &["max-age=300"], None, Some(300)),
            ("among others", &["public, max-age=300, must-revalidate"], None, Some(300)),
            ("in another header", &["public", "max-age=300"], None, Some(300)),
            ("upper case, quoted, spaced", &["MAX-AGE = \"300\""], None, Some(300)),
            ("zero", &["max-age=0"], None, Some(0)),
            ("less its age", &["max-age=300"], Some("100"), Some(200)),
            ("older than it may be", &["max-age=300"], Some("400"), Some(0)),
            ("an age that is none", &["max-age=300"], Some("-1"), Some(300)),
            ("no-store", &["no-store, max-age=300"], None, Some(0)),
            ("no-cache", &["no-cache"], None, Some(0)),
            ("another's", &["s-maxage=300"], None, None),
            ("negative", &["max-age=-1"], None, None),
            ("huge", &["max-age=99999999999999999999"], None, Some(u64::MAX)),
        ];
        for (name, values, age, expected) in rows {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(CACHE_CONTROL, HeaderValue::from_static(value));
            }
            headers.extend(age.map(|age| (AGE, HeaderValue::from_static(age))));
            assert_eq!(ttl(&headers), expected.map(Duration::from_secs), "{name}");
        }
    }
}
