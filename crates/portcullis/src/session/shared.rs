//! [`Shared`]: what all handles on one request's session share, and what they do to the store.
//!
//! Whoever acts on the store holds the turn, so that answers cannot be mistaken for each other's.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use portcullis_store::{Created, Key, Locator, Saved, StoreError, StoreErrorKind};

use super::core::{Core, Ending};
use super::devices;
use super::error::{Reason, SessionError};
use super::events::{DestroyedReason, EventUser, SessionEventKind, StoreOperation};
use super::state::{Attempt, CookieChange, Given, Held, Operation, State, Step};
use super::transport::Token;
use crate::Identity;
use crate::budget::waited;
use crate::identity::SessionMark;
use crate::realm::{Claim, Guest, Hold};
use crate::rejection::Challenge;
use crate::respond::LateHead;

/// What all handles on one request's session share.
pub(crate) struct Shared {
    pub(crate) core: Arc<Core>,
    state: Mutex<State>,
    turn: tokio::sync::Mutex<()>,
    /// Whether handlers have learnt anything of it.
    read: AtomicBool,
    /// Whether somebody had the state in a way to change it.
    touched: AtomicBool,
    /// For layers further in.
    pub(crate) guest: Guest,
    /// The request's, to answer by should the last commit fail.
    pub(crate) head: LateHead,
}

impl Shared {
    #[inline]
    pub(crate) fn new(
        core: Arc<Core>,
        held: Held,
        may_be_old: bool,
        by_previous: bool,
        head: impl FnOnce() -> LateHead,
    ) -> Self {
        Self {
            core,
            state: Mutex::new(State::new(held, may_be_old, by_previous)),
            turn: tokio::sync::Mutex::const_new(()),
            read: AtomicBool::new(false),
            touched: AtomicBool::new(false),
            guest: Guest::default(),
            head: head(),
        }
    }

    /// To change the state, or to look at it where that is no part of what most requests do.
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        self.touched.store(true, Ordering::Relaxed);
        state
    }

    /// For handlers: what they learn makes the response depend on the cookie.
    pub(crate) fn lock_to_read(&self) -> MutexGuard<'_, State> {
        self.on_read();
        self.lock()
    }

    /// Looks at the state, and cannot change it.
    pub(crate) fn peek<T>(&self, see: impl FnOnce(&State) -> T) -> T {
        see(&self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The same for handlers.
    pub(crate) fn read<T>(&self, see: impl FnOnce(&State) -> T) -> T {
        self.on_read();
        self.peek(see)
    }

    /// Whether the state is as it was at first, and stays so because nobody else has a hold on it.
    pub(crate) fn is_left_as_it_was(self: &Arc<Self>) -> bool {
        let alone = Arc::strong_count(self) == 1;
        // What the others did came before they let go of it.
        fence(Ordering::Acquire);
        alone && !self.touched.load(Ordering::Relaxed)
    }

    pub(crate) fn was_read(&self) -> bool {
        self.read.load(Ordering::Relaxed)
    }

    pub(crate) fn record(&self, operation: Operation) -> Result<(), SessionError> {
        self.lock_to_read().record(operation, &self.core)
    }

    /// Commits what is recorded, within one budget however often others save in between: somebody always wins.
    pub(crate) async fn commit(&self) -> Result<(), SessionError> {
        let committed = self.commit_in_time().await;
        self.noted(committed)
    }

    /// Most commits are one call, and a backend that minds its own time needs no timer for it.
    async fn commit_in_time(&self) -> Result<(), SessionError> {
        let backend = &self.core.backend;
        let turn = if backend.is_punctual() { self.turn.try_lock().ok() } else { None };
        let Some(_turn) = turn else {
            let waiting = async {
                let _turn = self.turn.lock().await;
                self.commit_steps().await
            };
            return Box::pin(backend.within_budget(waiting)).await;
        };
        let (step, waiting_since) = waited(self.commit_step()).await;
        if !step? {
            return Ok(());
        }
        Box::pin(backend.within_budget_since(waiting_since, self.commit_steps())).await
    }

    /// A new secret for the session that is stored, committed with whatever else is recorded.
    pub(crate) async fn renew(&self, reauthenticated: bool) -> Result<(), SessionError> {
        let committed = self.core.backend.within_budget(async {
            let _turn = self.turn.lock().await;
            let Some(proof) = self.record_rotation(reauthenticated)? else { return Ok(()) };
            self.commit_steps().await?;
            if reauthenticated { self.lock().ensure_noted(proof) } else { Ok(()) }
        });
        self.noted(committed.await)
    }

    /// Whether there is a value under this name; asks the store before it says no of a session that may be old.
    pub(crate) async fn holds(&self, name: &str) -> Result<bool, SessionError> {
        let (holds, may_be_old) = {
            let state = self.lock_to_read();
            (state.value(name)?.is_some(), state.may_be_old() && state.stored().is_some())
        };
        if holds || !may_be_old {
            return Ok(holds);
        }
        self.refresh().await?;
        Ok(self.lock().value(name)?.is_some())
    }

    /// The right to act on the store.
    pub(crate) async fn turn(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.turn.lock().await
    }

    fn record_rotation(&self, reauthenticated: bool) -> Result<Option<Given>, SessionError> {
        let (locator, from, before) = {
            let state = self.lock_to_read();
            match (state.holding()?, state.presented()) {
                (Some(stored), _) if reauthenticated && stored.identity().is_none() => {
                    return Err(Reason::SignedOut.into());
                }
                (Some(stored), Some(presented)) => {
                    (stored.locator, presented, stored.record().header.authenticated)
                }
                (None, _) | (_, None) if reauthenticated => return Err(Reason::SignedOut.into()),
                (None, _) | (_, None) => return Ok(None),
            }
        };
        let (token, at) = (Token::renewed(locator)?, self.core.clock.now());
        self.record(Operation::Rotate { token, at, from, reauthenticated })?;
        Ok(Some(Given { at, before }))
    }

    fn noted(&self, committed: Result<(), SessionError>) -> Result<(), SessionError> {
        committed.inspect_err(|error| {
            self.lock().note_failure(error);
            self.note_failure(StoreOperation::Save, error);
        })
    }

    pub(crate) fn note_failure(&self, operation: StoreOperation, error: &SessionError) {
        let locator = self.lock().stored().map(|stored| stored.locator);
        self.core.note_failure(operation, error, locator.as_ref());
    }

    async fn commit_steps(&self) -> Result<(), SessionError> {
        while self.commit_step().await? {}
        Ok(())
    }

    /// Whether anything is left to do.
    async fn commit_step(&self) -> Result<bool, SessionError> {
        match self.next_step()? {
            None => Ok(false),
            Some(Step::Create(creation)) => {
                let key = self.core.key(creation.token.locator);
                ensure_new(self.core.backend.create(key, &creation.record).await?)?;
                let created = self.lock().created(creation, &self.core);
                self.core.emit(SessionEventKind::Created, Some(&key.locator), None);
                created
            }
            Some(Step::Save(attempt)) => {
                let Attempt { locator, expected, record, .. } = attempt;
                let saved = self.core.backend.save(self.core.key(locator), expected, &record).await?;
                // Whoever else has it by now is the store.
                drop(record);
                self.saved(locator, saved)
            }
        }
    }

    /// A save was answered; what that means, and what is to be told of it.
    fn saved(&self, locator: Locator, saved: Saved) -> Result<bool, SessionError> {
        let (done, told, who) = {
            let mut state = self.lock();
            // What is saved without more ado changes nobody's identity, and is seldom told of.
            let before = if matches!(saved, Saved::Done) { None } else { state.identity() };
            let late = matches!(saved, Saved::Gone) && !state.only_renews();
            let conflict = matches!(saved, Saved::Conflict { .. });
            let done = state.saved(saved, &self.core);
            let retried = conflict && state.recorded() > 0;
            let rotated = state.take_rotated();
            let who = if rotated { before.or_else(|| state.identity()) } else { before };
            let told = [
                late.then_some(SessionEventKind::LateWriteDropped),
                retried.then_some(SessionEventKind::ConflictRetried),
                rotated.then_some(SessionEventKind::Rotated),
            ];
            (done, told, who)
        };
        for kind in told.into_iter().flatten() {
            self.core.emit(kind, Some(&locator), who.as_ref());
        }
        done
    }

    /// The lock is held for this line only.
    fn next_step(&self) -> Result<Option<Step>, SessionError> {
        self.lock().next_step(&self.core)
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

    /// Ends all sessions of whoever is signed in, in one step: the others as a revocation, this one as a logout does.
    pub(crate) async fn end_all(&self) -> Result<(), SessionError> {
        let _turn = self.turn.lock().await;
        let core = &self.core;
        let (current, user, who) = self.signed_in()?;
        let mut others = core.backend.members(core.user_key(user)).await?;
        others.retain(|locator| *locator != current);
        let all = [&others[..], &[current]].concat();
        let keys: Vec<Key<'_>> = all.iter().map(|locator| core.key(*locator)).collect();
        core.end_all_dependents(user).await?;
        core.backend.destroy(&keys).await?;
        core.withdraw(user, &all).await;
        let replaced = self.without_session();
        devices::tell(core, EventUser::from(&who), &others);
        core.emit(SessionEventKind::Destroyed(DestroyedReason::Logout), Some(&current), Some(&who));
        replaced
    }

    async fn end_held(&self) -> Result<(), SessionError> {
        let Some(ending) = self.plan_end()? else { return Ok(()) };
        let who = self.identity();
        self.core.end(ending).await?;
        let replaced = self.without_session();
        let destroyed = SessionEventKind::Destroyed(DestroyedReason::Logout);
        self.core.emit(destroyed, Some(&ending.locator), who.as_ref());
        replaced
    }

    fn without_session(&self) -> Result<(), SessionError> {
        let mut state = self.lock();
        let operations = state.recorded();
        state.replace(Held::Nothing, CookieChange::Remove, operations, &self.core)
    }

    /// Who is signed in by the session that is held.
    fn identity(&self) -> Option<Identity> {
        self.lock().identity()
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

    /// The session of whoever is signed in, in whose index it stands, and who that is.
    pub(crate) fn signed_in(&self) -> Result<(Locator, Locator, Identity), SessionError> {
        let state = self.lock_to_read();
        let stored = state.holding()?.ok_or(Reason::SignedOut)?;
        let identity = stored.identity().ok_or(Reason::SignedOut)?;
        Ok((stored.locator, Core::user_of(identity), identity.clone()))
    }
}

/// 128 random bits that are taken are not: the store is broken. A resend is not reported as taken.
fn ensure_new(created: Created) -> Result<(), SessionError> {
    match created {
        Created::Done => Ok(()),
        Created::Taken => Err(StoreError::new(StoreErrorKind::Corrupt).into()),
    }
}

impl Drop for Shared {
    /// A session whose token did not go out is nobody's: its request was dropped after it had signed somebody in, or the
    /// service inside failed and there was no response.
    fn drop(&mut self) {
        if !*self.touched.get_mut() {
            return;
        }
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(stored) = state.undelivered() {
            self.core.end_later(Core::ending(stored));
        }
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let session_ref = self.peek(|state| state.stored().map(|stored| stored.locator));
        f.debug_struct("Shared").field("session_ref", &session_ref).finish_non_exhaustive()
    }
}

impl SessionMark for Shared {
    fn challenge(&self) -> &Challenge {
        &self.core.challenge
    }

    fn claim(&self) -> Claim {
        self.core.claim
    }

    fn hold(&self) -> Option<&'static Hold> {
        self.core.hold
    }

    fn on_read(&self) {
        self.read.store(true, Ordering::Relaxed);
    }
}
