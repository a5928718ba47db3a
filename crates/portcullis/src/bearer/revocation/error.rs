//! [`RevocationError`]: why nothing was revoked, as far as is known.

use std::error::Error;
use std::fmt;

use portcullis_store::{StoreError, StoreErrorKind};

/// Nothing was revoked, as far as is known.
///
/// The text is for operators and not part of the API; match on [`RevocationError::kind`].
#[derive(Debug)]
pub struct RevocationError {
    kind: RevocationErrorKind,
    source: Option<StoreError>,
}

/// The classes of [`RevocationError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RevocationErrorKind {
    /// What somebody was recognised by is no bearer token, or has no id of this kind.
    NoSuchId,
    /// The store could not do it, or did not say that it has.
    Store(StoreErrorKind),
}

impl RevocationError {
    /// The class of the error.
    #[must_use]
    pub const fn kind(&self) -> RevocationErrorKind {
        self.kind
    }
}

impl From<RevocationErrorKind> for RevocationError {
    fn from(kind: RevocationErrorKind) -> Self {
        Self { kind, source: None }
    }
}

impl From<StoreError> for RevocationError {
    fn from(error: StoreError) -> Self {
        Self { kind: RevocationErrorKind::Store(error.kind()), source: Some(error) }
    }
}

impl From<RevocationError> for StoreError {
    /// That there is nothing to revoke by is a matter of the configuration.
    fn from(error: RevocationError) -> Self {
        match (error.source, error.kind) {
            (Some(error), _) => error,
            (None, RevocationErrorKind::Store(kind)) => kind.into(),
            (None, RevocationErrorKind::NoSuchId) => StoreErrorKind::Config.into(),
        }
    }
}

impl fmt::Display for RevocationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            RevocationErrorKind::NoSuchId => "the credential has no id to revoke it by",
            RevocationErrorKind::Store(_) => "the store of revocations failed",
        })
    }
}

impl Error for RevocationError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_ref().map(|source| source as &(dyn Error + 'static))
    }
}
