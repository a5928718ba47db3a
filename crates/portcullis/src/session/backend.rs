//! [`Backend`]: a [`SessionBackend`] whose type is erased, once, so that none appears in a user's type; and budgeted.

use std::borrow::Cow;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use portcullis_store::{
    AtOnce, Created, CredentialVersion, Destroyed, Enrolled, Enrolment, Key, Locator, Realm, Record, Saved,
    SessionBackend, StoreError, Tag, Timestamp, Touched, UserKey, Watcher, Watching,
};
use tokio::time::Instant;

use super::cache::{Cache, Forgetting, SessionCache};
use super::encryption::{self, Encryption, EncryptionKeys};
use super::id::Presented;
use super::vigil::{Vigil, Vigils};
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

type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

trait Erased: Send + Sync {
    fn budget(&self) -> Option<Duration>;
    fn load<'a>(&'a self, key: Key<'a>) -> BoxFuture<'a, Option<Record>>;
    fn load_now(&self, key: Key<'_>, now: Timestamp) -> Option<Result<Option<Record>, StoreError>>;
    fn load_many<'a>(&'a self, keys: &'a [Key<'a>]) -> BoxFuture<'a, Vec<Option<Record>>>;
    fn create<'a>(&'a self, key: Key<'a>, record: &'a Record) -> BoxFuture<'a, Created>;
    fn create_enrolled<'a>(
        &'a self,
        key: Key<'a>,
        record: &'a Record,
        enrolment: Enrolment<'a>,
    ) -> BoxFuture<'a, Enrolled>;
    fn save<'a>(&'a self, key: Key<'a>, expected: Tag, record: &'a Record) -> BoxFuture<'a, Saved>;
    fn touch<'a>(&'a self, key: Key<'a>) -> BoxFuture<'a, Touched>;
    fn destroy<'a>(&'a self, keys: &'a [Key<'a>]) -> BoxFuture<'a, ()>;
    fn destroy_durably<'a>(&'a self, keys: &'a [Key<'a>], replicas: u32) -> BoxFuture<'a, u32>;
    fn destroy_unchanged<'a>(&'a self, key: Key<'a>, expected: Tag, write: Tag) -> BoxFuture<'a, Destroyed>;
    fn destroy_enrolled<'a>(&'a self, key: Key<'a>, user: UserKey<'a>) -> BoxFuture<'a, AtOnce>;
    fn supersede<'a>(
        &'a self,
        before: Key<'a>,
        expected: Tag,
        key: Key<'a>,
        record: &'a Record,
        enrolment: Enrolment<'a>,
    ) -> BoxFuture<'a, AtOnce>;
    fn enrol<'a>(&'a self, locator: Locator, enrolment: Enrolment<'a>) -> BoxFuture<'a, Enrolled>;
    fn withdraw<'a>(&'a self, user: UserKey<'a>, locators: &'a [Locator]) -> BoxFuture<'a, ()>;
    fn members<'a>(&'a self, user: UserKey<'a>) -> BoxFuture<'a, Vec<Locator>>;
    fn credential_version<'a>(&'a self, user: UserKey<'a>) -> BoxFuture<'a, CredentialVersion>;
    fn bump_credential_version<'a>(
        &'a self,
        user: UserKey<'a>,
        keep: Duration,
    ) -> BoxFuture<'a, CredentialVersion>;
    fn watch(&self, realm: &Realm, watcher: Arc<dyn Watcher>) -> Option<Watching>;
}

impl<B: SessionBackend> Erased for B {
    fn budget(&self) -> Option<Duration> {
        self.budget()
    }

    fn load<'a>(&'a self, key: Key<'a>) -> BoxFuture<'a, Option<Record>> {
        Box::pin(self.load(key))
    }

    fn load_now(&self, key: Key<'_>, now: Timestamp) -> Option<Result<Option<Record>, StoreError>> {
        self.load_now(key, now)
    }

    fn load_many<'a>(&'a self, keys: &'a [Key<'a>]) -> BoxFuture<'a, Vec<Option<Record>>> {
        Box::pin(self.load_many(keys))
    }

    fn create<'a>(&'a self, key: Key<'a>, record: &'a Record) -> BoxFuture<'a, Created> {
        Box::pin(self.create(key, record))
    }

    fn create_enrolled<'a>(
        &'a self,
        key: Key<'a>,
        record: &'a Record,
        enrolment: Enrolment<'a>,
    ) -> BoxFuture<'a, Enrolled> {
        Box::pin(self.create_enrolled(key, record, enrolment))
    }

    fn save<'a>(&'a self, key: Key<'a>, expected: Tag, record: &'a Record) -> BoxFuture<'a, Saved> {
        Box::pin(self.save(key, expected, record))
    }

    fn touch<'a>(&'a self, key: Key<'a>) -> BoxFuture<'a, Touched> {
        Box::pin(self.touch(key))
    }

    fn destroy<'a>(&'a self, keys: &'a [Key<'a>]) -> BoxFuture<'a, ()> {
        Box::pin(self.destroy(keys))
    }

    fn destroy_durably<'a>(&'a self, keys: &'a [Key<'a>], replicas: u32) -> BoxFuture<'a, u32> {
        Box::pin(self.destroy_durably(keys, replicas))
    }

    fn destroy_unchanged<'a>(&'a self, key: Key<'a>, expected: Tag, write: Tag) -> BoxFuture<'a, Destroyed> {
        Box::pin(self.destroy_unchanged(key, expected, write))
    }

    fn destroy_enrolled<'a>(&'a self, key: Key<'a>, user: UserKey<'a>) -> BoxFuture<'a, AtOnce> {
        Box::pin(self.destroy_enrolled(key, user))
    }

    fn supersede<'a>(
        &'a self,
        before: Key<'a>,
        expected: Tag,
        key: Key<'a>,
        record: &'a Record,
        enrolment: Enrolment<'a>,
    ) -> BoxFuture<'a, AtOnce> {
        Box::pin(self.supersede(before, expected, key, record, enrolment))
    }

    fn enrol<'a>(&'a self, locator: Locator, enrolment: Enrolment<'a>) -> BoxFuture<'a, Enrolled> {
        Box::pin(self.enrol(locator, enrolment))
    }

    fn withdraw<'a>(&'a self, user: UserKey<'a>, locators: &'a [Locator]) -> BoxFuture<'a, ()> {
        Box::pin(self.withdraw(user, locators))
    }

    fn members<'a>(&'a self, user: UserKey<'a>) -> BoxFuture<'a, Vec<Locator>> {
        Box::pin(self.members(user))
    }

    fn credential_version<'a>(&'a self, user: UserKey<'a>) -> BoxFuture<'a, CredentialVersion> {
        Box::pin(self.credential_version(user))
    }

    fn bump_credential_version<'a>(
        &'a self,
        user: UserKey<'a>,
        keep: Duration,
    ) -> BoxFuture<'a, CredentialVersion> {
        Box::pin(self.bump_credential_version(user, keep))
    }

    fn watch(&self, realm: &Realm, watcher: Arc<dyn Watcher>) -> Option<Watching> {
        self.watch(realm, watcher)
    }
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
            Some(encryption) => encryption.seal(key, record).map(Cow::Owned),
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
mod tests {
    use super::*;

    /// A backend that never answers, and says that it does within this time.
    struct Silent(Option<Duration>);

    async fn silence<T>() -> Result<T, StoreError> {
        std::future::pending().await
    }

    impl SessionBackend for Silent {
        fn budget(&self) -> Option<Duration> {
            self.0
        }

        async fn load(&self, _: Key<'_>) -> Result<Option<Record>, StoreError> {
            silence().await
        }

        async fn load_many(&self, _: &[Key<'_>]) -> Result<Vec<Option<Record>>, StoreError> {
            silence().await
        }

        async fn create(&self, _: Key<'_>, _: &Record) -> Result<Created, StoreError> {
            silence().await
        }

        async fn save(&self, _: Key<'_>, _: Tag, _: &Record) -> Result<Saved, StoreError> {
            silence().await
        }

        async fn touch(&self, _: Key<'_>) -> Result<Touched, StoreError> {
            silence().await
        }

        async fn destroy(&self, _: &[Key<'_>]) -> Result<(), StoreError> {
            silence().await
        }

        async fn destroy_unchanged(&self, _: Key<'_>, _: Tag, _: Tag) -> Result<Destroyed, StoreError> {
            silence().await
        }

        async fn enrol(&self, _: Locator, _: Enrolment<'_>) -> Result<Enrolled, StoreError> {
            silence().await
        }

        async fn withdraw(&self, _: UserKey<'_>, _: &[Locator]) -> Result<(), StoreError> {
            silence().await
        }

        async fn members(&self, _: UserKey<'_>) -> Result<Vec<Locator>, StoreError> {
            silence().await
        }

        async fn credential_version(&self, _: UserKey<'_>) -> Result<CredentialVersion, StoreError> {
            silence().await
        }

        async fn bump_credential_version(
            &self,
            _: UserKey<'_>,
            _: Duration,
        ) -> Result<CredentialVersion, StoreError> {
            silence().await
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_backend_is_timed_unless_it_is_as_quick_of_its_own_accord() {
        let millis = Duration::from_millis;
        let realm = Realm::default();
        let key = Key { realm: &realm, locator: Locator::from_bytes([0; 16]) };
        let rows = [
            ("it says nothing", None, true),
            ("it takes longer", Some(millis(101)), true),
            ("it takes as long", Some(millis(100)), false),
            ("it is quicker", Some(millis(50)), false),
        ];
        for (name, own, is_timed) in rows {
            let mut backend = Backend::new(Silent(own), millis(10));
            backend.set_budget(millis(100));
            let answer = tokio::time::timeout(millis(1000), backend.load(key)).await;
            assert_eq!(answer.is_ok(), is_timed, "{name}");
            let several = backend.within_budget(async { backend.load(key).await });
            let answer = tokio::time::timeout(millis(1000), several).await;
            assert!(answer.is_ok(), "{name}: several calls are timed in any case");
        }
    }
}
