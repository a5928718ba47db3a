//! The conformance suite of [`SessionBackend`]: each promise of its documentation, checked.
//!
//! * A [`Harness`] tells the suite how to reach the store; handles on one store are all it must give.
//! * Every check works on random keys of its own, so a store may hold anything else, and be used again.
//! * A store with a clock that can be moved is checked in no time; any other in about two seconds.
//! * The suite starts tasks, so it needs a tokio runtime; one with several threads checks more.
//!
//! ```
//! # use portcullis_store::*;
//! # use portcullis_testkit::conformance::{Harness, session};
//! # #[derive(Clone)] struct MyBackend;
//! # impl SessionBackend for MyBackend {
//! #     async fn load(&self, _: Key<'_>) -> Result<Option<Record>, StoreError> { Ok(None) }
//! #     async fn load_many(&self, _: &[Key<'_>]) -> Result<Vec<Option<Record>>, StoreError> { Ok(vec![]) }
//! #     async fn create(&self, _: Key<'_>, _: &Record) -> Result<Created, StoreError> { Ok(Created::Done) }
//! #     async fn save(&self, _: Key<'_>, _: Tag, _: &Record) -> Result<Saved, StoreError> { Ok(Saved::Gone) }
//! #     async fn touch(&self, _: Key<'_>) -> Result<Touched, StoreError> { Ok(Touched::Gone) }
//! #     async fn destroy(&self, _: &[Key<'_>]) -> Result<(), StoreError> { Ok(()) }
//! #     async fn destroy_unchanged(&self, _: Key<'_>, _: Tag, _: Tag) -> Result<Destroyed, StoreError> {
//! #         Ok(Destroyed::Gone)
//! #     }
//! #     async fn enrol(&self, _: Locator, _: Enrolment<'_>) -> Result<Enrolled, StoreError> { Ok(Enrolled::Done) }
//! #     async fn withdraw(&self, _: UserKey<'_>, _: &[Locator]) -> Result<(), StoreError> { Ok(()) }
//! #     async fn members(&self, _: UserKey<'_>) -> Result<Vec<Locator>, StoreError> { Ok(vec![]) }
//! #     async fn credential_version(&self, _: UserKey<'_>) -> Result<CredentialVersion, StoreError> {
//! #         Ok(CredentialVersion(0))
//! #     }
//! #     async fn bump_credential_version(
//! #         &self, _: UserKey<'_>, _: std::time::Duration,
//! #     ) -> Result<CredentialVersion, StoreError> {
//! #         Ok(CredentialVersion(1))
//! #     }
//! # }
//! # impl MyBackend { async fn connect() -> Self { Self } }
//! struct MyStore;
//!
//! impl Harness for MyStore {
//!     type Backend = MyBackend;
//!
//!     async fn handle(&self) -> MyBackend {
//!         MyBackend::connect().await // each time to the same store
//!     }
//! }
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! // In a `#[tokio::test]`: `session::run(&MyStore).await` panics and names every promise that is broken.
//! let report = session::report(&MyStore).await;
//! # let report = report.into_iter().filter(|(promise, _)| *promise == session::Promise::DestroyIsIdempotent);
//! for (promise, verdict) in report {
//!     println!("{promise:?}: {promise}: {verdict:?}");
//! }
//! # });
//! ```

mod concurrency;
mod expiry;
mod failure;
mod index;
mod limits;
mod records;
mod stage;
mod steps;
mod watches;

use portcullis_store::SessionBackend;

use self::stage::{Stage, Stop};
pub use super::Verdict;
use super::promises;

/// How the suite reaches the store under test: by any harness whose backend is one of sessions.
pub trait Harness: super::Harness<Backend: SessionBackend> {}

impl<H: super::Harness<Backend: SessionBackend>> Harness for H {}

promises! {
    /// A record is loaded as it was created, whatever its fields.
    RecordsSurvive => records::records_survive,
    /// A payload of any bytes, empty or of 32 KiB, is loaded as it was stored.
    PayloadsSurvive => records::payloads_survive,
    /// What was never stored is absent, and a save or touch of it is Gone and stores nothing.
    AbsentIsAbsent => records::absent_is_absent,
    /// `load_many` answers in the order of the keys, absent and repeated ones included.
    ManyInOrder => records::many_in_order,
    /// A create leaves another record under its key alone and is Taken.
    CreateTakesNothing => records::create_takes_nothing,
    /// A create that is sent again is Done and changes nothing, also after saves.
    CreateMayBeResent => records::create_may_be_resent,
    /// A save with the current tag replaces payload and header.
    SaveReplaces => records::save_replaces,
    /// A save with any other tag is a Conflict that shows the record as it stands, and writes nothing.
    SaveComparesTags => records::save_compares_tags,
    /// A save that is sent again, at once or after up to three other writes, is Done and changes nothing.
    SaveMayBeResent => records::save_may_be_resent,
    /// A save that is sent again after four or more other writes changes nothing and is a Conflict.
    AncientResendConflicts => records::ancient_resend_conflicts,
    /// A destroyed session never comes back through a save, a save sent again, or a touch.
    DestroyIsForEver => records::destroy_is_for_ever,
    /// A destroy ends the sessions it names and no other, in one call.
    DestroyNamesItsVictims => records::destroy_names_its_victims,
    /// A destroy of what is not there, or of nothing, is no error.
    DestroyIsIdempotent => records::destroy_is_idempotent,
    /// A `destroy_durably` is a destroy, of what is there and what is not, whether or not replicas confirm it.
    DestroyDurablyDestroys => records::destroy_durably_destroys,
    /// A `destroy_unchanged` with the current tag destroys for ever; with any other it is a Conflict that shows the record.
    DestroyUnchangedComparesTags => records::destroy_unchanged_compares_tags,
    /// A `destroy_unchanged` of what is not there, or no longer, is Gone.
    DestroyUnchangedOfNothingIsGone => records::destroy_unchanged_of_nothing_is_gone,
    /// One locator in two realms is two sessions.
    RealmsAreApart => records::realms_are_apart,
    /// Every handle sees at once what another has written or destroyed.
    HandlesAgree => records::handles_agree,
    /// A session that is not touched ends at its idle deadline, not before, for every operation.
    IdleEnds => expiry::idle_ends,
    /// A session ends at its absolute deadline, for every operation.
    AbsoluteEnds => expiry::absolute_ends,
    /// A create under the key of an expired session is Done.
    ExpiredKeysAreFree => expiry::expired_keys_are_free,
    /// A touch moves the idle deadline to now plus the idle time and reports it, and the session lives until then.
    TouchProlongs => expiry::touch_prolongs,
    /// A touch never moves the idle deadline backwards.
    TouchNeverShortens => expiry::touch_never_shortens,
    /// A touch never moves the idle deadline past the absolute deadline.
    TouchIsCapped => expiry::touch_is_capped,
    /// A touch changes the idle deadline alone: a save in flight does not conflict with it.
    TouchConflictsWithNothing => expiry::touch_conflicts_with_nothing,
    /// A save keeps the stored idle deadline, later or sooner, whatever its record says.
    SaveKeepsIdleDeadline => expiry::save_keeps_idle_deadline,
    /// A save, sent once or again, does not change when the session ends, whatever its record says.
    SaveKeepsExpiry => expiry::save_keeps_expiry,
    /// A user's index holds what was enrolled and not withdrawn, each session once, however often it was sent.
    IndexIsASet => index::index_is_a_set,
    /// The index of a user without sessions is empty, and a withdrawal from it is no error.
    NobodyHasNoMembers => index::nobody_has_no_members,
    /// An entry leaves the index at its own deadline, whatever the order in which entries came.
    EntriesEnd => index::entries_end,
    /// An entry that is enrolled again with a later deadline stays until then.
    EntriesAreProlonged => index::entries_are_prolonged,
    /// Users and realms have indexes apart, and an index is not a session of the same name.
    IndexesAreApart => index::indexes_are_apart,
    /// `create_enrolled` stores the record and enters it until its absolute deadline, once however often it is sent.
    CreateEnrolledEnters => index::create_enrolled_enters,
    /// `create_enrolled` of a taken key enters nothing.
    CreateEnrolledTakesNothing => index::create_enrolled_takes_nothing,
    /// A `destroy_enrolled` that is Done has destroyed the session and taken it out of the index, and no other.
    DestroyEnrolledDoesBoth => steps::destroy_enrolled_does_both,
    /// A `supersede` that is Done, also when sent again, has created, entered and destroyed.
    SupersedeDoesAll => steps::supersede_does_all,
    /// A `supersede` that cannot be done whole does nothing.
    SupersedeDoesNothing => steps::supersede_does_nothing,
    /// What was expected of a session that is superseded holds every save that was Done.
    SupersedeTakesOverAll => steps::supersede_takes_over_all,
    /// A session beyond the limit is Full, shows the others and is not entered; one that is entered stays, and is Done.
    LimitsHold => limits::limits_hold,
    /// Evicted entries are taken out, also when it is Full; the one to be replaced does not count, and stays.
    EvictedGiveWay => limits::evicted_give_way,
    /// `create_enrolled` of a session beyond the limit is Full; the session can be enrolled when there is room.
    CreateEnrolledKeepsTheLimit => limits::create_enrolled_keeps_the_limit,
    /// An enrolment that names a stale credential version is refused, changes nothing, and says so before it says Full.
    StaleCredentialsAreRefused => limits::stale_credentials_are_refused,
    /// A bump changes a user's credential version, and no other user's, for as long as it is to be kept.
    VersionsChange => limits::versions_change,
    /// Of concurrent creates under one key exactly one is Done.
    OneCreateWins => concurrency::one_create_wins,
    /// Of concurrent saves that expect one tag exactly one is Done, and the others are shown it.
    OneSaveWins => concurrency::one_save_wins,
    /// 64 concurrent counters, with touches in between, lose and repeat no increment.
    CountersAreExact => concurrency::counters_are_exact,
    /// One save sent several times at once is applied once.
    ConcurrentResendsApplyOnce => concurrency::concurrent_resends_apply_once,
    /// A destroy wins against the saves and touches that it races.
    DestroyWinsRaces => concurrency::destroy_wins_races,
    /// Of several who destroy one unchanged record exactly one is Done.
    OneDestroysUnchanged => concurrency::one_destroys_unchanged,
    /// What was expected of a record that is destroyed unchanged holds every save that was Done.
    HandoversAreExact => concurrency::handovers_are_exact,
    /// Concurrent enrolments are all kept.
    EnrolmentsAreAllKept => concurrency::enrolments_are_all_kept,
    /// Of concurrent enrolments for the last place exactly one is Done, and the others are shown it.
    OneTakesTheLastPlace => concurrency::one_takes_the_last_place,
    /// Of concurrent bumps each gives a version of its own.
    BumpsDiffer => concurrency::bumps_differ,
    /// An enrolment of a named version that races a bump is refused, or is in the index when the bump is done.
    BumpsExcludeEnrolments => concurrency::bumps_exclude_enrolments,
    /// A write whose future is dropped is applied whole or not at all, and its handle stays usable.
    DroppedWritesAreWhole => concurrency::dropped_writes_are_whole,
    /// A watcher hears, and is told of every session of its realm that any handle destroys, when it is gone.
    WatchersAreTold => watches::watchers_are_told,
    /// A watcher is told of no other realm, of no save or touch, and of nothing when its watch is dropped.
    WatchersAreToldNothingElse => watches::watchers_are_told_nothing_else,
    /// What is not a record of this version is Corrupt and is never written to; a destroy ends it.
    ForeignRecordsAreLeftAlone => failure::foreign_records_are_left_alone,
    /// Out of reach is Unavailable or Timeout within a second, never an absent record or an empty list.
    AnOutageIsAnError => failure::an_outage_is_an_error,
}
