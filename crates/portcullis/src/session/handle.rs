//! [`Session`]: a handler's hold on the session of its request.

mod detached;
mod key;
mod return_to;
mod withheld;

use std::fmt;
use std::marker::PhantomData;
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;
use serde::de::DeserializeOwned;

pub use self::detached::DetachedSession;
pub use self::key::SessionKey;
pub use self::return_to::ReturnTo;
pub(in crate::session) use self::withheld::hold;
use super::devices::Devices;
use super::error::SessionError;
use super::events::StoreOperation;
use super::login::Login;
use super::shared::Shared;
use super::state::{Operation, State};
use super::watch::SessionWatch;
use crate::Identity;
use crate::realm::{DefaultRealm, Realm};

/// A handler's hold on the session of its request. Clones hold the same one.
///
/// * Reading and writing values does not wait: the session is loaded already, and writes are recorded as operations,
///   which are saved before the response's head goes out, or by [`commit`](Self::commit).
/// * Saving is exact under concurrency: requests that write different values all keep theirs; of two that
///   [`set`](Self::set) the same one the last wins; [`increment`](Self::increment), [`update`](Self::update) and
///   [`take`](Self::take) are exact.
/// * [`login`](Self::login), [`logout`](Self::logout), [`rotate`](Self::rotate) and revocation act when they are
///   awaited, and stand whatever the response's status.
/// * A session that was ended meanwhile never comes back: its writes are dropped.
/// * Its parameter is the [realm](crate::realm), which most applications never name.
pub struct Session<M = DefaultRealm>(Arc<Shared>, PhantomData<fn() -> M>);

impl<M> Session<M> {
    pub(crate) fn of(shared: Arc<Shared>) -> Self {
        Self(shared, PhantomData)
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.0
    }

    /// The public name of the session, for logs and device lists; `None` while nothing is stored.
    #[must_use]
    pub fn session_ref(&self) -> Option<String> {
        self.0.read(|state| state.stored().map(|stored| stored.locator.to_string()))
    }

    /// Who is signed in by this session, as of now: after a [`login`](Self::login) in this request, its user.
    #[must_use]
    pub fn identity(&self) -> Option<Identity<M>> {
        let identity = self.0.read(State::identity);
        identity.map(Identity::in_realm)
    }

    /// The value under `key`, with this request's own writes; `None` if there is none.
    ///
    /// # Errors
    /// [`Value`](super::SessionErrorKind::Value) when it cannot be read as a `T`. Other values are not affected.
    pub fn get<T: DeserializeOwned>(&self, key: &SessionKey<T>) -> Result<Option<T>, SessionError> {
        let codec = &self.0.core.codec;
        let decode = |bytes: &[u8]| codec.decode(key.name(), bytes);
        self.0.read(|state| state.value(key.name())?.map(decode).transpose())
    }

    /// Sets the value under `key`. Of several requests that do, the last wins.
    ///
    /// # Errors
    /// When it cannot be written by the layer's codec, or the session would be too large. Then nothing is recorded.
    pub fn set<T: Serialize>(&self, key: &SessionKey<T>, value: &T) -> Result<(), SessionError> {
        let bytes = self.0.core.codec.encode(key.name(), value)?;
        self.0.record(Operation::Set { key: key.owned_name(), keep_on_login: key.keeps_on_login(), bytes })
    }

    /// Takes the value under `key` away.
    ///
    /// # Errors
    /// When the session can no longer be written.
    pub fn remove<T>(&self, key: &SessionKey<T>) -> Result<(), SessionError> {
        self.0.record(Operation::Remove { key: key.owned_name() })
    }

    /// Takes all values away, those that are kept on login too, and leaves who is signed in: [`logout`](Self::logout) ends that.
    /// What another request has saved before goes with them, and what this one sets afterwards is there.
    ///
    /// # Errors
    /// When the session can no longer be written.
    pub fn clear(&self) -> Result<(), SessionError> {
        self.0.record(Operation::Clear)
    }

    /// Adds to the number under `key`, which starts at zero. Exact, however many requests do it at once.
    ///
    /// What the sum is, is known after [`commit`](Self::commit).
    ///
    /// # Errors
    /// When what is there is not a whole number, or the sum leaves 64 bits.
    pub fn increment(&self, key: &SessionKey<i64>, by: i64) -> Result<(), SessionError> {
        let (name, codec) = (key.name(), self.0.core.codec.clone());
        self.change(key, move |held| {
            let held = held.map_or(Ok(0), |bytes| codec.decode::<i64>(name, bytes))?;
            let sum = held.checked_add(by);
            let sum = sum.ok_or_else(|| SessionError::value(name, "would leave the range of 64 bits"))?;
            codec.encode(name, &sum).map(Some)
        })
    }

    /// Replaces the value under `key` by what `change` makes of it; `None` stands for no value.
    ///
    /// Exact under concurrency: `change` runs now, and again on the newer value whenever another request has saved in
    /// between, also after the handler has returned. So it should depend on nothing but its argument, and must not use
    /// the session itself.
    ///
    /// A `change` that panics now records nothing, and what was recorded before it stands. One that panics when it runs
    /// again takes along all that is recorded and not committed; what the other request saved stands.
    ///
    /// # Errors
    /// When what is there cannot be read as a `T`, or what comes out cannot be written.
    pub fn update<T, F>(&self, key: &SessionKey<T>, change: F) -> Result<(), SessionError>
    where
        T: Serialize + DeserializeOwned,
        F: Fn(Option<T>) -> Option<T> + Send + Sync + 'static,
    {
        let (name, codec) = (key.name(), self.0.core.codec.clone());
        self.change(key, move |held| {
            let held = held.map(|bytes| codec.decode(name, bytes)).transpose()?;
            change(held).map(|value| codec.encode(name, &value)).transpose()
        })
    }

    /// Reads the value under `key` and takes it away, in one: of several requests that do, one gets it. For what may be
    /// used once, such as an OAuth state. Commits. A future that is dropped half-way may have taken it.
    ///
    /// # Errors
    /// As [`commit`](Self::commit), and when the value cannot be read as a `T`; it is gone then too.
    pub async fn take<T: DeserializeOwned>(&self, key: &SessionKey<T>) -> Result<Option<T>, SessionError> {
        if !self.0.holds(key.name()).await? {
            return Ok(None);
        }
        let taken: Arc<Mutex<Option<Vec<u8>>>> = Arc::default();
        let slot = Arc::clone(&taken);
        self.change(key, move |held| {
            *slot.lock().unwrap_or_else(PoisonError::into_inner) = held.map(<[u8]>::to_vec);
            Ok(None)
        })?;
        self.commit().await?;
        let taken = taken.lock().unwrap_or_else(PoisonError::into_inner).take();
        taken.map(|bytes| self.0.core.codec.decode(key.name(), &bytes)).transpose()
    }

    fn change<T>(
        &self,
        key: &SessionKey<T>,
        change: impl Fn(Option<&[u8]>) -> Result<Option<Vec<u8>>, SessionError> + Send + Sync + 'static,
    ) -> Result<(), SessionError> {
        let (key, keep_on_login) = (key.owned_name(), key.keeps_on_login());
        self.0.record(Operation::Update { key, keep_on_login, change: Arc::new(change) })
    }

    /// Saves now what is recorded; the handle then shows what was committed.
    ///
    /// # Errors
    /// [`Ended`](super::SessionErrorKind::Ended) when the session was ended meanwhile: the writes are dropped.
    /// [`Store`](super::SessionErrorKind::Store) when the store did not answer: they stay recorded for another commit,
    /// which finds out whether this attempt was applied before anything is applied again. Without one that succeeds the
    /// response is a 503, unless the handler's own is a 5xx.
    pub async fn commit(&self) -> Result<(), SessionError> {
        self.0.commit().await
    }

    /// Signs somebody in, an [`Identity`] or a [`Login`] that says more: a new session with a new id takes the place of
    /// this one, which is destroyed.
    ///
    /// The values of an anonymous session are dropped, but for keys marked
    /// [`keep_on_login`](SessionKey::keep_on_login). The same user signing in again keeps theirs; another user gets
    /// none of them. What this request has recorded so far follows the same rule.
    ///
    /// It is exact under concurrency: what goes along is what the session before holds when it is destroyed, with this
    /// request's operations applied to that. If somebody else ends that session first, by a logout or by a login of its
    /// own, nothing of it goes along but what this request has recorded: of two logins over one session, one inherits.
    ///
    /// A future that is dropped half-way, or a request that is dropped before its response is there, signs nobody in; the
    /// session before may have ended by then.
    ///
    /// # Errors
    /// [`LimitReached`](super::SessionErrorKind::LimitReached) when the user has as many sessions as the layer's
    /// [limit](super::SessionLayerBuilder::limit) allows, [`StaleCredential`](super::SessionErrorKind::StaleCredential)
    /// when the user's credentials were changed since they were checked, [`Ended`](super::SessionErrorKind::Ended) when the
    /// new session was revoked before it had what goes along; and when the new session cannot be stored, or
    /// the old one not be destroyed. [`NoSubject`](super::SessionErrorKind::NoSubject) when the subject is empty. Then nobody
    /// is newly signed in, and the session before goes on; but after [`Store`](super::SessionErrorKind::Store) it may have
    /// ended as well, because an answer that was lost may have been that it has.
    pub async fn login(&self, login: impl Into<Login<M>>) -> Result<(), SessionError> {
        // In a box, as are those below: each request of a handler that may sign in would have room for it in its future.
        let done = Box::pin(self.0.login(login.into().what)).await;
        done.inspect_err(|error| self.0.note_failure(StoreOperation::Login, error))
    }

    /// Ends this session. The response takes the cookie away. What is written afterwards begins a new one.
    ///
    /// # Errors
    /// When the store did not answer: then the session may still be alive, and so its cookie stays.
    pub async fn logout(&self) -> Result<(), SessionError> {
        let done = Box::pin(self.0.logout()).await;
        done.inspect_err(|error| self.0.note_failure(StoreOperation::Logout, error))
    }

    /// Gives the session a new secret; the old one is refused from now on. Commits.
    ///
    /// Without a stored session there is nothing to do.
    ///
    /// A secret that another request's rotation has ended meanwhile is given no new one: then there is nothing left to do.
    ///
    /// It costs two round trips: the old secret is refused when the store has answered that it has the new one. So an answer
    /// that is lost signs nobody out. A response that is lost does, since the browser then has the old one only.
    ///
    /// # Errors
    /// As [`commit`](Self::commit). When the answer was lost, the way out finds out what became of it. If it cannot, the
    /// session goes on with the old secret, and with the new one if its cookie went out; the old one is then refused when the
    /// new one is presented.
    pub async fn rotate(&self) -> Result<(), SessionError> {
        Box::pin(self.0.renew(false)).await
    }

    /// Notes that the user has just proved who they are, and gives the session a new secret, as [`rotate`](Self::rotate)
    /// does. Commits. The proof is noted when the old secret is refused, so whoever has that gains nothing by it.
    ///
    /// # Errors
    /// [`SignedOut`](super::SessionErrorKind::SignedOut) when nobody is signed in;
    /// [`Ended`](super::SessionErrorKind::Ended) when another request's rotation has ended this one's secret, so that the proof
    /// is nobody's; else as [`commit`](Self::commit).
    pub async fn reauthenticated(&self) -> Result<(), SessionError> {
        Box::pin(self.0.renew(true)).await
    }

    /// The end of this session, to be awaited by what outlives the request: a WebSocket, a stream. After a
    /// [`login`](Self::login) in this request it is the new session's.
    ///
    /// ```
    /// use portcullis::Session;
    /// use portcullis::session::{SessionEnd, SessionError};
    ///
    /// async fn stream(session: Session) -> Result<(), SessionError> {
    ///     let watch = session.watch()?;
    ///     tokio::spawn(async move {
    ///         match watch.await {
    ///             SessionEnd::Revoked => { /* close it: the user has logged out */ }
    ///             _ => { /* close it: the session has expired */ }
    ///         }
    ///     });
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    /// [`NotStored`](super::SessionErrorKind::NotStored) when there is no session yet that could end, or when it cannot
    /// be told because the store was away. A session that has ended meanwhile is no error: the watch is over at once.
    pub fn watch(&self) -> Result<SessionWatch, SessionError> {
        self.0.watch()
    }

    /// Another hold on this session, for what outlives the request: what it records is saved by its own
    /// [`commit`](DetachedSession::commit). It knows nothing of what this one has recorded and not committed.
    ///
    /// # Errors
    /// [`NotStored`](super::SessionErrorKind::NotStored) when there is no session yet: log in, or commit, first.
    /// [`Ended`](super::SessionErrorKind::Ended) when it has ended meanwhile.
    pub fn detach(&self) -> Result<DetachedSession<M>, SessionError> {
        self.0.detach().map(|shared| DetachedSession::of(Self::of(shared)))
    }

    /// The sessions of this session's user, on all devices.
    #[must_use]
    pub fn devices(&self) -> Devices {
        Devices::of(Arc::clone(&self.0))
    }
}

impl<M> Clone for Session<M> {
    fn clone(&self) -> Self {
        Self::of(Arc::clone(&self.0))
    }
}

impl<M: Realm> fmt::Debug for Session<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("realm", &M::NAME)
            .field("session_ref", &self.0.peek(|state| state.stored().map(|stored| stored.locator)))
            .finish_non_exhaustive()
    }
}
