//! [`Backend`]: a [`TokenBackend`] whose type is erased, once, so that none appears in a user's type; and budgeted.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use portcullis_store::{
    Locator, Realm, Revocation, RevocationWatcher, Revoked, StoreError, TokenBackend, TokenEpoch, TokenQuery,
    TokenStatus, UserKey, Watching,
};

use super::push::Push;
use crate::budget::WithinBudget;

/// A backend of any type. A clone is one atomic increment.
#[derive(Clone)]
pub(super) struct Backend {
    erased: Arc<dyn Erased>,
    pub(super) budget: Duration,
    /// What this process is told, so that it need not ask.
    pub(super) push: Option<Arc<Push>>,
}

type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

trait Erased: Send + Sync {
    fn status<'a>(&'a self, query: TokenQuery<'a>) -> BoxFuture<'a, TokenStatus>;
    fn status_now(&self, query: TokenQuery<'_>) -> Option<Result<TokenStatus, StoreError>>;
    fn revoke_token<'a>(&'a self, user: UserKey<'a>, token: Locator, keep: Duration) -> BoxFuture<'a, ()>;
    fn revoke_family<'a>(&'a self, user: UserKey<'a>, family: Locator, keep: Duration) -> BoxFuture<'a, ()>;
    fn revoke_user<'a>(&'a self, user: UserKey<'a>, keep: Duration) -> BoxFuture<'a, TokenEpoch>;
    fn revoke_everyone<'a>(&'a self, realm: &'a Realm, keep: Duration) -> BoxFuture<'a, TokenEpoch>;
    fn watch(&self, realm: &Realm, watcher: Arc<dyn RevocationWatcher>) -> Option<Watching>;
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

    fn watch(&self, realm: &Realm, watcher: Arc<dyn RevocationWatcher>) -> Option<Watching> {
        self.watch_revocations(realm, watcher)
    }
}

impl Backend {
    pub(super) fn new(backend: impl TokenBackend, budget: Duration) -> Self {
        Self { erased: Arc::new(backend), budget, push: None }
    }

    /// What this process was told of a token, if that is all there is to know.
    pub(super) fn told(&self, query: TokenQuery<'_>) -> Option<TokenStatus> {
        self.push.as_ref()?.status(query, self)
    }

    pub(super) fn watch(&self, realm: &Realm, watcher: Arc<dyn RevocationWatcher>) -> Option<Watching> {
        self.erased.watch(realm, watcher)
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
        let revoking = self.erased.revoke_token(user, token, keep);
        WithinBudget::new(revoking, Some(self.budget)).await?;
        self.learn(Revoked::Token { user: user.user, token }, keep);
        Ok(())
    }

    pub(super) async fn revoke_family(
        &self,
        user: UserKey<'_>,
        family: Locator,
        keep: Duration,
    ) -> Result<(), StoreError> {
        let revoking = self.erased.revoke_family(user, family, keep);
        WithinBudget::new(revoking, Some(self.budget)).await?;
        self.learn(Revoked::Family { user: user.user, family }, keep);
        Ok(())
    }

    pub(super) async fn revoke_user(
        &self,
        user: UserKey<'_>,
        keep: Duration,
    ) -> Result<TokenEpoch, StoreError> {
        let revoking = self.erased.revoke_user(user, keep);
        let epoch = WithinBudget::new(revoking, Some(self.budget)).await?;
        self.learn(Revoked::User { user: user.user, epoch }, keep);
        Ok(epoch)
    }

    pub(super) async fn revoke_everyone(
        &self,
        realm: &Realm,
        keep: Duration,
    ) -> Result<TokenEpoch, StoreError> {
        let revoking = self.erased.revoke_everyone(realm, keep);
        let epoch = WithinBudget::new(revoking, Some(self.budget)).await?;
        self.learn(Revoked::Everyone { epoch }, keep);
        Ok(epoch)
    }

    /// Own revocations are known here before anybody tells of them, so that the next request sees them.
    fn learn(&self, what: Revoked, keep: Duration) {
        if let Some(push) = &self.push {
            push.learn(Revocation { what, keep });
        }
    }
}
