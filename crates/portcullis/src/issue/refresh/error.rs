//! [`RefreshError`]: why nothing was refreshed.

use std::error::Error;
use std::fmt;

use portcullis_store::StoreError;

use crate::issue::{IssueError, IssueErrorKind};

/// Nothing was refreshed.
///
/// The text is for operators and not part of the API; match on [`RefreshError::kind`].
#[derive(Debug)]
pub struct RefreshError {
    kind: RefreshErrorKind,
    source: Option<IssueError>,
}

/// The classes of [`RefreshError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RefreshErrorKind {
    /// The token is no good: `invalid_grant` (RFC 6749, section 5.2). Its user has to sign in again.
    Refused(RefreshRefusal),
    /// A scope was asked for that was not granted: `invalid_scope`. The token stays good.
    InvalidScope,
    /// No token could be minted, or the store is away: 503. The token stays good.
    Issue(IssueErrorKind),
}

/// Why a refresh token is no good. It is for logs and counters; the client learns nothing of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RefreshRefusal {
    /// It has not the form of one.
    Malformed,
    /// It carries no MAC of ours, for this client and this key. The store was not asked.
    Forged,
    /// Its family has ended, or never was.
    Ended,
    /// Its family, its user or everyone was revoked.
    Revoked,
    /// It was used before: its family has ended by that.
    Reused,
}

impl RefreshError {
    /// The class of the error.
    #[must_use]
    pub const fn kind(&self) -> RefreshErrorKind {
        self.kind
    }
}

impl RefreshRefusal {
    /// A stable label for counters and log fields.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Forged => "forged",
            Self::Ended => "ended",
            Self::Revoked => "revoked",
            Self::Reused => "reused",
        }
    }
}

impl From<RefreshRefusal> for RefreshError {
    fn from(refusal: RefreshRefusal) -> Self {
        RefreshErrorKind::Refused(refusal).into()
    }
}

impl From<RefreshErrorKind> for RefreshError {
    fn from(kind: RefreshErrorKind) -> Self {
        Self { kind, source: None }
    }
}

impl From<IssueError> for RefreshError {
    fn from(error: IssueError) -> Self {
        Self { kind: RefreshErrorKind::Issue(error.kind()), source: Some(error) }
    }
}

impl From<StoreError> for RefreshError {
    fn from(error: StoreError) -> Self {
        IssueError::from(error).into()
    }
}

impl fmt::Display for RefreshError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            RefreshErrorKind::Refused(_) => "the refresh token is no good",
            RefreshErrorKind::InvalidScope => "a scope was asked for that was not granted",
            RefreshErrorKind::Issue(_) => "no token could be minted",
        })
    }
}

impl Error for RefreshError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_ref().map(|source| source as &(dyn Error + 'static))
    }
}
