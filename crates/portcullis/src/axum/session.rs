//! What axum asks of [`Session`] and of its errors.

use axum_core::extract::FromRequestParts;
use axum_core::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, RETRY_AFTER};
use http::request::Parts;
use http::{HeaderValue, StatusCode};

use super::Refused;
use crate::realm::Realm;
use crate::session::{Session, SessionError};

impl<S: Sync, M: Realm> FromRequestParts<S> for Session<M> {
    type Rejection = Refused;

    async fn from_request_parts(head: &mut Parts, _: &S) -> Result<Self, Refused> {
        head.extensions.get::<Self>().cloned().ok_or_else(|| Refused::missing::<M>("SessionLayer", head))
    }
}

/// So that a handler can use `?` on a session: the [status](crate::session::SessionErrorKind::status) of its kind, 503 with
/// `Retry-After`. The body is the error's one sentence, which quotes no value.
impl IntoResponse for SessionError {
    fn into_response(self) -> Response {
        let status = self.kind().status();
        let mut response = (status, [(CACHE_CONTROL, "no-store")], self.to_string()).into_response();
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}
