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
//! use portcullis_testkit::conformance::replay::{self, Harness, Promise};
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

use std::future::Future;
use std::time::Duration;

use portcullis_store::{Clock, ReplayBackend, SystemClock, Timestamp};

use self::stage::Stage;
pub use super::Verdict;
use super::outcome::Stop;
use super::promises;

/// How the suite reaches the store under test.
pub trait Harness: Send + Sync {
    /// The backend under test.
    type Backend: ReplayBackend;

    /// A new handle on the store. All handles of one harness share one store, as the processes of one service do; a
    /// store within the process gives clones.
    fn handle(&self) -> impl Future<Output = Self::Backend> + Send;

    /// The time by the store's clock. The default is the operating system's, right for a store on this machine.
    fn now(&self) -> Timestamp {
        SystemClock.now()
    }

    /// Lets `time` pass: moves the store's clock, or, by default, waits.
    fn advance(&self, time: Duration) -> impl Future<Output = ()> + Send {
        tokio::time::sleep(time)
    }

    /// The unit of all waiting, 100 ms by default: what is kept briefly in the suite is kept for two of it.
    ///
    /// A check during which the machine stalled is repeated with twice the unit, so raise it only for a store that
    /// takes longer than this to answer.
    fn unit(&self) -> Duration {
        Duration::from_millis(100)
    }

    /// A handle on a store that is out of reach: nobody listens, or nobody answers. `None` where a store cannot be
    /// away, the default; then [`Promise::AnOutageIsAnError`] is not checked.
    fn unreachable(&self) -> impl Future<Output = Option<Self::Backend>> + Send {
        async { None }
    }
}

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
