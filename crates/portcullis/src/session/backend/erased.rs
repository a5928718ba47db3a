//! [`Erased`]: a [`SessionBackend`] without its type.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use portcullis_store::{
    AtOnce, Created, CredentialVersion, Destroyed, Enrolled, Enrolment, Key, Locator, Realm, Record, Saved,
    SessionBackend, StoreError, Tag, Timestamp, Touched, UserKey, Watcher, Watching,
};

type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// What a [`SessionBackend`] does, with a boxed future for each call that may wait.
pub(super) trait Erased: Send + Sync {
    fn budget(&self) -> Option<Duration>;
    fn max_record_len(&self) -> Option<usize>;
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

    fn max_record_len(&self) -> Option<usize> {
        self.max_record_len()
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
