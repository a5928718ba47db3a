//! [`SessionError`]: why an operation on a session could not be done.

use std::error::Error;
use std::fmt;

use portcullis_store::{StoreError, StoreErrorKind};

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
