//! [`Cleared`]: word of a token that a store has not revoked, for copies of the layer further in. Pure.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use portcullis_store::Timestamp;

use super::{Marks, RevocationCheck};

/// A token of which a store that had to be waited for has said that it is not revoked.
///
/// The layer that has waited leaves it in the request's extensions, so that an inner copy does not wait for the same answer
/// again. Where a store answers at once, and where nobody could say, nothing is left.
#[derive(Clone)]
pub(in crate::bearer) struct Cleared {
    pub(in crate::bearer) check: Arc<RevocationCheck>,
    pub(in crate::bearer) marks: Marks,
    /// When the store was asked.
    pub(in crate::bearer) asked: Timestamp,
}

/// For how long it counts. A request needs no more to get from layer to layer, and its extensions may be copied into what
/// goes on for hours.
const COUNTS: Duration = Duration::from_secs(1);

impl Cleared {
    /// Whether the same check would now ask about the same token.
    pub(in crate::bearer) fn answers(
        &self,
        check: &Arc<RevocationCheck>,
        marks: &Marks,
        now: Timestamp,
    ) -> bool {
        // A clock that was set back makes nothing younger.
        let is_young = self.asked <= now && now <= self.asked.saturating_add(COUNTS);
        is_young && Arc::ptr_eq(&self.check, check) && self.marks == *marks
    }
}

impl fmt::Debug for Cleared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cleared").field("asked", &self.asked).finish_non_exhaustive()
    }
}
