//! [`StoreError`]: why a backend could not answer. An absent record is an answer, never an error.

use std::error::Error;
use std::fmt;

/// Why a backend could not answer.
///
/// The text is for operators and not part of the API; match on [`StoreError::kind`].
/// Neither the text nor the source may hold a key's secret, a password or a record's payload.
#[derive(Debug)]
pub struct StoreError {
    kind: StoreErrorKind,
    source: Option<Box<dyn Error + Send + Sync>>,
}

/// The classes of [`StoreError`] that a caller can act on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StoreErrorKind {
    /// No answer within the budget. A write may or may not have been applied.
    Timeout,
    /// The store is out of reach or not ready; the call may have reached it.
    Unavailable,
    /// The store has no room for a write. Reads, touches and deletions may still work.
    Full,
    /// What is stored cannot be read: not a record, or of an unknown format version. It is left as it is.
    Corrupt,
    /// The record is larger than the backend takes. Nothing was sent.
    TooLarge,
    /// The store refuses us: wrong password, missing permission, wrong kind of server. An operator must act.
    Config,
}

impl StoreError {
    /// An error of this kind without a cause.
    #[must_use]
    pub const fn new(kind: StoreErrorKind) -> Self {
        Self { kind, source: None }
    }

    /// An error of this kind with its cause.
    #[must_use]
    pub fn with_source(kind: StoreErrorKind, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { kind, source: Some(source.into()) }
    }

    /// The class of the error.
    #[must_use]
    pub const fn kind(&self) -> StoreErrorKind {
        self.kind
    }
}

impl StoreErrorKind {
    /// A stable label for counters and log fields.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Unavailable => "unavailable",
            Self::Full => "full",
            Self::Corrupt => "corrupt",
            Self::TooLarge => "too_large",
            Self::Config => "config",
        }
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            StoreErrorKind::Timeout => "the store did not answer in time",
            StoreErrorKind::Unavailable => "the store is out of reach",
            StoreErrorKind::Full => "the store is full",
            StoreErrorKind::Corrupt => "the stored record cannot be read",
            StoreErrorKind::TooLarge => "the record is larger than the store takes",
            StoreErrorKind::Config => "the store refuses the configured access",
        })
    }
}

impl Error for StoreError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn Error + 'static))
    }
}

impl From<StoreErrorKind> for StoreError {
    fn from(kind: StoreErrorKind) -> Self {
        Self::new(kind)
    }
}
