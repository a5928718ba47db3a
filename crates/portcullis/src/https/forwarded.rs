//! [`ProxyHeader`]: what a proxy says of the scheme by which a client came to it. Pure.

use http::header::FORWARDED;
use http::{HeaderMap, HeaderName, HeaderValue};

/// The header in which a proxy says by which scheme its client came.
///
/// Exactly one is looked at, the one that the proxy sets on every request: clients can send the other one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ProxyHeader {
    /// `Forwarded: for=...;proto=https` (RFC 7239).
    Forwarded,
    /// `X-Forwarded-Proto: https`, or `wss`.
    XForwardedProto,
}

static X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// A handshake of a WebSocket comes by https; Traefik calls it by the scheme of its address.
const SECURE: [&str; 2] = ["https", "wss"];

impl ProxyHeader {
    /// Whether the proxy next to this service says that its client came by https.
    ///
    /// Each proxy adds what it has seen on the right; what is further left was there before, and anybody may have written
    /// it. What cannot be read is no https.
    pub(super) fn says_https(self, headers: &HeaderMap) -> bool {
        let last = last(headers, self.name());
        let proto = match self {
            Self::Forwarded => last.and_then(last_proto),
            Self::XForwardedProto => last.and_then(last_value),
        };
        proto.is_some_and(|proto| SECURE.iter().any(|scheme| proto.eq_ignore_ascii_case(scheme)))
    }

    pub(super) fn name(self) -> &'static HeaderName {
        match self {
            Self::Forwarded => &FORWARDED,
            Self::XForwardedProto => &X_FORWARDED_PROTO,
        }
    }
}

/// Lines of one header are one list (RFC 9110, section 5.3).
fn last<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get_all(name).iter().next_back().map(HeaderValue::to_str)?.ok()
}

fn last_value(list: &str) -> Option<&str> {
    list.rsplit(',').next().map(str::trim)
}

/// The `proto` of the last element. `None` where it has none or two, or the header is malformed anywhere: a quotation
/// mark that a client has left open would swallow what the proxy has added.
fn last_proto(list: &str) -> Option<&str> {
    let (mut rest, mut proto) = (list.trim(), None);
    loop {
        let (name, value, after) = pair(rest)?;
        if name.eq_ignore_ascii_case("proto") && proto.replace(value).is_some() {
            return None;
        }
        let after = after.trim_start();
        rest = match after.chars().next() {
            None => return proto,
            Some(';') => after.strip_prefix(';')?,
            Some(',') => {
                proto = None;
                after.strip_prefix(',')?
            }
            Some(_) => return None,
        }
        .trim_start();
    }
}

/// `name=value` or `name="value"`, and what follows. Values may hold what their grammar asks to be quoted and proxies do
/// not quote, such as a port.
fn pair(text: &str) -> Option<(&str, &str, &str)> {
    let (name, rest) = text.split_once('=')?;
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if name.is_empty() || !name.bytes().all(is_token) {
        return None;
    }
    if let Some(quoted) = rest.strip_prefix('"') {
        // An escape could hide the end, and nothing that matters here needs one.
        let (value, after) = quoted.split_once('"')?;
        return (!value.contains('\\')).then_some((name, value, after));
    }
    let end = rest.find([';', ',', ' ', '\t']).unwrap_or(rest.len());
    let (value, after) = rest.split_at_checked(end)?;
    (!value.is_empty() && !value.contains('"')).then_some((name, value, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn says_https(header: ProxyHeader, name: &str, lines: &[&str]) -> bool {
        let mut headers = HeaderMap::new();
        for line in lines {
            let name: HeaderName = name.parse().unwrap();
            headers.append(name, HeaderValue::from_bytes(line.as_bytes()).unwrap());
        }
        header.says_https(&headers)
    }

    #[test]
    fn x_forwarded_proto_counts_by_its_rightmost_value() {
        let rows: [(&str, &[&str], bool); 15] = [
            ("https", &["https"], true),
            ("capitals", &["HTTPS"], true),
            ("http", &["http"], false),
            ("a WebSocket by https", &["wss"], true),
            ("a WebSocket by http", &["ws"], false),
            ("a client's WebSocket, then the proxy's", &["wss, ws"], false),
            ("absent", &[], false),
            ("empty", &[""], false),
            ("a client's, then the proxy's", &["https, http"], false),
            ("two proxies", &["http,https"], true),
            ("a line of the client's", &["https", "http"], false),
            ("a line of the proxy's", &["http", "https"], true),
            ("a trailing comma", &["https,"], false),
            ("more than the scheme", &["https://"], false),
            ("not ASCII", &["https\u{e9}"], false),
        ];
        for (name, lines, expected) in rows {
            assert_eq!(
                says_https(ProxyHeader::XForwardedProto, "x-forwarded-proto", lines),
                expected,
                "{name}"
            );
            assert!(
                !says_https(ProxyHeader::Forwarded, "x-forwarded-proto", lines),
                "{name}: the other header"
            );
        }
    }

    #[test]
    fn forwarded_counts_by_its_rightmost_element_and_is_read_whole() {
        let rows: [(&str, &[&str], bool); 28] = [
            ("https", &["proto=https"], true),
            ("in capitals", &["Proto=HTTPS"], true),
            ("quoted", &["proto=\"https\""], true),
            ("among others", &["for=192.0.2.60;proto=https;by=203.0.113.43"], true),
            ("an address of IPv6", &["for=\"[2001:db8:cafe::17]:4711\";proto=https"], true),
            ("a port that should be quoted", &["for=192.0.2.60:80;proto=https"], true),
            ("spaces", &["for=192.0.2.60; proto=https , for=198.51.100.17;proto=https"], true),
            ("http", &["proto=http"], false),
            ("a WebSocket by https", &["proto=wss"], true),
            ("a WebSocket by http", &["proto=ws"], false),
            ("absent", &[], false),
            ("empty", &[""], false),
            ("no proto", &["for=192.0.2.60"], false),
            ("the client's, then the proxy's", &["proto=https, for=192.0.2.60;proto=http"], false),
            ("the client's, then a proxy's without proto", &["proto=https, for=192.0.2.60"], false),
            ("a line of the client's", &["proto=https", "proto=http"], false),
            ("a line of the proxy's", &["proto=http", "proto=https"], true),
            ("twice", &["proto=http;proto=https"], false),
            ("in a quoted value", &["for=\"proto=https\""], false),
            ("an open quotation mark", &["proto=https;for=\"x, for=192.0.2.60;proto=http"], false),
            ("a mark that the proxy's closes", &["proto=https;x=\", for=\"[::1]\";proto=http"], false),
            ("an escape", &["x=\"\\\", for=\";proto=https"], false),
            ("an escape that hides where the value ends", &["x=\"\\\";proto=https"], false),
            ("a mark within a token", &["x=a\"b;proto=https"], false),
            ("no value", &["for=;proto=https"], false),
            ("no name", &["=a;proto=https"], false),
            ("a name of two words", &["a b=c;proto=https"], false),
            ("nonsense after the value", &["proto=\"https\"x"], false),
        ];
        for (name, lines, expected) in rows {
            assert_eq!(says_https(ProxyHeader::Forwarded, "forwarded", lines), expected, "{name}");
            assert!(
                !says_https(ProxyHeader::XForwardedProto, "forwarded", lines),
                "{name}: the other header"
            );
        }
    }
}
