//! [`Spy`]: a store in memory that counts what it is asked, and fails or hangs when it is told to.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use portcullis::bearer::MemoryTokenBackend;
use portcullis_store::{
    Begun, Family, FamilyBackend, FamilyKey, Locator, NewFamily, Realm, StoreError, StoreErrorKind,
    TokenBackend, TokenEpoch, TokenQuery, TokenStatus, Turn, Turned, UserKey,
};

#[derive(Clone)]
pub(crate) struct Spy {
    inner: MemoryTokenBackend,
    state: Arc<Mutex<(Asked, Option<StoreErrorKind>)>>,
    families_hang: Arc<AtomicBool>,
}

/// What was asked since it was looked at last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) families: usize,
    pub(crate) tokens: usize,
}

impl Spy {
    pub(crate) fn new(inner: MemoryTokenBackend) -> Self {
        Self { inner, state: Arc::default(), families_hang: Arc::default() }
    }

    /// From now on nobody who asks about families is answered.
    pub(crate) fn hang(&self) {
        self.families_hang.store(true, Ordering::SeqCst);
    }

    pub(crate) fn fail(&self, kind: Option<StoreErrorKind>) {
        self.state.lock().unwrap().1 = kind;
    }

    pub(crate) fn asked(&self) -> Asked {
        std::mem::take(&mut self.state.lock().unwrap().0)
    }

    fn token(&self) -> Result<(), StoreError> {
        let mut state = self.state.lock().unwrap();
        state.0.tokens += 1;
        state.1.map_or(Ok(()), |kind| Err(kind.into()))
    }

    async fn family(&self) -> Result<(), StoreError> {
        if self.families_hang.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        let mut state = self.state.lock().unwrap();
        state.0.families += 1;
        state.1.map_or(Ok(()), |kind| Err(kind.into()))
    }
}

impl TokenBackend for Spy {
    async fn status(&self, query: TokenQuery<'_>) -> Result<TokenStatus, StoreError> {
        self.token()?;
        self.inner.status(query).await
    }

    async fn revoke_token(
        &self,
        user: UserKey<'_>,
        token: Locator,
        keep: Duration,
    ) -> Result<(), StoreError> {
        self.token()?;
        self.inner.revoke_token(user, token, keep).await
    }

    async fn revoke_family(
        &self,
        user: UserKey<'_>,
        family: Locator,
        keep: Duration,
    ) -> Result<(), StoreError> {
        self.token()?;
        self.inner.revoke_family(user, family, keep).await
    }

    async fn revoke_user(&self, user: UserKey<'_>, keep: Duration) -> Result<TokenEpoch, StoreError> {
        self.token()?;
        self.inner.revoke_user(user, keep).await
    }

    async fn revoke_everyone(&self, realm: &Realm, keep: Duration) -> Result<TokenEpoch, StoreError> {
        self.token()?;
        self.inner.revoke_everyone(realm, keep).await
    }
}

impl FamilyBackend for Spy {
    async fn begin_family(&self, key: FamilyKey<'_>, family: NewFamily<'_>) -> Result<Begun, StoreError> {
        self.family().await?;
        self.inner.begin_family(key, family).await
    }

    async fn rotate_family(&self, key: FamilyKey<'_>, turn: Turn) -> Result<Turned, StoreError> {
        self.family().await?;
        self.inner.rotate_family(key, turn).await
    }

    async fn find_family(&self, key: FamilyKey<'_>) -> Result<Option<Family>, StoreError> {
        self.family().await?;
        self.inner.find_family(key).await
    }
}
