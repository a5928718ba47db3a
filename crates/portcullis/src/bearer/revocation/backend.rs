//! [`Backend`]: a [`TokenBackend`] whose type is erased, once, so that none appears in a user's type; and budgeted.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use portcullis_store::{
    Locator, Realm, StoreError, TokenBackend, TokenEpoch, TokenQuery, TokenStatus, UserKey,
};

use crate::budget::WithinBudget;

/// A backend of any type. A clone is one atomic increment.
#[derive(Clone)]
pub(super) struct Backend {
    erased: Arc<dyn Erased>,
    pub(super) budget: Duration,
}

type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

trait Erased: Send + Sync {
    fn status<'a>(&'a self, query: TokenQuery<'a>) -> BoxFuture<'a, TokenStatus>;
    fn status_now(&self, query: TokenQuery<'_>) -> Option<Result<TokenStatus, StoreError>>;
    fn revoke_token<'a>(&'a self, user: UserKey<'a>, token: Locator, keep: Duration) -> BoxFuture<'a, ()>;
    fn revoke_family<'a>(&'a self, user: UserKey<'a>, family: Locator, keep: Duration) -> BoxFuture<'a, ()>;
    fn revoke_user<'a>(&'a self, user: UserKey<'a>, keep: Duration) -> BoxFuture<'a, TokenEpoch>;
    fn revoke_everyone<'a>(&'a self, realm: &'a Realm, keep: Duration) -> BoxFuture<'a, TokenEpoch>;
}

impl<B: TokenBackend> Erased for B {
    fn status<'a>(&'a self, query: TokenQuery<'a>) -> BoxFuture<'a, TokenStatus> {
        Box::pin(self.status(query))
    }

    fn status_now(&self, query: TokenQuery<'_>) -> Option<Result<TokenStatus, StoreError>> {
        self.status_now(query)
    }

    fn revoke_token<'a>(&'a self, user: UserKey<'a>, token: Locator, keep: Duration) -> BoxFuture<'a, ()> {
        Box::pin(self.revoke_token(user, token, keep))
    }

    fn revoke_family<'a>(&'a self, user: UserKey<'a>, family: Locator, keep: Duration) -> BoxFuture<'a, ()> {
        Box::pin(self.revoke_family(user, family, keep))
    }

    fn revoke_user<'a>(&'a self, user: UserKey<'a>, keep: Duration) -> BoxFuture<'a, TokenEpoch> {
        Box::pin(self.revoke_user(user, keep))
    }

    fn revoke_everyone<'a>(&'a self, realm: &'a Realm, keep: Duration) -> BoxFuture<'a, TokenEpoch> {
        Box::pin(self.revoke_everyone(realm, keep))
    }
}

impl Backend {
    pub(super) fn new(backend: impl TokenBackend, budget: Duration) -> Self {
        Self { erased: Arc::new(backend), budget }
    }

    pub(super) fn status_now(&self, query: TokenQuery<'_>) -> Option<Result<TokenStatus, StoreError>> {
        self.erased.status_now(query)
    }

    pub(super) async fn status(&self, query: TokenQuery<'_>) -> Result<TokenStatus, StoreError> {
        WithinBudget::new(self.erased.status(query), Some(self.budget)).await
    }

    pub(super) async fn revoke_token(
        &self,
        user: UserKey<'_>,
        token: Locator,
        keep: Duration,
    ) -> Result<(), StoreError> {
        WithinBudget::new(self.erased.revoke_token(user, token, keep), Some(self.budget)).await
    }

    pub(super) async fn revoke_family(
        &self,
        user: UserKey<'_>,
        family: Locator,
        keep: Duration,
    ) -> Result<(), StoreError> {
        WithinBudget::new(self.erased.revoke_family(user, family, keep), Some(self.budget)).await
    }

    pub(super) async fn revoke_user(
        &self,
        user: UserKey<'_>,
        keep: Duration,
    ) -> Result<TokenEpoch, StoreError> {
        WithinBudget::new(self.erased.revoke_user(user, keep), Some(self.budget)).await
    }

    pub(super) async fn revoke_everyone(
        &self,
        realm: &Realm,
        keep: Duration,
    ) -> Result<TokenEpoch, StoreError> {
        WithinBudget::new(self.erased.revoke_everyone(realm, keep), Some(self.budget)).await
    }
}
