//! [`Core`]: what every session of one layer shares: the backend, the clock, and the policy.

use std::sync::Arc;
use std::time::Duration;

use portcullis_store::{
    Clock, Header, Key, Locator, Realm, Record, SecretHash, StoreError, StoreErrorKind, Tag, Timestamp,
    Touched, UserKey,
};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use super::backend::Backend;
use super::cookie::CookieConfig;
use super::error::SessionError;
use super::expiry::Lifetime;
use super::id::{Token, new_tag, user_locator};
use super::payload::{Payload, identity_in};
use super::state::Stored;
use crate::Identity;

/// What to do with a request that presents a session while the store is out of reach.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnUnavailable {
    /// Refuse it: 503 with `Retry-After`, gRPC 14.
    #[default]
    Reject,
    /// Let it in with nobody signed in. [`Authentication`](crate::identity::Authentication) says that it could not be
    /// told, so that [`RequireLayer`](crate::RequireLayer) still answers 503; the session cannot be read or written.
    Anonymous,
}

/// What every session of one layer shares.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) backend: Backend,
    pub(crate) realm: Realm,
    pub(crate) issuer: Option<String>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) user: Lifetime,
    pub(crate) anonymous: Lifetime,
    pub(crate) cookie: CookieConfig,
    pub(crate) max_len: usize,
    pub(crate) on_unavailable: OnUnavailable,
    pub(crate) read_only: bool,
    pub(crate) discard_on_5xx: bool,
    /// How much may go on behind the responses at once.
    pub(crate) background: Arc<Semaphore>,
}

/// When a client whom the store kept waiting may try again.
pub(crate) const RETRY_AFTER: Duration = Duration::from_secs(1);

/// A session that is to end, and whose index it stands in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ending {
    pub(crate) locator: Locator,
    pub(crate) user: Option<Locator>,
}

impl Core {
    pub(crate) fn key(&self, locator: Locator) -> Key<'_> {
        Key { realm: &self.realm, locator }
    }

    pub(crate) fn user_key(&self, user: Locator) -> UserKey<'_> {
        UserKey { realm: &self.realm, user }
    }

    /// The user's name in the store.
    pub(crate) fn user_of(identity: &Identity) -> Locator {
        user_locator(identity.issuer(), identity.subject())
    }

    /// An empty payload of this realm.
    pub(crate) fn payload(&self) -> Payload {
        Payload { realm: self.realm.as_str().into(), ..Payload::default() }
    }

    /// A header for a session that begins now.
    pub(crate) fn header(&self, token: &Token, user: Option<&Identity>) -> Result<Header, SessionError> {
        let now = self.clock.now();
        let lifetime = if user.is_some() { self.user } else { self.anonymous };
        // A session does not outlive what its user was recognised by.
        let expires = user.and_then(Identity::expires_at).unwrap_or(Timestamp::MAX);
        let absolute_deadline = now.saturating_add(lifetime.absolute).min(expires);
        Ok(Header {
            tags: [new_tag()?; 4],
            flags: 0,
            secret: token.hash(),
            previous: None,
            secret_since: now,
            created: now,
            authenticated: user.map(|user| user.authenticated_at().unwrap_or(now).min(now)),
            absolute_deadline,
            idle: lifetime.idle,
            idle_deadline: now.saturating_add(lifetime.idle).min(absolute_deadline),
        })
    }

    /// The header that operations are tried on before there is a session.
    pub(crate) fn blank_header(&self) -> Header {
        Header {
            tags: [Tag::default(); 4],
            flags: 0,
            secret: SecretHash([0; 32]),
            previous: None,
            secret_since: Timestamp::EPOCH,
            created: Timestamp::EPOCH,
            authenticated: None,
            absolute_deadline: Timestamp::EPOCH,
            idle: Duration::ZERO,
            idle_deadline: Timestamp::EPOCH,
        }
    }

    /// A record as a request holds it, its identity read; of another realm or unreadable is corrupt.
    pub(crate) fn stored(&self, locator: Locator, record: Record) -> Result<Stored, StoreError> {
        let words = identity_in(&record.payload, self.realm.as_str()).map_err(|_| StoreErrorKind::Corrupt)?;
        let Header { authenticated, absolute_deadline, .. } = record.header;
        let identity = words.map(|words| {
            Identity::of_session(words, (self.realm.clone(), locator), authenticated, absolute_deadline)
        });
        Ok(Stored { locator, record, identity })
    }

    /// An identity as it signs in: without an issuer of its own, it is one of ours.
    pub(crate) fn settled(&self, identity: Identity) -> Identity {
        match (&self.issuer, identity.issuer()) {
            (Some(issuer), None) => identity.with_issuer(issuer),
            (Some(_) | None, _) => identity,
        }
    }

    /// What to do to end this session.
    pub(crate) fn ending(stored: &Stored) -> Ending {
        Ending { locator: stored.locator, user: stored.identity.as_ref().map(Self::user_of) }
    }

    /// Destroys a session, and when that stands takes it out of its user's index.
    pub(crate) async fn end(&self, ending: Ending) -> Result<(), SessionError> {
        self.backend.destroy(&[self.key(ending.locator)]).await?;
        if let Some(user) = ending.user {
            self.withdraw(user, &[ending.locator]).await;
        }
        Ok(())
    }

    /// Takes ended sessions out of their user's index. An entry that stays is harmless and drops out by its deadline.
    pub(crate) async fn withdraw(&self, user: Locator, ended: &[Locator]) {
        if let Err(error) = self.backend.withdraw(self.user_key(user), ended).await {
            tracing::debug!(
                error = error.kind().label(),
                "an ended session stays in its user's index for now"
            );
        }
    }

    /// Moves the session's idle deadline behind the response, then repeats its index entry, which heals one that was
    /// lost in a failover. When too much goes on already, the next request does it.
    pub(crate) fn touch_later(self: &Arc<Self>, stored: &Stored) {
        let Ending { locator, user } = Self::ending(stored);
        let deadline = stored.record.header.absolute_deadline;
        let core = Arc::clone(self);
        self.later(async move {
            let touched = core.backend.touch(core.key(locator)).await;
            match (touched, user) {
                (Ok(Touched::Alive(_)), Some(user)) => {
                    let enrolled = core.backend.enrol(core.user_key(user), locator, deadline).await;
                    if let Err(error) = enrolled {
                        tracing::debug!(error = error.kind().label(), "an index entry was not repeated");
                    }
                }
                (Ok(_), _) => {}
                (Err(error), _) => tracing::debug!(error = error.kind().label(), "a session was not touched"),
            }
        });
    }

    /// Ends a session that nobody holds, behind the response.
    pub(crate) fn end_later(self: &Arc<Self>, ending: Ending) {
        let core = Arc::clone(self);
        self.later(async move {
            if let Err(error) = core.end(ending).await {
                tracing::debug!(%error, "a session that nobody holds stays until it expires");
            }
        });
    }

    fn later(&self, work: impl Future<Output = ()> + Send + 'static) {
        let (Ok(runtime), Ok(permit)) =
            (Handle::try_current(), Arc::clone(&self.background).try_acquire_owned())
        else {
            tracing::debug!("too much goes on behind the responses; left to the next request");
            return;
        };
        runtime.spawn(async move {
            work.await;
            drop(permit);
        });
    }
}
