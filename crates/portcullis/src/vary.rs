//! What a response varies by, said once however many layers have a part in it. Pure.

use http::header::VARY;
use http::{HeaderMap, HeaderName, HeaderValue};

/// Adds to `Vary` unless all of it is said already (RFC 9110, section 12.5.5), in any case, in any line, or by `*`.
pub(crate) fn add(headers: &mut HeaderMap, fields: HeaderValue) {
    append(headers, VARY, fields);
}

/// Adds a field beside others of its name, and a `Vary` unless it is said already.
#[inline]
pub(crate) fn append(headers: &mut HeaderMap, name: HeaderName, value: HeaderValue) {
    let is_vary = name == VARY;
    // As a rule there is none yet, which appending tells as well as a look would, and for nothing.
    let is_beside = headers.append(name, value);
    if is_beside && is_vary && last_is_said_already(headers) {
        take_last_away(headers);
    }
}

fn last_is_said_already(headers: &HeaderMap) -> bool {
    let lines: Vec<&HeaderValue> = headers.get_all(VARY).iter().collect();
    let says_already = |others: &[&HeaderValue], field| others.iter().any(|line| says(line, field));
    lines.split_last().is_some_and(|(last, others)| elements(last).all(|field| says_already(others, field)))
}

fn take_last_away(headers: &mut HeaderMap) {
    let mut lines: Vec<HeaderValue> = headers.get_all(VARY).iter().cloned().collect();
    lines.pop();
    headers.remove(VARY);
    headers.extend(lines.into_iter().map(|line| (VARY, line)));
}

fn says(line: &HeaderValue, field: &[u8]) -> bool {
    elements(line).any(|said| said == b"*" || said.eq_ignore_ascii_case(field))
}

fn elements(line: &HeaderValue) -> impl Iterator<Item = &[u8]> {
    line.as_bytes().split(|&byte| byte == b',').map(<[u8]>::trim_ascii)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_already_is_not_said_again_and_all_else_is() {
        let rows: [(&str, &[&str], &str, bool); 14] = [
            ("nothing", &[], "cookie", true),
            ("itself", &["cookie"], "cookie", false),
            ("in capitals", &["Cookie"], "cookie", false),
            ("in a list", &["accept, Cookie ,origin"], "cookie", false),
            ("in another line", &["accept", "origin, cookie"], "cookie", false),
            ("everything", &["*"], "cookie", false),
            ("everything, in a list", &["accept, *"], "cookie", false),
            ("another", &["accept"], "cookie", true),
            ("a longer name", &["cookie2, x-cookie"], "cookie", true),
            ("an empty line", &[""], "cookie", true),
            ("a list, all of it", &["origin", "Sec-Fetch-Site"], "sec-fetch-site, origin", false),
            ("a list, half of it", &["origin"], "sec-fetch-site, origin", true),
            ("a field of one's own", &["X-Session"], "x-session", false),
            ("what is no text", &["caf\u{e9}"], "cookie", true),
        ];
        for (name, lines, fields, is_added) in rows {
            let value = |line: &&str| HeaderValue::from_bytes(line.as_bytes()).unwrap();
            let mut headers: HeaderMap = lines.iter().map(|line| (VARY, value(line))).collect();
            add(&mut headers, HeaderValue::from_str(fields).unwrap());
            let mut expected: Vec<HeaderValue> = lines.iter().map(value).collect();
            expected.extend(is_added.then(|| HeaderValue::from_str(fields).unwrap()));
            let said: Vec<&HeaderValue> = headers.get_all(VARY).iter().collect();
            assert_eq!(said, expected.iter().collect::<Vec<_>>(), "{name}");
        }
    }
}
