//! The conformance suite of [`ReplayBackend`]: each promise of its documentation, checked.
//!
//! * A [`Harness`] tells the suite how to reach the store; handles on one store are all it must give.
//! * Every check has a realm of its own and random names, so a store may hold anything else, and be used again.
//! * A store with a clock that can be moved is checked in no time; any other in about a second.
//! * The suite starts tasks, so it needs a tokio runtime; one with several threads checks more.
//!
//! ```
//! use std::time::Duration;
//!
//! use portcullis_store::{Claimed, Locator, Realm, ReplayBackend, StoreError};
//! use portcullis_testkit::conformance::Harness;
//! use portcullis_testkit::conformance::replay::{self, Promise};
//!
//! struct MyBackend; // that has forgotten everything
//!
//! impl ReplayBackend for MyBackend {
//!     async fn claim(&self, _: &Realm, _: Locator, _: Duration) -> Result<Claimed, StoreError> {
//!         Ok(Claimed::First)
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
//! // In a `#[tokio::test]`: `replay::run(&MyStore).await` panics and names every promise that is broken.
//! let verdict = replay::check(&MyStore, Promise::NamesAreClaimedOnce).await;
//! assert!(matches!(verdict, replay::Verdict::Broken(_)));
//! # });
//! ```

mod checks;
mod stage;

use portcullis_store::ReplayBackend;

use self::stage::Stage;
pub use super::Verdict;
use super::outcome::Stop;
use super::promises;

/// How the suite reaches the store under test: by any harness whose backend is one of used proofs.
pub trait Harness: super::Harness<Backend: ReplayBackend> {}

impl<H: super::Harness<Backend: ReplayBackend>> Harness for H {}

promises! {
    /// The first claim of a name is the first, and every other is another.
    NamesAreClaimedOnce => checks::names_are_claimed_once,
    /// A name says nothing about others.
    NamesAreApart => checks::names_are_apart,
    /// A name in two realms is two.
    RealmsAreApart => checks::realms_are_apart,
    /// What one handle has claimed, another knows at once.
    HandlesAgree => checks::handles_agree,
    /// Of claims that run at the same time one is the first.
    OneOfManyIsFirst => checks::one_of_many_is_first,
    /// A claim stands for as long as it is to be kept, and no longer.
    ClaimsEnd => checks::claims_end,
    /// What comes after the first claim does not change when it ends.
    LaterClaimsChangeNothing => checks::later_claims_change_nothing,
    /// Out of reach is Unavailable or Timeout within a second, never a claim.
    AnOutageIsAnError => checks::an_outage_is_an_error,
}
