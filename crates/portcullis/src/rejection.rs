//! [`Rejection`]: why a layer refused a request, what that means in HTTP and in gRPC, and which challenges go with it.
//!
//! It renders nothing; that is a [`Responder`](crate::respond::Responder)'s work. A response that refuses carries its
//! `Rejection` in its extensions.
//!
//! | rejection | HTTP | challenge | gRPC |
//! | --- | --- | --- | --- |
//! | [`Unauthenticated`](Rejection::Unauthenticated) | 401 | one per configured scheme, bearer's without `error` (RFC 6750, 3.1) | 16 |
//! | [`InvalidCredential`](Rejection::InvalidCredential) | 401 | `error="invalid_token"` | 16 |
//! | [`InvalidProof`](Rejection::InvalidProof) | 401, perhaps with `DPoP-Nonce` | `error="invalid_dpop_proof"` or `"use_dpop_nonce"` | 16 |
//! | [`BadRequest`](Rejection::BadRequest) | 400 | `error="invalid_request"` | 16 |
//! | [`Forbidden`](Rejection::Forbidden) | 403 | for bearer `error="insufficient_scope", scope="..."` | 7 |
//! | [`StepUp`](Rejection::StepUp) | 401 | `error="insufficient_user_authentication"` (RFC 9470) | 16 |
//! | [`Csrf`](Rejection::Csrf) | 403 | none | 7 |
//! | [`Conflict`](Rejection::Conflict) | 400 | none | 16 |
//! | [`TooLarge`](Rejection::TooLarge) | 413 | none | 8 |
//! | [`InsecureTransport`](Rejection::InsecureTransport) | 308 or 403 | none | 7 |
//! | [`Unavailable`](Rejection::Unavailable) | 503 + `Retry-After` | none | 14 |
//! | [`Misconfigured`](Rejection::Misconfigured) | 500 | none | 13 |
//!
//! ```
//! use http::StatusCode;
//! use portcullis::rejection::{Challenge, GrpcCode, Rejection};
//!
//! let rejection = Rejection::invalid_credential(Challenge::new("Bearer").param("realm", "api"), "expired");
//! assert_eq!(rejection.status(), StatusCode::UNAUTHORIZED);
//! assert_eq!(rejection.grpc_code(), GrpcCode::Unauthenticated);
//! let challenges = rejection.www_authenticate();
//! assert_eq!(challenges[0], r#"Bearer realm="api", error="invalid_token", error_description="expired""#);
//! ```

mod challenge;
mod csrf;
mod lack;
mod misassembly;

use std::fmt;
use std::time::Duration;

use http::{HeaderValue, StatusCode};

pub use self::challenge::Challenge;
pub use self::csrf::CsrfReason;
pub(crate) use self::csrf::Unproven;
pub use self::lack::Lack;
pub use self::misassembly::Misassembly;
use crate::identity::{Authentication, Challenges};

/// Why a request was refused.
///
/// What it holds may be told to the client; the reason in full goes to `tracing`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rejection {
    /// Nobody is signed in, and somebody must be.
    Unauthenticated(Unauthenticated),
    /// A credential was offered and is not good.
    InvalidCredential {
        /// The scheme's challenge.
        challenge: Challenge,
        /// What is wrong with it, in the characters of RFC 6750's `error_description`.
        description: &'static str,
    },
    /// A token was offered that is bound to a key, and the request does not prove that it comes from the key's holder
    /// (RFC 9449, section 7.1).
    InvalidProof {
        /// The scheme's challenge.
        challenge: Challenge,
        /// What is wrong with the proof, in the characters of RFC 6750's `error_description`.
        description: &'static str,
        /// The nonce that the next proof must have, if that is all that is wrong. It goes out as `DPoP-Nonce`.
        nonce: Option<HeaderValue>,
    },
    /// The credentials on the request contradict its syntax: two tokens, a malformed header.
    BadRequest {
        /// The scheme's challenge, if the scheme is known.
        challenge: Option<Challenge>,
        /// What is wrong with the request.
        description: &'static str,
    },
    /// Somebody is signed in, who may not do this.
    Forbidden(Forbidden),
    /// Somebody is signed in, but not freshly or strongly enough (RFC 9470).
    StepUp {
        /// The challenge to answer with, if bearer tokens are configured.
        challenge: Option<Challenge>,
        /// The authentication context classes of which one is needed.
        acr_values: Vec<String>,
        /// How long ago the user may have signed in.
        max_age: Option<Duration>,
    },
    /// The request did not prove where it came from.
    Csrf(CsrfReason),
    /// Two good credentials of two different users came along.
    Conflict,
    /// A body that had to be read is larger than it may be.
    TooLarge,
    /// Credentials over plain http.
    InsecureTransport {
        /// Where the same thing can be had over https, for requests that can be repeated there.
        redirect: Option<HeaderValue>,
    },
    /// The store or the keys are out of reach. Neither a denial nor a success.
    Unavailable {
        /// When it is worth trying again.
        retry_after: Duration,
    },
    /// The service is put together wrongly.
    Misconfigured(Misassembly),
}

/// What is told to somebody who is not signed in: the schemes that would do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unauthenticated {
    challenges: Challenges,
}

/// What somebody lacks who is signed in.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Forbidden {
    /// What is lacking.
    pub lack: Lack,
    /// The bearer challenge, when the caller came with a token that was verified.
    pub challenge: Option<Challenge>,
}

/// The gRPC status codes that a refusal, or an error of a session, can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u16)]
#[non_exhaustive]
pub enum GrpcCode {
    /// 5: there is no such thing.
    NotFound = 5,
    /// 7: the caller is known and may not.
    PermissionDenied = 7,
    /// 8: there is more of something than may be.
    ResourceExhausted = 8,
    /// 13: the service is put together wrongly.
    Internal = 13,
    /// 14: try again later.
    Unavailable = 14,
    /// 16: the caller is not known.
    Unauthenticated = 16,
}

impl Rejection {
    /// Nobody is signed in; `authentication` knows which schemes are configured.
    #[must_use]
    pub fn unauthenticated<M>(authentication: &Authentication<M>) -> Self {
        Self::unauthenticated_by(authentication.look().challenges().cloned().collect())
    }

    /// Whoever answers one of these challenges is let in.
    pub(crate) fn unauthenticated_by(challenges: Challenges) -> Self {
        Self::Unauthenticated(Unauthenticated { challenges })
    }

    /// No layer of this realm has looked, or none of this kind.
    pub(crate) fn missing(layer: &'static str, realm: &'static str) -> Self {
        Self::Misconfigured(Misassembly::Missing { layer, realm })
    }

    /// A credential was offered and is not good.
    #[must_use]
    pub fn invalid_credential(challenge: Challenge, description: &'static str) -> Self {
        Self::InvalidCredential { challenge, description }
    }

    /// The signed-in caller lacks something.
    #[must_use]
    pub fn forbidden(lack: Lack) -> Self {
        Self::Forbidden(Forbidden { lack, challenge: None })
    }

    /// The HTTP status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Unauthenticated(_)
            | Self::InvalidCredential { .. }
            | Self::InvalidProof { .. }
            | Self::StepUp { .. } => StatusCode::UNAUTHORIZED,
            Self::BadRequest { .. } | Self::Conflict => StatusCode::BAD_REQUEST,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::InsecureTransport { redirect: Some(_) } => StatusCode::PERMANENT_REDIRECT,
            Self::Forbidden(_) | Self::Csrf(_) | Self::InsecureTransport { redirect: None } => {
                StatusCode::FORBIDDEN
            }
            Self::Unavailable { .. } => StatusCode::SERVICE_UNAVAILABLE,
            Self::Misconfigured(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The gRPC status code.
    #[must_use]
    pub fn grpc_code(&self) -> GrpcCode {
        match self {
            Self::Unauthenticated(_)
            | Self::InvalidCredential { .. }
            | Self::InvalidProof { .. }
            | Self::StepUp { .. }
            | Self::BadRequest { .. }
            | Self::Conflict => GrpcCode::Unauthenticated,
            Self::Forbidden(_) | Self::Csrf(_) | Self::InsecureTransport { .. } => GrpcCode::PermissionDenied,
            Self::TooLarge => GrpcCode::ResourceExhausted,
            Self::Unavailable { .. } => GrpcCode::Unavailable,
            Self::Misconfigured(_) => GrpcCode::Internal,
        }
    }

    /// The values of `WWW-Authenticate`, one per scheme.
    #[must_use]
    pub fn www_authenticate(&self) -> Vec<HeaderValue> {
        let mut values = Vec::new();
        self.each_challenge(|value| values.push(value));
        values
    }

    /// The same, one by one.
    pub(crate) fn each_challenge(&self, mut tell: impl FnMut(HeaderValue)) {
        match self {
            Self::Unauthenticated(Unauthenticated { challenges }) => {
                challenges.iter().for_each(|challenge| tell(challenge.header()));
            }
            Self::InvalidCredential { challenge, description } => {
                tell(challenge.with_error("invalid_token", description, None));
            }
            Self::InvalidProof { challenge, description, nonce } => {
                let error = if nonce.is_some() { "use_dpop_nonce" } else { "invalid_dpop_proof" };
                tell(challenge.with_error(error, description, None));
            }
            Self::BadRequest { challenge: Some(challenge), description } => {
                tell(challenge.with_error("invalid_request", description, None));
            }
            Self::Forbidden(Forbidden { lack, challenge: Some(challenge) }) => tell(lack.header(challenge)),
            Self::StepUp { challenge: Some(challenge), acr_values, max_age } => {
                tell(challenge.step_up(acr_values, *max_age));
            }
            Self::BadRequest { challenge: None, .. }
            | Self::Forbidden(Forbidden { challenge: None, .. })
            | Self::StepUp { challenge: None, .. }
            | Self::Csrf(_)
            | Self::Conflict
            | Self::TooLarge
            | Self::InsecureTransport { .. }
            | Self::Unavailable { .. }
            | Self::Misconfigured(_) => {}
        }
    }

    /// The value of `Retry-After`, in whole seconds, at least one (RFC 9110, section 10.2.3).
    #[must_use]
    pub fn retry_after(&self) -> Option<HeaderValue> {
        match self {
            Self::Unavailable { retry_after } => Some(whole_seconds(*retry_after).into()),
            Self::Unauthenticated(_)
            | Self::InvalidCredential { .. }
            | Self::InvalidProof { .. }
            | Self::BadRequest { .. }
            | Self::Forbidden(_)
            | Self::StepUp { .. }
            | Self::Csrf(_)
            | Self::Conflict
            | Self::TooLarge
            | Self::InsecureTransport { .. }
            | Self::Misconfigured(_) => None,
        }
    }

    /// One sentence for the client. It names no user, no key and nothing of the service's inside.
    #[must_use]
    pub fn message(&self) -> &'static str {
        match self {
            Self::Unauthenticated(_) => "sign in first",
            Self::InvalidCredential { description, .. }
            | Self::InvalidProof { description, .. }
            | Self::BadRequest { description, .. } => description,
            Self::Forbidden(Forbidden { lack, .. }) => lack.message(),
            Self::StepUp { .. } => "sign in again to do this",
            Self::Csrf(reason) => reason.hint(),
            Self::Conflict => "the request carries credentials of two different users",
            Self::TooLarge => "the request's body is larger than it may be",
            Self::InsecureTransport { .. } => "https is required",
            Self::Unavailable { .. } => "this cannot be done at the moment; try again",
            Self::Misconfigured(_) => "the service is misconfigured",
        }
    }

    /// A stable label for counters and log fields.
    #[must_use]
    pub fn label(&self) -> &'static str {
        match self {
            Self::Unauthenticated(_) => "unauthenticated",
            Self::InvalidCredential { .. } => "invalid_credential",
            Self::InvalidProof { .. } => "invalid_proof",
            Self::BadRequest { .. } => "bad_request",
            Self::Forbidden(_) => "forbidden",
            Self::StepUp { .. } => "step_up",
            Self::Csrf(_) => "csrf",
            Self::Conflict => "conflict",
            Self::TooLarge => "too_large",
            Self::InsecureTransport { .. } => "insecure_transport",
            Self::Unavailable { .. } => "unavailable",
            Self::Misconfigured(_) => "misconfigured",
        }
    }
}

fn whole_seconds(duration: Duration) -> u64 {
    duration.as_secs().saturating_add(u64::from(duration.subsec_nanos() > 0)).max(1)
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message())
    }
}

impl std::error::Error for Rejection {}

#[cfg(test)]
mod tests;
