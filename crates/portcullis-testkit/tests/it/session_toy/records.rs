//! Records: how they are kept, and what each operation on one does, once it is its turn.

use portcullis_store::{
    Clock, Created, Header, Key, Record, Saved, StoreError, StoreErrorKind, Tag, Timestamp, Touched,
};
use std::time::Duration;

use super::fault::Fault as F;
use super::{Entry, Store, Toy};

impl<C: Clock + Clone> Toy<C> {
    fn now_for_expiry(&self) -> Timestamp {
        let now = self.clock.now();
        if self.is(F::EndsAtWholeSeconds) { now.saturating_sub(Duration::from_secs(1)) } else { now }
    }

    pub(super) fn entry(&self, store: &mut Store, key: Key<'_>) -> Option<Entry> {
        let name = self.name(key);
        let entry = store.sessions.get(&name)?.clone();
        if entry.expires <= self.now_for_expiry() && !self.is(F::NeverEnds) {
            return None;
        }
        Some(entry)
    }

    pub(super) fn record(
        &self,
        store: &mut Store,
        key: Key<'_>,
    ) -> Result<Option<(Record, Timestamp)>, StoreError> {
        let Some(entry) = self.entry(store, key) else { return Ok(None) };
        match Record::decode(&entry.bytes) {
            Ok(record) => Ok(Some((record, entry.expires))),
            Err(_) if self.is(F::TakesForeignForAbsent) => Ok(None),
            Err(error) => Err(StoreError::with_source(StoreErrorKind::Corrupt, error)),
        }
    }

    pub(super) fn put(&self, store: &mut Store, key: Key<'_>, record: &Record, expires: Timestamp) {
        let mut record = record.clone();
        if self.is(F::DropsPreviousSecret) {
            record.header.previous = None;
        }
        if self.is(F::StopsAtNul) {
            record.payload = record.payload.split(|&byte| byte == 0).next().unwrap().into();
        }
        if self.is(F::CutsLargePayloads) {
            record.payload = record.payload.iter().copied().take(16_384).collect();
        }
        store.sessions.insert(self.name(key), Entry { bytes: record.encode(), expires });
    }

    pub(super) fn first_expiry(&self, header: &Header) -> Timestamp {
        if self.is(F::NeverIdle) { header.absolute_deadline } else { header.expires() }
    }

    pub(super) fn load_sync(&self, key: Key<'_>) -> Result<Option<Record>, StoreError> {
        let found = self.record(&mut self.store(), key)?.map(|(record, _)| record);
        if self.is(F::HandlesKeepACopy) {
            return Ok(self.copies.lock().unwrap().entry(self.name(key)).or_insert(found).clone());
        }
        Ok(found)
    }

    pub(super) async fn on_create(&self, key: Key<'_>, record: &Record) -> Result<Created, StoreError> {
        let mut existing = self.entry(&mut self.store(), key);
        if self.is(F::CreateIsNotAtomic) {
            tokio::task::yield_now().await;
        } else {
            existing = self.entry(&mut self.store(), key);
        }
        let mut store = self.store();
        if self.is(F::ExpiredKeysAreTaken) {
            existing = store.sessions.get(&self.name(key)).cloned();
        }
        if let Some(existing) = existing.filter(|_| !self.is(F::CreateOverwrites)) {
            let Ok(existing) = Record::decode(&existing.bytes) else {
                return Err(StoreErrorKind::Corrupt.into());
            };
            let tags = match self.fault {
                F::CreateRefusesItsResend => &[][..],
                F::CreateRefusesALateResend => &existing.header.tags[..1],
                _ => &existing.header.tags[..],
            };
            let resend = tags.contains(&record.header.tag());
            return Ok(if resend { Created::Done } else { Created::Taken });
        }
        self.put(&mut store, key, record, self.first_expiry(&record.header));
        Ok(Created::Done)
    }

    pub(super) async fn on_save(
        &self,
        key: Key<'_>,
        expected: Tag,
        record: &Record,
    ) -> Result<Saved, StoreError> {
        let before = { self.record(&mut self.store(), key).ok().flatten() };
        if let Some((mut current, expires)) = before.filter(|_| self.is(F::SaveTearsWhenDropped)) {
            let torn = [&record.payload[..record.payload.len() / 2], b"torn"].concat();
            let whole = std::mem::replace(&mut current.payload, torn.into());
            self.put(&mut self.store(), key, &current, expires);
            tokio::task::yield_now().await;
            current.payload = whole;
            self.put(&mut self.store(), key, &current, expires);
        }
        if self.is(F::SaveIsNotAtomic) {
            let answer = {
                let before = self.store().sessions.clone();
                let answer = self.save_sync(key, expected, record)?;
                if answer == Saved::Done {
                    self.store().sessions = before;
                }
                answer
            };
            tokio::task::yield_now().await;
            if answer == Saved::Done {
                let mut store = self.store();
                if let Some((_, expires)) = self.record(&mut store, key)? {
                    self.put(&mut store, key, record, expires);
                }
            }
            return Ok(answer);
        }
        if self.is(F::TellsSaves) {
            self.tell(&[key]);
        }
        self.save_sync(key, expected, record)
    }

    fn save_sync(&self, key: Key<'_>, expected: Tag, record: &Record) -> Result<Saved, StoreError> {
        let mut store = self.store();
        let now = self.clock.now();
        let expired = |entry: &Entry| entry.expires <= now;
        if self.is(F::OverwritesForeignRecords)
            && self.entry(&mut store, key).is_some_and(|entry| Record::decode(&entry.bytes).is_err())
        {
            self.put(&mut store, key, record, record.header.expires());
        }
        let stored = match self.record(&mut store, key)? {
            Some(stored) => stored,
            None if self.is(F::SaveOfNothingCreates) || self.is(F::SaveResurrects) => {
                self.put(&mut store, key, record, record.header.expires());
                return Ok(if self.is(F::SaveResurrects) { Saved::Gone } else { Saved::Done });
            }
            None if self.is(F::ResendResurrects) && &*record.payload == b"applied" => {
                self.put(&mut store, key, record, record.header.expires());
                return Ok(Saved::Done);
            }
            None if self.is(F::ExpiredSavesWork)
                && store.sessions.get(&self.name(key)).is_some_and(expired) =>
            {
                return Ok(Saved::Done);
            }
            None => return Ok(Saved::Gone),
        };
        let (current, expires) = stored;
        let tag = record.header.tag();
        if self.is(F::ResendAppliesTwice) && current.header.tags.contains(&tag) {
            self.put(&mut store, key, record, expires);
            return Ok(Saved::Done);
        }
        if current.header.tag() == expected || self.is(F::SaveIgnoresTags) {
            let mut next = record.clone();
            if !self.is(F::SaveMovesIdleDeadline) {
                next.header.idle_deadline = current.header.idle_deadline;
            }
            if self.is(F::SaveKeepsHeader) {
                next.header = Header { tags: record.header.tags, ..current.header };
            }
            if self.is(F::SaveKeepsAbsoluteDeadline) {
                next.header.absolute_deadline = current.header.absolute_deadline;
            }
            let expires = match self.fault {
                F::SaveProlongs => record.header.expires().max(expires),
                F::SavePersists => Timestamp::MAX,
                _ => expires,
            };
            self.put(&mut store, key, &next, expires);
            return Ok(Saved::Done);
        }
        let known = match self.fault {
            F::SaveForgetsHistory => false,
            F::SaveForgetsAfterTwo => current.header.tags[..3].contains(&tag),
            F::ResendAlwaysDone => record.payload.as_ref() == b"the write",
            _ => current.header.tags.contains(&tag),
        };
        if known {
            if self.is(F::ResendPersists) {
                self.put(&mut store, key, &current, Timestamp::MAX);
            }
            return Ok(Saved::Done);
        }
        let current = if self.is(F::ConflictShowsNothing) { record.clone() } else { current };
        Ok(Saved::Conflict { current, in_doubt: false })
    }

    pub(super) async fn on_touch(&self, key: Key<'_>) -> Result<Touched, StoreError> {
        let found = { self.record(&mut self.store(), key)? };
        let Some((mut record, expires)) = found else {
            if self.is(F::TouchResurrects) {
                let name = self.name(key);
                let gone = Record::new(Record::decode(&[1; 200]).unwrap().header, []);
                let entry = Entry { bytes: gone.encode(), expires: Timestamp::MAX };
                self.store().sessions.insert(name, entry);
            }
            return Ok(Touched::Gone);
        };
        if self.is(F::TouchWritesBack) {
            tokio::task::yield_now().await;
        }
        let header = &mut record.header;
        let mut deadline = self.clock.now().saturating_add(header.idle);
        if !self.is(F::TouchIsUnbounded) {
            deadline = deadline.min(header.absolute_deadline);
        }
        if !self.is(F::TouchShortens) {
            deadline = deadline.max(header.idle_deadline);
        }
        if !self.is(F::TouchForgetsHeader) {
            header.idle_deadline = deadline;
        }
        if self.is(F::TouchChangesTag) {
            header.tags = header.tags_after(Tag([9; 8]));
        }
        let mut store = self.store();
        if !self.is(F::TouchWritesBack) {
            // The record as it is now; only its idle deadline is the touch's business.
            let Some((now, _)) = self.record(&mut store, key)? else { return Ok(Touched::Gone) };
            record.payload = now.payload.clone();
            if !self.is(F::TouchChangesTag) {
                record.header.tags = now.header.tags;
            }
        }
        match self.fault {
            F::TouchDoesNothing => {}
            F::TouchForgetsExpiry => self.put(&mut store, key, &record, expires),
            _ => self.put(&mut store, key, &record, deadline),
        }
        Ok(Touched::Alive(deadline))
    }
}
