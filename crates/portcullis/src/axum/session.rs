//! What axum asks of [`Session`] and of its errors.

use axum_core::extract::FromRequestParts;
use axum_core::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, RETRY_AFTER};
use http::request::Parts;
use http::{HeaderValue, StatusCode};

use super::Refused;
use crate::realm::Realm;
use crate::session::{Session, SessionError, SessionErrorKind as Kind};

impl<S: Sync, M: Realm> FromRequestParts<S> for Session<M> {
    type Rejection = Refused;

    async fn from_request_parts(head: &mut Parts, _: &S) -> Result<Self, Refused> {
        head.extensions.get::<Self>().cloned().ok_or_else(|| Refused::missing::<M>("SessionLayer", head))
    }
}

/// So that a handler can use `?` on a session: 503 with `Retry-After` while the store is out of reach, 401 when nobody
/// is signed in any more or the credentials were changed since they were checked, 403 when the session is withheld from the
/// request, 404 for a session that this user does
/// not have, 409 for a login beyond the limit, because the user can make room for it (RFC 9110, section 15.5.10), 413
/// for too much data, else 500. The body is the error's one sentence, which quotes no value.
impl IntoResponse for SessionError {
    fn into_response(self) -> Response {
        let status = status_of(self.kind());
        let mut response = (status, [(CACHE_CONTROL, "no-store")], self.to_string()).into_response();
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

fn status_of(kind: Kind) -> StatusCode {
    match kind {
        Kind::Store(_) | Kind::Uncertain | Kind::Entropy => StatusCode::SERVICE_UNAVAILABLE,
        Kind::SignedOut | Kind::NotStored | Kind::Ended | Kind::StaleCredential => StatusCode::UNAUTHORIZED,
        Kind::Withheld => StatusCode::FORBIDDEN,
        Kind::NotFound => StatusCode::NOT_FOUND,
        Kind::LimitReached => StatusCode::CONFLICT,
        Kind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Kind::Value | Kind::Sealed | Kind::NoSubject => StatusCode::INTERNAL_SERVER_ERROR,
    }
}
