//! [`SessionBackend`]: what a place that keeps sessions must do.

use std::future::Future;

use crate::{Key, Locator, Record, StoreError, Tag, Timestamp, UserKey};

/// A place that keeps sessions, and an index of each user's sessions.
///
/// # Promises that every implementation keeps
///
/// * **An outage is an error**, never `None`, `Gone` or an empty list.
/// * **Every write may be sent twice**, at any distance in time, with the effect of once. Writes are named by the
///   [`Tag`] they carry for that purpose.
/// * **A destroyed or expired record never comes back** through [`save`](Self::save) or [`touch`](Self::touch).
/// * **A record of an unknown format version is never written to**: [`StoreErrorKind::Corrupt`].
/// * **Each call ends within the backend's own budget**, well under a second, with
///   [`StoreErrorKind::Timeout`] or [`StoreErrorKind::Unavailable`] if need be.
/// * **Dropping a future** leaves the store as if the call had timed out: the write was applied whole or not at all.
///
/// The conformance suite in `portcullis-testkit` checks them.
///
/// # Index
///
/// An entry without a session is harmless and drops out by its deadline. A session that is missing from its user's
/// index would survive a revocation; so callers create the session first, the entry second, and hand out the token
/// last; and they destroy the session before the entry.
///
/// [`StoreErrorKind::Corrupt`]: crate::StoreErrorKind::Corrupt
/// [`StoreErrorKind::Timeout`]: crate::StoreErrorKind::Timeout
/// [`StoreErrorKind::Unavailable`]: crate::StoreErrorKind::Unavailable
pub trait SessionBackend: Send + Sync + 'static {
    /// The record under `key`, or `None` when there is none or it has expired.
    fn load(&self, key: Key<'_>) -> impl Future<Output = Result<Option<Record>, StoreError>> + Send;

    /// What [`load`](Self::load) would give, when it can be had without waiting; `None` to have `load` asked.
    ///
    /// For backends in this process: it saves a boxed future per request.
    fn load_now(&self, key: Key<'_>) -> Option<Result<Option<Record>, StoreError>> {
        let _ = key;
        None
    }

    /// Several records at once, in the order of `keys`, in one round trip where the store can.
    fn load_many(
        &self,
        keys: &[Key<'_>],
    ) -> impl Future<Output = Result<Vec<Option<Record>>, StoreError>> + Send;

    /// Stores a new record, to expire at the sooner of its two deadlines.
    ///
    /// A key that exists is left alone and reported as [`Created::Taken`], unless it carries this record's own tag:
    /// then this is a resend, and [`Created::Done`].
    fn create(
        &self,
        key: Key<'_>,
        record: &Record,
    ) -> impl Future<Output = Result<Created, StoreError>> + Send;

    /// [`create`](Self::create), then [`enrol`](Self::enrol) under `user` until the record's absolute deadline, in
    /// this order. A store that keeps order on a connection can send both at once.
    ///
    /// On an error the record may exist without its entry; the caller destroys it.
    fn create_enrolled(
        &self,
        key: Key<'_>,
        record: &Record,
        user: UserKey<'_>,
    ) -> impl Future<Output = Result<Created, StoreError>> + Send {
        async move {
            let created = self.create(key, record).await?;
            if created == Created::Done {
                self.enrol(user, key.locator, record.header.absolute_deadline).await?;
            }
            Ok(created)
        }
    }

    /// Replaces the record if the stored one still carries the tag `expected`: compare and set.
    ///
    /// Key expiry and the stored [`idle_deadline`](crate::Header::idle_deadline) stay as they are, whatever `record`
    /// says. A stored record that carries `record`'s own tag, as its current one or in its history, means that this
    /// write was applied before: [`Saved::Done`].
    fn save(
        &self,
        key: Key<'_>,
        expected: Tag,
        record: &Record,
    ) -> impl Future<Output = Result<Saved, StoreError>> + Send;

    /// Moves the idle deadline to now plus the record's idle time, never backwards, never past the absolute
    /// deadline, and the key's expiry with it. Now is the store's clock.
    fn touch(&self, key: Key<'_>) -> impl Future<Output = Result<Touched, StoreError>> + Send;

    /// Deletes records. When it returns, no [`load`](Self::load) anywhere finds them.
    fn destroy(&self, keys: &[Key<'_>]) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Enters a session in its user's index until `deadline`, its absolute deadline; drops entries past theirs.
    fn enrol(
        &self,
        user: UserKey<'_>,
        locator: Locator,
        deadline: Timestamp,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Takes sessions out of their user's index. Entries that are not there are no error.
    fn withdraw(
        &self,
        user: UserKey<'_>,
        locators: &[Locator],
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// The sessions in a user's index whose deadline has not passed. Some may have ended.
    fn members(&self, user: UserKey<'_>) -> impl Future<Output = Result<Vec<Locator>, StoreError>> + Send;
}

/// What became of a [`create`](SessionBackend::create).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Created {
    /// The record is stored, by this call or by an earlier send of it.
    Done,
    /// Another record is there. Nothing was changed.
    Taken,
}

/// What became of a [`save`](SessionBackend::save).
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
#[expect(
    clippy::large_enum_variant,
    reason = "it lives for one match; a box would cost an allocation per conflict"
)]
pub enum Saved {
    /// The record is stored, by this call or by an earlier send of it.
    Done,
    /// There is no record any more. Nothing was written.
    Gone,
    /// Another write came in between. Nothing was written.
    Conflict {
        /// The record as it stands.
        current: Record,
        /// Whether an earlier send of this write went unanswered. Then it may have been applied and overwritten
        /// since; [`Header::proves`](crate::Header::proves) may tell.
        in_doubt: bool,
    },
}

/// What became of a [`touch`](SessionBackend::touch).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Touched {
    /// The session lives until this idle deadline.
    Alive(Timestamp),
    /// There is no record any more.
    Gone,
}
