//! [`Devices`]: the sessions of one user, on all devices, and their revocation.

use std::fmt;
use std::sync::Arc;

use portcullis_store::{Header, Key, Locator, Timestamp};

use super::core::Core;
use super::error::{Reason, SessionError};
use super::events::{EventUser, SessionEventKind, StoreOperation};
use super::login::NetworkPrefix;
use super::payload::Payload;
use super::shared::Shared;

/// The sessions of the user who is signed in, on all devices. From [`Session::devices`](super::Session::devices).
///
/// A session that is not this user's is "not found", whatever its name.
#[derive(Clone)]
pub struct Devices(Arc<Shared>);

/// One session of a user's, as a devices page shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Device {
    /// The public name of the session, to revoke it by.
    pub session_ref: String,
    /// Whether it is the session of this request.
    pub current: bool,
    /// When the user signed in.
    pub created: Timestamp,
    /// When the user last proved who they are.
    pub authenticated: Option<Timestamp>,
    /// When it was last used, to within five minutes; near its end, when no touch can prolong it, at least this late.
    pub last_seen: Timestamp,
    /// When it ends, however busy.
    pub expires: Timestamp,
    /// What its login [called it](super::Login::device), if anything.
    pub label: Option<String>,
    /// What network its login [came from](super::Login::network), if it said so.
    pub network: Option<NetworkPrefix>,
}

impl Devices {
    pub(crate) fn of(shared: Arc<Shared>) -> Self {
        Self(shared)
    }

    /// All of them, the newest first.
    ///
    /// # Errors
    /// [`SignedOut`](super::SessionErrorKind::SignedOut) when nobody is signed in, or when the store did not answer.
    pub async fn list(&self) -> Result<Vec<Device>, SessionError> {
        let (current, user, _) = self.0.signed_in()?;
        let listed = list(&self.0.core, user, Some(current)).await;
        listed.inspect_err(|error| self.0.note_failure(StoreOperation::List, error))
    }

    /// Ends one of them. Ending the current one is a logout.
    ///
    /// # Errors
    /// [`NotFound`](super::SessionErrorKind::NotFound) when this user has no such session.
    pub async fn revoke(&self, session_ref: &str) -> Result<(), SessionError> {
        let (_, user, who) = self.0.signed_in()?;
        let revoked = async {
            let locator = member(&self.0.core, user, session_ref).await?;
            if self.0.logout_if_current(locator).await? {
                return Ok(());
            }
            end(&self.0.core, user, EventUser::from(&who), &[locator]).await
        };
        revoked.await.inspect_err(|error| self.0.note_failure(StoreOperation::Revoke, error))
    }

    /// Ends all but the current one.
    ///
    /// # Errors
    /// When nobody is signed in, or the store did not answer; some may have ended.
    pub async fn revoke_others(&self) -> Result<(), SessionError> {
        let core = &self.0.core;
        let (current, user, who) = self.0.signed_in()?;
        let revoked = async {
            let mut others = core.backend.members(core.user_key(user)).await?;
            others.retain(|locator| *locator != current);
            end(core, user, EventUser::from(&who), &others).await
        };
        revoked.await.inspect_err(|error| self.0.note_failure(StoreOperation::Revoke, error))
    }

    /// Ends all of them, the current one too.
    ///
    /// # Errors
    /// As [`revoke_others`](Self::revoke_others).
    pub async fn revoke_all(&self) -> Result<(), SessionError> {
        self.0.end_all().await.inspect_err(|error| self.0.note_failure(StoreOperation::Revoke, error))
    }
}

impl fmt::Debug for Devices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Devices").field("realm", &self.0.core.realm).finish_non_exhaustive()
    }
}

/// A user's sessions, the newest first. Those that have ended are taken out of the index.
pub(crate) async fn list(
    core: &Core,
    user: Locator,
    current: Option<Locator>,
) -> Result<Vec<Device>, SessionError> {
    let locators = core.backend.members(core.user_key(user)).await?;
    let keys: Vec<Key<'_>> = locators.iter().map(|locator| core.key(*locator)).collect();
    let records = core.backend.load_many(&keys).await?;
    let ended = locators.iter().zip(&records).filter(|(_, record)| record.is_none());
    let ended: Vec<_> = ended.map(|(locator, _)| *locator).collect();
    if !ended.is_empty() {
        core.withdraw(user, &ended).await;
    }
    let live = locators.iter().zip(records).filter_map(|(locator, record)| Some((*locator, record?)));
    let mut devices: Vec<Device> = live
        .map(|(locator, record)| {
            let (label, network) = label_and_network(&record.payload);
            Device {
                session_ref: locator.to_string(),
                current: Some(locator) == current,
                created: record.header.created,
                authenticated: record.header.authenticated,
                last_seen: last_seen(&record.header),
                expires: record.header.absolute_deadline,
                label,
                network,
            }
        })
        .collect();
    devices.sort_by(|one, other| (other.created, &one.session_ref).cmp(&(one.created, &other.session_ref)));
    Ok(devices)
}

/// The session of this name in the user's index; another's is not found, like one that is not there.
pub(crate) async fn member(core: &Core, user: Locator, session_ref: &str) -> Result<Locator, SessionError> {
    let locator = Locator::parse(session_ref).ok_or(Reason::NotFound)?;
    let members = core.backend.members(core.user_key(user)).await?;
    if members.contains(&locator) { Ok(locator) } else { Err(Reason::NotFound.into()) }
}

/// Ends sessions of one user's.
pub(crate) async fn end(
    core: &Core,
    user: Locator,
    who: EventUser<'_>,
    ended: &[Locator],
) -> Result<(), SessionError> {
    if ended.is_empty() {
        return Ok(());
    }
    let keys: Vec<Key<'_>> = ended.iter().map(|locator| core.key(*locator)).collect();
    core.end_dependents(Some(user), ended).await?;
    core.backend.destroy(&keys).await?;
    core.withdraw(user, ended).await;
    tell(core, who, ended);
    Ok(())
}

/// Ends sessions of one user's, and gives how many replicas have confirmed it. With fewer than asked for they stay in
/// the index: so they are found when this is tried again, and should one come back by a failover, it can be ended.
pub(crate) async fn end_durably(
    core: &Core,
    user: Locator,
    who: EventUser<'_>,
    ended: &[Locator],
    replicas: u32,
) -> Result<u32, SessionError> {
    if ended.is_empty() {
        return Ok(0);
    }
    let keys: Vec<Key<'_>> = ended.iter().map(|locator| core.key(*locator)).collect();
    core.end_dependents(Some(user), ended).await?;
    let confirmed = core.backend.destroy_durably(&keys, replicas).await?;
    if confirmed >= replicas {
        core.withdraw(user, ended).await;
    }
    tell(core, who, ended);
    Ok(confirmed)
}

/// These sessions of one user's were ended.
pub(crate) fn tell(core: &Core, who: EventUser<'_>, ended: &[Locator]) {
    let (revoked, one) = (SessionEventKind::Revoked { count: ended.len() }, ended.first());
    if one.is_some() {
        core.events.emit(revoked, &core.realm, one.filter(|_| ended.len() == 1), Some(who));
    }
}

/// Near its end a session's idle deadline is its absolute one, which says less.
fn last_seen(header: &Header) -> Timestamp {
    header.idle_deadline.saturating_sub(header.idle).max(header.created)
}

/// Of a record that cannot be read, neither: its session can be revoked all the same.
fn label_and_network(payload: &[u8]) -> (Option<String>, Option<NetworkPrefix>) {
    let payload = Payload::decode(payload).unwrap_or_default();
    let label = payload.device.into_string();
    (Some(label).filter(|label| !label.is_empty()), payload.network)
}
