//! [`Backend`]: a [`SessionBackend`] whose type is erased, once, so that none appears in a user's type; and budgeted.

mod cache;
mod encryption;
mod erased;
mod vigil;

use std::borrow::Cow;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use portcullis_store::{
    AtOnce, Created, CredentialVersion, Destroyed, Enrolled, Enrolment, Key, Locator, Record, Saved,
    SessionBackend, StoreError, Tag, Timestamp, Touched, UserKey,
};
use tokio::time::Instant;

pub use self::cache::SessionCache;
use self::cache::{Cache, Forgetting};
pub(in crate::session) use self::encryption::Encryption;
pub use self::encryption::EncryptionKeys;
pub(crate) use self::encryption::Plaintext;
use self::erased::Erased;
use self::vigil::Vigils;
pub(in crate::session) use self::vigil::{News, Vigil};
use super::transport::Presented;
use crate::budget::WithinBudget;

/// A backend of any type. A clone is one atomic increment.
#[derive(Clone)]
pub(crate) struct Backend {
    erased: Arc<dyn Erased>,
    budget: Duration,
    /// It ends each call within the budget of its own accord.
    is_punctual: bool,
    /// Records are encrypted and decrypted here, so that nothing else sees one that is.
    encryption: Option<Arc<Encryption>>,
    /// Who waits for the end of a session. Those that end here are told here.
    vigils: Arc<Vigils>,
    /// Sessions that requests have loaded lately. Nothing but a request's own load reads from it.
    cache: Option<Arc<Cache>>,
}

impl Backend {
    pub(crate) fn new(backend: impl SessionBackend, budget: Duration) -> Self {
        let is_punctual = ends_within(budget, &backend);
        Self {
            erased: Arc::new(backend),
            budget,
            is_punctual,
            encryption: None,
            vigils: Arc::new(Vigils::new()),
            cache: None,
        }
    }

    pub(crate) fn set_budget(&mut self, budget: Duration) {
        self.budget = budget;
        self.is_punctual = ends_within(budget, &*self.erased);
    }

    pub(crate) fn budget(&self) -> Duration {
        self.budget
    }

    /// How large a record may be, as far as the store is concerned.
    pub(crate) fn max_record_len(&self) -> usize {
        self.erased.max_record_len().unwrap_or(usize::MAX)
    }

    pub(crate) fn set_encryption(&mut self, encryption: Encryption) {
        self.encryption = Some(Arc::new(encryption));
    }

    pub(crate) fn set_cache(&mut self, rules: SessionCache) {
        self.cache = Some(Arc::new(Cache::new(rules)));
    }

    pub(crate) fn cache_rules(&self) -> Option<SessionCache> {
        self.cache.as_ref().map(|cache| cache.rules())
    }

    /// What a request has loaded lately, if it will do for this one.
    pub(crate) fn cached(&self, presented: &Presented, now: Timestamp) -> Option<Record> {
        self.cache.as_ref()?.get(presented, now)
    }

    /// Loads a session for a request, and lets the cache have it.
    pub(crate) async fn load_and_keep(&self, key: Key<'_>) -> Result<Option<Record>, StoreError> {
        let Some(cache) = &self.cache else { return self.load(key).await };
        let ticket = cache.ticket(&key.locator, |watcher| self.erased.watch(key.realm, watcher));
        let loaded = self.load(key).await?;
        if let (Some(ticket), Some(record)) = (ticket, &loaded) {
            cache.keep(key.locator, ticket, record);
        }
        Ok(loaded)
    }

    /// To be held while these are written.
    fn forgetting(&self, keys: &[Key<'_>]) -> Forgetting<'_> {
        Forgetting::new(self.cache.as_deref(), keys.iter().map(|key| key.locator))
    }

    pub(crate) fn encryption_keys(&self) -> Option<&EncryptionKeys> {
        self.encryption.as_ref().map(|encryption| encryption.keys())
    }

    /// How many bytes a record grows by when it is stored.
    pub(crate) fn overhead(&self) -> usize {
        if self.encryption.is_some() { encryption::OVERHEAD } else { 0 }
    }

    fn sealed<'r>(&self, key: Key<'_>, record: &'r Record) -> Result<Cow<'r, Record>, StoreError> {
        match &self.encryption {
            Some(encryption) => encryption.seal(key, record),
            None => Ok(Cow::Borrowed(record)),
        }
    }

    fn opened(&self, key: Key<'_>, record: Record) -> Record {
        match &self.encryption {
            Some(encryption) => encryption.open(key, record),
            None => record,
        }
    }

    pub(crate) fn load_now(
        &self,
        key: Key<'_>,
        now: Timestamp,
    ) -> Option<Result<Option<Record>, StoreError>> {
        let loaded = self.erased.load_now(key, now)?;
        Some(loaded.map(|record| record.map(|record| self.opened(key, record))))
    }

    pub(crate) async fn load(&self, key: Key<'_>) -> Result<Option<Record>, StoreError> {
        let loaded = self.one_call(self.erased.load(key)).await?;
        Ok(loaded.map(|record| self.opened(key, record)))
    }

    pub(crate) async fn load_many(&self, keys: &[Key<'_>]) -> Result<Vec<Option<Record>>, StoreError> {
        let loaded = self.one_call(self.erased.load_many(keys)).await?;
        let opened = |(key, record): (&Key<'_>, Option<Record>)| Some(self.opened(*key, record?));
        Ok(keys.iter().zip(loaded).map(opened).collect())
    }

    pub(crate) async fn create(&self, key: Key<'_>, record: &Record) -> Result<Created, StoreError> {
        let record = self.sealed(key, record)?;
        self.one_call(self.erased.create(key, &record)).await
    }

    pub(crate) async fn create_enrolled(
        &self,
        key: Key<'_>,
        record: &Record,
        enrolment: Enrolment<'_>,
    ) -> Result<Enrolled, StoreError> {
        let record = self.sealed(key, record)?;
        self.one_call(self.erased.create_enrolled(key, &record, enrolment)).await
    }

    /// Not budgeted by itself: a commit may save several times within one budget.
    pub(crate) async fn save(
        &self,
        key: Key<'_>,
        expected: Tag,
        record: &Record,
    ) -> Result<Saved, StoreError> {
        let _forgetting = self.forgetting(&[key]);
        let record = self.sealed(key, record)?;
        Ok(match self.erased.save(key, expected, &record).await? {
            Saved::Conflict { current, in_doubt } => {
                Saved::Conflict { current: self.opened(key, current), in_doubt }
            }
            saved @ (Saved::Done | Saved::Gone) => saved,
        })
    }

    pub(crate) async fn touch(&self, key: Key<'_>) -> Result<Touched, StoreError> {
        let _forgetting = self.forgetting(&[key]);
        self.one_call(self.erased.touch(key)).await
    }

    pub(crate) async fn destroy(&self, keys: &[Key<'_>]) -> Result<(), StoreError> {
        let _forgetting = self.forgetting(keys);
        self.one_call(self.erased.destroy(keys)).await?;
        self.vigils.ended(keys);
        Ok(())
    }

    /// Gives how many replicas have confirmed it.
    pub(crate) async fn destroy_durably(&self, keys: &[Key<'_>], replicas: u32) -> Result<u32, StoreError> {
        let _forgetting = self.forgetting(keys);
        let confirmed = self.within_budget(self.erased.destroy_durably(keys, replicas)).await?;
        self.vigils.ended(keys);
        Ok(confirmed)
    }

    /// Begins to wait for the end of this session.
    pub(crate) fn vigil(&self, key: Key<'_>) -> Vigil {
        self.vigils.begin(key, |watcher| self.erased.watch(key.realm, watcher))
    }

    pub(crate) fn vigils(&self) -> &Vigils {
        &self.vigils
    }

    /// Not budgeted by itself: a login may try several times within one budget.
    pub(crate) async fn destroy_unchanged(
        &self,
        key: Key<'_>,
        expected: Tag,
        write: Tag,
    ) -> Result<Destroyed, StoreError> {
        let _forgetting = self.forgetting(&[key]);
        let destroyed = self.erased.destroy_unchanged(key, expected, write).await?;
        if destroyed == Destroyed::Done {
            self.vigils.ended(&[key]);
        }
        Ok(match destroyed {
            Destroyed::Conflict { current } => Destroyed::Conflict { current: self.opened(key, current) },
            Destroyed::Done | Destroyed::Gone => destroyed,
        })
    }

    pub(crate) async fn destroy_enrolled(
        &self,
        key: Key<'_>,
        user: UserKey<'_>,
    ) -> Result<AtOnce, StoreError> {
        let _forgetting = self.forgetting(&[key]);
        let destroyed = self.one_call(self.erased.destroy_enrolled(key, user)).await?;
        if destroyed == AtOnce::Done {
            self.vigils.ended(&[key]);
        }
        Ok(destroyed)
    }

    pub(crate) async fn supersede(
        &self,
        before: Key<'_>,
        expected: Tag,
        key: Key<'_>,
        record: &Record,
        enrolment: Enrolment<'_>,
    ) -> Result<AtOnce, StoreError> {
        let _forgetting = self.forgetting(&[before]);
        let record = self.sealed(key, record)?;
        let superseding = self.erased.supersede(before, expected, key, &record, enrolment);
        let superseded = self.one_call(superseding).await?;
        if superseded == AtOnce::Done {
            self.vigils.ended(&[before]);
        }
        Ok(superseded)
    }

    pub(crate) async fn enrol(
        &self,
        locator: Locator,
        enrolment: Enrolment<'_>,
    ) -> Result<Enrolled, StoreError> {
        self.one_call(self.erased.enrol(locator, enrolment)).await
    }

    pub(crate) async fn withdraw(&self, user: UserKey<'_>, locators: &[Locator]) -> Result<(), StoreError> {
        self.one_call(self.erased.withdraw(user, locators)).await
    }

    pub(crate) async fn members(&self, user: UserKey<'_>) -> Result<Vec<Locator>, StoreError> {
        self.one_call(self.erased.members(user)).await
    }

    pub(crate) async fn credential_version(
        &self,
        user: UserKey<'_>,
    ) -> Result<CredentialVersion, StoreError> {
        self.one_call(self.erased.credential_version(user)).await
    }

    pub(crate) async fn bump_credential_version(
        &self,
        user: UserKey<'_>,
        keep: Duration,
    ) -> Result<CredentialVersion, StoreError> {
        self.one_call(self.erased.bump_credential_version(user, keep)).await
    }

    /// Ends with [`StoreErrorKind::Timeout`](portcullis_store::StoreErrorKind::Timeout) when `future` takes longer than the budget.
    pub(crate) fn within_budget<T, E, F>(&self, future: F) -> WithinBudget<F>
    where
        F: Future<Output = Result<T, E>>,
        E: From<StoreError>,
    {
        WithinBudget::new(future, Some(self.budget))
    }

    /// The same for what is left of a budget that began then, or begins now.
    pub(crate) fn within_budget_since<T, E, F>(&self, began: Option<Instant>, future: F) -> WithinBudget<F>
    where
        F: Future<Output = Result<T, E>>,
        E: From<StoreError>,
    {
        let used = began.map_or(Duration::ZERO, |began| began.elapsed());
        WithinBudget::new(future, Some(self.budget.saturating_sub(used)))
    }

    /// Whether each of its calls ends by itself within the budget.
    pub(crate) const fn is_punctual(&self) -> bool {
        self.is_punctual
    }

    /// The same for a single call of the backend. One that minds the time itself needs no second timer.
    fn one_call<T, F>(&self, future: F) -> WithinBudget<F>
    where
        F: Future<Output = Result<T, StoreError>>,
    {
        WithinBudget::new(future, (!self.is_punctual).then_some(self.budget))
    }
}

fn ends_within(budget: Duration, backend: &(impl Erased + ?Sized)) -> bool {
    backend.budget().is_some_and(|own| own <= budget)
}

impl fmt::Debug for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Backend")
            .field("budget", &self.budget)
            .field("encryption", &self.encryption_keys())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
