//! [`Erased`]: a [`KeySetBackend`] of any type, so that none appears in a user's type; and budgeted.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use portcullis_store::{KeySetBackend, Locator, SharedKeySet, StoreError, StoreErrorKind};
use tokio::time::timeout;

type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

pub(super) trait Erased: Send + Sync {
    fn load(&self, issuer: Locator) -> BoxFuture<'_, Option<SharedKeySet>>;
    fn save(&self, issuer: Locator, set: SharedKeySet, keep: Duration) -> BoxFuture<'_, ()>;
    fn lease(&self, issuer: Locator, holder: Locator, lease: Duration) -> BoxFuture<'_, bool>;
    fn release(&self, issuer: Locator, holder: Locator) -> BoxFuture<'_, ()>;
}

/// Requests wait for two seconds at most, and the issuer is to be asked within them.
const BUDGET: Duration = Duration::from_millis(500);

impl<B: KeySetBackend> Erased for B {
    fn load(&self, issuer: Locator) -> BoxFuture<'_, Option<SharedKeySet>> {
        Box::pin(budgeted(KeySetBackend::load(self, issuer)))
    }

    fn save(&self, issuer: Locator, set: SharedKeySet, keep: Duration) -> BoxFuture<'_, ()> {
        Box::pin(budgeted(KeySetBackend::save(self, issuer, set, keep)))
    }

    fn lease(&self, issuer: Locator, holder: Locator, lease: Duration) -> BoxFuture<'_, bool> {
        Box::pin(budgeted(KeySetBackend::lease(self, issuer, holder, lease)))
    }

    fn release(&self, issuer: Locator, holder: Locator) -> BoxFuture<'_, ()> {
        Box::pin(budgeted(KeySetBackend::release(self, issuer, holder)))
    }
}

async fn budgeted<T>(call: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    timeout(BUDGET, call).await.unwrap_or_else(|_| Err(StoreErrorKind::Timeout.into()))
}
