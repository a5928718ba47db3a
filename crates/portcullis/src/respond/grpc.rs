//! What a rejection comes to in gRPC and gRPC-web.

use std::fmt::Write as _;

use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};

use super::{RequestHead, challenge};
use crate::rejection::Rejection;

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");

/// The answer to a request that speaks gRPC or gRPC-web, with an empty body; `None` for others.
pub(super) fn grpc_response<B>(
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

/// For a responder of the application's own that has not thought of gRPC.
pub(super) fn speak_grpc<B>(response: &mut Response<B>, rejection: &Rejection, head: &RequestHead) {
    let Some(content_type) = head.protocol().content_type() else { return };
    if response.headers().contains_key(GRPC_STATUS) {
        return;
    }
    *response.status_mut() = StatusCode::OK;
    response.headers_mut().remove(CONTENT_LENGTH);
    grpc(rejection, content_type, response.headers_mut());
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

#[cfg(test)]
mod tests {
    use http::header::CACHE_CONTROL;

    use super::*;
    use crate::respond::{DefaultResponder, refuse};

    #[test]
    fn a_grpc_refusal_is_trailers_only() {
        let rejection = Rejection::Unavailable { retry_after: std::time::Duration::from_secs(1) };
        let request = http::Request::post("/svc/Method").header(CONTENT_TYPE, "application/grpc+proto");
        let request = request.body(()).unwrap().into_parts().0;
        let response: Response<String> =
            refuse(&DefaultResponder, rejection.clone(), &RequestHead::of(&request));
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
}
