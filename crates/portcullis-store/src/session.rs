//! [`SessionBackend`]: what a place that keeps sessions must do.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use crate::{
    CredentialVersion, Enrolled, Enrolment, Key, Locator, Realm, Record, StoreError, Tag, Timestamp, UserKey,
    Watcher, Watching,
};

/// A place that keeps sessions, and an index of each user's sessions.
///
/// # Promises that every implementation keeps
///
/// * **An outage is an error**, never `None`, `Gone` or an empty list.
/// * **Every write may be sent twice**, at any distance in time, with the effect of once. Writes are named by the
///   [`Tag`] they carry for that purpose.
/// * **A destroyed or expired record never comes back** through [`save`](Self::save) or [`touch`](Self::touch).
/// * **A record of an unknown format version is never written to**: [`StoreErrorKind::Corrupt`]. Only a
///   [`destroy`](Self::destroy) ends it.
/// * **Each call ends within the backend's own budget**, well under a second, with
///   [`StoreErrorKind::Timeout`] or [`StoreErrorKind::Unavailable`] if need be.
/// * **Dropping a future** leaves the store as if the call had timed out: the write was applied whole or not at all.
///
/// * **The limit of an [`Enrolment`] is exact** and its credential version is compared in the same step as the entry is
///   made: whatever runs at the same time, in this process or another, comes wholly before or wholly after.
///
/// The conformance suite in `portcullis-testkit` checks them. The [guide](crate::guide) says what they are for.
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
    /// For backends in this process: it saves a boxed future per request, and reading a clock twice. `now` is what the
    /// caller's clock says. A backend may tell by it what has expired, if callers are to have the same clock; one with a
    /// time of its own has no use for it.
    ///
    /// Either clock may be behind the other. What has expired by one of them only may be given or not; what was
    /// [destroyed](Self::destroy) is not given, however early `now` is.
    fn load_now(&self, key: Key<'_>, now: Timestamp) -> Option<Result<Option<Record>, StoreError>> {
        let _ = (key, now);
        None
    }

    /// Within what time every single call ends, those that have a default included, whatever becomes of the store. Whoever
    /// would wait as long then needs no timer of its own for each call.
    ///
    /// `None`, the default, says nothing but what every backend promises: well under a second.
    fn budget(&self) -> Option<Duration> {
        None
    }

    /// How large a record may be, in bytes, header included. The layers refuse a larger one where it is written, before
    /// anything is sent, so that an application can tell its user.
    ///
    /// `None`, the default, says that any that a layer allows will do; what is too large all the same is
    /// [`TooLarge`](crate::StoreErrorKind::TooLarge).
    fn max_record_len(&self) -> Option<usize> {
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

    /// [`create`](Self::create), then [`enrol`](Self::enrol), in this order. A store that keeps order on a connection
    /// can send both at once.
    ///
    /// On an error, and with every answer but [`Enrolled::Done`] and [`Enrolled::Taken`], the record may exist without
    /// its entry: the caller destroys it, or calls `enrol` until it is `Done`.
    fn create_enrolled(
        &self,
        key: Key<'_>,
        record: &Record,
        enrolment: Enrolment<'_>,
    ) -> impl Future<Output = Result<Enrolled, StoreError>> + Send {
        async move {
            match self.create(key, record).await? {
                Created::Done => self.enrol(key.locator, enrolment).await,
                Created::Taken => Ok(Enrolled::Taken),
            }
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

    /// Deletes records, and what is none of a format that it knows. When it returns, no [`load`](Self::load) anywhere finds them.
    fn destroy(&self, keys: &[Key<'_>]) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// [`destroy`](Self::destroy), then waits until `replicas` replicas of the store say that they have it, for as long as
    /// the budget allows. Gives how many have: of the session that fewest have, if the keys are on several servers; 0 of
    /// no keys.
    ///
    /// * With `Ok` the records have ended, however few have confirmed it. Fewer than asked for is no error; calling again
    ///   waits again, also for what has ended before.
    /// * No replica counts that has not got the deletion. One that has may still lose it with its own memory.
    /// * The wait keeps no other call waiting.
    ///
    /// The default is for a store without replicas, or with some that cannot be asked: `destroy`, and 0.
    fn destroy_durably(
        &self,
        keys: &[Key<'_>],
        replicas: u32,
    ) -> impl Future<Output = Result<u32, StoreError>> + Send {
        let _ = replicas;
        async move { self.destroy(keys).await.map(|()| 0) }
    }

    /// Deletes the record if it still carries the tag `expected`: compare and delete. So whoever takes over what the
    /// record held has all of it, and nobody else has.
    ///
    /// `write` names this write: one that is sent again finds no record, and has to tell that it was itself that deleted
    /// it. It should work in a store that has no room; there it may forget that, and say [`Destroyed::Gone`].
    fn destroy_unchanged(
        &self,
        key: Key<'_>,
        expected: Tag,
        write: Tag,
    ) -> impl Future<Output = Result<Destroyed, StoreError>> + Send;

    /// [`destroy`](Self::destroy) of one session and [`withdraw`](Self::withdraw) of its entry, in one step, for stores
    /// that have one. It may be that only the first is done: then it is [`AtOnce::NotDone`], too.
    ///
    /// [`AtOnce::NotDone`], the default, has the caller go by steps.
    fn destroy_enrolled(
        &self,
        key: Key<'_>,
        user: UserKey<'_>,
    ) -> impl Future<Output = Result<AtOnce, StoreError>> + Send {
        let _ = (key, user);
        async { Ok(AtOnce::NotDone) }
    }

    /// [`create_enrolled`](Self::create_enrolled) and [`destroy_unchanged`](Self::destroy_unchanged) of the session
    /// before, all of it in one step or nothing at all, for stores that can. A login is this.
    ///
    /// * [`AtOnce::Done`] only if the enrolment is, the key is free, and `before` carries the tag `expected`; or if an
    ///   earlier send of this was, as `record` under `key` and nothing under `before` prove.
    /// * [`AtOnce::NotDone`] for every other reason, and the default, has the caller go by steps, which tell the reason.
    fn supersede(
        &self,
        before: Key<'_>,
        expected: Tag,
        key: Key<'_>,
        record: &Record,
        enrolment: Enrolment<'_>,
    ) -> impl Future<Output = Result<AtOnce, StoreError>> + Send {
        let _ = (before, expected, key, record, enrolment);
        async { Ok(AtOnce::NotDone) }
    }

    /// Enters a session in its user's index, and drops entries past their deadlines; all in one step:
    ///
    /// 1. Unless the user's credential version is the one that the enrolment names, if any, nothing changes:
    ///    [`Enrolled::StaleCredential`].
    /// 2. [`evicted`](Enrolment::evicted) entries are taken out.
    /// 3. A session that is there already stays, until the later deadline: [`Enrolled::Done`], whatever the limit.
    /// 4. If as many others as the [`limit`](Enrolment::limit) are there, not counting the one that it
    ///    [`replaces`](Enrolment::replaces), nothing else changes: [`Enrolled::Full`], with those others.
    /// 5. Else it is entered: [`Enrolled::Done`].
    fn enrol(
        &self,
        locator: Locator,
        enrolment: Enrolment<'_>,
    ) -> impl Future<Output = Result<Enrolled, StoreError>> + Send;

    /// Takes sessions out of their user's index. Entries that are not there are no error.
    fn withdraw(
        &self,
        user: UserKey<'_>,
        locators: &[Locator],
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// The sessions in a user's index whose deadline has not passed. Some may have ended.
    fn members(&self, user: UserKey<'_>) -> impl Future<Output = Result<Vec<Locator>, StoreError>> + Send;

    /// How often the user's credentials were changed, as far as is known; the default version when never.
    fn credential_version(
        &self,
        user: UserKey<'_>,
    ) -> impl Future<Output = Result<CredentialVersion, StoreError>> + Send;

    /// Makes every version of the user's that was read before stale, and gives the new one. It may be forgotten when
    /// `keep` has passed, by the longest of several. It works in a store that has no room for sessions.
    ///
    /// Sent twice it counts twice: that makes one more version stale, and none good again.
    fn bump_credential_version(
        &self,
        user: UserKey<'_>,
        keep: Duration,
    ) -> impl Future<Output = Result<CredentialVersion, StoreError>> + Send;

    /// Has `watcher` told of every session of `realm` that is [destroyed](Self::destroy), also if it is so
    /// [unchanged](Self::destroy_unchanged) or [durably](Self::destroy_durably), by whichever process, until the [`Watching`] is dropped. Sessions that expire
    /// are not told.
    ///
    /// * The watcher is told [`Hearing`](crate::Notice::Hearing) when that begins, maybe before this returns, and again
    ///   whenever something may have been missed.
    /// * It is told [`Deaf`](crate::Notice::Deaf) as soon as the backend knows that it can no longer tell.
    /// * It is told what was destroyed when that stands, so that a [`load`](Self::load) finds nothing.
    ///
    /// `None`, the default, where a store cannot tell: then callers ask for themselves, now and then.
    fn watch(&self, realm: &Realm, watcher: Arc<dyn Watcher>) -> Option<Watching> {
        let _ = (realm, watcher);
        None
    }
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

/// What became of a [`destroy_unchanged`](SessionBackend::destroy_unchanged).
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Destroyed {
    /// The record was as expected and is deleted, by this call or by an earlier send of it.
    Done,
    /// There is none: it has expired, or somebody else has deleted it.
    Gone,
    /// Another write came in between. Nothing was deleted.
    Conflict {
        /// The record as it stands.
        current: Record,
    },
}

/// What became of something that a store may do in one step:
/// [`destroy_enrolled`](SessionBackend::destroy_enrolled) or [`supersede`](SessionBackend::supersede).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum AtOnce {
    /// It is done, by this call or by an earlier send of it.
    Done,
    /// It is to be done by steps, in their order.
    NotDone,
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
