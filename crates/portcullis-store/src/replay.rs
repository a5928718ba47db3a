//! [`ReplayBackend`]: what a place must do that knows what has been used once and must not be used again.

use std::future::Future;
use std::time::Duration;

use crate::{Locator, Realm, StoreError};

/// A place that knows which names have been claimed: those of proofs that are good for one request (RFC 9449,
/// section 11.1).
///
/// It keeps no proofs. A proof's id is hashed, together with its key, before a backend sees it.
///
/// # Promises that every implementation keeps
///
/// * **A name is claimed once**: of all claims of it, through whatever handle, at the same time or one after another,
///   one is [`Claimed::First`], and the others are [`Claimed::Again`].
/// * **It stays claimed for at least as long as `keep`** of the first claim, whatever the others say, and is forgotten soon
///   after.
/// * **A claim that the backend sends again by itself is one claim**: what was sent twice because an answer was lost is not
///   a second use.
/// * **An outage is an error**, never a first claim; and a store that has no room for a name has not claimed it.
/// * **Each call ends within the backend's own budget**, well under a second.
///
/// The conformance suite in `portcullis-testkit` (`conformance::replay`) checks them, but for what only a network can do.
///
/// # How to write one
///
/// It needs one value for each name, which expires by itself.
///
/// * [`claim`](Self::claim) looks and writes in one step: an insert that fails where the name is, `SET NX`, a lock.
/// * With a name stands who has claimed it: random bits, new with each call. A call that is sent again because its answer was
///   lost finds its own bits there, and is the first.
/// * A name whose time is over, by the store's clock, is free, also before it is deleted.
/// * A name that is refused for want of room is an error. Do not make room by forgetting names whose time is not over: they
///   could be used again.
pub trait ReplayBackend: Send + Sync + 'static {
    /// Claims a name for so long, in one round trip.
    fn claim(
        &self,
        realm: &Realm,
        name: Locator,
        keep: Duration,
    ) -> impl Future<Output = Result<Claimed, StoreError>> + Send;

    /// What [`claim`](Self::claim) would do, when it can be done without waiting; `None` to have `claim` called.
    ///
    /// For backends in this process: it saves a boxed future per request.
    fn claim_now(&self, realm: &Realm, name: Locator, keep: Duration) -> Option<Result<Claimed, StoreError>> {
        let _ = (realm, name, keep);
        None
    }
}

/// Whether a name was claimed before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Claimed {
    /// Nobody has claimed it, as far as is known; it is claimed now.
    First,
    /// Somebody has claimed it, and nothing has changed.
    Again,
}
