//! [`RefreshTokens`]: begins families, refreshes tokens, ends families.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portcullis_store::{
    Begun, Family, FamilyBackend, FamilyKey, FamilySecret, NewFamily, Realm, StoreErrorKind, TokenEpoch,
    Turn, Turned, UserKey,
};
use zeroize::Zeroizing;

use super::backend::Backend;
use super::error::{RefreshError, RefreshErrorKind, RefreshRefusal};
use super::events::{self, Hook, RefreshEvents};
use super::keys::{Binding, RefreshKeys};
use super::token::{Place, Presented, SECRET_LEN};
use crate::bearer::{RevocationError, Revocations};
use crate::issue::{
    AccessToken, BuildError, BuildErrorKind, Confirmation, Grant, IssueError, IssueErrorKind, TokenIssuer,
};
use crate::names;
use crate::secret::{self, Redacted};

/// Refresh tokens of an issuer, by families that a store keeps; see the [module page](super). A clone is one atomic increment.
#[derive(Clone)]
pub struct RefreshTokens(Arc<Parts>);

struct Parts {
    issuer: TokenIssuer,
    revocations: Revocations,
    backend: Backend,
    keys: RefreshKeys,
    grace: Duration,
    idle: Duration,
    absolute: Duration,
    hook: Hook,
}

/// Builds [`RefreshTokens`].
#[must_use]
pub struct RefreshTokensBuilder {
    issuer: TokenIssuer,
    backend: Backend,
    keys: RefreshKeys,
    grace: Duration,
    idle: Duration,
    absolute: Duration,
    hook: Hook,
}

/// An access token and the refresh token for the next one.
#[derive(Clone)]
pub struct TokenPair {
    access: AccessToken,
    refresh: Redacted<String>,
    left: Duration,
    sid: String,
}

/// A refresh token that somebody presents.
#[derive(Clone, Copy)]
#[must_use]
pub struct RefreshRequest<'a> {
    token: &'a str,
    client: &'a str,
    scope: Option<&'a str>,
    key: Option<&'a Confirmation>,
    /// To what the next access token is bound, if the refresh token is bound to nothing.
    access_key: Option<&'a Confirmation>,
    /// To what the next refresh token is bound.
    next_key: Option<&'a Confirmation>,
}

/// A token whose MAC is ours.
struct Proved {
    presented: Presented,
    successor: [u8; SECRET_LEN],
}

impl RefreshTokens {
    /// Refresh tokens of this issuer, whose families are kept in `backend`: the one by which its
    /// [revocations](super::super::TokenIssuerBuilder::revocations) are kept.
    pub fn builder(
        issuer: &TokenIssuer,
        backend: impl FamilyBackend,
        keys: RefreshKeys,
    ) -> RefreshTokensBuilder {
        RefreshTokensBuilder {
            issuer: issuer.clone(),
            backend: Backend::new(backend, Duration::from_millis(500)),
            keys,
            grace: Duration::from_secs(10),
            idle: Duration::from_secs(7 * 24 * 3600),
            absolute: Duration::from_secs(30 * 24 * 3600),
            hook: Hook::default(),
        }
    }

    /// Begins a family: a login answers with its first tokens. One round trip.
    ///
    /// The login is called by the grant's [`sid`](Grant::sid), or by a random name if it has none.
    ///
    /// # Errors
    /// [`IssueErrorKind::LoginTaken`] when there is a family of this login, [`IssueErrorKind::Revoked`] when it has been
    /// revoked; [`IssueErrorKind::Store`] while the store is away.
    pub async fn begin(&self, grant: &Grant) -> Result<TokenPair, IssueError> {
        self.begin_at(grant, None).await
    }

    /// The same, if no tokens of the user have been revoked since [`Revocations::version`] gave this: read it before the
    /// password is checked, and a password that is changed meanwhile signs nobody in.
    ///
    /// # Errors
    /// As [`begin`](Self::begin); [`IssueErrorKind::Revoked`] when they have been.
    pub async fn begin_if(&self, grant: &Grant, version: u64) -> Result<TokenPair, IssueError> {
        let epoch = TokenEpoch(portcullis_store::Timestamp::from_millis(version));
        self.begin_at(grant, Some(epoch)).await
    }

    async fn begin_at(&self, grant: &Grant, epoch: Option<TokenEpoch>) -> Result<TokenPair, IssueError> {
        grant.check()?;
        let sid = match &grant.sid {
            Some(sid) => sid.clone(),
            None => URL_SAFE_NO_PAD.encode(secret::random::<16>()?),
        };
        let grant = Grant { sid: Some(sid), ..grant.clone() };
        let sid = grant.sid.as_deref().unwrap_or_default();
        let parts = &*self.0;
        let place =
            Place { user: names::user(Some(parts.issuer.name()), &grant.subject), family: names::of_id(sid) };
        let first = Zeroizing::new(secret::random::<SECRET_LEN>()?);
        let payload = serde_json::to_vec(&grant).map_err(|_| IssueErrorKind::BadGrant)?;
        let family = NewFamily {
            secret: hash(&first),
            absolute: parts.absolute,
            idle: parts.idle,
            epoch,
            payload: &payload,
        };
        let epoch = match parts.backend.begin(parts.key(&place), family).await? {
            Begun::Done(epoch) => epoch,
            Begun::Taken => return Err(IssueErrorKind::LoginTaken.into()),
            Begun::Revoked => return Err(IssueErrorKind::Revoked.into()),
        };
        let access = parts.issuer.mint(parts.issuer.order(&grant, Some(epoch.as_version()))).await?;
        parts.hook.begun(&grant, sid);
        let binding = parts.binding(&grant.client_id, grant.confirmation.as_ref());
        let refresh = parts.token(binding, place, 0, &first);
        Ok(TokenPair { access, refresh, left: parts.idle.min(parts.absolute), sid: sid.to_owned() })
    }

    /// Refreshes: the next access token, and the refresh token that takes the place of the one that is presented. One round
    /// trip; with a scope two.
    ///
    /// # Errors
    /// [`RefreshErrorKind`]. Unless it is [`Refused`](RefreshErrorKind::Refused), the token that was presented may be
    /// presented again. It may have been used by then, as when a signer fails after the family has moved on: so do it within
    /// the [grace](RefreshTokensBuilder::grace), after which a used token is taken for a stolen one.
    pub async fn refresh(&self, request: RefreshRequest<'_>) -> Result<TokenPair, RefreshError> {
        let refreshed = self.refresh_by(request).await;
        events::presented(refreshed.as_ref().map(|(_, is_new)| *is_new));
        refreshed.map(|(pair, _)| pair)
    }

    async fn refresh_by(&self, request: RefreshRequest<'_>) -> Result<(TokenPair, bool), RefreshError> {
        let parts = &*self.0;
        let Proved { presented, successor } = parts.prove(request)?;
        let successor = Zeroizing::new(successor);
        let place = presented.place;
        if let Some(scope) = request.scope {
            // Before anything changes: who asks for too much keeps the token.
            let family = parts.backend.find(parts.key(&place)).await?.ok_or(RefreshRefusal::Ended)?;
            narrowed(&grant(&family.payload)?, scope)?;
        }
        let turn = Turn {
            generation: presented.generation,
            secret: hash(&presented.secret),
            successor: hash(&successor),
            grace: parts.grace,
            keep: parts.revocations.longest_kept(),
        };
        let turned = parts.backend.rotate(parts.key(&place), turn).await?;
        let Turned::Current { generation, is_new, epoch, left, payload } = turned else {
            return Err(parts.refused(&turned).into());
        };
        let grant = grant(&payload)?;
        let scopes = match request.scope {
            Some(scope) => narrowed(&grant, scope)?,
            None => grant.scopes.clone(),
        };
        // A family that was bound after it was begun has the key in its refresh tokens' MAC, and not in its grant.
        let grant = match request.key.or(request.access_key) {
            Some(key) => grant.confirmation(key.clone()),
            None => grant,
        };
        let order = parts.issuer.order(&grant, Some(epoch.as_version()));
        let access = parts.issuer.mint(super::super::issuer::Order { scopes: &scopes, ..order }).await?;
        let binding = parts.binding(request.client, request.next_key);
        let refresh = parts.token(binding, place, generation, &successor);
        let sid = grant.sid.clone().unwrap_or_default();
        Ok((TokenPair { access, refresh, left, sid }, is_new))
    }

    /// Ends the family of a token, and revokes its access tokens: what a client asks for that signs out (RFC 7009). It says
    /// whether the token was one of this client's; whether the family was there does not matter.
    ///
    /// # Errors
    /// While the store is away.
    pub async fn revoke(&self, request: RefreshRequest<'_>) -> Result<bool, RevocationError> {
        let parts = &*self.0;
        let Ok(Proved { presented, .. }) = parts.prove(request) else { return Ok(false) };
        let Place { user, family } = presented.place;
        parts.revocations.revoke_family_of(user, family).await.map(|()| true)
    }

    /// Whether the token is ours, for this client and this key. The store is not asked.
    pub(in crate::issue) fn knows(&self, request: RefreshRequest<'_>) -> bool {
        self.0.prove(request).is_ok()
    }

    /// The family of a token that is the current one.
    pub(in crate::issue) async fn find(
        &self,
        request: RefreshRequest<'_>,
    ) -> Result<Option<(Grant, Family)>, RefreshError> {
        let parts = &*self.0;
        let Ok(Proved { presented, .. }) = parts.prove(request) else { return Ok(None) };
        let Some(family) = parts.backend.find(parts.key(&presented.place)).await? else { return Ok(None) };
        // Each generation has a secret of its own.
        if hash(&presented.secret) != family.current {
            return Ok(None);
        }
        Ok(Some((grant(&family.payload)?, family)))
    }

    /// The issuer whose tokens they are for.
    #[must_use]
    pub fn issuer(&self) -> &TokenIssuer {
        &self.0.issuer
    }

    pub(in crate::issue) fn revocations(&self) -> &Revocations {
        &self.0.revocations
    }
}

impl Parts {
    fn realm(&self) -> &Realm {
        self.revocations.realm_name()
    }

    fn key(&self, place: &Place) -> FamilyKey<'_> {
        FamilyKey { user: UserKey { realm: self.realm(), user: place.user }, family: place.family }
    }

    /// The token that is presented, if it is ours, for this client and this key. The store is not asked.
    fn prove(&self, request: RefreshRequest<'_>) -> Result<Proved, RefreshRefusal> {
        let presented = Presented::parse(request.token).ok_or(RefreshRefusal::Malformed)?;
        let binding = self.binding(request.client, request.key);
        let Presented { place, generation, secret, mac } = &presented;
        let successor = self.keys.successor(binding, place, *generation, secret, mac);
        let successor = successor.ok_or(RefreshRefusal::Forged)?;
        Ok(Proved { presented, successor })
    }

    fn binding<'a>(&'a self, client: &'a str, key: Option<&'a Confirmation>) -> Binding<'a> {
        Binding { realm: self.realm(), issuer: self.issuer.name(), client, key }
    }

    fn token(
        &self,
        binding: Binding<'_>,
        place: Place,
        generation: u64,
        secret: &[u8; SECRET_LEN],
    ) -> Redacted<String> {
        let mac = self.keys.sign(binding, &place, generation, secret);
        Redacted(Presented { place, generation, secret: *secret, mac }.write())
    }

    fn refused(&self, turned: &Turned) -> RefreshRefusal {
        match turned {
            Turned::Reused { payload } => {
                if let Ok(grant) = grant(payload) {
                    self.hook.reused(&grant);
                }
                RefreshRefusal::Reused
            }
            Turned::Revoked => RefreshRefusal::Revoked,
            Turned::Gone | Turned::Current { .. } => RefreshRefusal::Ended,
        }
    }
}

/// A random secret of 256 bits cannot be found by its hash.
fn hash(secret: &[u8; SECRET_LEN]) -> FamilySecret {
    let hash = digest::digest(&digest::SHA256, secret);
    FamilySecret(hash.as_ref().first_chunk().copied().unwrap_or([0; 32]))
}

fn grant(payload: &[u8]) -> Result<Grant, RefreshError> {
    let unreadable = |_| RefreshErrorKind::Issue(IssueErrorKind::Store(StoreErrorKind::Corrupt));
    Ok(serde_json::from_slice(payload).map_err(unreadable)?)
}

/// What was granted of a scope that is asked for (RFC 6749, section 6).
fn narrowed(grant: &Grant, scope: &str) -> Result<Vec<String>, RefreshErrorKind> {
    let asked: Vec<_> = scope.split(' ').filter(|scope| !scope.is_empty()).collect();
    grant.narrowed(&asked).ok_or(RefreshErrorKind::InvalidScope)
}

impl RefreshTokensBuilder {
    /// How long after its use a token is still good for the same successor, so that parallel tabs, and who repeats a request
    /// whose answer was lost, do not sign their user out. At most five minutes. Default: ten seconds.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// For how long a family may lie idle; at most as long as [revocations are kept](Revocations::longest_token), so that
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
        Ok(RefreshTokens(Arc::new(Parts { issuer, revocations, backend, keys, grace, idle, absolute, hook })))
    }
}

impl<'a> RefreshRequest<'a> {
    /// This token is presented by this client, which is known to be it, or is a public one.
    pub const fn new(token: &'a str, client_id: &'a str) -> Self {
        Self { token, client: client_id, scope: None, key: None, access_key: None, next_key: None }
    }

    /// Less is asked for than was granted (`scope`, names separated by spaces).
    pub const fn scope(mut self, scope: &'a str) -> Self {
        self.scope = Some(scope);
        self
    }

    /// The key that the client has proved to have, by DPoP or by its certificate. A family that was begun for a key is
    /// refreshed with it only.
    pub const fn confirmation(mut self, key: &'a Confirmation) -> Self {
        self.key = Some(key);
        self.next_key = Some(key);
        self
    }

    /// A token that is bound to nothing is exchanged for one that is bound to this key, with an access token that is.
    pub(in crate::issue) const fn bind(mut self, key: &'a Confirmation) -> Self {
        self.next_key = Some(key);
        self.bind_access(key)
    }

    /// The same of the access token alone.
    pub(in crate::issue) const fn bind_access(mut self, key: &'a Confirmation) -> Self {
        self.access_key = Some(key);
        self
    }
}

impl TokenPair {
    /// The access token.
    #[must_use]
    pub const fn access(&self) -> &AccessToken {
        &self.access
    }

    /// The refresh token. It is a credential: it belongs in a cookie that scripts cannot read, or in secure storage.
    #[must_use]
    pub fn refresh_token(&self) -> &str {
        &self.refresh.0
    }

    /// How long the refresh token is good for, if it is not used.
    #[must_use]
    pub const fn refresh_expires_in(&self) -> Duration {
        self.left
    }

    /// How the access token is presented: `DPoP` if it is bound to a key by that, else `Bearer` (`token_type`).
    #[must_use]
    pub const fn token_type(&self) -> &'static str {
        self.access.token_type()
    }

    /// The login that they come of, by which they are revoked together.
    #[must_use]
    pub fn sid(&self) -> &str {
        &self.sid
    }
}

impl fmt::Debug for RefreshTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RefreshTokens")
            .field("issuer", &self.0.issuer)
            .field("grace", &self.0.grace)
            .field("idle", &self.0.idle)
            .field("absolute", &self.0.absolute)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for RefreshTokensBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RefreshTokensBuilder").field("issuer", &self.issuer).finish_non_exhaustive()
    }
}

impl fmt::Debug for RefreshRequest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RefreshRequest")
            .field("client", &self.client)
            .field("scope", &self.scope)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for TokenPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenPair")
            .field("access", &self.access)
            .field("refresh", &self.refresh)
            .field("sid", &self.sid)
            .finish_non_exhaustive()
    }
}
