//! [`Stage`]: what one check plays on: a handle, a realm of its own, and fresh users.

use std::sync::Arc;
use std::time::Duration;

use portcullis_store::{
    Begun, FamilyBackend, FamilyKey, FamilySecret, NewFamily, Realm, Timestamp, TokenBackend, TokenEpoch,
    TokenQuery, Turn, Turned, UserKey,
};

use super::Harness;
use crate::conformance::outcome::{Outcome, Stop, ensure, locator, realm};

/// Longer than any check takes.
pub(super) const LONG: Duration = Duration::from_secs(3600);

/// What families allow here: any bytes.
pub(super) const PAYLOAD: &[u8] = b"\x00\xff{}\r\n";

pub(super) struct Stage<'h, H: Harness> {
    pub(super) harness: &'h H,
    pub(super) store: Arc<H::Backend>,
    pub(super) realm: Realm,
    pub(super) unit: Duration,
}

/// The secret of a generation.
pub(super) fn secret(generation: u64) -> FamilySecret {
    let mut bytes = [0; 32];
    bytes[24..].copy_from_slice(&generation.to_be_bytes());
    FamilySecret(bytes)
}

/// The token of a generation is presented.
pub(super) fn turn(generation: u64) -> Turn {
    let (secret, successor) = (secret(generation), secret(generation + 1));
    Turn { generation, secret, successor, grace: LONG, keep: LONG }
}

pub(super) fn new(absolute: Duration, idle: Duration) -> NewFamily<'static> {
    NewFamily { secret: secret(0), absolute, idle, epoch: None, payload: PAYLOAD }
}

impl<'h, H: Harness> Stage<'h, H> {
    pub(super) async fn new(harness: &'h H, unit: Duration) -> Self {
        Self { harness, store: Arc::new(harness.handle().await), realm: realm(), unit }
    }

    pub(super) fn key(&self) -> FamilyKey<'_> {
        FamilyKey { user: UserKey { realm: &self.realm, user: locator() }, family: locator() }
    }

    /// A family of somebody who has no other.
    pub(super) async fn begun(&self) -> Result<FamilyKey<'_>, Stop> {
        let key = self.key();
        let begun = self.store.begin_family(key, new(LONG, LONG)).await?;
        ensure!(begun == Begun::Done(TokenEpoch::default()), "a family that nobody has begun: {begun:?}");
        Ok(key)
    }

    pub(super) fn now(&self) -> Timestamp {
        self.harness.now()
    }

    /// Lets time pass until `moment` is over.
    pub(super) async fn pass(&self, moment: Timestamp) {
        while self.now() <= moment {
            self.harness.advance(moment.since(self.now()) + Duration::from_millis(2)).await;
        }
    }

    /// Presents a token, and expects to be told of this generation.
    pub(super) async fn expect(&self, key: FamilyKey<'_>, turn: Turn, told: u64, new: bool) -> Outcome {
        let turned = self.store.rotate_family(key, turn).await?;
        let Turned::Current { generation, is_new, payload, left, .. } = turned else {
            return Err(Stop::Broken(format!("generation {} was told {turned:?}", turn.generation)));
        };
        ensure!(
            (generation, is_new) == (told, new),
            "generation {} was told of {generation}, new: {is_new}",
            turn.generation
        );
        ensure!(payload == PAYLOAD, "the payload is {payload:?}");
        ensure!(left <= LONG && !left.is_zero(), "there are {left:?} left");
        Ok(())
    }

    /// Presents the current token, and expects to be told of this generation, which does not go on for longer than `at_most`.
    pub(super) async fn expect_left(
        &self,
        key: FamilyKey<'_>,
        turn: Turn,
        told: u64,
        at_most: Duration,
    ) -> Outcome {
        let turned = self.store.rotate_family(key, turn).await?;
        let is_bounded = matches!(
            turned,
            Turned::Current { generation, is_new: true, left, .. } if generation == told && left <= at_most
        );
        ensure!(is_bounded, "generation {} was told {turned:?}", turn.generation);
        Ok(())
    }

    /// Presents a token, and expects this answer.
    pub(super) async fn expect_end(
        &self,
        key: FamilyKey<'_>,
        turn: Turn,
        told: &Turned,
        when: &str,
    ) -> Outcome {
        let turned = self.store.rotate_family(key, turn).await?;
        ensure!(turned == *told, "{when}: {turned:?} instead of {told:?}");
        Ok(())
    }

    /// Whether the access tokens of a family are revoked.
    pub(super) async fn expect_revoked(&self, key: FamilyKey<'_>, expected: bool, when: &str) -> Outcome {
        let query = TokenQuery { user: key.user, token: None, family: Some(key.family) };
        let status = self.store.status(query).await?;
        ensure!(status.family_is_revoked == expected, "{when}: {status:?}");
        Ok(())
    }
}

pub(super) fn reused() -> Turned {
    Turned::Reused { payload: PAYLOAD.to_vec() }
}
