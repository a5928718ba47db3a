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

use std::fmt;
use std::time::Duration;

use http::{HeaderValue, StatusCode};

pub use self::challenge::Challenge;
pub use self::csrf::CsrfReason;
pub(crate) use self::csrf::Unproven;
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

/// What is wrong with how a service's layers are put together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Misassembly {
    /// A layer is missing.
    Missing {
        /// Which one.
        layer: &'static str,
        /// In which [realm](crate::realm).
        realm: &'static str,
    },
    /// Two different session layers of one realm stand on one path: which one's session is meant cannot be told.
    RealmTwice {
        /// Which realm.
        realm: &'static str,
    },
    /// Session layers of two realms stand on one path and read the same cookie or header field, so that each would hand
    /// out what the other takes away.
    CarrierTwice {
        /// Which realms, from outside to inside.
        realms: [&'static str; 2],
    },
    /// The peer's address is needed and nobody has left it with the request.
    PeerUnknown,
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

/// What is lacking for a request to be allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Lack {
    /// All of these scopes, or one of them.
    Scope(Vec<String>),
    /// A role.
    Role,
    /// The right kind of credential.
    Method,
    /// Whatever a predicate or policy of the application asks for.
    Policy,
}

/// The gRPC status codes that a refusal can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u16)]
#[non_exhaustive]
pub enum GrpcCode {
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

impl Lack {
    fn header(&self, challenge: &Challenge) -> HeaderValue {
        let scope = match self {
            Self::Scope(scopes) => Some(scopes.join(" ")),
            Self::Role | Self::Method | Self::Policy => None,
        };
        challenge.with_error("insufficient_scope", self.message(), scope)
    }

    fn message(&self) -> &'static str {
        match self {
            Self::Scope(_) => "a scope is missing",
            Self::Role => "a role is missing",
            Self::Method => "this kind of credential is not accepted here",
            Self::Policy => "not allowed",
        }
    }
}

impl fmt::Display for Misassembly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { layer, realm } => write!(f, "a layer is missing in the realm {realm}: {layer}"),
            Self::RealmTwice { realm } => {
                write!(f, "two different session layers of the realm {realm} stand on one path")
            }
            Self::CarrierTwice { realms: [one, other] } => write!(
                f,
                "session layers of the realms {one} and {other} stand on one path and read the same cookie or header \
                 field; give one of them another name"
            ),
            Self::PeerUnknown => f.write_str(
                "RequireHttpsLayer finds no address of the peer; under axum serve with \
                 into_make_service_with_connect_info",
            ),
        }
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message())
    }
}

impl std::error::Error for Rejection {}

#[cfg(test)]
mod tests {
    use super::*;

    fn bearer() -> Challenge {
        Challenge::new("Bearer").param("realm", "api")
    }

    #[test]
    fn every_rejection_has_its_row_of_the_table() {
        let rows: [(Rejection, u16, u16, &[&str]); 11] = [
            (
                Rejection::Unauthenticated(Unauthenticated { challenges: [bearer()].into_iter().collect() }),
                401,
                16,
                &[r#"Bearer realm="api""#],
            ),
            (
                Rejection::invalid_credential(bearer(), "the token has expired"),
                401,
                16,
                &[r#"Bearer realm="api", error="invalid_token", error_description="the token has expired""#],
            ),
            (
                Rejection::InvalidProof {
                    challenge: bearer().in_scheme("DPoP").param("algs", "ES256"),
                    description: "d",
                    nonce: None,
                },
                401,
                16,
                &[r#"DPoP realm="api", algs="ES256", error="invalid_dpop_proof", error_description="d""#],
            ),
            (
                Rejection::InvalidProof {
                    challenge: bearer().in_scheme("DPoP"),
                    description: "d",
                    nonce: Some(HeaderValue::from_static("n")),
                },
                401,
                16,
                &[r#"DPoP realm="api", error="use_dpop_nonce", error_description="d""#],
            ),
            (
                Rejection::BadRequest { challenge: Some(bearer()), description: "two tokens" },
                400,
                16,
                &[r#"Bearer realm="api", error="invalid_request", error_description="two tokens""#],
            ),
            (
                Rejection::Forbidden(Forbidden {
                    lack: Lack::Scope(vec!["a".into(), "b".into()]),
                    challenge: Some(bearer()),
                }),
                403,
                7,
                &[
                    r#"Bearer realm="api", error="insufficient_scope", error_description="a scope is missing", scope="a b""#,
                ],
            ),
            (
                Rejection::StepUp {
                    challenge: Some(bearer()),
                    acr_values: vec!["gold".into()],
                    max_age: Some(Duration::from_secs(60)),
                },
                401,
                16,
                &[
                    r#"Bearer realm="api", error="insufficient_user_authentication", error_description="sign in again to do this", acr_values="gold", max_age="60""#,
                ],
            ),
            (Rejection::Csrf(CsrfReason::CrossSite), 403, 7, &[]),
            (Rejection::Conflict, 400, 16, &[]),
            (Rejection::InsecureTransport { redirect: None }, 403, 7, &[]),
            (Rejection::missing("SessionLayer", "default"), 500, 13, &[]),
        ];
        for (rejection, status, code, challenges) in rows {
            assert_eq!(rejection.status().as_u16(), status, "{rejection:?}");
            assert_eq!(rejection.grpc_code() as u16, code, "{rejection:?}");
            assert_eq!(rejection.www_authenticate(), challenges, "{rejection:?}");
        }
    }

    #[test]
    fn retry_after_is_at_least_a_second_and_rounded_up() {
        for (name, millis, expected) in
            [("zero", 0, "1"), ("part", 1, "1"), ("over", 1001, "2"), ("whole", 3000, "3")]
        {
            let rejection = Rejection::Unavailable { retry_after: Duration::from_millis(millis) };
            assert_eq!(rejection.retry_after().unwrap(), expected, "{name}");
            assert_eq!((rejection.status().as_u16(), rejection.grpc_code() as u16), (503, 14), "{name}");
        }
    }

    #[test]
    fn hostile_parameter_values_stay_inside_their_quotes() {
        let challenge = Challenge::new("Bearer").param("realm", "a\", error=\"x\\\r\nSet-Cookie: é");
        assert_eq!(challenge.header(), r#"Bearer realm="a\", error=\"x\\Set-Cookie: ""#);
    }

    #[test]
    fn a_parameter_stands_once() {
        let challenge = bearer().param("realm", "other").param("error", "mine");
        let header = challenge.with_error("invalid_token", "d", None);
        assert_eq!(header, r#"Bearer realm="other", error="invalid_token", error_description="d""#);
    }

    #[test]
    fn a_challenge_that_was_sent_and_then_changed_is_sent_as_it_is_now() {
        let sent = bearer();
        assert_eq!(sent.header(), r#"Bearer realm="api""#);
        let changed = sent.clone().param("realm", "other").param("scope", "a");
        assert_eq!(changed.header(), r#"Bearer realm="other", scope="a""#);
        assert_eq!(changed.header(), r#"Bearer realm="other", scope="a""#);
        assert_eq!(sent.header(), r#"Bearer realm="api""#);
        assert_eq!(sent, bearer());
        assert_ne!(sent, changed);
    }

    #[test]
    fn each_of_many_errors_is_sent_as_it_is_however_often() {
        const DESCRIPTIONS: [&str; 12] = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"];
        let (sent, errors) = (bearer(), ["invalid_token", "invalid_request"]);
        for _ in 0..2 {
            for (error, description) in errors.iter().flat_map(|error| DESCRIPTIONS.map(|it| (*error, it))) {
                let expected =
                    format!(r#"Bearer realm="api", error="{error}", error_description="{description}""#);
                assert_eq!(sent.with_error(error, description, None), expected);
            }
        }
        let changed = sent.clone().param("realm", "other");
        let header = changed.with_error("invalid_token", "a", None);
        assert_eq!(header, r#"Bearer realm="other", error="invalid_token", error_description="a""#);
        assert_eq!(sent, bearer());
    }

    #[test]
    fn other_schemes_do_not_speak_rfc_6750() {
        let rejection = Rejection::invalid_credential(Challenge::new("ApiKey"), "unknown key");
        assert_eq!(rejection.www_authenticate(), ["ApiKey"]);
    }
}
