//! [`DetachedSession`]: a stream's hold on the session of the request that it began with.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Session;
use super::key::SessionKey;
use crate::Identity;
use crate::realm::{DefaultRealm, Realm};
use crate::session::error::{Reason, SessionError};
use crate::session::events::StoreOperation;
use crate::session::expiry::{Age, age};
use crate::session::shared::Shared;
use crate::session::state::Held;
use crate::session::transport::{Presented, Proof};
use crate::session::watch::SessionWatch;

/// A stream's hold on the session of the request that it began with: what it records is saved by
/// [`commit`](Self::commit) and by nothing else. From [`Session::detach`]. Clones hold the same one.
///
/// * It shows the session as the request found it, until a [`commit`](Self::commit) or [`refresh`](Self::refresh) shows
///   what has become of it.
/// * Saving is as exact as a request's: see [`Session`].
/// * A session that has ended never comes back: its writes are dropped, and that is said.
/// * It cannot sign anybody in or out, nor rotate: the response that would take the new cookie along is gone.
///
/// ```
/// use portcullis::Session;
/// use portcullis::session::{SessionError, SessionKey};
///
/// const READ: SessionKey<i64> = SessionKey::new("messages read");
///
/// async fn chat(session: Session) -> Result<(), SessionError> {
///     let session = session.detach()?;
///     tokio::spawn(async move {
///         // for each message:
///         session.increment(&READ, 1)?;
///         session.commit().await
///     });
///     Ok(())
/// }
/// ```
pub struct DetachedSession<M = DefaultRealm>(Session<M>);

impl Shared {
    /// Another hold on the session that is stored, which outlives this request.
    pub(crate) fn detach(&self) -> Result<Arc<Self>, SessionError> {
        let state = self.lock_to_read();
        if state.has_ended() {
            return Err(Reason::Ended.into());
        }
        let stored = state.holding()?.ok_or(Reason::NotStored)?.clone();
        let core = Arc::clone(&self.core);
        Ok(Arc::new(Self::new(core, Held::Stored(stored), true, false, || self.head.clone())))
    }

    /// Looks up what has become of the session. What is recorded stays recorded, on top of it.
    pub(crate) async fn refresh(&self) -> Result<(), SessionError> {
        let refreshed = self.core.backend.within_budget(async {
            let _turn = self.turn().await;
            let Some(locator) = self.lock().stored().map(|stored| stored.locator) else {
                return Err(Reason::Ended.into());
            };
            let record = self.core.backend.load(self.core.key(locator)).await?;
            self.lock().refreshed(record, &self.core)
        });
        refreshed.await.inspect_err(|error| self.note_failure(StoreOperation::Load, error))
    }

    /// Looks up what has become of a session that came from the cache. One whose secret was replaced meanwhile is not
    /// this request's any more.
    pub(crate) async fn confirm(&self) -> Result<(), SessionError> {
        let before = self.lock().stored().map(|stored| stored.record().header.secret);
        self.refresh().await?;
        let mut state = self.lock();
        let now = self.core.clock.now();
        let stands = state.stored().zip(before).is_some_and(|(stored, secret)| {
            let header = &stored.record().header;
            let presented = Presented::of(stored.locator, secret);
            presented.proves(header, now) != Proof::None && age(header, now) != Age::Expired
        });
        if stands {
            return Ok(());
        }
        state.lose();
        Err(Reason::Ended.into())
    }
}

impl<M> DetachedSession<M> {
    pub(crate) fn of(session: Session<M>) -> Self {
        Self(session)
    }

    /// The public name of the session; `None` when it is known to have ended.
    #[must_use]
    pub fn session_ref(&self) -> Option<String> {
        self.0.session_ref()
    }

    /// Who is signed in, as last seen.
    #[must_use]
    pub fn identity(&self) -> Option<Identity<M>> {
        self.0.identity()
    }

    /// The value under `key` as last seen, with what is recorded since.
    ///
    /// # Errors
    /// As [`Session::get`].
    pub fn get<T: DeserializeOwned>(&self, key: &SessionKey<T>) -> Result<Option<T>, SessionError> {
        self.0.get(key)
    }

    /// Records a value, to be saved by [`commit`](Self::commit).
    ///
    /// # Errors
    /// As [`Session::set`], and when the session is known to have ended.
    pub fn set<T: Serialize>(&self, key: &SessionKey<T>, value: &T) -> Result<(), SessionError> {
        self.0.set(key, value)
    }

    /// Records that a value is taken away.
    ///
    /// # Errors
    /// As [`set`](Self::set).
    pub fn remove<T>(&self, key: &SessionKey<T>) -> Result<(), SessionError> {
        self.0.remove(key)
    }

    /// Records that all values go; see [`Session::clear`].
    ///
    /// # Errors
    /// As [`set`](Self::set).
    pub fn clear(&self) -> Result<(), SessionError> {
        self.0.clear()
    }

    /// Records an addition; see [`Session::increment`].
    ///
    /// # Errors
    /// As [`Session::increment`].
    pub fn increment(&self, key: &SessionKey<i64>, by: i64) -> Result<(), SessionError> {
        self.0.increment(key, by)
    }

    /// Records a change; see [`Session::update`].
    ///
    /// # Errors
    /// As [`Session::update`].
    pub fn update<T, F>(&self, key: &SessionKey<T>, change: F) -> Result<(), SessionError>
    where
        T: Serialize + DeserializeOwned,
        F: Fn(Option<T>) -> Option<T> + Send + Sync + 'static,
    {
        self.0.update(key, change)
    }

    /// Saves what is recorded, in one round trip unless somebody saved in between. The handle then shows what was
    /// committed.
    ///
    /// # Errors
    /// As [`Session::commit`]: with [`Ended`](crate::session::SessionErrorKind::Ended) the session is over, for good; with
    /// [`Store`](crate::session::SessionErrorKind::Store) what was recorded stays so for another commit, which finds out
    /// whether this one was applied.
    pub async fn commit(&self) -> Result<(), SessionError> {
        self.0.commit().await
    }

    /// Looks up what has become of the session: its values, and who is signed in with which roles. What is recorded and
    /// not committed stays so.
    ///
    /// # Errors
    /// [`Ended`](crate::session::SessionErrorKind::Ended) when there is no such session any more, and when the store did not
    /// answer.
    pub async fn refresh(&self) -> Result<(), SessionError> {
        self.0.shared().refresh().await
    }

    /// The end of the session; see [`Session::watch`].
    ///
    /// # Errors
    /// As [`Session::watch`].
    pub fn watch(&self) -> Result<SessionWatch, SessionError> {
        self.0.watch()
    }
}

impl<M> Clone for DetachedSession<M> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<M: Realm> fmt::Debug for DetachedSession<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("DetachedSession").field(&self.0).finish()
    }
}
