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
use super::builder::RefreshTokensBuilder;
use super::error::{RefreshError, RefreshErrorKind, RefreshRefusal};
use super::events::{self, Hook};
use super::keys::{Binding, RefreshKeys};
use super::pair::TokenPair;
use super::request::RefreshRequest;
use super::token::{Place, Presented, SECRET_LEN};
use crate::bearer::{RevocationError, Revocations};
use crate::issue::issuer::Order;
use crate::issue::{AccessToken, Confirmation, Grant, IssueError, IssueErrorKind, TokenIssuer};
use crate::names;
use crate::secret::{self, Redacted};

/// Refresh tokens of an issuer, by families that a store keeps; see the [module page](super). A clone is one atomic increment.
#[derive(Clone)]
pub struct RefreshTokens(Arc<Parts>);

pub(super) struct Parts {
    pub(super) issuer: TokenIssuer,
    pub(super) revocations: Revocations,
    pub(super) backend: Backend,
    pub(super) keys: RefreshKeys,
    pub(super) grace: Duration,
    pub(super) idle: Duration,
    pub(super) absolute: Duration,
    pub(super) hook: Hook,
}

/// A token whose MAC is ours.
struct Proved {
    presented: Presented,
    successor: [u8; SECRET_LEN],
}

/// An access token of a family as it was found, minted before the family begins or moves on: a
/// [signer elsewhere](crate::issue::Signer::is_local) may be away, and then nothing has changed.
struct Early {
    epoch: TokenEpoch,
    payload: Vec<u8>,
    minted: Minted,
}

/// What was granted, and an access token of it.
struct Minted {
    grant: Grant,
    access: AccessToken,
}

impl RefreshTokens {
    pub(super) fn new(parts: Parts) -> Self {
        Self(Arc::new(parts))
    }

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

    /// Begins a family: a login answers with its first tokens. One round trip; two with a signer that is not
    /// [local](crate::issue::Signer::is_local), whose signature is waited for before the family is begun.
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
        let (epoch, early) = if parts.issuer.signs_here() {
            (epoch, None)
        } else {
            let epoch = match epoch {
                Some(epoch) => epoch,
                None => parts.revocations.epoch(parts.issuer.name(), &grant.subject).await?,
            };
            (Some(epoch), Some((epoch, parts.mint(&grant, epoch).await?)))
        };
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
        let access = match early {
            Some((of, access)) if of == epoch => access,
            _ => parts.mint(&grant, epoch).await?,
        };
        parts.hook.begun(&grant, sid);
        let binding = parts.binding(&grant.client_id, grant.confirmation.as_ref());
        let refresh = parts.token(binding, place, 0, &first);
        Ok(TokenPair { access, refresh, left: parts.idle.min(parts.absolute), sid: sid.to_owned() })
    }

    /// Refreshes: the next access token, and the refresh token that takes the place of the one that is presented. One round
    /// trip; with a scope two, and with a signer that is not [local](crate::issue::Signer::is_local), whose signature is
    /// waited for before the family moves on.
    ///
    /// # Errors
    /// [`RefreshErrorKind`]. Unless it is [`Refused`](RefreshErrorKind::Refused), the token that was presented may be
    /// presented again. When the store does not answer it may have been used by then: so do it within the
    /// [grace](RefreshTokensBuilder::grace), after which a used token is taken for a stolen one.
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
        let signs_here = parts.issuer.signs_here();
        let family = match request.scope {
            None if signs_here => None,
            _ => parts.backend.find(parts.key(&place)).await?,
        };
        if let Some(scope) = request.scope {
            // Before anything changes: who asks for too much keeps the token.
            let family = family.as_ref().ok_or(RefreshRefusal::Ended)?;
            narrowed(&grant(&family.payload)?, scope)?;
        }
        let early = match family {
            // For a token that is not the current one nobody signs: it may be a stolen one, and is found out at once.
            Some(family) if !signs_here && family.current == hash(&presented.secret) => {
                let minted = parts.next(request, &family.payload, family.epoch).await?;
                Some(Early { epoch: family.epoch, payload: family.payload, minted })
            }
            _ => None,
        };
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
        let Minted { grant, access } = match early {
            Some(early) if early.epoch == epoch && early.payload == payload => early.minted,
            _ => parts.next(request, &payload, epoch).await?,
        };
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

    /// The first access token of a family.
    async fn mint(&self, grant: &Grant, epoch: TokenEpoch) -> Result<AccessToken, IssueError> {
        self.issuer.mint(self.issuer.order(grant, Some(epoch.as_version()))).await
    }

    /// The next access token of a family.
    async fn next(
        &self,
        request: RefreshRequest<'_>,
        payload: &[u8],
        epoch: TokenEpoch,
    ) -> Result<Minted, RefreshError> {
        let grant = grant(payload)?;
        let scopes = match request.scope {
            Some(scope) => narrowed(&grant, scope)?,
            None => grant.scopes.clone(),
        };
        // A family that was bound after it was begun has the key in its refresh tokens' MAC, and not in its grant.
        let grant = match request.key.or(request.access_key) {
            Some(key) => grant.confirmation(key.clone()),
            None => grant,
        };
        let order = self.issuer.order(&grant, Some(epoch.as_version()));
        let access = self.issuer.mint(Order { scopes: &scopes, ..order }).await?;
        Ok(Minted { grant, access })
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
