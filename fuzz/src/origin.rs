//! `Origin`, `Host` and `Sec-Fetch-Site` of a POST of somebody whom a cookie has signed in.

use std::sync::LazyLock;

use http::header::{HOST, ORIGIN};
use http::{HeaderName, HeaderValue, Request};
use portcullis::identity::Authentication;
use portcullis::{CsrfLayer, Identity};

use crate::ask::ask;

static LAYER: LazyLock<CsrfLayer> =
    LazyLock::new(|| CsrfLayer::new().add_trusted_origin("https://app.example.com").expect("a good origin"));

/// An empty line leaves its header out.
pub(crate) fn origin(input: &[u8]) {
    let mut lines = input.splitn(3, |byte| *byte == b'\n');
    let mut request = Request::post("/").body(()).expect("a request");
    let mut sent = [None, None, None];
    let names = [ORIGIN, HOST, HeaderName::from_static("sec-fetch-site")];
    for (name, sent) in names.into_iter().zip(&mut sent) {
        let line = lines.next().unwrap_or_default();
        if line.is_empty() {
            continue;
        }
        let Ok(value) = HeaderValue::from_bytes(line) else { return };
        request.headers_mut().insert(name, value);
        *sent = std::str::from_utf8(line).ok();
    }
    request.extensions_mut().insert(Authentication::authenticated(Identity::new("ada")));
    let headers = request.headers().clone();
    let (status, _) = ask(&*LAYER, request);
    assert!(matches!(status, 200 | 403), "{status}");
    if status == 200 {
        let is_there = |name: &str| headers.contains_key(name);
        assert!(may_pass(sent, is_there("origin"), is_there("sec-fetch-site")), "{headers:?}");
    }
}

/// The module page's table, from step 6 on.
fn may_pass([origin, host, site]: [Option<&str>; 3], has_origin: bool, has_site: bool) -> bool {
    let trusted =
        origin.is_some_and(|origin| normal(origin).is_some_and(|it| it == "https://app.example.com:443"));
    if has_site {
        return matches!(site, Some("same-origin" | "none")) || trusted;
    }
    has_origin && (trusted || is_own(origin, host))
}

/// Whether the origin is one of `http` or `https` at this host, with the port that goes without saying filled in.
fn is_own(origin: Option<&str>, host: Option<&str>) -> bool {
    let (Some(origin), Some(host)) = (origin.and_then(normal), host) else { return false };
    ["http", "https"]
        .iter()
        .any(|scheme| normal(&format!("{scheme}://{host}")).is_some_and(|own| own == origin))
}

/// Lower case, and with a port.
fn normal(origin: &str) -> Option<String> {
    let lower = origin.to_ascii_lowercase();
    let (scheme, authority) = lower.split_once("://")?;
    let default = match scheme {
        "http" => "80",
        "https" => "443",
        _ => return None,
    };
    let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| !port.contains(']'));
    let (host, port) = if has_port { authority.rsplit_once(':')? } else { (authority, default) };
    let port: u16 = port.parse().ok()?;
    Some(format!("{scheme}://{host}:{port}"))
}
