//! [`Stage`]: what one check plays on: a handle, a realm of its own, and fresh users.

use std::sync::Arc;
use std::time::Duration;

use portcullis_store::{
    EVERYONE_IS_SEEN_WITHIN, Locator, Realm, Timestamp, TokenBackend, TokenEpoch, TokenQuery, TokenStatus,
    UserKey,
};

use super::Harness;
pub(super) use crate::conformance::outcome::realm;
use crate::conformance::outcome::{Outcome, Stop, ensure, locator};

/// Longer than any check takes.
pub(super) const LONG: Duration = Duration::from_secs(3600);

pub(super) struct Stage<'h, H: Harness> {
    pub(super) harness: &'h H,
    pub(super) store: Arc<H::Backend>,
    pub(super) realm: Realm,
    pub(super) unit: Duration,
}

/// A token, by all of its names.
#[derive(Clone, Copy)]
pub(super) struct Token<'a> {
    pub(super) user: UserKey<'a>,
    pub(super) token: Locator,
    pub(super) family: Locator,
}

/// Nothing is known.
pub(super) const NOTHING: TokenStatus = TokenStatus {
    token_is_revoked: false,
    family_is_revoked: false,
    user: TokenEpoch(Timestamp::EPOCH),
    everyone: TokenEpoch(Timestamp::EPOCH),
};

impl<'h, H: Harness> Stage<'h, H> {
    pub(super) async fn new(harness: &'h H, unit: Duration) -> Self {
        Self { harness, store: Arc::new(harness.handle().await), realm: realm(), unit }
    }

    /// A token of somebody who has no other.
    pub(super) fn token(&self) -> Token<'_> {
        Token { user: UserKey { realm: &self.realm, user: locator() }, token: locator(), family: locator() }
    }

    pub(super) fn now(&self) -> Timestamp {
        self.harness.now()
    }

    /// The status of a token, as every way of asking tells it; they must agree.
    pub(super) async fn status(&self, token: Token<'_>) -> Result<TokenStatus, Stop> {
        self.ask(token.query()).await
    }

    pub(super) async fn ask(&self, query: TokenQuery<'_>) -> Result<TokenStatus, Stop> {
        let status = self.store.status(query).await?;
        if let Some(at_once) = self.store.status_now(query) {
            let at_once = at_once?;
            ensure!(at_once == status, "status says {status:?}, status_now says {at_once:?}");
        }
        Ok(status)
    }

    pub(super) async fn expect(&self, token: Token<'_>, expected: TokenStatus, when: &str) -> Outcome {
        let status = self.status(token).await?;
        ensure!(status == expected, "{when}: the status is {status:?} instead of {expected:?}");
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

    /// What another handle says, as soon as it says what is expected of everyone, or has had time enough to.
    pub(super) async fn eventually(
        &self,
        other: &H::Backend,
        token: Token<'_>,
        expected: TokenStatus,
    ) -> Result<TokenStatus, Stop> {
        let end = self.now().saturating_add(EVERYONE_IS_SEEN_WITHIN);
        loop {
            let late = self.now() >= end;
            let status = other.status(token.query()).await?;
            if status == expected || late {
                return Ok(status);
            }
            self.harness.advance(EVERYONE_IS_SEEN_WITHIN / 50).await;
        }
    }
}

impl<'a> Token<'a> {
    pub(super) fn query(self) -> TokenQuery<'a> {
        TokenQuery { user: self.user, token: Some(self.token), family: Some(self.family) }
    }

    pub(super) fn in_realm(self, realm: &Realm) -> Token<'_> {
        Token { user: UserKey { realm, user: self.user.user }, token: self.token, family: self.family }
    }
}
