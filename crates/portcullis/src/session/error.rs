//! [`SessionError`]: why an operation on a session could not be done.

use std::error::Error;
use std::fmt;

use http::StatusCode;
use portcullis_store::{StoreError, StoreErrorKind};

use crate::rejection::GrpcCode;
use crate::secret::NoEntropy;

/// Why an operation on a session could not be done.
///
/// The text is for operators and not part of the API; match on [`SessionError::kind`]. It quotes no value.
#[derive(Debug)]
pub struct SessionError(Reason);

#[derive(Debug)]
pub(crate) enum Reason {
    Ended,
    Sealed,
    SignedOut,
    Uncertain,
    NotFound,
    NotStored,
    LimitReached,
    StaleCredential,
    Withheld,
    NoSubject,
    TooLarge { limit: usize },
    Value { key: String, problem: &'static str },
    Entropy,
    Store(StoreError),
}

/// The classes of [`SessionError`] that a caller can act on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SessionErrorKind {
    /// The session was ended meanwhile, by a logout or a revocation. Nothing was written.
    Ended,
    /// The response's head is gone, so that nothing would be committed any more. Nothing was recorded.
    Sealed,
    /// It needs a signed-in user, and there is none.
    SignedOut,
    /// It is not known whether an earlier attempt was applied, and so nothing was applied again.
    Uncertain,
    /// No session of this user has that name.
    NotFound,
    /// There is no session yet: nobody is signed in, and nothing is saved. Log in or commit first.
    NotStored,
    /// The user has as many sessions as there may be. The login changed nothing.
    LimitReached,
    /// The user's credentials were changed since they were checked. The login changed nothing.
    StaleCredential,
    /// The session is out of the request's reach: the request did not prove where it came from, or somebody else's
    /// credential was [preferred](crate::authenticate::OnConflict::Prefer) to it. Nothing was recorded.
    Withheld,
    /// Nobody can sign in whose subject is empty: all of them would be one user. The login changed nothing.
    NoSubject,
    /// The session would be larger than it may be. Nothing was recorded.
    TooLarge,
    /// A value cannot be written as, or read as, the type asked for. Other values are not affected.
    Value,
    /// The store could not answer.
    Store(StoreErrorKind),
    /// The operating system gave no random bytes.
    Entropy,
}

impl SessionErrorKind {
    /// The HTTP status to answer with: 503 while the store is out of reach, 401 when nobody is signed in any more or the
    /// credentials were changed since they were checked, 403 when the session is withheld from the request, 404 for a
    /// session that this user does not have, 409 for a login beyond the limit, because the user can make room for it (RFC
    /// 9110, section 15.5.10), 413 for too much data, else 500. In axum `?` gives it.
    #[must_use]
    pub fn status(self) -> StatusCode {
        match self {
            Self::Store(_) | Self::Uncertain | Self::Entropy => StatusCode::SERVICE_UNAVAILABLE,
            Self::SignedOut | Self::NotStored | Self::Ended | Self::StaleCredential => {
                StatusCode::UNAUTHORIZED
            }
            Self::Withheld => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::LimitReached => StatusCode::CONFLICT,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Value | Self::Sealed | Self::NoSubject => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The gRPC status code to answer with: 14, 16, 7, 5, 8, 8 and 13, where [`status`](Self::status) is 503, 401, 403, 404,
    /// 409, 413 and 500. So an outage is no denial there either.
    ///
    /// In a method of tonic's: `.map_err(|error| Status::new(Code::from(error.kind().grpc_code() as i32), error.to_string()))`.
    ///
    /// ```
    /// use portcullis::rejection::GrpcCode;
    /// use portcullis::session::SessionErrorKind;
    ///
    /// assert_eq!(SessionErrorKind::Ended.grpc_code(), GrpcCode::Unauthenticated);
    /// assert_eq!(SessionErrorKind::Uncertain.grpc_code() as i32, 14);
    /// ```
    #[must_use]
    pub fn grpc_code(self) -> GrpcCode {
        match self.status() {
            StatusCode::SERVICE_UNAVAILABLE => GrpcCode::Unavailable,
            StatusCode::UNAUTHORIZED => GrpcCode::Unauthenticated,
            StatusCode::FORBIDDEN => GrpcCode::PermissionDenied,
            StatusCode::NOT_FOUND => GrpcCode::NotFound,
            StatusCode::CONFLICT | StatusCode::PAYLOAD_TOO_LARGE => GrpcCode::ResourceExhausted,
            _ => GrpcCode::Internal,
        }
    }
}

impl SessionError {
    /// The class of the error.
    #[must_use]
    pub fn kind(&self) -> SessionErrorKind {
        match &self.0 {
            Reason::Ended => SessionErrorKind::Ended,
            Reason::Sealed => SessionErrorKind::Sealed,
            Reason::SignedOut => SessionErrorKind::SignedOut,
            Reason::Uncertain => SessionErrorKind::Uncertain,
            Reason::NotFound => SessionErrorKind::NotFound,
            Reason::NotStored => SessionErrorKind::NotStored,
            Reason::LimitReached => SessionErrorKind::LimitReached,
            Reason::StaleCredential => SessionErrorKind::StaleCredential,
            Reason::Withheld => SessionErrorKind::Withheld,
            Reason::NoSubject => SessionErrorKind::NoSubject,
            Reason::TooLarge { .. } => SessionErrorKind::TooLarge,
            Reason::Value { .. } => SessionErrorKind::Value,
            Reason::Entropy => SessionErrorKind::Entropy,
            Reason::Store(error) => SessionErrorKind::Store(error.kind()),
        }
    }

    pub(crate) fn value(key: &str, problem: &'static str) -> Self {
        Self(Reason::Value { key: key.to_owned(), problem })
    }
}

impl From<Reason> for SessionError {
    fn from(reason: Reason) -> Self {
        Self(reason)
    }
}

impl From<StoreError> for SessionError {
    fn from(error: StoreError) -> Self {
        Self(Reason::Store(error))
    }
}

impl From<NoEntropy> for SessionError {
    fn from(_: NoEntropy) -> Self {
        Self(Reason::Entropy)
    }
}

impl fmt::Display for SessionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Reason::Ended => f.write_str("the session has ended"),
            Reason::Sealed => f.write_str(
                "the response has begun; the session can no longer be changed through this handle",
            ),
            Reason::SignedOut => f.write_str("nobody is signed in"),
            Reason::Uncertain => f.write_str("it is not known whether the session was saved"),
            Reason::NotFound => f.write_str("no such session"),
            Reason::NotStored => f.write_str("there is no session yet"),
            Reason::LimitReached => f.write_str("the user is signed in as often as is allowed"),
            Reason::StaleCredential => f.write_str("the credentials were changed since they were checked"),
            Reason::Withheld => f.write_str(
                "the request did not prove where it came from, or it is somebody else's, so its session is withheld",
            ),
            Reason::NoSubject => f.write_str("the identity has no subject, so it cannot sign in"),
            Reason::TooLarge { limit } => write!(f, "the session would exceed {limit} bytes"),
            Reason::Value { key, problem } => write!(f, "session value {key:?} {problem}"),
            Reason::Entropy => f.write_str("the operating system gave no random bytes"),
            Reason::Store(error) => error.fmt(f),
        }
    }
}

impl Error for SessionError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.0 {
            Reason::Store(error) => Some(error),
            Reason::Ended
            | Reason::Sealed
            | Reason::SignedOut
            | Reason::Uncertain
            | Reason::NotFound
            | Reason::NotStored
            | Reason::LimitReached
            | Reason::StaleCredential
            | Reason::Withheld
            | Reason::NoSubject
            | Reason::TooLarge { .. }
            | Reason::Value { .. }
            | Reason::Entropy => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_is_no_denial_in_http_nor_in_grpc() {
        use SessionErrorKind as Kind;
        let rows = [
            (Kind::Store(StoreErrorKind::Timeout), 503, 14),
            (Kind::Store(StoreErrorKind::Full), 503, 14),
            (Kind::Uncertain, 503, 14),
            (Kind::Entropy, 503, 14),
            (Kind::SignedOut, 401, 16),
            (Kind::NotStored, 401, 16),
            (Kind::Ended, 401, 16),
            (Kind::StaleCredential, 401, 16),
            (Kind::Withheld, 403, 7),
            (Kind::NotFound, 404, 5),
            (Kind::LimitReached, 409, 8),
            (Kind::TooLarge, 413, 8),
            (Kind::Value, 500, 13),
            (Kind::Sealed, 500, 13),
            (Kind::NoSubject, 500, 13),
        ];
        for (kind, status, code) in rows {
            assert_eq!((kind.status().as_u16(), kind.grpc_code() as u16), (status, code), "{kind:?}");
        }
    }
}
