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
mod grpc;
mod head;
mod htmx;
#[cfg(feature = "session")]
mod late;
mod login;
mod problem;
mod safe_path;
mod unrendered;

use http::header::{CACHE_CONTROL, LOCATION, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderName, HeaderValue, Response};

use self::events::refused;
use self::grpc::{grpc_response, speak_grpc};
pub use self::head::{Protocol, RequestHead};
#[cfg(feature = "session")]
pub(crate) use self::late::LateHead;
pub use self::login::{LoginRedirect, WayBack};
pub use self::problem::ProblemResponder;
pub use self::safe_path::{NotSafe, SafePath};
#[cfg(feature = "axum")]
pub(crate) use self::unrendered::Unrendered;
pub(crate) use self::unrendered::{is_unrendered, render};
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

/// The field of a nonce for the next proof (RFC 9449, section 8).
pub(crate) const DPOP_NONCE: HeaderName = HeaderName::from_static("dpop-nonce");

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

fn challenge(rejection: &Rejection, headers: &mut HeaderMap) {
    rejection.each_challenge(|challenge| _ = headers.append(WWW_AUTHENTICATE, challenge));
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
