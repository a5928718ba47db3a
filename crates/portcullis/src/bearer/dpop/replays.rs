//! [`Replays`]: a [`ReplayBackend`] whose type is erased, once, so that none appears in a user's type; and budgeted.
//! [`Ticket`]: a proof that is good if nobody has used it.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use portcullis_store::{Claimed, Locator, Realm, ReplayBackend, StoreError};

use crate::budget::WithinBudget;

/// A backend of any type. A clone is one atomic increment.
#[derive(Clone)]
pub(super) struct Replays {
    erased: Arc<dyn Erased>,
    pub(super) budget: Duration,
}

/// A proof that is good but for this: somebody may have used it.
///
/// The layer that has claimed it leaves it in the request's extensions, so that an inner copy does not take its own request
/// for another.
#[derive(Clone)]
pub(in crate::bearer) struct Ticket {
    pub(super) replays: Replays,
    pub(super) name: Locator,
    pub(super) keep: Duration,
}

type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

trait Erased: Send + Sync {
    fn claim<'a>(&'a self, realm: &'a Realm, name: Locator, keep: Duration) -> BoxFuture<'a, Claimed>;
    fn claim_now(&self, realm: &Realm, name: Locator, keep: Duration) -> Option<Result<Claimed, StoreError>>;
}

impl<B: ReplayBackend> Erased for B {
    fn claim<'a>(&'a self, realm: &'a Realm, name: Locator, keep: Duration) -> BoxFuture<'a, Claimed> {
        Box::pin(self.claim(realm, name, keep))
    }

    fn claim_now(&self, realm: &Realm, name: Locator, keep: Duration) -> Option<Result<Claimed, StoreError>> {
        self.claim_now(realm, name, keep)
    }
}

impl Replays {
    pub(super) fn new(backend: impl ReplayBackend, budget: Duration) -> Self {
        Self { erased: Arc::new(backend), budget }
    }
}

impl Ticket {
    /// What [`claim`](Self::claim) would do, if the store need not be waited for.
    pub(in crate::bearer) fn claim_now(&self) -> Option<Result<Claimed, StoreError>> {
        self.replays.erased.claim_now(&Realm::default(), self.name, self.keep)
    }

    /// Uses the proof, for all processes that have the store.
    pub(in crate::bearer) async fn claim(&self) -> Result<Claimed, StoreError> {
        let realm = Realm::default();
        let claim = self.replays.erased.claim(&realm, self.name, self.keep);
        WithinBudget::new(claim, Some(self.replays.budget)).await
    }

    /// Whether this is the same proof, claimed in the same store.
    pub(in crate::bearer) fn is(&self, other: &Self) -> bool {
        self.name == other.name && Arc::ptr_eq(&self.replays.erased, &other.replays.erased)
    }
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ticket")
    }
}

impl fmt::Debug for Replays {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replays").field("budget", &self.budget).finish_non_exhaustive()
    }
}
