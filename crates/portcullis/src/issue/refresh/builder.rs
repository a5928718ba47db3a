//! [`RefreshTokensBuilder`]: how long families last, and who is told of them.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::backend::Backend;
use super::events::{Hook, RefreshEvents};
use super::keys::RefreshKeys;
use super::tokens::{Parts, RefreshTokens};
use crate::issue::{BuildError, BuildErrorKind, TokenIssuer};

/// Builds [`RefreshTokens`].
#[must_use]
pub struct RefreshTokensBuilder {
    pub(super) issuer: TokenIssuer,
    pub(super) backend: Backend,
    pub(super) keys: RefreshKeys,
    pub(super) grace: Duration,
    pub(super) idle: Duration,
    pub(super) absolute: Duration,
    pub(super) hook: Hook,
}

impl RefreshTokensBuilder {
    /// How long after its use a token is still good for the same successor, so that parallel tabs, and who repeats a request
    /// whose answer was lost, do not sign their user out. At most five minutes. Default: ten seconds.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// For how long a family may lie idle; at most as long as [revocations are kept](crate::bearer::Revocations::longest_token), so that
    /// none is forgotten before it is met with. Default: seven days.
    pub fn idle(mut self, idle: Duration) -> Self {
        self.idle = idle;
        self
    }

    /// When a family ends in any case. Default: thirty days.
    pub fn absolute(mut self, absolute: Duration) -> Self {
        self.absolute = absolute;
        self
    }

    /// How long a call may take. Default: 500 ms, a little more than a `RedisBackend` takes by itself.
    pub fn budget(mut self, budget: Duration) -> Self {
        self.backend.budget = budget;
        self
    }

    /// Who is told of families that begin, and of tokens that are used twice.
    pub fn events(mut self, events: impl RefreshEvents) -> Self {
        self.hook = Hook(Some(Arc::new(events)));
        self
    }

    /// The refresh tokens.
    ///
    /// # Errors
    /// [`BuildErrorKind::NotRevocable`] when the issuer's tokens cannot be revoked; [`BuildErrorKind::WeakKey`] when a key is
    /// shorter than 32 bytes; [`BuildErrorKind::BadLifetime`] when a lifetime is nothing, a family could lie idle for longer
    /// than revocations are kept, or the grace is over five minutes.
    pub fn build(self) -> Result<RefreshTokens, BuildError> {
        let Self { issuer, backend, keys, grace, idle, absolute, hook } = self;
        let Some(revocations) = issuer.revocations().cloned() else {
            return Err(BuildErrorKind::NotRevocable.into());
        };
        if !keys.is_sound() {
            return Err(BuildErrorKind::WeakKey.into());
        }
        let is_kept = idle <= revocations.longest();
        if idle.is_zero() || absolute.is_zero() || !is_kept || grace > Duration::from_secs(300) {
            return Err(BuildErrorKind::BadLifetime.into());
        }
        Ok(RefreshTokens::new(Parts { issuer, revocations, backend, keys, grace, idle, absolute, hook }))
    }
}

impl fmt::Debug for RefreshTokensBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RefreshTokensBuilder").field("issuer", &self.issuer).finish_non_exhaustive()
    }
}
