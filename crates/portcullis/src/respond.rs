//! [`Responder`]: turns a [`Rejection`] into a response that whoever asked can read.
//!
//! * [`DefaultResponder`] answers HTTP with status and headers and an empty body, gRPC with `grpc-status` over HTTP 200,
//!   gRPC-web likewise with its own content type.
//! * [`ProblemResponder`] says why in the body, as JSON or text.
//! * [`LoginRedirect`] sends people to sign in and back to where they were going, and leaves all else to another one:
//!   `LoginRedirect::to("/login").otherwise(ProblemResponder)`.
//! * A closure is a responder too, and may ask one of these.
//! * Whatever a responder makes, the layers add `Cache-Control: no-store` and keep the `Rejection` in the response's
//!   extensions, and a gRPC or gRPC-web request is answered in its own protocol.
//! * Each refusal is logged, and counted by the `metrics` facade as `portcullis_refused_total`, by `reason`:
//!   [`Rejection::label`].
//!
//! ```
//! use http::{Method, Response};
//! use portcullis::rejection::{CsrfReason, Rejection};
//! use portcullis::respond::{RequestHead, Responder};
//!
//! let plain = |rejection: &Rejection, _: &RequestHead| {
//!     let mut response = Response::new(rejection.message().to_owned());
//!     *response.status_mut() = rejection.status();
//!     response
//! };
//! let (head, ()) = http::Request::post("/transfer").body(())?.into_parts();
//! let response = plain.respond(&Rejection::Csrf(CsrfReason::CrossSite), &RequestHead::of(&head));
//! assert_eq!(response.status(), 403);
//! assert!(response.body().contains("another site"));
//! # Ok::<(), http::Error>(())
//! ```

mod events;
mod htmx;
#[cfg(feature = "session")]
mod late;
mod login;
mod problem;
mod safe_path;

use std::fmt::Write as _;

use http::header::{
    ACCEPT, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, LOCATION, RETRY_AFTER, SET_COOKIE, VARY,
    WWW_AUTHENTICATE,
};
use http::{Extensions, HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, Uri};

use self::events::refused;
use self::htmx::Htmx;
#[cfg(feature = "session")]
pub(crate) use self::late::LateHead;
pub use self::login::{LoginRedirect, WayBack};
pub use self::problem::ProblemResponder;
pub use self::safe_path::{NotSafe, SafePath};
use crate::guard::Head;
use crate::rejection::Rejection;
use crate::vary;

/// Turns a rejection into a response with body `B`.
///
/// Everything in the rejection may be told to the client. `Cache-Control: no-store` need not be set. Who implements it for
/// a type of their own leaves gRPC to [`DefaultResponder`]; closures are not even asked. Where that was forgotten the layers
/// put the gRPC status in place, and a body that is left makes the answer malformed.
pub trait Responder<B> {
    /// The response for this rejection of this request.
    fn respond(&self, rejection: &Rejection, head: &RequestHead) -> Response<B>;
}

/// Status, headers and an empty body, in the protocol that the request speaks.
#[derive(Clone, Copy, Debug, Default)]
pub struct DefaultResponder;

/// What a responder may know about the request that is refused.
#[derive(Clone, Debug)]
pub struct RequestHead {
    method: Method,
    uri: Uri,
    protocol: Protocol,
    accept: Option<HeaderValue>,
    /// What `Sec-Fetch-Mode` says about being a navigation, of a method that can be one.
    navigates: Option<bool>,
    htmx: Option<Box<Htmx>>,
    extensions: Extensions,
}

/// Which protocol a request speaks over HTTP, by its content type.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Protocol {
    /// Plain HTTP.
    Http,
    /// gRPC, with the request's content type (`application/grpc`, `application/grpc+proto`, ...).
    Grpc(HeaderValue),
    /// gRPC-web, with the request's content type (`application/grpc-web`, `application/grpc-web-text`, ...).
    GrpcWeb(HeaderValue),
}

/// In the extensions of a response that an extractor made, which knows no responder: the outermost layer renders it.
#[derive(Clone)]
pub(crate) struct Unrendered(pub(crate) RequestHead);

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
static SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");

impl RequestHead {
    /// Notes what a responder needs from the request's head. It copies the extensions, so it is for requests that are
    /// refused.
    #[must_use]
    pub fn of<'a>(head: impl Into<Head<'a>>) -> Self {
        let head = head.into();
        let Asked { protocol, accept, navigates } = Asked::by(head);
        Self {
            method: head.method.clone(),
            uri: head.uri.clone(),
            protocol,
            accept: accept.cloned(),
            navigates,
            htmx: Htmx::of(head.headers).map(Box::new),
            extensions: head.extensions.clone(),
        }
    }

    /// The request's method.
    #[must_use]
    pub fn method(&self) -> &Method {
        &self.method
    }

    /// The request's URI as the refusing layer saw it; under a nested axum router its prefix is stripped.
    #[must_use]
    pub fn uri(&self) -> &Uri {
        &self.uri
    }

    /// What layers outside the refusing one, and the framework, have left with the request. Empty where a session could
    /// not be saved after the handler had run.
    #[must_use]
    pub fn extensions(&self) -> &Extensions {
        &self.extensions
    }

    fn htmx(&self) -> Option<&Htmx> {
        self.htmx.as_deref()
    }

    /// The protocol that the answer must speak.
    #[must_use]
    pub fn protocol(&self) -> &Protocol {
        &self.protocol
    }

    /// The request's `Accept`.
    #[must_use]
    pub fn accept(&self) -> Option<&str> {
        self.accept.as_ref()?.to_str().ok()
    }

    /// Whether a person is on the way to a page: a GET or HEAD with `Sec-Fetch-Mode: navigate`, or, from a browser
    /// too old to say so, with `text/html` in `Accept`.
    #[must_use]
    pub fn is_navigation(&self) -> bool {
        let by_accept = || self.accept().is_some_and(|accept| accept.contains("text/html"));
        self.navigates.unwrap_or_else(by_accept)
    }
}

/// What a request's headers say of the answer that it asks for.
struct Asked<'a> {
    protocol: Protocol,
    accept: Option<&'a HeaderValue>,
    navigates: Option<bool>,
}

impl<'a> Asked<'a> {
    /// One pass over a dozen headers costs less than looking three names up.
    fn by(head: Head<'a>) -> Self {
        // A navigation that can be repeated elsewhere is a GET or HEAD.
        let can_navigate = matches!(*head.method, Method::GET | Method::HEAD);
        let navigates = if can_navigate { None } else { Some(false) };
        let mut asked = Self { protocol: Protocol::Http, accept: None, navigates };
        for (name, value) in head.headers {
            if *name == CONTENT_TYPE {
                asked.protocol = Protocol::of(value);
            } else if *name == ACCEPT {
                asked.accept.get_or_insert(value);
            } else if can_navigate && *name == SEC_FETCH_MODE {
                asked.navigates = Some(value == "navigate");
            }
        }
        asked
    }
}

impl Protocol {
    /// Of the answer in gRPC or gRPC-web.
    fn content_type(&self) -> Option<&HeaderValue> {
        match self {
            Self::Http => None,
            Self::Grpc(content_type) | Self::GrpcWeb(content_type) => Some(content_type),
        }
    }

    fn of(content_type: &HeaderValue) -> Self {
        let bytes = content_type.as_bytes();
        // A base name ends where a suffix (+proto) or a parameter (;charset) begins.
        let is = |name: &[u8]| match bytes.split_at_checked(name.len()) {
            Some((base, rest)) => {
                base.eq_ignore_ascii_case(name) && matches!(rest.first(), None | Some(b'+' | b';'))
            }
            None => false,
        };
        if is(b"application/grpc") {
            Self::Grpc(content_type.clone())
        } else if is(b"application/grpc-web") || is(b"application/grpc-web-text") {
            Self::GrpcWeb(content_type.clone())
        } else {
            Self::Http
        }
    }
}

impl<B, F> Responder<B> for F
where
    B: Default,
    F: Fn(&Rejection, &RequestHead) -> Response<B>,
{
    fn respond(&self, rejection: &Rejection, head: &RequestHead) -> Response<B> {
        grpc_response(rejection, head, B::default).unwrap_or_else(|| self(rejection, head))
    }
}

impl<B: Default> Responder<B> for DefaultResponder {
    fn respond(&self, rejection: &Rejection, head: &RequestHead) -> Response<B> {
        grpc_response(rejection, head, B::default).unwrap_or_else(|| {
            let mut response = Response::new(B::default());
            http_headers(rejection, &mut response);
            response
        })
    }
}

/// Status and headers of the answer to a request that speaks plain HTTP.
fn http_headers<B>(rejection: &Rejection, response: &mut Response<B>) {
    *response.status_mut() = rejection.status();
    let headers = response.headers_mut();
    if let Some(retry_after) = rejection.retry_after() {
        headers.insert(RETRY_AFTER, retry_after);
    }
    if let Rejection::InsecureTransport { redirect: Some(location) } = rejection {
        headers.insert(LOCATION, location.clone());
    }
    challenge(rejection, headers);
}

/// The answer to a request that speaks gRPC or gRPC-web, with an empty body; `None` for others.
fn grpc_response<B>(
    rejection: &Rejection,
    head: &RequestHead,
    empty: impl FnOnce() -> B,
) -> Option<Response<B>> {
    let content_type = head.protocol().content_type()?;
    let mut response = Response::new(empty());
    grpc(rejection, content_type, response.headers_mut());
    challenge(rejection, response.headers_mut());
    Some(response)
}

fn challenge(rejection: &Rejection, headers: &mut HeaderMap) {
    rejection.each_challenge(|challenge| _ = headers.append(WWW_AUTHENTICATE, challenge));
}

/// A "trailers-only" response: HTTP 200, the status among the headers, no body
/// (gRPC over HTTP/2, section "Responses").
fn grpc(rejection: &Rejection, content_type: &HeaderValue, headers: &mut HeaderMap) {
    headers.insert(CONTENT_TYPE, content_type.clone());
    headers.insert(GRPC_STATUS, HeaderValue::from(rejection.grpc_code() as u16));
    if let Ok(message) = HeaderValue::from_str(&percent_encoded(rejection.message())) {
        headers.insert(GRPC_MESSAGE, message);
    }
}

/// `grpc-message` is percent-encoded: everything but printable ASCII, and `%` itself.
fn percent_encoded(message: &str) -> String {
    let mut encoded = String::with_capacity(message.len());
    for byte in message.bytes() {
        match byte {
            b'%' | ..=b'\x1f' | b'\x7f'.. => _ = write!(encoded, "%{byte:02X}"),
            b' '..=b'~' => encoded.push(char::from(byte)),
        }
    }
    encoded
}

/// The response to a refused request, made and marked as every refusal is.
pub(crate) fn refuse<B>(
    responder: &impl Responder<B>,
    rejection: Rejection,
    head: &RequestHead,
) -> Response<B> {
    refused(&rejection, head);
    let mut response = responder.respond(&rejection, head);
    finish(&mut response, rejection, head);
    response
}

/// Whether it is a refusal that an extractor made. Asked by itself, because a response is large, and hardly any is one.
#[inline]
pub(crate) fn is_unrendered<B>(response: &Response<B>) -> bool {
    !response.extensions().is_empty() && response.extensions().get::<Unrendered>().is_some()
}

/// Renders a refusal that an extractor made, with this layer's responder; the next layer out may do it again.
pub(crate) fn render<B>(responder: &impl Responder<B>, response: Response<B>) -> Response<B> {
    let Some((rejection, unrendered)) = unrendered(&response) else { return response };
    let mut rendered = responder.respond(&rejection, &unrendered.0);
    // What inner layers have put on the response stays; what the responder says takes its place.
    let (mut left, _) = response.into_parts();
    left.headers.remove(CONTENT_TYPE);
    left.headers.remove(CONTENT_LENGTH);
    for name in rendered.headers().keys().filter(|name| ![SET_COOKIE, VARY].contains(name)) {
        left.headers.remove(name);
    }
    for (name, value) in &left.headers {
        rendered.headers_mut().append(name, value.clone());
    }
    left.extensions.extend(std::mem::take(rendered.extensions_mut()));
    *rendered.extensions_mut() = left.extensions;
    finish(&mut rendered, rejection, &unrendered.0);
    rendered
}

fn unrendered<B>(response: &Response<B>) -> Option<(Rejection, Unrendered)> {
    let unrendered = response.extensions().get::<Unrendered>()?;
    Some((response.extensions().get::<Rejection>()?.clone(), unrendered.clone()))
}

fn finish<B>(response: &mut Response<B>, rejection: Rejection, head: &RequestHead) {
    speak_grpc(response, &rejection, head);
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if matches!(rejection, Rejection::Csrf(_)) {
        // Passing responses need no `Vary`: caches answer no unsafe request from what they hold (RFC 9111, section 4),
        // and what a safe request gets does not depend on these headers.
        vary::add(response.headers_mut(), HeaderValue::from_static("sec-fetch-site, origin"));
    }
    if let Rejection::InvalidProof { nonce: Some(nonce), .. } = &rejection {
        response.headers_mut().insert(DPOP_NONCE, nonce.clone());
    }
    response.extensions_mut().insert(rejection);
}

/// The field of a nonce for the next proof (RFC 9449, section 8).
pub(crate) const DPOP_NONCE: HeaderName = HeaderName::from_static("dpop-nonce");
/// For a responder of the application's own that has not thought of gRPC.
fn speak_grpc<B>(response: &mut Response<B>, rejection: &Rejection, head: &RequestHead) {
    let Some(content_type) = head.protocol().content_type() else { return };
    if response.headers().contains_key(GRPC_STATUS) {
        return;
    }
    *response.status_mut() = StatusCode::OK;
    response.headers_mut().remove(CONTENT_LENGTH);
    grpc(rejection, content_type, response.headers_mut());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(content_type: Option<&str>) -> RequestHead {
        let mut request = http::Request::post("/svc/Method");
        if let Some(content_type) = content_type {
            request = request.header(CONTENT_TYPE, content_type);
        }
        RequestHead::of(&request.body(()).unwrap().into_parts().0)
    }

    #[test]
    fn the_protocol_is_read_off_the_content_type() {
        let rows = [
            ("none", None, "http"),
            ("json", Some("application/json"), "http"),
            ("text that pretends", Some("text/plain; application/grpc"), "http"),
            ("grpc", Some("application/grpc"), "grpc"),
            ("grpc with a codec", Some("application/grpc+proto"), "grpc"),
            ("grpc in capitals", Some("Application/GRPC"), "grpc"),
            ("grpc-web", Some("application/grpc-web+proto"), "web"),
            ("grpc-web-text", Some("application/grpc-web-text"), "web"),
            ("a longer name", Some("application/grpcfoo"), "http"),
        ];
        for (name, content_type, expected) in rows {
            let found = match head(content_type).protocol() {
                Protocol::Http => "http",
                Protocol::Grpc(_) => "grpc",
                Protocol::GrpcWeb(_) => "web",
            };
            assert_eq!(found, expected, "{name}");
        }
    }

    #[test]
    fn a_grpc_refusal_is_trailers_only() {
        let rejection = Rejection::Unavailable { retry_after: std::time::Duration::from_secs(1) };
        let response: Response<String> =
            refuse(&DefaultResponder, rejection.clone(), &head(Some("application/grpc+proto")));
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["grpc-status"], "14");
        assert_eq!(response.headers()[CONTENT_TYPE], "application/grpc+proto");
        assert_eq!(response.headers()["grpc-message"], rejection.message());
        assert_eq!(response.headers()[CACHE_CONTROL], "no-store");
        assert_eq!(response.extensions().get::<Rejection>(), Some(&rejection));
    }

    #[test]
    fn a_message_is_percent_encoded() {
        assert_eq!(percent_encoded("100% é\n"), "100%25 %C3%A9%0A");
    }

    #[test]
    fn navigations_are_told_from_scripts() {
        let navigation = |method: &str, name: &'static str, value: &str| {
            let request = http::Request::builder().method(method).header(name, value).body(()).unwrap();
            RequestHead::of(&request.into_parts().0).is_navigation()
        };
        assert!(navigation("GET", "sec-fetch-mode", "navigate"));
        assert!(navigation("GET", "accept", "text/html,*/*"));
        assert!(!navigation("POST", "sec-fetch-mode", "navigate"));
        assert!(!navigation("GET", "sec-fetch-mode", "cors"));
        assert!(!navigation("GET", "accept", "application/json"));
    }
}
