//! [`Stage`]: what one check plays on: a handle, and fresh issuers.

use std::sync::Arc;
use std::time::Duration;

use portcullis_store::{KeySetBackend, Locator, SharedKeySet, Timestamp};

use super::Harness;
use crate::conformance::outcome::{Outcome, Stop, ensure, locator};

/// Longer than any check takes.
pub(super) const LONG: Duration = Duration::from_secs(3600);

pub(super) struct Stage<'h, H: Harness> {
    pub(super) harness: &'h H,
    pub(super) store: Arc<H::Backend>,
    pub(super) unit: Duration,
}

/// A set of this age, of any bytes, that is like no other.
pub(super) fn set(age: Duration) -> SharedKeySet {
    let tag = locator();
    let document = [b"\x00\xff{}\r\n".as_slice(), tag.as_bytes()].concat();
    SharedKeySet { tag, age, ttl: Duration::from_millis(600_001), document }
}

impl<'h, H: Harness> Stage<'h, H> {
    pub(super) async fn new(harness: &'h H, unit: Duration) -> Self {
        Self { harness, store: Arc::new(harness.handle().await), unit }
    }

    pub(super) fn now(&self) -> Timestamp {
        self.harness.now()
    }

    pub(super) async fn save(&self, issuer: Locator, set: &SharedKeySet) -> Outcome {
        Ok(self.store.save(issuer, set.clone(), LONG).await?)
    }

    /// The issuer's set is this one, but for its age.
    pub(super) async fn expect(&self, issuer: Locator, set: &SharedKeySet, when: &str) -> Outcome {
        let found = self.load(issuer, when).await?;
        let is_same = (found.tag, found.ttl, &found.document) == (set.tag, set.ttl, &set.document);
        ensure!(is_same, "{when}: the set is {found:?} instead of {set:?}");
        Ok(())
    }

    pub(super) async fn load(&self, issuer: Locator, when: &str) -> Result<SharedKeySet, Stop> {
        let found = self.store.load(issuer).await?;
        found.ok_or_else(|| Stop::Broken(format!("{when}: there is no set")))
    }

    pub(super) async fn expect_none(&self, issuer: Locator, when: &str) -> Outcome {
        let found = self.store.load(issuer).await?;
        ensure!(found.is_none(), "{when}: there is {found:?}");
        Ok(())
    }

    pub(super) async fn expect_lease(
        &self,
        issuer: Locator,
        holder: Locator,
        expected: bool,
        when: &str,
    ) -> Outcome {
        let has = self.store.lease(issuer, holder, LONG).await?;
        ensure!(has == expected, "{when}: the lease is given: {has}");
        Ok(())
    }

    /// What holds of something that lasts until `end`: it is there, unless that has come meanwhile.
    pub(super) fn before(&self, end: Timestamp, is_there: bool, what: &str) -> Outcome {
        match is_there {
            true => Ok(()),
            false if self.now() >= end => Err(Stop::Late),
            false => Err(Stop::Broken(format!("{what} is over at {:?}, before {end:?}", self.now()))),
        }
    }

    /// Lets time pass until `moment` is over.
    pub(super) async fn pass(&self, moment: Timestamp) {
        while self.now() <= moment {
            self.harness.advance(moment.since(self.now()) + Duration::from_millis(2)).await;
        }
    }
}
