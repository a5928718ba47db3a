//! What goes wrong, and how the client is told: a status and a line of text, which browsers get as a page.

use std::borrow::Cow;

use axum::body::to_bytes;
use axum::extract::Request;
use axum::http::header::{
    ACCEPT, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use maud::html;
use portcullis::rejection::Rejection;
use portcullis::respond::RequestHead;
use portcullis::session::{SessionError, SessionErrorKind};

use super::BoxError;
use super::login::login_path;
use super::page::plain_page;

/// Why a handler has no answer.
pub(crate) enum Failure {
    WrongPassword,
    /// A field that has the right type and a value that cannot be taken.
    BadField(&'static str),
    Session(SessionError),
    Internal(BoxError),
}

/// Every 401 says what would be accepted (RFC 9110, section 15.5.2).
pub(crate) const CHALLENGE: HeaderValue = HeaderValue::from_static(r#"Bearer realm="api""#);

/// How our layers answer what they refuse: people on the way to a page are sent to sign in; all else is told why.
pub(crate) fn refuse(rejection: &Rejection, head: &RequestHead) -> Response {
    let is_page = head.is_navigation() && !head.uri().path().starts_with("/api/");
    if is_page && matches!(rejection, Rejection::Unauthenticated(_)) {
        return Redirect::to(&login_path(head.uri())).into_response();
    }
    let mut response = (rejection.status(), rejection.message()).into_response();
    for challenge in rejection.www_authenticate() {
        response.headers_mut().append(WWW_AUTHENTICATE, challenge);
    }
    if let Some(retry_after) = rejection.retry_after() {
        response.headers_mut().insert(RETRY_AFTER, retry_after);
    }
    response
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let (status, message) = self.words();
        let mut response = (status, [(CACHE_CONTROL, "no-store")], message).into_response();
        if status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(WWW_AUTHENTICATE, CHALLENGE);
        }
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

impl Failure {
    fn words(self) -> (StatusCode, &'static str) {
        match self {
            Self::WrongPassword => (StatusCode::UNAUTHORIZED, "unknown user or wrong password"),
            Self::BadField(problem) => (StatusCode::UNPROCESSABLE_ENTITY, problem),
            Self::Session(error) => words_of(&error),
            Self::Internal(error) => {
                tracing::error!(error, "a request failed");
                (StatusCode::INTERNAL_SERVER_ERROR, "something went wrong here")
            }
        }
    }
}

fn words_of(error: &SessionError) -> (StatusCode, &'static str) {
    match error.kind() {
        SessionErrorKind::Ended | SessionErrorKind::SignedOut => {
            (StatusCode::UNAUTHORIZED, "the session has ended; sign in again")
        }
        SessionErrorKind::NotFound => (StatusCode::NOT_FOUND, "you have no such session"),
        SessionErrorKind::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "that is more than a session can hold"),
        SessionErrorKind::Store(_) | SessionErrorKind::Uncertain => {
            tracing::error!(%error, "the session store did not answer");
            (StatusCode::SERVICE_UNAVAILABLE, "sessions cannot be reached at the moment; try again")
        }
        SessionErrorKind::Sealed | SessionErrorKind::Value | SessionErrorKind::Entropy | _ => {
            tracing::error!(%error, "a session could not be used");
            (StatusCode::INTERNAL_SERVER_ERROR, "something went wrong here")
        }
    }
}

impl From<SessionError> for Failure {
    fn from(error: SessionError) -> Self {
        Self::Session(error)
    }
}

impl From<BoxError> for Failure {
    fn from(error: BoxError) -> Self {
        Self::Internal(error)
    }
}

/// Middleware: what went wrong goes to browsers as a page, to others as text. Status and headers stay as they are.
pub(crate) async fn explain(request: Request, next: Next) -> Response {
    let wants_page = has(request.headers(), &ACCEPT, "text/html");
    let response = next.run(request).await;
    let went_wrong = response.status().is_client_error() || response.status().is_server_error();
    let is_page = has(response.headers(), &CONTENT_TYPE, "text/html");
    if went_wrong && !is_page { explained(response, wants_page).await } else { response }
}

fn has(headers: &HeaderMap, name: &HeaderName, part: &str) -> bool {
    headers.get(name).and_then(|value| value.to_str().ok()).is_some_and(|value| value.contains(part))
}

async fn explained(response: Response, as_page: bool) -> Response {
    let (mut head, body) = response.into_parts();
    let text = to_bytes(body, 4096).await.unwrap_or_default();
    let reason = head.status.canonical_reason().unwrap_or("Something went wrong");
    let text = match String::from_utf8_lossy(&text) {
        text if text.trim().is_empty() => Cow::from(reason),
        text => text,
    };
    let body = if as_page {
        let content = html! {
            @if text != reason { p role="alert" { (text) } }
            @if head.status == StatusCode::UNAUTHORIZED { p { a href="/login" { "Sign in" } } }
        };
        plain_page(reason, &content).into_response()
    } else {
        format!("{}\n", text.trim_end()).into_response()
    };
    head.headers.remove(CONTENT_LENGTH);
    head.headers.extend(body.headers().clone());
    Response::from_parts(head, body.into_body())
}
