//! [`Store`]: revocations that can be made to wait, to fail and to hang, and that count what they are asked.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use portcullis::bearer::MemoryTokenBackend;
use portcullis_store::{
    Locator, ManualClock, Realm, StoreError, StoreErrorKind, TokenBackend, TokenEpoch, TokenQuery,
    TokenStatus, UserKey,
};

/// How a store answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mood {
    /// Without being waited for, as a store in the process does.
    AtOnce,
    /// When it is polled for a second time, as a store elsewhere does.
    Waits,
    Fails(StoreErrorKind),
    Hangs,
}

#[derive(Clone)]
pub(crate) struct Store {
    inner: MemoryTokenBackend,
    mood: Arc<Mutex<Mood>>,
    asked: Arc<AtomicUsize>,
}

impl Store {
    pub(crate) fn new(clock: &ManualClock, mood: Mood) -> Self {
        Self {
            inner: MemoryTokenBackend::with_clock(clock.clone()),
            mood: Arc::new(Mutex::new(mood)),
            asked: Arc::default(),
        }
    }

    pub(crate) fn set(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }

    /// How often a status was asked for since this was called last.
    pub(crate) fn asked(&self) -> usize {
        self.asked.swap(0, Ordering::Relaxed)
    }

    async fn answer<T>(&self, answer: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
        let mood = *self.mood.lock().unwrap();
        match mood {
            Mood::AtOnce => {}
            Mood::Waits => tokio::task::yield_now().await,
            Mood::Fails(kind) => return Err(kind.into()),
            Mood::Hangs => std::future::pending().await,
        }
        answer.await
    }
}

impl TokenBackend for Store {
    async fn status(&self, query: TokenQuery<'_>) -> Result<TokenStatus, StoreError> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        self.answer(async { self.inner.status(query).await }).await
    }

    fn status_now(&self, query: TokenQuery<'_>) -> Option<Result<TokenStatus, StoreError>> {
        let at_once = *self.mood.lock().unwrap() == Mood::AtOnce;
        at_once.then(|| {
            self.asked.fetch_add(1, Ordering::Relaxed);
            self.inner.status_now(query)
        })?
    }

    async fn revoke_token(
        &self,
        user: UserKey<'_>,
        token: Locator,
        keep: Duration,
    ) -> Result<(), StoreError> {
        self.answer(async { self.inner.revoke_token(user, token, keep).await }).await
    }

    async fn revoke_family(
        &self,
        user: UserKey<'_>,
        family: Locator,
        keep: Duration,
    ) -> Result<(), StoreError> {
        self.answer(async { self.inner.revoke_family(user, family, keep).await }).await
    }

    async fn revoke_user(&self, user: UserKey<'_>, keep: Duration) -> Result<TokenEpoch, StoreError> {
        self.answer(async { self.inner.revoke_user(user, keep).await }).await
    }

    async fn revoke_everyone(&self, realm: &Realm, keep: Duration) -> Result<TokenEpoch, StoreError> {
        self.answer(async { self.inner.revoke_everyone(realm, keep).await }).await
    }
}
