//! [`Shared`]: what all handles on one request's session share, and what they do to the store.
//!
//! Whoever acts on the store holds the turn, so that answers cannot be mistaken for each other's.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use portcullis_store::{Created, Locator, Record, StoreError, StoreErrorKind};

use super::core::{Core, Ending};
use super::error::{Reason, SessionError};
use super::id::Token;
use super::ops::Operation;
use super::state::{CookieChange, Held, State, Step, Stored};
use crate::Identity;
use crate::identity::OnRead;

/// What all handles on one request's session share.
pub(crate) struct Shared {
    pub(crate) core: Arc<Core>,
    state: Mutex<State>,
    turn: tokio::sync::Mutex<()>,
    read: AtomicBool,
}

/// A new session that is to take the place of the one before.
struct Login {
    token: Token,
    stored: Stored,
    user: Locator,
    previous: Option<Ending>,
    /// How many recorded operations went into it.
    operations: usize,
}

/// A session that is stored and whose token nobody has. Dropped before it is kept, by an error or by cancellation, it
/// is ended.
struct Orphan {
    core: Arc<Core>,
    ending: Option<Ending>,
}

impl Shared {
    pub(crate) fn new(core: Arc<Core>, held: Held) -> Self {
        Self {
            core,
            state: Mutex::new(State::new(held)),
            turn: tokio::sync::Mutex::const_new(()),
            read: AtomicBool::new(false),
        }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// For handlers: what they learn makes the response depend on the cookie.
    pub(crate) fn lock_to_read(&self) -> MutexGuard<'_, State> {
        self.on_read();
        self.lock()
    }

    pub(crate) fn was_read(&self) -> bool {
        self.read.load(Ordering::Relaxed)
    }

    pub(crate) fn record(&self, operation: Operation) -> Result<(), SessionError> {
        self.lock_to_read().record(operation, &self.core)
    }

    /// Commits what is recorded, within one budget however often others save in between: somebody always wins.
    pub(crate) async fn commit(&self) -> Result<(), SessionError> {
        let committed = self.core.backend.within_budget(async {
            let _turn = self.turn.lock().await;
            self.commit_steps().await
        });
        self.noted(committed.await)
    }

    /// A new secret for the session that is stored, committed with whatever else is recorded.
    pub(crate) async fn renew(&self, reauthenticated: bool) -> Result<(), SessionError> {
        let committed = self.core.backend.within_budget(async {
            let _turn = self.turn.lock().await;
            if self.record_rotation(reauthenticated)? { self.commit_steps().await } else { Ok(()) }
        });
        self.noted(committed.await)
    }

    fn record_rotation(&self, reauthenticated: bool) -> Result<bool, SessionError> {
        let locator = match self.lock_to_read().holding()? {
            Some(stored) if reauthenticated && stored.identity.is_none() => {
                return Err(Reason::SignedOut.into());
            }
            Some(stored) => stored.locator,
            None if reauthenticated => return Err(Reason::SignedOut.into()),
            None => return Ok(false),
        };
        let (token, at) = (Token::renewed(locator)?, self.core.clock.now());
        self.record(Operation::Rotate { token, at, reauthenticated })?;
        Ok(true)
    }

    fn noted(&self, committed: Result<(), SessionError>) -> Result<(), SessionError> {
        self.lock().note(&committed);
        committed
    }

    async fn commit_steps(&self) -> Result<(), SessionError> {
        while let Some(step) = self.next_step()? {
            match step {
                Step::Create(creation) => {
                    let key = self.core.key(creation.token.locator);
                    ensure_new(self.core.backend.create(key, &creation.record).await?)?;
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

    /// The lock is held for this line only.
    fn next_step(&self) -> Result<Option<Step>, SessionError> {
        self.lock().next_step(&self.core)
    }

    pub(crate) async fn login(&self, identity: Identity) -> Result<(), SessionError> {
        let _turn = self.turn.lock().await;
        let core = &self.core;
        let login = self.plan_login(&core.settled(identity))?;
        let (locator, user) = (login.stored.locator, login.user);
        let orphan = Orphan { core: Arc::clone(core), ending: Some(Ending { locator, user: Some(user) }) };
        let created =
            core.backend.create_enrolled(core.key(locator), &login.stored.record, core.user_key(user));
        ensure_new(created.await?)?;
        if let Some(previous) = login.previous {
            // The cookie can no longer go out: then the session before is the only one that the browser has.
            self.lock().for_login()?;
            core.end(previous).await?;
            tracing::debug!(session_ref = %previous.locator, reason = "login", "session destroyed");
        }
        orphan.keep();
        tracing::info!(session_ref = %locator, "signed in");
        let (held, cookie) = (Held::Stored(login.stored), CookieChange::Set(login.token));
        self.lock().replace(held, cookie, login.operations, core)
    }

    fn plan_login(&self, identity: &Identity) -> Result<Login, SessionError> {
        let core = &self.core;
        let state = self.lock_to_read();
        let previous = state.for_login()?;
        let user = Core::user_of(identity);
        let mut payload = state.contents(core)?;
        match previous.and_then(|stored| stored.identity.as_ref()) {
            None => payload.values.retain(|value| value.keep_on_login),
            Some(before) if Core::user_of(before) == user => {}
            Some(_) => payload.values.clear(),
        }
        payload.identity = Some(identity.words().clone());
        payload.within(core.max_len)?;
        let token = Token::mint()?;
        let record =
            Record { header: core.header(&token, Some(identity))?, payload: payload.encode().into() };
        Ok(Login {
            stored: core.stored(token.locator, record)?,
            token,
            user,
            previous: previous.map(Core::ending),
            operations: state.recorded(),
        })
    }

    pub(crate) async fn logout(&self) -> Result<(), SessionError> {
        let _turn = self.turn.lock().await;
        self.end_held().await
    }

    /// Ends this session if it is the one named, as a logout does.
    pub(crate) async fn logout_if_current(&self, locator: Locator) -> Result<bool, SessionError> {
        let _turn = self.turn.lock().await;
        let current = self.lock_to_read().holding()?.is_some_and(|stored| stored.locator == locator);
        if current {
            self.end_held().await?;
        }
        Ok(current)
    }

    async fn end_held(&self) -> Result<(), SessionError> {
        let Some(ending) = self.plan_end()? else { return Ok(()) };
        self.core.end(ending).await?;
        tracing::info!(session_ref = %ending.locator, reason = "logout", "session destroyed");
        let mut state = self.lock();
        let operations = state.recorded();
        state.replace(Held::Nothing, CookieChange::Remove, operations, &self.core)
    }

    fn plan_end(&self) -> Result<Option<Ending>, SessionError> {
        let mut state = self.lock_to_read();
        let ending = state.holding()?.map(Core::ending);
        if ending.is_none() {
            // Whoever logs out keeps nothing, what this request has written included.
            state.discard();
        }
        Ok(ending)
    }

    /// The session of whoever is signed in, and in whose index it stands.
    pub(crate) fn signed_in(&self) -> Result<(Locator, Locator), SessionError> {
        let state = self.lock_to_read();
        let stored = state.holding()?.ok_or(Reason::SignedOut)?;
        let identity = stored.identity.as_ref().ok_or(Reason::SignedOut)?;
        Ok((stored.locator, Core::user_of(identity)))
    }
}

/// 128 random bits that are taken are not: the store is broken. A resend is not reported as taken.
fn ensure_new(created: Created) -> Result<(), SessionError> {
    match created {
        Created::Done => Ok(()),
        Created::Taken => Err(StoreError::new(StoreErrorKind::Corrupt).into()),
    }
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
