//! [`Stage`]: what one check plays on: a handle, a realm of its own, fresh keys and records.

use std::sync::Arc;
use std::time::Duration;

use portcullis_store::{
    Created, Enrolled, Enrolment, Header, Key, Locator, Realm, Record, Saved, SecretHash, SessionBackend,
    Tag, Timestamp, UserKey,
};

use super::Harness;
use crate::conformance::outcome::random;
use crate::conformance::outcome::realm;
pub(super) use crate::conformance::outcome::{Outcome, Stop, ensure, locator};

pub(super) struct Stage<'h, H: Harness> {
    pub(super) harness: &'h H,
    pub(super) store: Arc<H::Backend>,
    pub(super) realm: Realm,
    pub(super) unit: Duration,
}

impl<'h, H: Harness> Stage<'h, H> {
    pub(super) async fn new(harness: &'h H, unit: Duration) -> Self {
        Self { harness, store: Arc::new(harness.handle().await), realm: realm(), unit }
    }

    pub(super) fn key(&self) -> Key<'_> {
        Key { realm: &self.realm, locator: locator() }
    }

    pub(super) fn user(&self) -> UserKey<'_> {
        UserKey { realm: &self.realm, user: locator() }
    }

    pub(super) fn now(&self) -> Timestamp {
        self.harness.now()
    }

    pub(super) fn soon(&self, units: u32) -> Timestamp {
        self.now().saturating_add(self.unit * units)
    }

    /// A record that lives for an hour in every respect.
    pub(super) fn record(&self) -> Record {
        const HOUR: Duration = Duration::from_secs(3600);
        let deadline = self.now().saturating_add(HOUR);
        self.record_until(deadline, deadline, HOUR)
    }

    pub(super) fn record_until(
        &self,
        idle_deadline: Timestamp,
        absolute_deadline: Timestamp,
        idle: Duration,
    ) -> Record {
        let now = self.now();
        let header = Header {
            tags: [tag(), Tag::default(), Tag::default(), Tag::default()],
            flags: 0b1010_0101,
            secret: SecretHash([0xd5; 32]),
            previous: Some((SecretHash([0x2a; 32]), now.saturating_add(Duration::from_millis(7)))),
            secret_since: now,
            created: now,
            authenticated: Some(now),
            absolute_deadline,
            idle,
            idle_deadline,
        };
        Record::new(header, *b"first")
    }

    /// Creates the record, which must succeed.
    pub(super) async fn create(&self, key: Key<'_>, record: &Record) -> Outcome {
        let created = self.store.create(key, record).await?;
        ensure!(created == Created::Done, "a create under a fresh key was {created:?}");
        Ok(())
    }

    /// Saves the record on top of `before`, which must succeed.
    pub(super) async fn save(&self, key: Key<'_>, before: &Record, record: &Record) -> Outcome {
        let saved = self.store.save(key, before.header.tag(), record).await?;
        ensure!(saved == Saved::Done, "a save with the current tag was {saved:?}");
        Ok(())
    }

    /// Enters a session in a user's index, which must succeed.
    pub(super) async fn enrol(&self, user: UserKey<'_>, entry: Locator, deadline: Timestamp) -> Outcome {
        self.expect_enrolled(entry, Enrolment::new(user, deadline), &Enrolled::Done, "without conditions")
            .await
    }

    pub(super) async fn expect_enrolled(
        &self,
        entry: Locator,
        enrolment: Enrolment<'_>,
        expected: &Enrolled,
        when: &str,
    ) -> Outcome {
        let enrolled = sorted(self.store.enrol(entry, enrolment).await?);
        let expected = sorted(expected.clone());
        ensure!(enrolled == expected, "{when}: an enrol was {enrolled:?} instead of {expected:?}");
        Ok(())
    }

    /// The record under `key`, as every way of reading tells it; they must agree.
    pub(super) async fn read(&self, key: Key<'_>) -> Result<Option<Record>, Stop> {
        let loaded = self.store.load(key).await?;
        let many = self.store.load_many(&[key]).await?;
        let agree = |other: &Option<Record>| {
            other == &loaded || other.as_ref().map(payload_and_tags) == loaded.as_ref().map(payload_and_tags)
        };
        // A session may end between two reads, never begin.
        ensure!(
            matches!(many.as_slice(), [one] if agree(one) || one.is_none()),
            "load says {loaded:?}, load_many says {many:?}"
        );
        if let Some(at_once) = self.store.load_now(key, self.now()) {
            let at_once = at_once?;
            ensure!(agree(&at_once) || at_once.is_none(), "load says {loaded:?}, load_now says {at_once:?}");
        }
        Ok(loaded)
    }

    /// The record under `key`, which must be there, unless `deadline` has passed meanwhile.
    pub(super) async fn alive_until(&self, key: Key<'_>, deadline: Timestamp) -> Result<Record, Stop> {
        match self.read(key).await? {
            Some(record) => Ok(record),
            None if self.now() >= deadline => Err(Stop::Late),
            None => Err(Stop::Broken(format!("gone at {:?}, it was to live until {deadline:?}", self.now()))),
        }
    }

    pub(super) async fn expect(&self, key: Key<'_>, expected: Option<&Record>, when: &str) -> Outcome {
        let found = self.read(key).await?;
        ensure!(found.as_ref() == expected, "{when}: found {found:?} instead of {expected:?}");
        Ok(())
    }

    /// The members of a user's index, sorted.
    pub(super) async fn expect_members(
        &self,
        user: UserKey<'_>,
        expected: &[Locator],
        when: &str,
    ) -> Outcome {
        let mut members = self.store.members(user).await?;
        let mut expected = expected.to_vec();
        members.sort_unstable();
        expected.sort_unstable();
        ensure!(members == expected, "{when}: the members are {members:?} instead of {expected:?}");
        Ok(())
    }

    /// Lets time pass until `moment` is over.
    pub(super) async fn pass(&self, moment: Timestamp) {
        while self.now() <= moment {
            self.harness.advance(moment.since(self.now()) + Duration::from_millis(2)).await;
        }
    }

    /// Lets time pass until `moment`, unless `deadline` has come as well.
    pub(super) async fn pass_before(&self, moment: Timestamp, deadline: Timestamp) -> Outcome {
        self.pass(moment).await;
        if self.now() < deadline { Ok(()) } else { Err(Stop::Late) }
    }
}

/// The order of members says nothing.
fn sorted(mut enrolled: Enrolled) -> Enrolled {
    if let Enrolled::Full(members) = &mut enrolled {
        members.sort_unstable();
    }
    enrolled
}

/// The record that a request writes on top of `before`.
pub(super) fn next(before: &Record, payload: &[u8]) -> Record {
    let mut record = Record::new(before.header, payload);
    record.header.tags = before.header.tags_after(tag());
    record
}

pub(super) fn tag() -> Tag {
    Tag(random().to_be_bytes())
}

fn payload_and_tags(record: &Record) -> (&[u8], [Tag; 4]) {
    (&record.payload, record.header.tags)
}
