//! [`ProblemResponder`]: says in the response's body why a request was refused (RFC 9457).

use bytes::Bytes;
use http::header::{CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderValue, Response};
use serde::Serialize;

use super::{RequestHead, Responder, grpc_response, http_headers};
use crate::rejection::Rejection;

/// Says why: `application/problem+json` (RFC 9457), or one line of plain text to whom `Accept` says that they rather
/// read text, as browsers do. gRPC is answered as by [`DefaultResponder`](super::DefaultResponder).
///
/// The members are `type` (`about:blank`), `title` and `status` of HTTP, `detail`, the rejection's
/// [message](Rejection::message), and `reason`, its [label](Rejection::label), for programs. Nothing in it comes from the
/// request, and it is never HTML.
///
/// ```
/// use bytes::Bytes;
/// use http::{Request, Response};
/// use portcullis::rejection::{Lack, Rejection};
/// use portcullis::respond::{ProblemResponder, RequestHead, Responder};
///
/// let head = RequestHead::of(&Request::get("/admin").body(())?);
/// let response: Response<Bytes> = ProblemResponder.respond(&Rejection::forbidden(Lack::Role), &head);
/// assert_eq!(response.headers()["content-type"], "application/problem+json");
/// let expected = r#"{"type":"about:blank","title":"Forbidden","status":403,"detail":"a role is missing","reason":"forbidden"}"#;
/// assert_eq!(response.body(), expected);
/// # Ok::<(), http::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct ProblemResponder;

#[derive(Serialize)]
struct Problem {
    r#type: &'static str,
    title: &'static str,
    status: u16,
    detail: &'static str,
    reason: &'static str,
}

impl<B: From<Bytes>> Responder<B> for ProblemResponder {
    fn respond(&self, rejection: &Rejection, head: &RequestHead) -> Response<B> {
        if let Some(response) = grpc_response(rejection, head, || Bytes::new().into()) {
            return response;
        }
        let (media_type, text) = if head.accept().is_some_and(prefers_text) {
            ("text/plain; charset=utf-8", format!("{}\n", rejection.message()))
        } else {
            ("application/problem+json", json(rejection))
        };
        let mut response = Response::new(Bytes::from(text).into());
        http_headers(rejection, &mut response);
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
        // So that no browser takes it for HTML.
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        response
    }
}

fn json(rejection: &Rejection) -> String {
    let status = rejection.status();
    let problem = Problem {
        r#type: "about:blank",
        title: status.canonical_reason().unwrap_or("Refused"),
        status: status.as_u16(),
        detail: rejection.message(),
        reason: rejection.label(),
    };
    serde_json::to_string(&problem).unwrap_or_default()
}

/// Whether text is wanted more than JSON (RFC 9110, section 12.5.1). A browser's `text/html` is answered with text too.
fn prefers_text(accept: &str) -> bool {
    let json = quality(accept, &["application/problem+json", "application/json"], "application/*");
    quality(accept, &["text/plain", "text/html"], "text/*") > json
}

/// How much one of these types is wanted, in thousandths: as the most specific range that covers one says.
fn quality(accept: &str, exact: &[&str], group: &str) -> u16 {
    let best = |matches: &dyn Fn(&str) -> bool| {
        ranges(accept).filter(|(range, _)| matches(range)).map(|(_, quality)| quality).max()
    };
    best(&|range| exact.iter().any(|it| range.eq_ignore_ascii_case(it)))
        .or_else(|| best(&|range| range.eq_ignore_ascii_case(group)))
        .or_else(|| best(&|range| range == "*/*"))
        .unwrap_or(0)
}

fn ranges(accept: &str) -> impl Iterator<Item = (&str, u16)> {
    accept.split(',').map(|range| {
        let mut parts = range.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default();
        let quality = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
        (name, quality.map_or(1000, thousandths))
    })
}

/// A weight, `0` to `1` with three digits at most; one that cannot be read weighs nothing.
fn thousandths(weight: &str) -> u16 {
    let (whole, digits) = weight.split_once('.').unwrap_or((weight, ""));
    let fraction = format!("{digits:0<3}");
    match (whole, fraction.len(), fraction.parse::<u16>()) {
        ("1", 3, Ok(0)) => 1000,
        ("0", 3, Ok(fraction)) => fraction,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::Request;
    use http::header::{ACCEPT, LOCATION, RETRY_AFTER, WWW_AUTHENTICATE};

    use super::*;
    use crate::rejection::{Challenge, CsrfReason};

    const BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8";

    fn respond(rejection: &Rejection, headers: &[(&str, &str)]) -> Response<Bytes> {
        let mut request = Request::post("/<script>alert(1)</script>".replace(['<', '>'], "%3C"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        ProblemResponder.respond(rejection, &RequestHead::of(&request.body(()).unwrap()))
    }

    #[test]
    fn who_rather_reads_text_is_told_from_who_reads_json() {
        let rows = [
            ("anything", "*/*", false),
            ("a browser on the way to a page", BROWSER, true),
            ("a script", "application/json", false),
            ("axios", "application/json, text/plain, */*", false),
            ("curl that asks for text", "text/plain", true),
            ("any text", "text/*", true),
            ("a problem", "application/problem+json", false),
            ("text a little more", "application/json;q=0.9, text/plain", true),
            ("JSON a little more", "application/json, text/plain;q=0.9", false),
            ("no text at all", "text/plain;q=0, */*", false),
            ("capitals", "Text/Plain;Q=1.0", true),
            ("neither", "image/png", false),
            ("nonsense", ";;q=x,,", false),
            ("a weight too large", "text/plain;q=7", false),
        ];
        for (name, accept, text) in rows {
            assert_eq!(prefers_text(accept), text, "{name}");
            let response = respond(&Rejection::Conflict, &[(ACCEPT.as_str(), accept)]);
            let media_type = response.headers()[CONTENT_TYPE].to_str().unwrap();
            assert_eq!(media_type.starts_with("text/plain"), text, "{name}");
        }
    }

    #[test]
    fn every_weight_has_its_thousandths() {
        for (weight, expected) in [
            ("1", 1000),
            ("1.000", 1000),
            ("0", 0),
            ("0.5", 500),
            ("0.123", 123),
            ("1.5", 0),
            ("-1", 0),
            ("", 0),
        ] {
            assert_eq!(thousandths(weight), expected, "{weight}");
        }
    }

    #[test]
    fn headers_are_those_of_any_refusal() {
        let away = respond(&Rejection::Unavailable { retry_after: Duration::from_secs(3) }, &[]);
        assert_eq!((away.status().as_u16(), &away.headers()[RETRY_AFTER]), (503, &"3".parse().unwrap()));
        let bad = Rejection::invalid_credential(Challenge::new("Bearer"), "expired");
        assert_eq!(respond(&bad, &[]).headers().get_all(WWW_AUTHENTICATE).iter().count(), 1);
        let to = HeaderValue::from_static("https://www.example.com/");
        let plain = respond(&Rejection::InsecureTransport { redirect: Some(to.clone()) }, &[]);
        assert_eq!((plain.status().as_u16(), &plain.headers()[LOCATION]), (308, &to));
    }

    #[test]
    fn nothing_of_the_request_is_in_it_and_no_browser_takes_it_for_html() {
        for accept in [BROWSER, "application/json"] {
            let hostile = [("host", "evil.example"), ("origin", "https://evil.example"), ("accept", accept)];
            let response = respond(&Rejection::Csrf(CsrfReason::CrossSite), &hostile);
            let body = std::str::from_utf8(response.body()).unwrap();
            assert!(!body.contains("evil") && !body.contains("script"), "{body}");
            assert_eq!(response.headers()["x-content-type-options"], "nosniff");
            assert!(!response.headers()[CONTENT_TYPE].to_str().unwrap().contains("html"));
        }
    }

    #[test]
    fn grpc_is_answered_in_grpc() {
        let response = respond(&Rejection::Conflict, &[("content-type", "application/grpc")]);
        assert_eq!(
            (response.status().as_u16(), &response.headers()["grpc-status"]),
            (200, &"16".parse().unwrap())
        );
        assert!(response.body().is_empty());
    }
}
