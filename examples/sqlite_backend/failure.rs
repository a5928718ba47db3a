//! [`Failure`]: what SQLite and records say when something is wrong, as the contract's errors.

use portcullis_store::{HeaderError, StoreError, StoreErrorKind};
use rusqlite::ErrorCode;

pub(super) struct Failure(StoreError);

impl Failure {
    /// Not a question of one record: the next transaction should have a new connection.
    pub(super) fn is_of_the_connection(&self) -> bool {
        self.0.kind() != StoreErrorKind::Corrupt
    }
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self(StoreError::with_source(kind(&error), error))
    }
}

/// A record that another version has written, or nobody: it is left as it is.
impl From<HeaderError> for Failure {
    fn from(error: HeaderError) -> Self {
        Self(StoreError::with_source(StoreErrorKind::Corrupt, error))
    }
}

impl From<Failure> for StoreError {
    fn from(failure: Failure) -> Self {
        failure.0
    }
}

fn kind(error: &rusqlite::Error) -> StoreErrorKind {
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => StoreErrorKind::Timeout,
        Some(ErrorCode::DiskFull) => StoreErrorKind::Full,
        Some(ErrorCode::TooBig) => StoreErrorKind::TooLarge,
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => StoreErrorKind::Corrupt,
        Some(ErrorCode::PermissionDenied | ErrorCode::ReadOnly) => StoreErrorKind::Config,
        _ => StoreErrorKind::Unavailable,
    }
}
