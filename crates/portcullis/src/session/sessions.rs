//! [`Sessions`]: users' sessions outside any request, for administrators and jobs; and the versions of credentials.

use std::collections::HashSet;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use portcullis_store::{CredentialVersion, Locator, Record, Saved, StoreError, StoreErrorKind};

use super::core::Core;
use super::devices::{self, Device};
use super::error::{Reason, SessionError};
use super::events::{EventUser, StoreOperation};
use super::layer::SessionLayer;
use super::payload::{Payload, Who};
use super::stored::Stored;
use super::tag::new_tag;
use crate::identity::IdentityBuilder;
use crate::realm::DefaultRealm;
use crate::{Identity, names};

/// The sessions of a layer's users, outside any request. A clone is one atomic increment.
///
/// * It asks nobody who is calling: whoever holds it may see and end everybody's sessions.
/// * It shares the layer's realm, issuer, clock and backend.
/// * With a password that may be changed while it is checked, a login goes: [`credential_version`], check the password,
///   [`Login::credential_version`](super::Login::credential_version); and a change of password ends with [`bump`].
///
/// ```
/// use portcullis::Identity;
/// use portcullis::session::{Login, MemoryBackend, Session, SessionError, SessionLayer, Sessions, User};
///
/// async fn login(sessions: &Sessions, session: &Session, name: &str) -> Result<(), SessionError> {
///     let checked = sessions.credential_version(&User::new(name)).await?;
///     // check the password here
///     session.login(Login::new(Identity::new(name)).credential_version(checked)).await
/// }
///
/// async fn set_password(sessions: &Sessions, name: &str) -> Result<(), SessionError> {
///     // store the new password here
///     sessions.bump(&User::new(name)).await
/// }
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), SessionError> {
/// let layer = SessionLayer::new(MemoryBackend::new());
/// let sessions = Sessions::of(&layer);
/// assert!(sessions.list(&User::new("ada")).await?.is_empty());
/// set_password(&sessions, "ada").await
/// # }
/// ```
///
/// [`credential_version`]: Self::credential_version
/// [`bump`]: Self::bump
pub struct Sessions<M = DefaultRealm>(Arc<Core>, PhantomData<fn() -> M>);

/// Whose sessions: a subject, and who vouches for it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct User {
    subject: String,
    issuer: Option<String>,
}

/// What became of a [`durable_revoke`](Sessions::durable_revoke).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DurablyRevoked {
    /// How many sessions were to end. Some may have ended already.
    pub sessions: usize,
    /// How many of the store's replicas have confirmed that they have ended: all of them, so of several sessions it is
    /// the one that fewest have. 0 if there were none to end.
    pub replicas: u32,
}

/// A walk over a user's sessions that ends when there is none that it has not seen.
#[derive(Default)]
struct Rounds {
    seen: HashSet<Locator>,
    count: usize,
}

/// A version is kept at least this long, so that no login that takes its time finds it forgotten.
const KEPT: Duration = Duration::from_secs(24 * 3600);

/// Whoever signs in more often than this while all of it is to be ended is reported as not ended.
const MAX_ROUNDS: usize = 32;

impl User {
    /// The user of this name that the layer's own [`issuer`](super::SessionLayerBuilder::issuer) vouches for, if any.
    #[must_use]
    pub fn new(subject: impl Into<String>) -> Self {
        Self { subject: subject.into(), issuer: None }
    }

    /// Vouched for by this issuer. An empty name is nobody.
    #[must_use]
    pub fn issuer(mut self, issuer: impl Into<String>) -> Self {
        self.issuer = Some(issuer.into()).filter(|issuer| !issuer.is_empty());
        self
    }
}

impl<M> From<&Identity<M>> for User {
    fn from(identity: &Identity<M>) -> Self {
        Self::new(identity.subject()).issuer(identity.issuer().unwrap_or_default())
    }
}

impl<M> Sessions<M> {
    /// The sessions of this layer's users.
    #[must_use]
    pub fn of<R>(layer: &SessionLayer<M, R>) -> Self {
        Self(Arc::clone(layer.core()), PhantomData)
    }

    /// This user's sessions, the newest first. None of them is [`current`](Device::current).
    ///
    /// # Errors
    /// When the store did not answer.
    pub async fn list(&self, user: &User) -> Result<Vec<Device>, SessionError> {
        self.noted(StoreOperation::List, devices::list(&self.0, self.name(user), None).await)
    }

    /// Ends one of them.
    ///
    /// # Errors
    /// [`NotFound`](super::SessionErrorKind::NotFound) when this user has no such session; else as
    /// [`list`](Self::list).
    pub async fn revoke(&self, user: &User, session_ref: &str) -> Result<(), SessionError> {
        let name = self.name(user);
        let revoked = async {
            let locator = devices::member(&self.0, name, session_ref).await?;
            devices::end(&self.0, name, self.who(user), &[locator]).await
        };
        self.noted(StoreOperation::Revoke, revoked.await)
    }

    /// Ends all of them. Gives how many there were.
    ///
    /// # Errors
    /// As [`list`](Self::list); some may have ended.
    pub async fn revoke_all(&self, user: &User) -> Result<usize, SessionError> {
        let name = self.name(user);
        let revoked = async {
            let members = self.0.backend.members(self.0.user_key(name)).await?;
            self.0.end_all_dependents(name).await?;
            devices::end(&self.0, name, self.who(user), &members).await?;
            Ok(members.len())
        };
        self.noted(StoreOperation::Revoke, revoked.await)
    }

    /// [`revoke`](Self::revoke), then waits until `replicas` replicas of the store have confirmed it: after that a failover
    /// to one of them does not bring the session back.
    ///
    /// * It takes as long as the slowest of them, and at most what the backend allows itself: 450 ms in Redis. The session
    ///   has ended long before, and nobody else waits. The layer's own
    ///   [`budget`](super::SessionLayerBuilder::budget) should not be shorter.
    /// * **Fewer than asked for is no error**: the session has ended, on the master at least. It stays in the user's
    ///   index, so that calling again, at once or later, waits again; or [`bump`](Self::bump) ends it for good.
    /// * A store without replicas confirms nothing: memory, SQLite, and Redis alone, answer 0.
    /// * It is not consensus. Redis and Sentinel promote the replica that has most, as far as they can tell; with as many
    ///   confirmations as there are replicas it does not matter which.
    ///
    /// # Errors
    /// As [`revoke`](Self::revoke).
    pub async fn durable_revoke(
        &self,
        user: &User,
        session_ref: &str,
        replicas: u32,
    ) -> Result<DurablyRevoked, SessionError> {
        let name = self.name(user);
        let revoked = async {
            let locator = devices::member(&self.0, name, session_ref).await?;
            self.end_durably(user, &[locator], replicas).await
        };
        self.noted(StoreOperation::Revoke, revoked.await)
    }

    /// [`revoke_all`](Self::revoke_all), confirmed by replicas as in [`durable_revoke`](Self::durable_revoke).
    ///
    /// # Errors
    /// As [`revoke_all`](Self::revoke_all).
    pub async fn durable_revoke_all(
        &self,
        user: &User,
        replicas: u32,
    ) -> Result<DurablyRevoked, SessionError> {
        let name = self.name(user);
        let revoked = async {
            let members = self.0.backend.members(self.0.user_key(name)).await?;
            self.0.end_all_dependents(name).await?;
            self.end_durably(user, &members, replicas).await
        };
        self.noted(StoreOperation::Revoke, revoked.await)
    }

    async fn end_durably(
        &self,
        user: &User,
        ended: &[Locator],
        replicas: u32,
    ) -> Result<DurablyRevoked, SessionError> {
        let (name, who) = (self.name(user), self.who(user));
        let replicas = devices::end_durably(&self.0, name, who, ended, replicas).await?;
        Ok(DurablyRevoked { sessions: ended.len(), replicas })
    }

    /// The version of this user's credentials, to be read before they are checked and named at the login.
    ///
    /// # Errors
    /// When the store did not answer.
    pub async fn credential_version(&self, user: &User) -> Result<CredentialVersion, SessionError> {
        Ok(self.0.backend.credential_version(self.0.user_key(self.name(user))).await?)
    }

    /// To be called when this user's credentials were changed: ends all sessions, and has every login refused that
    /// names a version read before. Works in a store that is full.
    ///
    /// A login that names no version and runs at the same time may come after.
    ///
    /// # Errors
    /// When the store did not answer. The sessions are ended even if the version could not be changed; the error says
    /// that something is left to do, and calling again does it.
    pub async fn bump(&self, user: &User) -> Result<(), SessionError> {
        let name = self.name(user);
        let lifetimes = [self.0.user, self.0.remembered, self.0.anonymous];
        let keep = lifetimes.iter().map(|lifetime| lifetime.absolute).fold(KEPT, Duration::max);
        let bumped = self.0.backend.bump_credential_version(self.0.user_key(name), keep).await;
        // Who was entered before that is in the index, and who comes after it is refused.
        let ended = async {
            self.0.end_all_dependents(name).await?;
            let mut rounds = Rounds::default();
            while let Some(members) = rounds.next(&self.0, name).await? {
                devices::end(&self.0, name, self.who(user), &members).await?;
            }
            Ok(())
        };
        self.noted(StoreOperation::Revoke, ended.await)?;
        self.noted(StoreOperation::Revoke, bumped.map_err(SessionError::from))?;
        tracing::info!("credentials changed");
        Ok(())
    }

    /// Changes what all of this user's sessions say about the user, such as the roles: the next request of each sees
    /// it. Gives how many sessions were changed.
    ///
    /// Exact under concurrency: `change` is given what a session says now, and runs again whenever another request has
    /// saved it in between. It stays the same user: another subject or issuer is ignored, as are the times.
    ///
    /// A login that runs at the same time says what its handler knew: so change what handlers read first.
    ///
    /// # Errors
    /// [`TooLarge`](super::SessionErrorKind::TooLarge) when a session would be, or when the store did not answer. The
    /// others are changed all the same.
    pub async fn update_identity<F>(&self, user: &User, change: F) -> Result<usize, SessionError>
    where
        F: Fn(IdentityBuilder) -> IdentityBuilder + Sync,
    {
        let (mut changed, mut failure, mut rounds) = (0, None, Rounds::default());
        while let Some(members) = rounds.next(&self.0, self.name(user)).await? {
            for locator in members {
                match self.rewrite(locator, &change).await {
                    Ok(written) => changed += usize::from(written),
                    Err(error) => failure = Some(error),
                }
            }
        }
        failure.map_or(Ok(changed), Err)
    }

    /// Changes one session's identity, within one budget however often others save in between.
    async fn rewrite(
        &self,
        locator: Locator,
        change: &(impl Fn(IdentityBuilder) -> IdentityBuilder + Sync),
    ) -> Result<bool, SessionError> {
        let core = &*self.0;
        let rewritten = core.backend.within_budget(async {
            let Some(mut record) = core.backend.load(core.key(locator)).await? else { return Ok(false) };
            loop {
                let stored = core.stored(locator, record)?;
                let Some(next) = changed(core, &stored, change)? else { return Ok(false) };
                let (expected, tag) = (stored.record().header.tag(), next.header.tag());
                record = match core.backend.save(core.key(locator), expected, &next).await? {
                    Saved::Done => return Ok(true),
                    Saved::Gone => return Ok(false),
                    Saved::Conflict { current, in_doubt: false } => current,
                    Saved::Conflict { current, in_doubt: true } => match current.header.proves(expected, tag)
                    {
                        Some(true) => return Ok(true),
                        Some(false) => current,
                        None => return Err(Reason::Uncertain.into()),
                    },
                };
            }
        });
        rewritten.await
    }

    fn noted<T>(&self, operation: StoreOperation, done: Result<T, SessionError>) -> Result<T, SessionError> {
        done.inspect_err(|error| self.0.note_failure(operation, error, None))
    }

    fn who<'a>(&'a self, user: &'a User) -> EventUser<'a> {
        EventUser { issuer: user.issuer.as_deref().or(self.0.issuer.as_deref()), subject: &user.subject }
    }

    fn name(&self, user: &User) -> Locator {
        names::user(user.issuer.as_deref().or(self.0.issuer.as_deref()), &user.subject)
    }
}

impl Rounds {
    /// Those that were not seen before; `None` when there are no more.
    async fn next(&mut self, core: &Core, user: Locator) -> Result<Option<Vec<Locator>>, SessionError> {
        self.count += 1;
        if self.count > MAX_ROUNDS {
            return Err(StoreError::new(StoreErrorKind::Timeout).into());
        }
        let mut members = core.backend.members(core.user_key(user)).await?;
        members.retain(|locator| self.seen.insert(*locator));
        Ok(Some(members).filter(|members| !members.is_empty()))
    }
}

/// The record with its identity changed; `None` if nobody is signed in, or nothing changes.
fn changed(
    core: &Core,
    stored: &Stored,
    change: impl Fn(IdentityBuilder) -> IdentityBuilder,
) -> Result<Option<Record>, SessionError> {
    let Some(identity) = stored.identity() else { return Ok(None) };
    let after = change(identity.to_builder()).of_user(identity).build();
    if after.words() == identity.words() {
        return Ok(None);
    }
    let mut payload =
        Payload::decode(&stored.record().payload).map_err(|_| StoreError::new(StoreErrorKind::Corrupt))?;
    payload.identity = Some(Who::Known(after));
    core.fits(&payload)?;
    let mut header = stored.record().header;
    header.tags = header.tags_after(new_tag()?);
    Ok(Some(Record::new(header, payload.encode())))
}

impl<M> Clone for Sessions<M> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0), PhantomData)
    }
}

impl<M> fmt::Debug for Sessions<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sessions").field("realm", &self.0.realm).finish_non_exhaustive()
    }
}
