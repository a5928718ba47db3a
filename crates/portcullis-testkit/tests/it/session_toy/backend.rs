//! [`Toy`] as a [`SessionBackend`]: each operation has its turn.

use std::sync::Arc;
use std::time::Duration;

use portcullis_store::{
    AtOnce, Clock, Created, CredentialVersion, Destroyed, Enrolled, Enrolment, Key, Locator, Notice, Realm,
    Record, Saved, SessionBackend, StoreError, StoreErrorKind, Tag, Touched, UserKey, Watcher, Watching,
};

use super::fault::Fault as F;
use super::{Place, Toy};

impl<C: Clock + Clone> SessionBackend for Toy<C> {
    async fn load(&self, key: Key<'_>) -> Result<Option<Record>, StoreError> {
        let _turn = self.answers().await?;
        self.load_sync(key)
    }

    async fn load_many(&self, keys: &[Key<'_>]) -> Result<Vec<Option<Record>>, StoreError> {
        let _turn = self.answers().await?;
        let mut found = keys.iter().map(|key| self.load_sync(*key)).collect::<Result<Vec<_>, _>>()?;
        if self.is(F::ManyDropsAbsent) && keys.len() > 1 {
            found.retain(Option::is_some);
        }
        if self.is(F::ManyIsOnePage) {
            found.truncate(100);
        }
        Ok(found)
    }

    async fn create(&self, key: Key<'_>, record: &Record) -> Result<Created, StoreError> {
        let _turn = self.answers().await?;
        self.on_create(key, record).await
    }

    async fn create_enrolled(
        &self,
        key: Key<'_>,
        record: &Record,
        enrolment: Enrolment<'_>,
    ) -> Result<Enrolled, StoreError> {
        let created = self.create(key, record).await?;
        let until = match self.fault {
            F::CreateEnrolledUntilIdle => record.header.idle_deadline,
            _ => record.header.absolute_deadline,
        };
        let enters = created == Created::Done || self.is(F::CreateEnrolledAlwaysEnters);
        let mut enrolled = Enrolled::Done;
        if enters && !self.is(F::CreateEnrolledForgets) {
            let mut enrolment = enrolment;
            enrolment.deadline = until;
            enrolment.limit = enrolment.limit.filter(|_| !self.is(F::CreateEnrolledIgnoresLimit));
            enrolled = self.enrol(key.locator, enrolment).await?;
        }
        Ok(if created == Created::Done { enrolled } else { Enrolled::Taken })
    }

    async fn save(&self, key: Key<'_>, expected: Tag, record: &Record) -> Result<Saved, StoreError> {
        let _turn = self.answers().await?;
        self.on_save(key, expected, record).await
    }

    async fn touch(&self, key: Key<'_>) -> Result<Touched, StoreError> {
        let _turn = self.answers().await?;
        self.on_touch(key).await
    }

    async fn destroy(&self, keys: &[Key<'_>]) -> Result<(), StoreError> {
        let _turn = self.answers().await?;
        self.on_destroy(keys).await
    }

    async fn destroy_durably(&self, keys: &[Key<'_>], _: u32) -> Result<u32, StoreError> {
        if self.is(F::DurablyDoesNothing) {
            return Ok(0);
        }
        if self.is(F::DurablyNeedsSomething)
            && !keys.iter().any(|key| self.store().sessions.contains_key(&self.name(*key)))
        {
            return Err(StoreErrorKind::Unavailable.into());
        }
        if self.is(F::DurablyTellsNobody) {
            let _turn = self.answers().await?;
            keys.iter().for_each(|key| drop(self.store().sessions.remove(&self.name(*key))));
            return Ok(0);
        }
        self.destroy(keys).await.map(|()| 0)
    }

    async fn destroy_unchanged(
        &self,
        key: Key<'_>,
        expected: Tag,
        _write: Tag,
    ) -> Result<Destroyed, StoreError> {
        let _turn = self.answers().await?;
        self.on_destroy_unchanged(key, expected, _write).await
    }

    async fn destroy_enrolled(&self, key: Key<'_>, user: UserKey<'_>) -> Result<AtOnce, StoreError> {
        let _turn = self.answers().await?;
        self.on_destroy_enrolled(key, user).await
    }

    async fn supersede(
        &self,
        before: Key<'_>,
        expected: Tag,
        key: Key<'_>,
        record: &Record,
        enrolment: Enrolment<'_>,
    ) -> Result<AtOnce, StoreError> {
        let _turn = self.answers().await?;
        self.on_supersede(before, expected, key, record, enrolment).await
    }

    async fn enrol(&self, locator: Locator, enrolment: Enrolment<'_>) -> Result<Enrolled, StoreError> {
        let _turn = self.answers().await?;
        self.on_enrol(locator, enrolment).await
    }

    async fn credential_version(&self, user: UserKey<'_>) -> Result<CredentialVersion, StoreError> {
        let _turn = self.answers().await?;
        Ok(CredentialVersion(self.version(user)))
    }

    async fn bump_credential_version(
        &self,
        user: UserKey<'_>,
        keep: Duration,
    ) -> Result<CredentialVersion, StoreError> {
        let _turn = self.answers().await?;
        Ok(CredentialVersion(self.on_bump(user, keep).await))
    }

    async fn withdraw(&self, user: UserKey<'_>, locators: &[Locator]) -> Result<(), StoreError> {
        let _turn = self.answers().await?;
        self.on_withdraw(user, locators).await
    }

    async fn members(&self, user: UserKey<'_>) -> Result<Vec<Locator>, StoreError> {
        let _turn = self.answers().await?;
        self.on_members(user).await
    }

    fn watch(&self, realm: &Realm, watcher: Arc<dyn Watcher>) -> Option<Watching> {
        let mut watchers = self.watchers.lock().unwrap();
        if !self.is(F::NeverHears) {
            watcher.notice(Notice::Hearing);
        }
        let number = watchers.len();
        watchers.insert(number, (realm.clone(), watcher));
        let place = (!self.is(F::TellsWhoHasLeft)).then(|| Place(Arc::clone(&self.watchers), number));
        Some(Watching::new(place))
    }
}
