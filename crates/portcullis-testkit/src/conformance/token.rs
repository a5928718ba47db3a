//! The conformance suite of [`TokenBackend`]: each promise of its documentation, checked.
//!
//! * A [`Harness`] tells the suite how to reach the store; handles on one store are all it must give.
//! * Every check works on random users of its own, so a store may hold anything else, and be used again. But for one, it
//!   also has a realm of its own, since what is revoked for everyone there stays so for a while.
//! * A store with a clock that can be moved is checked in three seconds, which is how long those are listened to who
//!   [watch](TokenBackend::watch_revocations); any other in about five. Of a backend that does not tell what is revoked that part
//!   is not checked.
//! * The suite starts tasks, so it needs a tokio runtime; one with several threads checks more.
//!
//! ```
//! use std::time::Duration;
//!
//! use portcullis_store::{Locator, Realm, StoreError, TokenBackend, TokenEpoch, TokenQuery, TokenStatus, UserKey};
//! use portcullis_testkit::conformance::Harness;
//! use portcullis_testkit::conformance::token::{self, Promise};
//!
//! struct MyBackend; // that has forgotten everything
//!
//! impl TokenBackend for MyBackend {
//!     async fn status(&self, _: TokenQuery<'_>) -> Result<TokenStatus, StoreError> { Ok(TokenStatus::default()) }
//!     async fn revoke_token(&self, _: UserKey<'_>, _: Locator, _: Duration) -> Result<(), StoreError> { Ok(()) }
//!     async fn revoke_family(&self, _: UserKey<'_>, _: Locator, _: Duration) -> Result<(), StoreError> { Ok(()) }
//!     async fn revoke_user(&self, _: UserKey<'_>, _: Duration) -> Result<TokenEpoch, StoreError> {
//!         Ok(TokenEpoch::default())
//!     }
//!     async fn revoke_everyone(&self, _: &Realm, _: Duration) -> Result<TokenEpoch, StoreError> {
//!         Ok(TokenEpoch::default())
//!     }
//! }
//!
//! struct MyStore;
//!
//! impl Harness for MyStore {
//!     type Backend = MyBackend;
//!
//!     async fn handle(&self) -> MyBackend {
//!         MyBackend // each time to the same store
//!     }
//! }
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! // In a `#[tokio::test]`: `token::run(&MyStore).await` panics and names every promise that is broken.
//! let verdict = token::check(&MyStore, Promise::TokensAreRevoked).await;
//! assert!(matches!(verdict, token::Verdict::Broken(_)));
//! # });
//! ```

mod concurrency;
pub(super) mod ear;
mod epochs;
mod failure;
mod marks;
mod stage;
mod watches;

use portcullis_store::TokenBackend;

use self::stage::Stage;
pub use super::Verdict;
use super::outcome::Stop;
use super::promises;

/// How the suite reaches the store under test: by any harness whose backend is one of revocations.
pub trait Harness: super::Harness<Backend: TokenBackend> {}

impl<H: super::Harness<Backend: TokenBackend>> Harness for H {}

promises! {
    /// Of a token that nobody has revoked, nothing is known, whatever parts of its name are asked for.
    NothingIsRevokedAtFirst => marks::nothing_is_revoked_at_first,
    /// A revoked token is revoked: that one, of that user, and no family of its name.
    TokensAreRevoked => marks::tokens_are_revoked,
    /// A revoked family is revoked: that one, of that user, and no token of its name.
    FamiliesAreRevoked => marks::families_are_revoked,
    /// A user whose tokens are revoked has the epoch that was answered, and no other user has.
    UsersAreRevoked => epochs::users_are_revoked,
    /// Everyone has the epoch that was answered, through other handles within five seconds.
    EveryoneIsRevoked => epochs::everyone_is_revoked,
    /// An epoch is the time by the store's clock.
    EpochsAreTheTime => epochs::epochs_are_the_time,
    /// Each epoch of a user, and of everyone, is later than the one before.
    EpochsOnlyRise => epochs::epochs_only_rise,
    /// What one handle has revoked, another sees at once.
    HandlesAgree => marks::handles_agree,
    /// A token, user or family in two realms is two, and everyone of one realm is nobody of another.
    RealmsAreApart => marks::realms_are_apart,
    /// A mark that is set again, at once or later, stays, and is no error.
    MarksMayBeResent => marks::marks_may_be_resent,
    /// A mark stands for as long as it is to be kept, and no longer.
    MarksEnd => marks::marks_end,
    /// A mark that is set again stands until the later end.
    MarksAreNeverShortened => marks::marks_are_never_shortened,
    /// An epoch is known for as long as it is to be kept, and no longer.
    EpochsEnd => epochs::epochs_end,
    /// An epoch that another follows is kept until the later end.
    EpochsAreNeverShortened => epochs::epochs_are_never_shortened,
    /// Revocations of one user that run at the same time all stand.
    MarksAreAllKept => concurrency::marks_are_all_kept,
    /// Epochs that begin at the same time differ, and the latest stands.
    EpochsDiffer => concurrency::epochs_differ,
    /// Out of reach is Unavailable or Timeout within a second, never a status.
    AnOutageIsAnError => failure::an_outage_is_an_error,
    /// Who watches is told all that stands, and then that it is current.
    WatchersAreToldWhatStands => watches::watchers_are_told_what_stands,
    /// It is told of each revocation, by whichever handle, and of one that makes another last longer.
    WatchersAreToldOfEach => watches::watchers_are_told_of_each,
    /// It is told in time that it is still current, and never for longer than may be.
    WatchersStayCurrent => watches::watchers_stay_current,
    /// It is told nothing of other realms, and nothing after its watch was dropped.
    WatchersAreToldNothingElse => watches::watchers_are_told_nothing_else,
    /// What is revoked while a watcher enters is told, too.
    EnteringWatchersMissNothing => watches::entering_watchers_miss_nothing,
    /// After a break a watcher is told all anew, before it is current again.
    WhatABreakHidIsTold => watches::what_a_break_hid_is_told,
    /// Nobody is current whose store is out of reach.
    NobodyIsCurrentInAnOutage => watches::nobody_is_current_in_an_outage,
}
