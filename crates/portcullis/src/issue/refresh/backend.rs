//! [`Backend`]: a [`FamilyBackend`] whose type is erased, once, so that none appears in a user's type; and budgeted.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use portcullis_store::{Begun, Family, FamilyBackend, FamilyKey, NewFamily, StoreError, Turn, Turned};

use crate::budget::WithinBudget;

/// A backend of any type. A clone is one atomic increment.
#[derive(Clone)]
pub(super) struct Backend {
    erased: Arc<dyn Erased>,
    pub(super) budget: Duration,
}

type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

trait Erased: Send + Sync {
    fn begin<'a>(&'a self, key: FamilyKey<'a>, family: NewFamily<'a>) -> BoxFuture<'a, Begun>;
    fn rotate<'a>(&'a self, key: FamilyKey<'a>, turn: Turn) -> BoxFuture<'a, Turned>;
    fn find<'a>(&'a self, key: FamilyKey<'a>) -> BoxFuture<'a, Option<Family>>;
}

impl<B: FamilyBackend> Erased for B {
    fn begin<'a>(&'a self, key: FamilyKey<'a>, family: NewFamily<'a>) -> BoxFuture<'a, Begun> {
        Box::pin(self.begin_family(key, family))
    }

    fn rotate<'a>(&'a self, key: FamilyKey<'a>, turn: Turn) -> BoxFuture<'a, Turned> {
        Box::pin(self.rotate_family(key, turn))
    }

    fn find<'a>(&'a self, key: FamilyKey<'a>) -> BoxFuture<'a, Option<Family>> {
        Box::pin(self.find_family(key))
    }
}

impl Backend {
    pub(super) fn new(backend: impl FamilyBackend, budget: Duration) -> Self {
        Self { erased: Arc::new(backend), budget }
    }

    pub(super) async fn begin(&self, key: FamilyKey<'_>, family: NewFamily<'_>) -> Result<Begun, StoreError> {
        WithinBudget::new(self.erased.begin(key, family), Some(self.budget)).await
    }

    pub(super) async fn rotate(&self, key: FamilyKey<'_>, turn: Turn) -> Result<Turned, StoreError> {
        WithinBudget::new(self.erased.rotate(key, turn), Some(self.budget)).await
    }

    pub(super) async fn find(&self, key: FamilyKey<'_>) -> Result<Option<Family>, StoreError> {
        WithinBudget::new(self.erased.find(key), Some(self.budget)).await
    }
}
