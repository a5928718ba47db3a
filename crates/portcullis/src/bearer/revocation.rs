//! [`Revocations`]: takes tokens back before they expire. [`RevocationCheck`]: how a layer asks whether that has been done.

mod backend;
mod check;
mod cleared;
mod dependents;
mod error;
mod families;
mod marks;
mod memory;
mod outage;
mod push;
mod told;
mod watchers;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use portcullis_store::{
    Clock, Locator, StoreError, SystemClock, Timestamp, TokenBackend, TokenEpoch, TokenQuery, TokenStatus,
    UserKey,
};
use serde::Deserialize;

use self::backend::Backend;
pub use self::check::RevocationCheck;
pub(super) use self::check::Unchecked;
pub(super) use self::cleared::Cleared;
pub use self::error::{RevocationError, RevocationErrorKind};
pub(super) use self::marks::Marks;
pub use self::memory::MemoryTokenBackend;
pub use self::outage::OnOutage;
use self::outage::Outage;
use self::push::Push;
pub use self::push::RevocationPush;
use super::error::{BuildError, BuildErrorKind};
use super::events::{self, Revoked};
use super::issuer::MAX_LEEWAY;
use crate::identity::{AuthMethod, Identity};
use crate::names;
use crate::realm::Realm;

/// Takes tokens back before they expire: one of them, those of one login, those of one user, or everybody's.
///
/// * It acts when it is awaited, within its [budget](Self::budget), and what it has done is seen by the next request, in
///   every process whose layer [checks](crate::BearerLayer::revocation) by the same store. Only
///   [`revoke_everyone`](Self::revoke_everyone) may take five seconds to be seen by others, on a Redis Cluster; and processes
///   that are [told](Self::push) in place of asking may take two seconds to see anything.
/// * Nothing is kept for longer than a token could be used: see [`longest_token`](Self::longest_token).
/// * When a call fails, its effect is not known; it may be made again at any time.
///
/// For handlers, administrators and jobs alike; a clone is a few atomic increments.
///
/// ```
/// use portcullis::bearer::{Audience, BearerLayer, Issuer, MemoryTokenBackend, Revocations, StaticKeys};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # const JWKS: &str = r#"{"keys": [{"kty": "EC", "crv": "P-256", "kid": "2026-01", "alg": "ES256",
/// #     "x": "A0lw4kyfOjw0LuBAd2dqEBAgLvg4JRYKeBZlcpIE-hA",
/// #     "y": "jktd7sOpZy8S2RYHUZxVLBeruazA-0MiMfaj5GhRUwc"}]}"#;
/// # let issuer = Issuer::new("https://idp.example", Audience::one_of(["api"])).keys(StaticKeys::jwks(JWKS)?);
/// let revocations = Revocations::new(MemoryTokenBackend::new()); // or a `RedisBackend`
/// let bearer = BearerLayer::new([issuer])?.revocation(&revocations);
///
/// revocations.revoke_user("https://idp.example", "ada").await?;
/// # drop(bearer); Ok(()) }
/// ```
#[derive(Clone)]
pub struct Revocations {
    backend: Backend,
    realm: portcullis_store::Realm,
    longest_token: Duration,
    clock: Arc<dyn Clock>,
    outage: Arc<Outage>,
    push_rules: Option<RevocationPush>,
}

/// The ids in the claims of a token.
#[derive(Deserialize)]
struct Ids {
    jti: Option<String>,
    sid: Option<String>,
}

impl Revocations {
    /// Revocations that are kept in `backend`.
    #[must_use]
    pub fn new(backend: impl TokenBackend) -> Self {
        Self {
            backend: Backend::new(backend, Duration::from_millis(500)),
            realm: portcullis_store::Realm::default(),
            longest_token: Duration::from_secs(7 * 24 * 3600),
            clock: Arc::new(SystemClock),
            outage: Arc::default(),
            push_rules: None,
        }
    }

    /// The [realm](crate::realm) whose tokens are revoked; those of another know nothing of it. Default:
    /// [`DefaultRealm`](crate::realm::DefaultRealm).
    ///
    /// # Errors
    /// When the realm's name cannot be part of a key.
    pub fn realm<M: Realm>(mut self) -> Result<Self, BuildError> {
        self.realm = M::NAME.parse().map_err(|_| BuildErrorKind::BadRealm)?;
        self.backend.push = self.push_rules.map(|rules| Push::new(rules, self.realm.clone()).into());
        Ok(self)
    }

    /// Has the store tell this process what is revoked, so that a request costs no round trip: see [`RevocationPush`] for
    /// what that is worth. Default: each request asks.
    #[must_use]
    pub fn push(mut self, push: RevocationPush) -> Self {
        self.push_rules = Some(push);
        self.backend.push = Some(Push::new(push, self.realm.clone()).into());
        self
    }

    /// Whether requests are answered by what the store has told this process, at this moment, and not by asking: for tests,
    /// and for operators to look at. It is no measure of readiness, because asking does as well.
    #[must_use]
    pub fn is_told(&self) -> bool {
        self.backend.push.as_ref().is_some_and(|push| push.is_current())
    }

    /// How long a call may take, and how long a request may wait to hear whether its token is revoked. Default: 500 ms,
    /// a little more than a `RedisBackend` takes by itself.
    #[must_use]
    pub fn budget(mut self, budget: Duration) -> Self {
        self.backend.budget = budget;
        self
    }

    /// The longest that a token is valid, from `iat` to `exp`. Revocations of users and families are kept for so long, and a
    /// layer that checks refuses tokens that would outlive them. Default: seven days.
    #[must_use]
    pub fn longest_token(mut self, longest: Duration) -> Self {
        self.longest_token = longest;
        self
    }

    /// The clock that a token's remaining life is told by. Default: the system's.
    #[must_use]
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Takes back the token that somebody was recognised by: what a logout does. The other tokens of the same login go on;
    /// see [`revoke_login`](Self::revoke_login).
    ///
    /// # Errors
    /// [`RevocationErrorKind::NoSuchId`] when it is no token or has no `jti`; [`RevocationErrorKind::Store`].
    pub async fn revoke<M>(&self, identity: &Identity<M>) -> Result<(), RevocationError> {
        let Ids { jti, .. } = ids(identity)?;
        let jti = jti.ok_or(RevocationErrorKind::NoSuchId)?;
        let issuer = identity.issuer().unwrap_or_default();
        self.revoke_token(issuer, identity.subject(), &jti, identity.expires_at()).await
    }

    /// Takes back all tokens of the login that somebody's token came of, by its `sid`.
    ///
    /// # Errors
    /// [`RevocationErrorKind::NoSuchId`] when it is no token or has no `sid`; [`RevocationErrorKind::Store`].
    pub async fn revoke_login<M>(&self, identity: &Identity<M>) -> Result<(), RevocationError> {
        let Ids { sid, .. } = ids(identity)?;
        let sid = sid.ok_or(RevocationErrorKind::NoSuchId)?;
        self.revoke_family(identity.issuer().unwrap_or_default(), identity.subject(), &sid).await
    }

    /// Takes back the token of this `iss`, `sub` and `jti`, which expires (`exp`) at that time, if it is known.
    ///
    /// # Errors
    /// [`RevocationErrorKind::Store`].
    pub async fn revoke_token(
        &self,
        issuer: &str,
        subject: &str,
        jti: &str,
        expires: Option<Timestamp>,
    ) -> Result<(), RevocationError> {
        let Some(keep) = self.left_of(expires) else { return Ok(()) };
        let user = self.user(issuer, subject);
        self.told(Revoked::Token, self.backend.revoke_token(user, names::of_id(jti), keep).await)
    }

    /// Takes back all tokens of this `iss` and `sub` that came of one login, by their `sid`.
    ///
    /// # Errors
    /// [`RevocationErrorKind::Store`].
    pub async fn revoke_family(&self, issuer: &str, subject: &str, sid: &str) -> Result<(), RevocationError> {
        let (user, keep) = (self.user(issuer, subject), self.longest_kept());
        self.told(Revoked::Family, self.backend.revoke_family(user, names::of_id(sid), keep).await)
    }

    /// The same, by the names that they have in the store.
    #[cfg_attr(not(feature = "issue"), expect(dead_code, reason = "only refresh tokens know these names"))]
    pub(crate) async fn revoke_family_of(
        &self,
        user: Locator,
        family: Locator,
    ) -> Result<(), RevocationError> {
        let (user, keep) = (UserKey { realm: &self.realm, user }, self.longest_kept());
        self.told(Revoked::Family, self.backend.revoke_family(user, family, keep).await)
    }

    /// Takes back all tokens of this `iss` and `sub` that were issued until now.
    ///
    /// A token's time of issue is told by its issuer's clock, in whole seconds. So that none is missed, one that was issued
    /// up to the issuer's [leeway](super::Issuer::leeway) later is refused too: whoever signs in again at once may have to
    /// get another token some seconds later. Tokens of a [versioned](super::Issuer::versioned) issuer are told apart
    /// exactly.
    ///
    /// # Errors
    /// [`RevocationErrorKind::Store`].
    pub async fn revoke_user(&self, issuer: &str, subject: &str) -> Result<(), RevocationError> {
        let (user, keep) = (self.user(issuer, subject), self.longest_kept());
        self.told(Revoked::User, self.backend.revoke_user(user, keep).await.map(drop))
    }

    /// Takes back everybody's tokens that were issued until now, or up to the issuer's leeway later: after a leak.
    ///
    /// # Errors
    /// [`RevocationErrorKind::Store`].
    pub async fn revoke_everyone(&self) -> Result<(), RevocationError> {
        let keep = self.longest_kept();
        self.told(Revoked::Everyone, self.backend.revoke_everyone(&self.realm, keep).await.map(drop))
    }

    /// The version of a user that a token is to carry as `tv` when it is minted by a [versioned](super::Issuer::versioned)
    /// issuer. It is read first: a token that is being minted while its user is revoked is then not good.
    ///
    /// # Errors
    /// [`RevocationErrorKind::Store`].
    pub async fn version(&self, issuer: &str, subject: &str) -> Result<u64, RevocationError> {
        Ok(self.epoch(issuer, subject).await?.as_version())
    }

    /// The epoch of a user's tokens, at once if it is at hand.
    pub(crate) async fn epoch(&self, issuer: &str, subject: &str) -> Result<TokenEpoch, StoreError> {
        let query = TokenQuery { user: self.user(issuer, subject), token: None, family: None };
        let status = match self.backend.status_now(query) {
            Some(status) => status,
            None => self.backend.status(query).await,
        };
        Ok(status?.user)
    }

    /// How long the longest token may live.
    #[cfg_attr(not(feature = "issue"), expect(dead_code, reason = "only who mints tokens has to keep to it"))]
    pub(crate) const fn longest(&self) -> Duration {
        self.longest_token
    }

    #[cfg_attr(not(feature = "issue"), expect(dead_code, reason = "only refresh tokens are of a realm"))]
    pub(crate) const fn realm_name(&self) -> &portcullis_store::Realm {
        &self.realm
    }

    /// What is known here, or can be had without waiting.
    pub(super) fn status_now(&self, marks: &Marks) -> Option<Result<TokenStatus, StoreError>> {
        let query = marks.query(&self.realm);
        self.backend.told(query).map(Ok).or_else(|| self.backend.status_now(query))
    }

    pub(super) async fn status(&self, marks: &Marks) -> Result<TokenStatus, StoreError> {
        self.backend.status(marks.query(&self.realm)).await
    }

    fn user(&self, issuer: &str, subject: &str) -> UserKey<'_> {
        UserKey { realm: &self.realm, user: names::user(Some(issuer), subject) }
    }

    /// For how long a token could still be used; `None` if it cannot.
    fn left_of(&self, expires: Option<Timestamp>) -> Option<Duration> {
        let Some(expires) = expires else { return Some(self.longest_kept()) };
        let end = expires.saturating_add(AFTER_EXPIRY);
        Some(end.since(self.clock.now())).filter(|left| !left.is_zero())
    }

    pub(crate) fn longest_kept(&self) -> Duration {
        self.longest_token.saturating_add(AFTER_EXPIRY)
    }

    fn told(&self, what: Revoked, outcome: Result<(), StoreError>) -> Result<(), RevocationError> {
        events::revoked(what, self.realm.as_str(), outcome.as_ref().map_err(StoreError::kind));
        outcome.map_err(RevocationError::from)
    }
}

/// How long after `exp` a token may be accepted by some layer that this handle knows nothing of, and a second for rounding.
const AFTER_EXPIRY: Duration = MAX_LEEWAY.saturating_add(Duration::from_secs(1));

fn ids<M>(identity: &Identity<M>) -> Result<Ids, RevocationError> {
    let ids = (identity.method() == AuthMethod::Bearer).then(|| identity.claims().ok()).flatten();
    ids.ok_or_else(|| RevocationErrorKind::NoSuchId.into())
}

impl fmt::Debug for Revocations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Revocations")
            .field("realm", &self.realm)
            .field("budget", &self.backend.budget)
            .field("longest_token", &self.longest_token)
            .field("push", &self.push_rules)
            .finish_non_exhaustive()
    }
}
