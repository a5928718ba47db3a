//! Ends: what destroys a session, and who is told, once it is its turn.

use std::time::Duration;

use portcullis_store::{
    AtOnce, Clock, Destroyed, Enrolment, Key, Locator, Notice, Record, StoreError, StoreErrorKind, Tag,
    UserKey,
};

use super::Toy;
use super::fault::Fault as F;

impl<C: Clock + Clone> Toy<C> {
    pub(super) fn tell(&self, ended: &[Key<'_>]) {
        let shown = if self.is(F::TellsTheFirstOnly) { &ended[..ended.len().min(1)] } else { ended };
        for (realm, watcher) in self.watchers.lock().unwrap().values() {
            let theirs = shown.iter().filter(|key| key.realm == realm || self.is(F::TellsOtherRealms));
            let theirs: Vec<Locator> = theirs.map(|key| key.locator).collect();
            if !theirs.is_empty() && !self.is(F::TellsNobody) {
                watcher.notice(Notice::Ended(&theirs));
            }
        }
    }

    pub(super) async fn on_destroy(&self, keys: &[Key<'_>]) -> Result<(), StoreError> {
        if self.is(F::TellsBeforeItIsGone) {
            self.tell(keys);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let mut store = self.store();
        let at_most = match self.fault {
            F::DestroysOnlyTheFirst => 1,
            F::DestroysOnePage => 100,
            _ => keys.len(),
        };
        let victims = &keys[..keys.len().min(at_most)];
        if self.is(F::DestroysTooMuch) && victims.len() > 1 {
            store.sessions.clear();
        }
        for &victim in victims {
            if self.is(F::DestroySparesForeignRecords) {
                self.record(&mut store, victim)?;
            }
            let realm = if self.is(F::DestroysInOneRealm) { victims[0].realm } else { victim.realm };
            let gone = store.sessions.remove(&self.name(Key { realm, ..victim }));
            if gone.is_none() && self.is(F::DestroyOfNothingFails) {
                return Err(StoreErrorKind::Unavailable.into());
            }
            if self.is(F::IndexDiesWithSession) {
                store.indexes.remove(&(victim.realm.as_str().to_owned(), victim.locator));
            }
        }
        drop(store);
        if !self.is(F::TellsBeforeItIsGone) {
            self.tell(keys);
        }
        Ok(())
    }

    pub(super) async fn on_destroy_unchanged(
        &self,
        key: Key<'_>,
        expected: Tag,
        _write: Tag,
    ) -> Result<Destroyed, StoreError> {
        let found = { self.record(&mut self.store(), key)? };
        let Some((current, _)) = found else {
            let done = self.is(F::DestroyUnchangedIsAlwaysDone);
            return Ok(if done { Destroyed::Done } else { Destroyed::Gone });
        };
        if current.header.tag() != expected && !self.is(F::DestroyUnchangedIgnoresTags) {
            let mut current = current;
            if self.is(F::DestroyUnchangedShowsNothing) {
                current.payload = [].into();
            }
            if self.is(F::TellsConflicts) {
                self.tell(&[key]);
            }
            return Ok(Destroyed::Conflict { current });
        }
        if self.is(F::DestroyUnchangedIsNotAtomic) {
            tokio::task::yield_now().await;
        }
        if !self.is(F::DestroyUnchangedKeeps) {
            self.store().sessions.remove(&self.name(key));
        }
        if !self.is(F::TellsNoHandover) {
            self.tell(&[key]);
        }
        Ok(Destroyed::Done)
    }

    pub(super) async fn on_destroy_enrolled(
        &self,
        key: Key<'_>,
        user: UserKey<'_>,
    ) -> Result<AtOnce, StoreError> {
        self.store().sessions.remove(&self.name(key));
        if !self.is(F::DestroyEnrolledKeepsEntry) {
            let mut store = self.store();
            let index = store.indexes.entry(self.user(user)).or_default();
            index.retain(|(member, _)| *member != key.locator);
        }
        if !self.is(F::DestroyEnrolledTellsNobody) {
            self.tell(&[key]);
        }
        Ok(AtOnce::Done)
    }

    pub(super) async fn on_supersede(
        &self,
        before: Key<'_>,
        expected: Tag,
        key: Key<'_>,
        record: &Record,
        enrolment: Enrolment<'_>,
    ) -> Result<AtOnce, StoreError> {
        let (found, there) = {
            let mut store = self.store();
            (self.record(&mut store, before)?, self.record(&mut store, key)?)
        };
        let is_sent = |there: &Record| {
            there.header.tags.contains(&record.header.tag()) || self.is(F::SupersedeTakesTakenForSent)
        };
        let sent = there.as_ref().is_some_and(|(there, _)| is_sent(there));
        if sent && self.is(F::SupersedeTakesTheNewForSent) {
            return Ok(AtOnce::Done);
        }
        let Some((found, _)) = found else {
            let done = sent && !self.is(F::SupersedeRefusesItsResend);
            return Ok(if done { AtOnce::Done } else { AtOnce::NotDone });
        };
        let changed = found.header.tag() != expected && !self.is(F::SupersedeIgnoresTags);
        let refused = self.refusal(key.locator, &enrolment).is_some() && !self.is(F::SupersedeIgnoresLimit);
        if changed || refused || there.is_some() {
            if self.is(F::SupersedeLeavesTheNew) {
                self.put(&mut self.store(), key, record, self.first_expiry(&record.header));
            }
            return Ok(AtOnce::NotDone);
        }
        if self.is(F::SupersedeIsNotAtomic) {
            tokio::task::yield_now().await;
        }
        self.put(&mut self.store(), key, record, self.first_expiry(&record.header));
        if !self.is(F::SupersedeForgetsEntry) {
            self.enrol_sync(enrolment.user, key.locator, enrolment.deadline);
        }
        if !self.is(F::SupersedeKeepsTheOld) {
            self.store().sessions.remove(&self.name(before));
        }
        if !self.is(F::SupersedeTellsNobody) {
            self.tell(&[before]);
        }
        Ok(AtOnce::Done)
    }
}
