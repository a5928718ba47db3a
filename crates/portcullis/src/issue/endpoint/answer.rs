//! [`Answer`]: what an endpoint answers, before it is a response.

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, PRAGMA, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, Response, StatusCode};
use serde_json::{Value, json};

use crate::bearer::KeyFault;
use crate::respond::DPOP_NONCE;

/// What an endpoint answers.
#[derive(Debug)]
pub(super) enum Answer {
    /// 200 with this document.
    Json(Value),
    /// 200 with tokens, and the nonce for the next proof if it is another.
    Tokens { document: Value, nonce: Option<HeaderValue> },
    /// 200 with nothing.
    Done,
    /// 400 with an error of RFC 6749, section 5.2.
    Refused(Fault),
    /// 401 `invalid_client`; with a challenge if the client has tried `Authorization`.
    InvalidClient { challenged: bool },
    /// 400 `invalid_dpop_proof`, and why (RFC 9449, section 5).
    BadProof(&'static str),
    /// 400 `use_dpop_nonce`, and the nonce to use (RFC 9449, section 8).
    UseNonce(HeaderValue),
    /// 413: the form is too long.
    TooLong,
    /// 405: only forms are posted here.
    NotPosted,
    /// 503: it can be tried again.
    Unavailable,
}

/// An error of RFC 6749, section 5.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    InvalidRequest,
    InvalidGrant,
    InvalidScope,
    UnsupportedGrantType,
}

impl Fault {
    const fn name(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::InvalidGrant => "invalid_grant",
            Self::InvalidScope => "invalid_scope",
            Self::UnsupportedGrantType => "unsupported_grant_type",
        }
    }
}

impl Answer {
    pub(super) fn into_response<B: From<Bytes>>(self) -> Response<B> {
        let (status, body) = match &self {
            Self::Json(document) | Self::Tokens { document, .. } => (StatusCode::OK, Some(document.clone())),
            Self::Done => (StatusCode::OK, None),
            Self::Refused(fault) => (StatusCode::BAD_REQUEST, Some(json!({ "error": fault.name() }))),
            Self::InvalidClient { .. } => {
                (StatusCode::UNAUTHORIZED, Some(json!({ "error": "invalid_client" })))
            }
            Self::BadProof(why) => {
                let error = json!({ "error": "invalid_dpop_proof", "error_description": why });
                (StatusCode::BAD_REQUEST, Some(error))
            }
            Self::UseNonce(_) => (StatusCode::BAD_REQUEST, Some(json!({ "error": "use_dpop_nonce" }))),
            Self::TooLong => (StatusCode::PAYLOAD_TOO_LARGE, Some(json!({ "error": "invalid_request" }))),
            Self::NotPosted => (StatusCode::METHOD_NOT_ALLOWED, None),
            Self::Unavailable => {
                (StatusCode::SERVICE_UNAVAILABLE, Some(json!({ "error": "temporarily_unavailable" })))
            }
        };
        let bytes = body.as_ref().map(|body| Bytes::from(body.to_string())).unwrap_or_default();
        let mut response = Response::new(B::from(bytes));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(PRAGMA, HeaderValue::from_static("no-cache"));
        if body.is_some() {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        match self {
            Self::InvalidClient { challenged: true } => {
                _ = headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"token\""));
            }
            Self::NotPosted => _ = headers.insert(ALLOW, HeaderValue::from_static("POST")),
            Self::Unavailable => _ = headers.insert(RETRY_AFTER, HeaderValue::from_static("1")),
            Self::UseNonce(nonce) | Self::Tokens { nonce: Some(nonce), .. } => {
                _ = headers.insert(DPOP_NONCE, nonce);
            }
            Self::Json(_)
            | Self::Tokens { nonce: None, .. }
            | Self::Done
            | Self::Refused(_)
            | Self::BadProof(_)
            | Self::InvalidClient { .. }
            | Self::TooLong => {}
        }
        response
    }
}

impl From<KeyFault> for Answer {
    fn from(fault: KeyFault) -> Self {
        match fault {
            KeyFault::Proof(why) => Self::BadProof(why),
            KeyFault::Nonce(nonce) => Self::UseNonce(nonce),
            KeyFault::Unavailable => Self::Unavailable,
        }
    }
}
