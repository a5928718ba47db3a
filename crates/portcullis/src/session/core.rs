//! [`Core`]: what every session of one layer shares: the backend, the clock, and the policy.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use portcullis_store::{
    AtOnce, Clock, Enrolment, Header, Key, Locator, Realm, Record, SecretHash, StoreError, StoreErrorKind,
    Tag, Timestamp, Touched, UserKey, offset,
};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use super::backend::Backend;
use super::codec::Coding;
use super::error::{Reason, SessionError, SessionErrorKind};
use super::events::{DestroyedReason, EventUser, Hook, SessionEventKind, StoreOperation};
use super::expiry::{Lifetime, REMEMBERED};
use super::login::Limit;
use super::payload::{Payload, identity_in, same_identity};
use super::renewal::arrived;
use super::stored::{Reader, Stored};
use super::tag::new_tag;
use super::transport::{Token, Transport};
use crate::dependents::Dependents;
use crate::identity::SessionMark;
use crate::realm::{Claim, Hold};
use crate::rejection::Challenge;
use crate::{Identity, names};

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
///
/// On cache lines of its own: each request counts its owners, and what stands beside the count, threads would take from one
/// another.
#[repr(align(128))]
pub(crate) struct Core {
    pub(crate) backend: Backend,
    pub(crate) realm: Realm,
    /// What the layer says of itself to another on the same path.
    pub(crate) claim: Claim,
    /// How others find the handles that the layer leaves; `None` if it leaves none.
    pub(crate) hold: Option<&'static Hold>,
    /// What somebody is told who is not signed in.
    pub(crate) challenge: Challenge,
    pub(crate) issuer: Option<String>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) user: Lifetime,
    pub(crate) remembered: Lifetime,
    pub(crate) anonymous: Lifetime,
    /// How many sessions one user may have.
    pub(crate) limit: Option<Limit>,
    pub(crate) transport: Transport,
    pub(crate) max_len: usize,
    pub(crate) on_unavailable: OnUnavailable,
    pub(crate) read_only: bool,
    pub(crate) discard_on_5xx: bool,
    /// How often a session gets a new secret of its own accord.
    pub(crate) renew_every: Option<Duration>,
    /// How often a watched session is looked up while the store cannot tell of its end.
    pub(crate) watch_interval: Duration,
    pub(crate) events: Hook,
    /// What ends with a session.
    pub(crate) dependents: Option<Arc<dyn Dependents>>,
    pub(crate) codec: Coding,
    /// How much may go on behind the responses at once.
    pub(crate) background: Arc<Semaphore>,
}

/// Whose a new session is, and so how long it lives.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Holder<'a> {
    Anonymous,
    User(&'a Identity),
    /// A user who asked to stay signed in.
    Remembered(&'a Identity),
}

/// When a client whom the store kept waiting may try again.
pub(crate) const RETRY_AFTER: Duration = Duration::from_secs(1);

/// A session that is to end, and whose index it stands in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ending {
    pub(crate) locator: Locator,
    pub(crate) user: Option<Locator>,
}

/// Of a layer whose handlers have no handle. Its responses vary whether anybody looks or not.
impl SessionMark for Core {
    fn challenge(&self) -> &Challenge {
        &self.challenge
    }

    fn claim(&self) -> Claim {
        self.claim
    }

    fn hold(&self) -> Option<&'static Hold> {
        None
    }

    fn on_read(&self) {}
}

impl fmt::Debug for Core {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Core")
            .field("backend", &self.backend)
            .field("realm", &self.realm)
            .field("issuer", &self.issuer)
            .field("transport", &self.transport)
            .finish_non_exhaustive()
    }
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
        names::user(identity.issuer(), identity.subject())
    }

    /// An empty payload of this realm.
    pub(crate) fn payload(&self) -> Payload {
        Payload { realm: self.realm.as_str().as_bytes().into(), ..Payload::default() }
    }

    /// Something has happened.
    pub(crate) fn emit(&self, kind: SessionEventKind, session: Option<&Locator>, user: Option<&Identity>) {
        self.events.emit(kind, &self.realm, session, user.map(EventUser::from));
    }

    /// Something has happened to this session.
    pub(crate) fn emit_of(&self, kind: SessionEventKind, stored: &Stored) {
        self.emit(kind, Some(&stored.locator), stored.identity());
    }

    /// The store could not do this.
    pub(crate) fn store_failed(
        &self,
        operation: StoreOperation,
        kind: StoreErrorKind,
        session: Option<&Locator>,
    ) {
        self.emit(SessionEventKind::StoreFailed { operation, kind }, session, None);
    }

    /// If the store is to blame for it.
    pub(crate) fn note_failure(
        &self,
        operation: StoreOperation,
        error: &SessionError,
        session: Option<&Locator>,
    ) {
        if let SessionErrorKind::Store(kind) = error.kind() {
            self.store_failed(operation, kind, session);
        }
    }

    /// Whether a session may be as large as this one would be in the store.
    pub(crate) fn fits(&self, payload: &Payload) -> Result<(), SessionError> {
        let len = offset::PAYLOAD + payload.encoded_len() + self.backend.overhead();
        if len <= self.max_len { Ok(()) } else { Err(Reason::TooLarge { limit: self.max_len }.into()) }
    }

    /// The same for what takes the place of `before`: a session that is larger than it may be, because more was allowed when
    /// it was written, may stay as large.
    pub(crate) fn fits_after(&self, before: Option<&Stored>, payload: &Payload) -> Result<(), SessionError> {
        let grows = before.is_none_or(|before| payload.encoded_len() > before.record().payload.len());
        if grows { self.fits(payload) } else { Ok(()) }
    }

    /// A header for a session that begins now.
    pub(crate) fn header(&self, token: &Token, holder: Holder<'_>) -> Result<Header, SessionError> {
        let now = self.clock.now();
        let (user, lifetime, flags) = match holder {
            Holder::Anonymous => (None, self.anonymous, 0),
            Holder::User(user) => (Some(user), self.user, 0),
            Holder::Remembered(user) => (Some(user), self.remembered, REMEMBERED),
        };
        // A session does not outlive what its user was recognised by.
        let expires = user.and_then(Identity::expires_at).unwrap_or(Timestamp::MAX);
        let absolute_deadline = now.saturating_add(lifetime.absolute).min(expires);
        Ok(Header {
            tags: [new_tag()?; 4],
            flags,
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
        let reader = self.reader();
        let record = match Stored::noted(locator, record, &reader) {
            Ok(stored) => return Ok(stored),
            Err(record) => record,
        };
        let words = identity_in(&record.payload, self.realm.as_str()).map_err(|_| StoreErrorKind::Corrupt)?;
        let Header { authenticated, absolute_deadline, .. } = record.header;
        let identity = words.map(|words| {
            Identity::of_session(words, locator, reader.carrier, authenticated, absolute_deadline)
        });
        Ok(Stored::new(locator, record, identity))
    }

    /// The same for a record that was loaded. One that its backend keeps in memory is read once, however many requests
    /// load it.
    pub(crate) fn loaded(&self, locator: Locator, record: Record) -> Result<Stored, StoreError> {
        let stored = self.stored(locator, record)?;
        stored.note(&self.reader());
        Ok(stored)
    }

    fn reader(&self) -> Reader<'_> {
        Reader { realm: &self.realm, carrier: self.transport.carrier_of_identity() }
    }

    /// What stands now where `before` stood. A write changes values far more often than who is signed in.
    pub(crate) fn stored_after(&self, before: &Stored, record: Record) -> Result<Stored, StoreError> {
        let (old, new) = (&before.record().header, &record.header);
        let is_same = old.authenticated == new.authenticated
            && old.absolute_deadline == new.absolute_deadline
            && same_identity(&before.record().payload, &record.payload);
        if is_same {
            let stored = Stored::new(before.locator, record, before.identity().cloned());
            // The next request that loads it need not read it either.
            stored.note(&self.reader());
            return Ok(stored);
        }
        self.stored(before.locator, record)
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
        Ending { locator: stored.locator, user: stored.identity().map(Self::user_of) }
    }

    /// Destroys a session, and when that stands takes it out of its user's index.
    pub(crate) async fn end(&self, ending: Ending) -> Result<(), SessionError> {
        self.end_dependents(ending.user, &[ending.locator]).await?;
        let key = self.key(ending.locator);
        if let Some(user) = ending.user
            && self.backend.destroy_enrolled(key, self.user_key(user)).await? == AtOnce::Done
        {
            return Ok(());
        }
        self.backend.destroy(&[key]).await?;
        if let Some(user) = ending.user {
            self.withdraw(user, &[ending.locator]).await;
        }
        Ok(())
    }

    /// Ends what hangs on sessions of this user, which end next. On those of nobody nothing does.
    pub(crate) async fn end_dependents(
        &self,
        user: Option<Locator>,
        sessions: &[Locator],
    ) -> Result<(), StoreError> {
        match (&self.dependents, user) {
            (Some(dependents), Some(user)) => dependents.end(user, sessions).await,
            (None, _) | (_, None) => Ok(()),
        }
    }

    /// Ends all that this user has besides sessions, which end next.
    pub(crate) async fn end_all_dependents(&self, user: Locator) -> Result<(), StoreError> {
        match &self.dependents {
            Some(dependents) => dependents.end_all(user).await,
            None => Ok(()),
        }
    }

    /// Takes ended sessions out of their user's index. An entry that stays is harmless and drops out by its deadline.
    pub(crate) async fn withdraw(&self, user: Locator, ended: &[Locator]) {
        if let Err(error) = self.backend.withdraw(self.user_key(user), ended).await {
            self.store_failed(StoreOperation::Index, error.kind(), None);
        }
    }

    /// Moves the session's idle deadline behind the response, then repeats its index entry, which heals one that was
    /// lost in a failover. When too much goes on already, the next request does it.
    pub(crate) fn touch_later(self: &Arc<Self>, stored: &Stored) {
        let Ending { locator, user } = Self::ending(stored);
        let deadline = stored.record().header.absolute_deadline;
        let core = Arc::clone(self);
        self.later(async move {
            let touched = core.backend.touch(core.key(locator)).await;
            match (touched, user) {
                (Ok(Touched::Alive(_)), Some(user)) => {
                    // It is in there already, or was once, so the limit is not asked.
                    let enrolment = Enrolment::new(core.user_key(user), deadline);
                    let enrolled = core.backend.enrol(locator, enrolment).await;
                    if let Err(error) = enrolled {
                        core.store_failed(StoreOperation::Index, error.kind(), Some(&locator));
                    }
                }
                (Ok(_), _) => {}
                (Err(error), _) => core.store_failed(StoreOperation::Touch, error.kind(), Some(&locator)),
            }
        });
    }

    /// Notes behind the response that a renewed secret was presented. If another write comes first, the next request
    /// does it.
    pub(crate) fn arrived_later(self: &Arc<Self>, stored: &Stored) {
        let Some(header) = arrived(&stored.record().header, self.clock.now()) else { return };
        let Ok(tag) = new_tag() else { return };
        let mut record = stored.record().clone();
        record.header = Header { tags: header.tags_after(tag), ..header };
        let (core, locator, expected) = (Arc::clone(self), stored.locator, stored.record().header.tag());
        self.later(async move {
            let saved = core.backend.save(core.key(locator), expected, &record);
            if let Err(error) = core.backend.within_budget(saved).await {
                core.store_failed(StoreOperation::CleanUp, error.kind(), Some(&locator));
            }
        });
    }

    /// Ends a session that nobody holds, behind the response.
    pub(crate) fn end_later(self: &Arc<Self>, ending: Ending) {
        let core = Arc::clone(self);
        self.later(async move {
            let locator = Some(&ending.locator);
            match core.end(ending).await {
                Ok(()) => core.emit(SessionEventKind::Destroyed(DestroyedReason::Abandoned), locator, None),
                Err(error) => core.note_failure(StoreOperation::CleanUp, &error, locator),
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
