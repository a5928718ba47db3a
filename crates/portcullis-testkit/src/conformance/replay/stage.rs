//! [`Stage`]: what one check plays on: a handle, and a realm of its own.

use std::sync::Arc;
use std::time::Duration;

use portcullis_store::{Claimed, Locator, Realm, ReplayBackend, Timestamp};

use super::Harness;
use crate::conformance::outcome::{Outcome, Stop, ensure, realm};

/// Longer than any check takes.
pub(super) const LONG: Duration = Duration::from_secs(3600);

pub(super) struct Stage<'h, H: Harness> {
    pub(super) harness: &'h H,
    pub(super) store: Arc<H::Backend>,
    pub(super) realm: Realm,
    pub(super) unit: Duration,
}

/// One of the two ways to claim.
#[derive(Clone, Copy, Debug)]
pub(super) enum Way {
    /// At once, if the backend can.
    AtOnce,
    Waiting,
}

impl Way {
    pub(super) const BOTH: [Self; 2] = [Self::AtOnce, Self::Waiting];
}

impl<'h, H: Harness> Stage<'h, H> {
    pub(super) async fn new(harness: &'h H, unit: Duration) -> Self {
        Self { harness, store: Arc::new(harness.handle().await), realm: realm(), unit }
    }

    pub(super) fn now(&self) -> Timestamp {
        self.harness.now()
    }

    pub(super) async fn claim(&self, way: Way, name: Locator, keep: Duration) -> Result<Claimed, Stop> {
        let at_once = match way {
            Way::AtOnce => self.store.claim_now(&self.realm, name, keep),
            Way::Waiting => None,
        };
        match at_once {
            Some(answer) => Ok(answer?),
            None => Ok(self.store.claim(&self.realm, name, keep).await?),
        }
    }

    pub(super) async fn expect(&self, way: Way, name: Locator, expected: Claimed, when: &str) -> Outcome {
        let claimed = self.claim(way, name, LONG).await?;
        ensure!(claimed == expected, "{when}, {way:?}: the claim is {claimed:?} instead of {expected:?}");
        Ok(())
    }

    /// What holds of something that is kept until `end`: it is there, unless that has come meanwhile.
    pub(super) fn before(&self, end: Timestamp, is_there: bool, what: &str) -> Outcome {
        match is_there {
            true => Ok(()),
            false if self.now() >= end => Err(Stop::Late),
            false => Err(Stop::Broken(format!("{what} is forgotten at {:?}, before {end:?}", self.now()))),
        }
    }

    /// Lets time pass until `moment` is over.
    pub(super) async fn pass(&self, moment: Timestamp) {
        while self.now() <= moment {
            self.harness.advance(moment.since(self.now()) + Duration::from_millis(2)).await;
        }
    }
}
