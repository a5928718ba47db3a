//! [`Session`]: a handler's hold on the session of its request.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use portcullis_store::{Created, Locator, StoreError, StoreErrorKind};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::core::{Core, Ending};
use super::devices::Devices;
use super::error::{Reason, SessionError};
use super::id::Token;
use super::key::SessionKey;
use super::ops::Operation;
use super::state::{CookieChange, Held, State, Step, Stored};
use crate::Identity;
use crate::identity::OnRead;

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
#[derive(Clone)]
pub struct Session(pub(crate) Arc<Shared>);

pub(crate) struct Shared {
    pub(crate) core: Arc<Core>,
    state: Mutex<State>,
    /// Whoever acts on the store has the turn; others wait for it.
    turn: tokio::sync::Mutex<()>,
    read: AtomicBool,
}

impl Session {
    pub(crate) fn new(core: Arc<Core>, held: Held) -> Self {
        Self(Arc::new(Shared {
            core,
            state: Mutex::new(State::new(held)),
            turn: tokio::sync::Mutex::const_new(()),
            read: AtomicBool::new(false),
        }))
    }

    /// The public name of the session, for logs and device lists; `None` while nothing is stored.
    #[must_use]
    pub fn session_ref(&self) -> Option<String> {
        self.0.lock_to_read().stored().map(|stored| stored.locator.to_string())
    }

    /// Who is signed in by this session, as of now: after a [`login`](Self::login) in this request, its user.
    #[must_use]
    pub fn identity(&self) -> Option<Identity> {
        self.0.lock_to_read().stored().and_then(|stored| stored.identity.clone())
    }

    /// The value under `key`, with this request's own writes; `None` if there is none.
    ///
    /// # Errors
    /// [`Value`](super::SessionErrorKind::Value) when it cannot be read as a `T`. Other values are not affected.
    pub fn get<T: DeserializeOwned>(&self, key: &SessionKey<T>) -> Result<Option<T>, SessionError> {
        let state = self.0.lock_to_read();
        state.value(key.name())?.map(|bytes| decode(key.name(), bytes)).transpose()
    }

    /// Sets the value under `key`. Of several requests that do, the last wins.
    ///
    /// # Errors
    /// When it cannot be written as JSON, or the session would be too large. Then nothing is recorded.
    pub fn set<T: Serialize>(&self, key: &SessionKey<T>, value: &T) -> Result<(), SessionError> {
        let bytes = encode(key.name(), value)?;
        self.0.record(Operation::Set { key: key.owned_name(), keep_on_login: key.keeps_on_login(), bytes })
    }

    /// Takes the value under `key` away.
    ///
    /// # Errors
    /// When the session can no longer be written.
    pub fn remove<T>(&self, key: &SessionKey<T>) -> Result<(), SessionError> {
        self.0.record(Operation::Remove { key: key.owned_name() })
    }

    /// Adds to the number under `key`, which starts at zero. Exact, however many requests do it at once.
    ///
    /// What the sum is, is known after [`commit`](Self::commit).
    ///
    /// # Errors
    /// When what is there is not a whole number, or the sum leaves 64 bits.
    pub fn increment(&self, key: &SessionKey<i64>, by: i64) -> Result<(), SessionError> {
        let (key, keep_on_login) = (key.owned_name(), key.keeps_on_login());
        self.0.record(Operation::Increment { key, keep_on_login, by })
    }

    /// Replaces the value under `key` by what `change` makes of it; `None` stands for no value.
    ///
    /// Exact under concurrency: `change` runs now, and again on the newer value whenever another request has saved in
    /// between, also after the handler has returned. So it should depend on nothing but its argument.
    ///
    /// # Errors
    /// When what is there cannot be read as a `T`, or what comes out cannot be written.
    pub fn update<T, F>(&self, key: &SessionKey<T>, change: F) -> Result<(), SessionError>
    where
        T: Serialize + DeserializeOwned,
        F: Fn(Option<T>) -> Option<T> + Send + Sync + 'static,
    {
        let name = key.name();
        let change = Arc::new(move |held: Option<&[u8]>| {
            let held = held.map(|bytes| decode(name, bytes)).transpose()?;
            change(held).map(|value| encode(name, &value)).transpose()
        });
        self.0.record(Operation::Update {
            key: key.owned_name(),
            keep_on_login: key.keeps_on_login(),
            change,
        })
    }

    /// Reads the value under `key` and takes it away, in one: of several requests that do, one gets it. For what may be
    /// used once, such as an OAuth state. Commits.
    ///
    /// # Errors
    /// As [`commit`](Self::commit), and when the value cannot be read as a `T`; it is gone then too.
    pub async fn take<T: DeserializeOwned>(&self, key: &SessionKey<T>) -> Result<Option<T>, SessionError> {
        if self.0.lock_to_read().value(key.name())?.is_none() {
            return Ok(None);
        }
        let taken: Arc<Mutex<Option<Vec<u8>>>> = Arc::default();
        let slot = Arc::clone(&taken);
        let change = Arc::new(move |held: Option<&[u8]>| {
            *slot.lock().unwrap_or_else(PoisonError::into_inner) = held.map(<[u8]>::to_vec);
            Ok(None)
        });
        self.0.record(Operation::Update {
            key: key.owned_name(),
            keep_on_login: key.keeps_on_login(),
            change,
        })?;
        self.commit().await?;
        let taken = taken.lock().unwrap_or_else(PoisonError::into_inner).take();
        taken.map(|bytes| decode(key.name(), &bytes)).transpose()
    }

    /// Saves now what is recorded; the handle then shows what was committed.
    ///
    /// # Errors
    /// [`Ended`](super::SessionErrorKind::Ended) when the session was ended meanwhile: the writes are dropped.
    /// [`Store`](super::SessionErrorKind::Store) when the store did not answer: they stay recorded for another commit,
    /// which finds out whether this attempt was applied before anything is applied again. Without one that succeeds the
    /// response is a 503, unless the handler's own is a 5xx.
    pub async fn commit(&self) -> Result<(), SessionError> {
        let _turn = self.0.turn.lock().await;
        self.0.commit().await
    }

    /// Signs somebody in: a new session with a new id takes the place of this one, which is destroyed.
    ///
    /// The values of an anonymous session are dropped, but for keys marked
    /// [`keep_on_login`](SessionKey::keep_on_login). The same user signing in again keeps theirs; another user gets
    /// none of them. What this request has recorded so far follows the same rule.
    ///
    /// # Errors
    /// When the new session cannot be stored, or the old one not be destroyed. Then nobody is newly signed in.
    pub async fn login(&self, identity: impl Into<Identity>) -> Result<(), SessionError> {
        let _turn = self.0.turn.lock().await;
        self.0.login(identity.into()).await
    }

    /// Ends this session. The response takes the cookie away. What is written afterwards begins a new one.
    ///
    /// # Errors
    /// When the store did not answer: then the session may still be alive, and so its cookie stays.
    pub async fn logout(&self) -> Result<(), SessionError> {
        let _turn = self.0.turn.lock().await;
        self.0.logout().await
    }

    /// Gives the session a new secret; the old one is refused from now on. Commits.
    ///
    /// Without a stored session there is nothing to do.
    ///
    /// # Errors
    /// As [`commit`](Self::commit).
    pub async fn rotate(&self) -> Result<(), SessionError> {
        self.renew(false).await
    }

    /// Notes that the user has just proved who they are, and gives the session a new secret. Commits.
    ///
    /// # Errors
    /// [`SignedOut`](super::SessionErrorKind::SignedOut) when nobody is signed in; else as [`commit`](Self::commit).
    pub async fn reauthenticated(&self) -> Result<(), SessionError> {
        if self.identity().is_none() {
            return Err(Reason::SignedOut.into());
        }
        self.renew(true).await
    }

    /// The sessions of this session's user, on all devices.
    #[must_use]
    pub fn devices(&self) -> Devices {
        Devices::of(self.clone())
    }

    async fn renew(&self, reauthenticated: bool) -> Result<(), SessionError> {
        let Some(locator) = self.0.lock_to_read().stored().map(|stored| stored.locator) else {
            return Ok(());
        };
        let (token, at) = (Token::renewed(locator)?, self.0.core.clock.now());
        self.0.record(Operation::Rotate { token, at, reauthenticated })?;
        self.commit().await
    }
}

impl Shared {
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// For handlers: what they learn makes the response depend on the cookie.
    pub(crate) fn lock_to_read(&self) -> MutexGuard<'_, State> {
        self.read.store(true, Ordering::Relaxed);
        self.lock()
    }

    pub(crate) fn was_read(&self) -> bool {
        self.read.load(Ordering::Relaxed)
    }

    fn record(&self, operation: Operation) -> Result<(), SessionError> {
        self.lock_to_read().record(operation, &self.core)
    }

    /// Commits what is recorded, within one budget however often others save in between: somebody always wins.
    pub(crate) async fn commit(&self) -> Result<(), SessionError> {
        let committed = self.core.backend.within_budget(self.commit_steps()).await;
        self.lock().note(&committed);
        committed
    }

    async fn commit_steps(&self) -> Result<(), SessionError> {
        while let Some(step) = self.next_step()? {
            match step {
                Step::Create(creation) => {
                    let key = self.core.key(creation.token.locator);
                    // 128 random bits that are taken are not: it is a resend or a broken store.
                    if self.core.backend.create(key, &creation.record).await? == Created::Taken {
                        return Err(StoreError::new(StoreErrorKind::Corrupt).into());
                    }
                    tracing::debug!(session_ref = %creation.token.locator, "session created");
                    self.lock().created(creation, &self.core)?;
                }
                Step::Save(attempt) => {
                    let key = self.core.key(attempt.locator);
                    let saved = self.core.backend.save(key, attempt.expected, &attempt.record).await?;
                    self.lock().saved(saved, &self.core)?;
                }
            }
        }
        Ok(())
    }

    fn next_step(&self) -> Result<Option<Step>, SessionError> {
        self.lock().next_step(&self.core)
    }

    async fn login(&self, identity: Identity) -> Result<(), SessionError> {
        let core = &self.core;
        let login = self.plan_login(&identity)?;
        let locator = login.stored.locator;
        let user = core.user_of(&identity);
        // Dropped before it is kept, by an error or by cancellation, the new session is ended: nobody holds it.
        let orphan = Orphan { core: Arc::clone(core), ending: Some(Ending { locator, user: Some(user) }) };
        let created = core
            .backend
            .create_enrolled(core.key(locator), &login.stored.record, core.user_key(user))
            .await?;
        if created == Created::Taken {
            return Err(StoreError::new(StoreErrorKind::Corrupt).into());
        }
        if let Some(previous) = login.previous {
            core.end(previous).await?;
            tracing::debug!(session_ref = %previous.locator, reason = "login", "session destroyed");
        }
        orphan.keep();
        tracing::info!(session_ref = %locator, "signed in");
        self.lock().replace(Held::Stored(login.stored), CookieChange::Set(login.token));
        Ok(())
    }

    fn plan_login(&self, identity: &Identity) -> Result<Login, SessionError> {
        let core = &self.core;
        let state = self.lock_to_read();
        state.writable()?;
        let previous = state.stored();
        let mut payload = state.contents(core)?;
        match previous.and_then(|stored| stored.identity.as_ref()) {
            None => payload.values.retain(|value| value.keep_on_login),
            Some(before) if core.user_of(before) == core.user_of(identity) => {}
            Some(_) => payload.values.clear(),
        }
        payload.identity = Some(core.words_of(identity));
        super::ops::within(core.max_len, portcullis_store::offset::PAYLOAD + payload.encoded_len())?;
        let token = Token::mint()?;
        let record =
            portcullis_store::Record { header: core.header(&token, true)?, payload: payload.encode().into() };
        let stored = core.stored(token.locator, record).map_err(SessionError::from)?;
        let previous = previous.map(|stored| core.ending(stored));
        Ok(Login { token, stored, previous })
    }

    pub(crate) async fn logout(&self) -> Result<(), SessionError> {
        let ending = match self.lock_to_read().held() {
            Held::Stored(stored) => self.core.ending(stored),
            Held::Nothing | Held::Ended => return Ok(()),
            Held::Unavailable => return Err(StoreError::new(StoreErrorKind::Unavailable).into()),
        };
        self.core.end(ending).await?;
        tracing::info!(session_ref = %ending.locator, reason = "logout", "session destroyed");
        self.lock().replace(Held::Nothing, CookieChange::Remove);
        Ok(())
    }

    /// The session that this request holds, and in whose index it stands.
    pub(crate) fn current(&self) -> Option<(Locator, Option<Locator>)> {
        let state = self.lock_to_read();
        let stored = state.stored()?;
        Some((stored.locator, stored.identity.as_ref().map(|identity| self.core.user_of(identity))))
    }

    /// Ends this session if it is the one named, as a logout does.
    pub(crate) async fn logout_if_current(&self, locator: Locator) -> Result<bool, SessionError> {
        let _turn = self.turn.lock().await;
        let current = self.current().is_some_and(|(current, _)| current == locator);
        if current {
            self.logout().await?;
        }
        Ok(current)
    }
}

struct Login {
    token: Token,
    stored: Stored,
    previous: Option<Ending>,
}

/// A session that is stored and whose token nobody has.
struct Orphan {
    core: Arc<Core>,
    ending: Option<Ending>,
}

impl Orphan {
    fn keep(mut self) {
        self.ending = None;
    }
}

impl Drop for Orphan {
    fn drop(&mut self) {
        if let Some(ending) = self.ending {
            self.core.end_later(ending);
        }
    }
}

impl OnRead for Shared {
    fn on_read(&self) {
        self.read.store(true, Ordering::Relaxed);
    }
}

fn decode<T: DeserializeOwned>(key: &str, bytes: &[u8]) -> Result<T, SessionError> {
    serde_json::from_slice(bytes)
        .map_err(|_| SessionError::value(key, "cannot be read as the type asked for"))
}

fn encode<T: Serialize>(key: &str, value: &T) -> Result<Vec<u8>, SessionError> {
    serde_json::to_vec(value).map_err(|_| SessionError::value(key, "cannot be written as JSON"))
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let session_ref = self.0.lock().stored().map(|stored| stored.locator);
        f.debug_struct("Session").field("session_ref", &session_ref).finish_non_exhaustive()
    }
}
