//! [`Rejection`]: why a layer refused a request, what that means in HTTP and in gRPC, and which challenges go with it.
//!
//! It renders nothing; that is a [`Responder`](crate::respond::Responder)'s work. A response that refuses carries its
//! `Rejection` in its extensions.
//!
//! | rejection | HTTP | challenge | gRPC |
//! | --- | --- | --- | --- |
//! | [`Unauthenticated`](Rejection::Unauthenticated) | 401 | one per configured scheme, bearer's without `error` (RFC 6750, 3.1) | 16 |
//! | [`InvalidCredential`](Rejection::InvalidCredential) | 401 | `error="invalid_token"` | 16 |
//! | [`BadRequest`](Rejection::BadRequest) | 400 | `error="invalid_request"` | 16 |
//! | [`Forbidden`](Rejection::Forbidden) | 403 | for bearer `error="insufficient_scope", scope="..."` | 7 |
//! | [`StepUp`](Rejection::StepUp) | 401 | `error="insufficient_user_authentication"` (RFC 9470) | 16 |
//! | [`Csrf`](Rejection::Csrf) | 403 | none | 7 |
//! | [`Conflict`](Rejection::Conflict) | 400 | none | 16 |
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

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, StatusCode};

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
    /// The service is put together wrongly: a layer is missing.
    Misconfigured {
        /// Which layer is missing.
        missing: &'static str,
    },
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

/// Why a request did not prove where it came from. Rows of the decision table of the `csrf` module.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CsrfReason {
    /// The request's host is not among the allowed ones.
    HostNotAllowed,
    /// Several `Origin`, `Sec-Fetch-Site` or `Host` headers, or one that cannot be read.
    MalformedMetadata,
    /// The browser says that another site made it send the request.
    CrossSite,
    /// The browser says that another host of the same site made it send the request.
    SameSite,
    /// `Origin` is neither the service's own nor a trusted one.
    OriginMismatch,
    /// A WebSocket handshake from an origin that is neither the service's own nor a trusted one.
    WebSocketOrigin,
    /// Neither `Sec-Fetch-Site` nor `Origin` came along, but a credential that browsers send by themselves did.
    MissingMetadata,
}

/// A challenge of `WWW-Authenticate` (RFC 9110, section 11.6.1). A clone is one atomic increment.
#[derive(Clone, PartialEq, Eq)]
pub struct Challenge(Arc<Scheme>);

#[derive(Clone, PartialEq, Eq)]
struct Scheme {
    name: &'static str,
    params: Vec<(&'static str, String)>,
}

/// The gRPC status codes that a refusal can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u16)]
#[non_exhaustive]
pub enum GrpcCode {
    /// 7: the caller is known and may not.
    PermissionDenied = 7,
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
    pub fn unauthenticated(authentication: &Authentication) -> Self {
        Self::Unauthenticated(Unauthenticated { challenges: authentication.challenges().clone() })
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
            Self::Unauthenticated(_) | Self::InvalidCredential { .. } | Self::StepUp { .. } => {
                StatusCode::UNAUTHORIZED
            }
            Self::BadRequest { .. } | Self::Conflict => StatusCode::BAD_REQUEST,
            Self::InsecureTransport { redirect: Some(_) } => StatusCode::PERMANENT_REDIRECT,
            Self::Forbidden(_) | Self::Csrf(_) | Self::InsecureTransport { redirect: None } => {
                StatusCode::FORBIDDEN
            }
            Self::Unavailable { .. } => StatusCode::SERVICE_UNAVAILABLE,
            Self::Misconfigured { .. } => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The gRPC status code.
    #[must_use]
    pub fn grpc_code(&self) -> GrpcCode {
        match self {
            Self::Unauthenticated(_)
            | Self::InvalidCredential { .. }
            | Self::StepUp { .. }
            | Self::BadRequest { .. }
            | Self::Conflict => GrpcCode::Unauthenticated,
            Self::Forbidden(_) | Self::Csrf(_) | Self::InsecureTransport { .. } => GrpcCode::PermissionDenied,
            Self::Unavailable { .. } => GrpcCode::Unavailable,
            Self::Misconfigured { .. } => GrpcCode::Internal,
        }
    }

    /// The values of `WWW-Authenticate`, one per scheme.
    #[must_use]
    pub fn www_authenticate(&self) -> Vec<HeaderValue> {
        match self {
            Self::Unauthenticated(Unauthenticated { challenges }) => {
                challenges.iter().map(|challenge| challenge.header(&[])).collect()
            }
            Self::InvalidCredential { challenge, description } => {
                vec![challenge.with_error("invalid_token", description, None)]
            }
            Self::BadRequest { challenge, description } => challenge
                .iter()
                .map(|challenge| challenge.with_error("invalid_request", description, None))
                .collect(),
            Self::Forbidden(Forbidden { lack, challenge }) => {
                challenge.iter().map(|it| lack.header(it)).collect()
            }
            Self::StepUp { challenge, acr_values, max_age } => {
                challenge.iter().map(|challenge| challenge.step_up(acr_values, *max_age)).collect()
            }
            Self::Csrf(_)
            | Self::Conflict
            | Self::InsecureTransport { .. }
            | Self::Unavailable { .. }
            | Self::Misconfigured { .. } => Vec::new(),
        }
    }

    /// The value of `Retry-After`, in whole seconds, at least one (RFC 9110, section 10.2.3).
    #[must_use]
    pub fn retry_after(&self) -> Option<HeaderValue> {
        match self {
            Self::Unavailable { retry_after } => Some(whole_seconds(*retry_after).into()),
            Self::Unauthenticated(_)
            | Self::InvalidCredential { .. }
            | Self::BadRequest { .. }
            | Self::Forbidden(_)
            | Self::StepUp { .. }
            | Self::Csrf(_)
            | Self::Conflict
            | Self::InsecureTransport { .. }
            | Self::Misconfigured { .. } => None,
        }
    }

    /// One sentence for the client. It names no user, no key and nothing of the service's inside.
    #[must_use]
    pub fn message(&self) -> &'static str {
        match self {
            Self::Unauthenticated(_) => "sign in first",
            Self::InvalidCredential { description, .. } | Self::BadRequest { description, .. } => description,
            Self::Forbidden(Forbidden { lack, .. }) => lack.message(),
            Self::StepUp { .. } => "sign in again to do this",
            Self::Csrf(reason) => reason.hint(),
            Self::Conflict => "the request carries credentials of two different users",
            Self::InsecureTransport { .. } => "https is required",
            Self::Unavailable { .. } => "this cannot be done at the moment; try again",
            Self::Misconfigured { .. } => "the service is misconfigured",
        }
    }

    /// A stable label for counters and log fields.
    #[must_use]
    pub fn label(&self) -> &'static str {
        match self {
            Self::Unauthenticated(_) => "unauthenticated",
            Self::InvalidCredential { .. } => "invalid_credential",
            Self::BadRequest { .. } => "bad_request",
            Self::Forbidden(_) => "forbidden",
            Self::StepUp { .. } => "step_up",
            Self::Csrf(_) => "csrf",
            Self::Conflict => "conflict",
            Self::InsecureTransport { .. } => "insecure_transport",
            Self::Unavailable { .. } => "unavailable",
            Self::Misconfigured { .. } => "misconfigured",
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

impl CsrfReason {
    /// What is probably wrong, and what would mend it, for the developer who meets the refusal.
    #[must_use]
    pub fn hint(self) -> &'static str {
        match self {
            Self::HostNotAllowed => {
                "the request's Host is not one that this service answers to; name it in allowed_hosts"
            }
            Self::MalformedMetadata => {
                "the request has several Origin, Sec-Fetch-Site or Host headers, or one that is malformed; \
                 a proxy may have added it"
            }
            Self::CrossSite => {
                "another site made the browser send this request; if that site is yours, name it with \
                 add_trusted_origin"
            }
            Self::SameSite => {
                "another host of this site made the browser send this request; if it is to be trusted, name it with \
                 add_trusted_origin or set same_site(SameSite::Allow)"
            }
            Self::OriginMismatch => {
                "Origin does not match the request's Host; behind a proxy that rewrites Host, set public_origin; \
                 Origin: null comes from a sandboxed page or Referrer-Policy: no-referrer"
            }
            Self::WebSocketOrigin => {
                "a WebSocket handshake must come from this service's own or a trusted origin"
            }
            Self::MissingMetadata => {
                "the request carries a cookie or other credential that browsers send by themselves, but neither \
                 Sec-Fetch-Site nor Origin; outside a browser send the service's own origin, as in \
                 curl -H 'Origin: https://www.example.com'"
            }
        }
    }

    /// A stable label for counters and log fields.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::HostNotAllowed => "host_not_allowed",
            Self::MalformedMetadata => "malformed_metadata",
            Self::CrossSite => "cross_site",
            Self::SameSite => "same_site",
            Self::OriginMismatch => "origin_mismatch",
            Self::WebSocketOrigin => "websocket_origin",
            Self::MissingMetadata => "missing_metadata",
        }
    }
}

impl Challenge {
    /// A challenge of this scheme, an RFC 9110 token such as `Bearer`, without parameters.
    #[must_use]
    pub fn new(scheme: &'static str) -> Self {
        Self(Arc::new(Scheme { name: scheme, params: Vec::new() }))
    }

    /// Adds a parameter, or replaces the one of this name. The value is quoted and escaped when it is sent.
    #[must_use]
    pub fn param(mut self, name: &'static str, value: impl Into<String>) -> Self {
        set(&mut Arc::make_mut(&mut self.0).params, name, value.into());
        self
    }

    /// The scheme's name.
    #[must_use]
    pub fn scheme(&self) -> &'static str {
        self.0.name
    }

    /// The errors of RFC 6750 belong to the schemes that use it; others get their plain challenge.
    fn with_error(
        &self,
        error: &'static str,
        description: &'static str,
        scope: Option<String>,
    ) -> HeaderValue {
        if !self.has_errors() {
            return self.header(&[]);
        }
        let mut more = vec![("error", Cow::from(error)), ("error_description", Cow::from(description))];
        more.extend(scope.map(|scope| ("scope", Cow::from(scope))));
        self.header(&more)
    }

    fn step_up(&self, acr_values: &[String], max_age: Option<Duration>) -> HeaderValue {
        if !self.has_errors() {
            return self.header(&[]);
        }
        let mut more = vec![("error", Cow::from("insufficient_user_authentication"))];
        if !acr_values.is_empty() {
            more.push(("acr_values", acr_values.join(" ").into()));
        }
        more.extend(max_age.map(|age| ("max_age", age.as_secs().to_string().into())));
        self.header(&more)
    }

    fn has_errors(&self) -> bool {
        matches!(self.0.name, "Bearer" | "DPoP")
    }

    fn header(&self, more: &[(&'static str, Cow<'_, str>)]) -> HeaderValue {
        let mut params = self.0.params.clone();
        for (name, value) in more {
            set(&mut params, name, value.clone().into_owned());
        }
        let mut text = self.0.name.to_owned();
        for (index, (name, value)) in params.iter().enumerate() {
            text.push_str(if index == 0 { " " } else { ", " });
            text.push_str(name);
            text.push_str("=\"");
            text.extend(value.chars().filter(|c| matches!(c, ' '..='~')).flat_map(escaped));
            text.push('"');
        }
        // Only printable ASCII is left, so this cannot fail unless the scheme or a parameter's name is not a token.
        HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static("Unknown"))
    }
}

/// Each parameter stands once (RFC 9110, section 11.2).
fn set(params: &mut Vec<(&'static str, String)>, name: &'static str, value: String) {
    match params.iter_mut().find(|(held, _)| *held == name) {
        Some((_, held)) => *held = value,
        None => params.push((name, value)),
    }
}

/// A character of a quoted string (RFC 9110, section 5.6.4).
fn escaped(character: char) -> impl Iterator<Item = char> {
    let backslash = matches!(character, '"' | '\\').then_some('\\');
    backslash.into_iter().chain([character])
}

impl fmt::Debug for Challenge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Challenge({:?})", self.header(&[]))
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
        let rows: [(Rejection, u16, u16, &[&str]); 9] = [
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
                    r#"Bearer realm="api", error="insufficient_user_authentication", acr_values="gold", max_age="60""#,
                ],
            ),
            (Rejection::Csrf(CsrfReason::CrossSite), 403, 7, &[]),
            (Rejection::Conflict, 400, 16, &[]),
            (Rejection::InsecureTransport { redirect: None }, 403, 7, &[]),
            (Rejection::Misconfigured { missing: "SessionLayer" }, 500, 13, &[]),
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
        assert_eq!(challenge.header(&[]), r#"Bearer realm="a\", error=\"x\\Set-Cookie: ""#);
    }

    #[test]
    fn a_parameter_stands_once() {
        let challenge = bearer().param("realm", "other").param("error", "mine");
        let header = challenge.with_error("invalid_token", "d", None);
        assert_eq!(header, r#"Bearer realm="other", error="invalid_token", error_description="d""#);
    }

    #[test]
    fn other_schemes_do_not_speak_rfc_6750() {
        let rejection = Rejection::invalid_credential(Challenge::new("ApiKey"), "unknown key");
        assert_eq!(rejection.www_authenticate(), ["ApiKey"]);
    }
}
