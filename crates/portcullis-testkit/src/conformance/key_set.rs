//! The conformance suite of [`KeySetBackend`]: each promise of its documentation, checked.
//!
//! * A [`Harness`] tells the suite how to reach the store; handles on one store are all it must give.
//! * Every check works on random issuers of its own, so a store may hold anything else, and be used again.
//! * A store with a clock that can be moved is checked in no time; any other in about two seconds.
//! * The suite starts tasks, so it needs a tokio runtime; one with several threads checks more.
//!
//! ```
//! use std::time::Duration;
//!
//! use portcullis_store::{KeySetBackend, Locator, SharedKeySet, StoreError};
//! use portcullis_testkit::conformance::Harness;
//! use portcullis_testkit::conformance::key_set::{self, Promise};
//!
//! struct MyBackend; // that has forgotten everything
//!
//! impl KeySetBackend for MyBackend {
//!     async fn load(&self, _: Locator) -> Result<Option<SharedKeySet>, StoreError> { Ok(None) }
//!     async fn save(&self, _: Locator, _: SharedKeySet, _: Duration) -> Result<(), StoreError> { Ok(()) }
//!     async fn lease(&self, _: Locator, _: Locator, _: Duration) -> Result<bool, StoreError> { Ok(true) }
//!     async fn release(&self, _: Locator, _: Locator) -> Result<(), StoreError> { Ok(()) }
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
//! // In a `#[tokio::test]`: `key_set::run(&MyStore).await` panics and names every promise that is broken.
//! let verdict = key_set::check(&MyStore, Promise::LeasesHaveOneHolder).await;
//! assert!(matches!(verdict, key_set::Verdict::Broken(_)));
//! # });
//! ```

mod leases;
mod sets;
mod stage;

use portcullis_store::KeySetBackend;

use self::stage::Stage;
pub use super::Verdict;
use super::outcome::Stop;
use super::promises;

/// How the suite reaches the store under test: by any harness whose backend is one of key sets.
pub trait Harness: super::Harness<Backend: KeySetBackend> {}

impl<H: super::Harness<Backend: KeySetBackend>> Harness for H {}

promises! {
    /// Of an issuer of which nobody has saved anything there is no set.
    NothingIsThereAtFirst => sets::nothing_is_there_at_first,
    /// A set is loaded as it was saved, to the byte, also the longest that is shared.
    SetsAreKeptWhole => sets::sets_are_kept_whole,
    /// A document that is too long is refused, or kept whole, and never cut.
    NothingIsCut => sets::nothing_is_cut,
    /// A set grows older while it is kept, by the store's clock.
    SetsAge => sets::sets_age,
    /// Sets and leases of two issuers are two.
    IssuersAreApart => sets::issuers_are_apart,
    /// What one handle has saved, leased or released, another sees at once.
    HandlesAgree => leases::handles_agree,
    /// Of two sets the one that is less old stays, in whichever order they are saved, and whenever.
    TheYoungestStays => sets::the_youngest_stays,
    /// A set that is saved again, at once or later, stays, and is no error.
    SetsMayBeResent => sets::sets_may_be_resent,
    /// Of sets that are saved at the same time the youngest stays.
    TheYoungestOfManyStays => sets::the_youngest_of_many_stays,
    /// A set is there for as long as it is to be kept, and no longer; then an older one may take its place.
    SetsEnd => sets::sets_end,
    /// A set that comes too late does not change when the one that stays will end.
    LateSetsChangeNothing => sets::late_sets_change_nothing,
    /// A lease has one holder, who may take it again.
    LeasesHaveOneHolder => leases::leases_have_one_holder,
    /// Of those who ask at the same time one has the lease.
    OneOfManyHasTheLease => leases::one_of_many_has_the_lease,
    /// A lease lasts for as long as was said, and no longer.
    LeasesEnd => leases::leases_end,
    /// A lease that its holder takes again lasts for as long as was said then.
    LeasesAreRenewed => leases::leases_are_renewed,
    /// A lease is ended by its holder, once or several times, and by nobody else.
    OnlyTheHolderReleases => leases::only_the_holder_releases,
    /// Out of reach is Unavailable or Timeout within a second, never an answer.
    AnOutageIsAnError => leases::an_outage_is_an_error,
}
