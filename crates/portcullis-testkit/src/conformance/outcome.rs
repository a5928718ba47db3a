//! How a check ends, and what every suite needs.

use std::future::Future;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use portcullis_store::{Locator, Realm, StoreError, StoreErrorKind};

/// Why a check stopped.
#[derive(Debug)]
pub(super) enum Stop {
    Broken(String),
    /// So much time passed between two calls that the check proves nothing.
    Late,
    NotChecked,
}

pub(super) type Outcome = Result<(), Stop>;

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        Self::Broken(format!("the backend failed: {error} ({:?})", error.kind()))
    }
}

/// Stops the check unless the claim holds.
macro_rules! ensure {
    ($holds:expr, $($how:tt)+) => {
        if !$holds {
            return Err($crate::conformance::outcome::Stop::Broken(format!($($how)+)));
        }
    };
}
pub(super) use ensure;

/// The operation must fail within a second, as one that found nobody.
pub(super) async fn fails<T>(operation: &str, call: impl Future<Output = Result<T, StoreError>>) -> Outcome {
    const BUDGET: Duration = Duration::from_secs(1);
    let Ok(answer) = tokio::time::timeout(BUDGET, call).await else {
        return Err(Stop::Broken(format!("{operation} took over a second")));
    };
    match answer.map_err(|error| error.kind()) {
        Err(StoreErrorKind::Timeout | StoreErrorKind::Unavailable) => Ok(()),
        Err(kind) => Err(Stop::Broken(format!("{operation} failed as {kind:?}"))),
        Ok(_) => Err(Stop::Broken(format!("{operation} gave an answer"))),
    }
}

pub(super) fn locator() -> Locator {
    let (high, low) = (u128::from(random()), u128::from(random()));
    Locator::from_bytes(((high << 64) | low).to_be_bytes())
}

/// A realm that no other check knows, so that none hears late what another has done.
pub(super) fn realm() -> Realm {
    format!("suite-{:016x}", random()).parse().unwrap_or_default()
}

/// The standard library's only source of random bits; they need to be distinct, not secret.
pub(super) fn random() -> u64 {
    RandomState::new().hash_one(0)
}
