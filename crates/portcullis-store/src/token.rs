//! [`TokenBackend`]: what a place that knows which bearer tokens are revoked must do.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use crate::{Locator, Realm, RevocationWatcher, StoreError, Timestamp, UserKey, Watching};

/// A place that knows which bearer tokens are revoked: one of them, those of one family, those of one user, or all.
///
/// It keeps no tokens. A token's `jti` and the `sid` of its family are hashed before a backend sees them, as users are.
///
/// # Promises that every implementation keeps
///
/// * **An outage is an error**, never a status of which nothing is revoked.
/// * **What is revoked is so when the call returns**, for every [`status`](Self::status) of every process. Only
///   [`revoke_everyone`](Self::revoke_everyone) may be seen by other processes up to [`EVERYONE_IS_SEEN_WITHIN`] later.
/// * **It stays so for at least as long as `keep`**, by the longest of several, and is forgotten soon after.
/// * **A user's epochs only rise**, and so do everyone's: each is later than those that the same call has given before,
///   and no two calls are given one, also if they run at the same time.
/// * **Every write may be sent twice**: a mark stays a mark, and an epoch that rises twice revokes nothing that was issued
///   later.
/// * **A store that has no room for more should still revoke**: locking out a thief must not need room.
/// * **Each call ends within the backend's own budget**, well under a second.
/// * **Who is told need not ask**, if the backend can [tell](Self::watch_revocations): who takes itself for current has been
///   told of all that was revoked up to [`REVOCATIONS_ARE_TOLD_WITHIN`](crate::REVOCATIONS_ARE_TOLD_WITHIN) ago.
///
/// The conformance suite in `portcullis-testkit` checks them.
///
/// # What an epoch is good for
///
/// A user's epoch is the moment, by the store's clock, at which everything that was issued before ceased to be good. A
/// token that was issued elsewhere is compared by its `iat`, which has whole seconds only. A token of the application's
/// own carries the epoch of its user as it was when the token was minted (`tv`), and is good only while it is the same.
/// That is why an epoch never comes back after it was forgotten: a number that counts from zero would.
pub trait TokenBackend: Send + Sync + 'static {
    /// What is known of a token, in one round trip.
    fn status(&self, query: TokenQuery<'_>) -> impl Future<Output = Result<TokenStatus, StoreError>> + Send;

    /// What [`status`](Self::status) would give, when it can be had without waiting; `None` to have `status` asked.
    ///
    /// For backends in this process: it saves a boxed future per request.
    fn status_now(&self, query: TokenQuery<'_>) -> Option<Result<TokenStatus, StoreError>> {
        let _ = query;
        None
    }

    /// Revokes one token of the user's.
    fn revoke_token(
        &self,
        user: UserKey<'_>,
        token: Locator,
        keep: Duration,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Revokes the tokens of one family of the user's: those that came of one login.
    fn revoke_family(
        &self,
        user: UserKey<'_>,
        family: Locator,
        keep: Duration,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Revokes all tokens that the user has, and gives the epoch that begins.
    fn revoke_user(
        &self,
        user: UserKey<'_>,
        keep: Duration,
    ) -> impl Future<Output = Result<TokenEpoch, StoreError>> + Send;

    /// Revokes all tokens of everyone in the realm, and gives the epoch that begins.
    fn revoke_everyone(
        &self,
        realm: &Realm,
        keep: Duration,
    ) -> impl Future<Output = Result<TokenEpoch, StoreError>> + Send;

    /// Has `watcher` told what is revoked in `realm`, by whichever process, until the [`Watching`] is dropped.
    ///
    /// * It is told [all that stands](crate::RevocationNotice::Revoked), then that it is
    ///   [current](crate::RevocationNotice::Current), maybe before this returns; and again and again, well before that moment
    ///   has come.
    /// * From then on it is told of each revocation, also of one that makes another last longer, and of a family that was
    ///   revoked because a refresh token came for a second time.
    /// * It is told that it is [deaf](crate::RevocationNotice::Deaf) as soon as the backend knows that something may go
    ///   untold. The moment that it was told last holds also if nobody notices.
    /// * Nothing is told of other realms.
    ///
    /// `None`, the default, where a store cannot tell: then each [`status`](Self::status) is asked for.
    fn watch_revocations(&self, realm: &Realm, watcher: Arc<dyn RevocationWatcher>) -> Option<Watching> {
        let _ = (realm, watcher);
        None
    }
}

/// How long it may take until another process sees a [`revoke_everyone`](TokenBackend::revoke_everyone).
pub const EVERYONE_IS_SEEN_WITHIN: Duration = Duration::from_secs(5);

/// Of which token the status is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenQuery<'a> {
    /// Whose token it is.
    pub user: UserKey<'a>,
    /// Its name, the first 128 bits of a hash of `jti`; `None` if it has none.
    pub token: Option<Locator>,
    /// The name of its family, the first 128 bits of a hash of `sid`; `None` if it has none.
    pub family: Option<Locator>,
}

/// What is known of a token. The default is what is known of most: nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct TokenStatus {
    /// This token is revoked.
    pub token_is_revoked: bool,
    /// Its family is revoked.
    pub family_is_revoked: bool,
    /// When all tokens of its user were last revoked.
    pub user: TokenEpoch,
    /// When all tokens of the realm were last revoked.
    pub everyone: TokenEpoch,
}

/// When tokens were last revoked, by the store's clock, in whole milliseconds. The default, zero, stands for never, as
/// far as is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TokenEpoch(pub Timestamp);

impl TokenEpoch {
    /// The epoch that begins `now`: later than this one, whatever the clock says.
    #[must_use]
    pub fn next(self, now: Timestamp) -> Self {
        Self(now.max(self.0.saturating_add(Duration::from_millis(1))))
    }

    /// Whether nothing was revoked, as far as is known.
    #[must_use]
    pub fn is_never(self) -> bool {
        self == Self::default()
    }

    /// As a number, for a claim such as `tv`.
    #[must_use]
    pub const fn as_version(self) -> u64 {
        self.0.as_millis()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_is_the_time_and_later_than_the_one_before() {
        let epoch = |millis| TokenEpoch(Timestamp::from_millis(millis));
        for (name, before, now, expected) in [
            ("the first", 0, 100, 100),
            ("later", 100, 250, 250),
            ("in the same millisecond", 100, 100, 101),
            ("a clock set back", 100, 40, 101),
            ("the clock of nobody", 0, 0, 1),
        ] {
            assert_eq!(epoch(before).next(Timestamp::from_millis(now)), epoch(expected), "{name}");
        }
        assert!(TokenEpoch::default().is_never() && !epoch(1).is_never());
    }
}
