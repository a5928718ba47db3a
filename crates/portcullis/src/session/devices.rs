//! [`Devices`]: the sessions of one user, on all devices, and their revocation.

use portcullis_store::{Locator, Timestamp};

use super::error::{Reason, SessionError};
use super::handle::Session;
use super::payload::Payload;

/// The sessions of the user who is signed in, on all devices. From [`Session::devices`].
///
/// A session that is not this user's is "not found", whatever its name.
#[derive(Clone, Debug)]
pub struct Devices(Session);

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
    /// When it was last used, to within five minutes.
    pub last_seen: Timestamp,
    /// When it ends, however busy.
    pub expires: Timestamp,
    /// The label that it was given, if any.
    pub label: Option<String>,
}

impl Devices {
    pub(crate) fn of(session: Session) -> Self {
        Self(session)
    }

    /// All of them, the newest first.
    ///
    /// # Errors
    /// [`SignedOut`](super::SessionErrorKind::SignedOut) when nobody is signed in, or when the store did not answer.
    pub async fn list(&self) -> Result<Vec<Device>, SessionError> {
        let core = &self.0.0.core;
        let (current, user) = self.0.0.signed_in()?;
        let locators = core.backend.members(core.user_key(user)).await?;
        let keys: Vec<_> = locators.iter().map(|locator| core.key(*locator)).collect();
        let records = core.backend.load_many(&keys).await?;
        let ended = locators.iter().zip(&records).filter(|(_, record)| record.is_none());
        let ended: Vec<_> = ended.map(|(locator, _)| *locator).collect();
        if !ended.is_empty() {
            core.withdraw(user, &ended).await;
        }
        let live = locators.iter().zip(records).filter_map(|(locator, record)| Some((*locator, record?)));
        let mut devices: Vec<Device> = live
            .map(|(locator, record)| Device {
                session_ref: locator.to_string(),
                current: locator == current,
                created: record.header.created,
                authenticated: record.header.authenticated,
                last_seen: record.header.idle_deadline.saturating_sub(record.header.idle),
                expires: record.header.absolute_deadline,
                label: label(&record.payload),
            })
            .collect();
        devices
            .sort_by(|one, other| (other.created, &one.session_ref).cmp(&(one.created, &other.session_ref)));
        Ok(devices)
    }

    /// Ends one of them. Ending the current one is a logout.
    ///
    /// # Errors
    /// [`NotFound`](super::SessionErrorKind::NotFound) when this user has no such session.
    pub async fn revoke(&self, session_ref: &str) -> Result<(), SessionError> {
        let core = &self.0.0.core;
        let (_, user) = self.0.0.signed_in()?;
        let locator = Locator::parse(session_ref).ok_or(Reason::NotFound)?;
        if !core.backend.members(core.user_key(user)).await?.contains(&locator) {
            return Err(Reason::NotFound.into());
        }
        if self.0.0.logout_if_current(locator).await? {
            return Ok(());
        }
        self.end(user, &[locator]).await
    }

    /// Ends all but the current one.
    ///
    /// # Errors
    /// When nobody is signed in, or the store did not answer; some may have ended.
    pub async fn revoke_others(&self) -> Result<(), SessionError> {
        let core = &self.0.0.core;
        let (current, user) = self.0.0.signed_in()?;
        let mut others = core.backend.members(core.user_key(user)).await?;
        others.retain(|locator| *locator != current);
        self.end(user, &others).await
    }

    /// Ends all of them, the current one too.
    ///
    /// # Errors
    /// As [`revoke_others`](Self::revoke_others).
    pub async fn revoke_all(&self) -> Result<(), SessionError> {
        let (current, _) = self.0.0.signed_in()?;
        self.revoke_others().await?;
        self.0.0.logout_if_current(current).await.map(drop)
    }

    async fn end(&self, user: Locator, ended: &[Locator]) -> Result<(), SessionError> {
        if ended.is_empty() {
            return Ok(());
        }
        let core = &self.0.0.core;
        let keys: Vec<_> = ended.iter().map(|locator| core.key(*locator)).collect();
        core.backend.destroy(&keys).await?;
        core.withdraw(user, ended).await;
        tracing::info!(count = ended.len(), reason = "revoked", "sessions destroyed");
        Ok(())
    }
}

fn label(payload: &[u8]) -> Option<String> {
    Payload::decode(payload)
        .ok()
        .map(|payload| payload.device.into_string())
        .filter(|label| !label.is_empty())
}
