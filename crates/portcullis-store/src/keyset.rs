//! [`KeySetBackend`]: a place where a fleet keeps what its issuers were last heard to publish.

use std::future::Future;
use std::time::Duration;

use crate::{Locator, StoreError};

/// A place where a fleet keeps the key sets that its issuers were last heard to publish, so that one process asks for all,
/// and one that starts while an issuer is away has its keys.
///
/// Whoever can write there can put a key of their own in an issuer's place, and sign every token: it is to be as well
/// guarded as the sessions. What comes out of it is read as strictly as what an issuer sends.
///
/// # Promises that every implementation keeps
///
/// * **An outage is an error**, never the absence of a set.
/// * **Of two sets the one that is less old stays**, whichever is saved last. Ages are counted by the store's clock, for
///   those of processes differ.
/// * **A lease has one holder at a time**, and ends by itself. Who holds it may take it again.
/// * **Every write may be sent twice** with the effect of once.
/// * **Each call ends within the backend's own budget**, well under a second.
///
/// The conformance suite in `portcullis-testkit` (`conformance::key_set`) checks them.
///
/// # How to write one
///
/// It needs two values for each issuer, of which either expires by itself: the set, and who holds the lease.
///
/// * With a set stands when its issuer was asked, by the store's clock: the time at which it is saved, less its
///   [`age`](SharedKeySet::age). What [`load`](Self::load) gives is the age by then.
/// * [`save`](Self::save) compares that moment with the one that is there and writes, in one step. A set that comes too late
///   changes nothing, not even for how long the other is kept. One that claims to be of the future should not stand in the
///   way of others.
/// * [`lease`](Self::lease) looks and writes in one step, too. Its holder, who asks again, has it for as long as was said
///   last.
/// * [`release`](Self::release) compares first: the lease may have ended, and be another's by now.
pub trait KeySetBackend: Send + Sync + 'static {
    /// The set of this issuer, if there is one.
    fn load(&self, issuer: Locator) -> impl Future<Output = Result<Option<SharedKeySet>, StoreError>> + Send;

    /// Keeps the set for so long, unless the one that is there is less old. A store may refuse one of over
    /// [`LONGEST_KEY_SET`] bytes.
    fn save(
        &self,
        issuer: Locator,
        set: SharedKeySet,
        keep: Duration,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Whether `holder` may ask the issuer: nobody else may, for as long as is said.
    fn lease(
        &self,
        issuer: Locator,
        holder: Locator,
        lease: Duration,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// Ends the lease, if `holder` has it.
    fn release(
        &self,
        issuer: Locator,
        holder: Locator,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;
}

/// The longest document that is shared, in bytes: the longest that is fetched.
pub const LONGEST_KEY_SET: usize = 512 * 1024;

/// What an issuer was heard to publish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedKeySet {
    /// Tells it from others, also of the same keys: random bits, new with each fetch.
    pub tag: Locator,
    /// How long ago the issuer was asked.
    pub age: Duration,
    /// For how long the issuer said that it holds, counted from when it was asked.
    pub ttl: Duration,
    /// The document, as it came.
    pub document: Vec<u8>,
}
