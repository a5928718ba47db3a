//! [`Told`]: what this process was told to be revoked, and whether that is all there is.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use portcullis_store::{
    Clock, Realm, Revocation, RevocationNotice, RevocationWatcher, Timestamp, TokenQuery, TokenStatus,
};
use tokio::time::Instant;

use super::store::Store;
use crate::bearer::events::{self, Pushed};

/// What this process was told.
#[derive(Debug)]
pub(super) struct Told {
    realm: Realm,
    max: usize,
    state: RwLock<State>,
}

/// An answer is read while the state is held, so that nothing is forgotten in the middle of it.
enum State {
    /// Some may be missing.
    Partial(Store),
    /// None is missing until this moment, by the promise of
    /// [`RevocationNotice::Current`]; `None` for as long as nothing else is said.
    Current { store: Store, until: Option<Instant> },
    /// There was more than there is room for, at this moment.
    Overfull(Instant),
}

/// Time since this was made: nobody sets it, so that nothing is forgotten early.
#[derive(Debug)]
struct Stopwatch(Instant);

impl Told {
    pub(super) fn new(realm: Realm, max: usize) -> Self {
        Self { realm, max, state: RwLock::new(State::nothing(max)) }
    }

    /// What is known of a token; `None` if that may not be all.
    pub(super) fn status(&self, query: TokenQuery<'_>) -> Option<TokenStatus> {
        match &*self.read() {
            State::Current { store, until } if is_before(*until) => store.status(query).ok(),
            State::Current { .. } | State::Partial(_) | State::Overfull(_) => None,
        }
    }

    pub(super) fn is_current(&self) -> bool {
        matches!(&*self.read(), State::Current { until, .. } if is_before(*until))
    }

    /// Whether there was too much so long ago that some of it will have ended.
    pub(super) fn has_been_overfull_for(&self, time: Duration) -> bool {
        matches!(&*self.read(), State::Overfull(since) if since.elapsed() >= time)
    }

    /// As it was in the beginning.
    pub(super) fn forget(&self) {
        self.set(State::nothing(self.max));
    }

    pub(super) fn learn(&self, told: &[Revocation]) {
        let is_learned = match &*self.read() {
            State::Partial(store) | State::Current { store, .. } => {
                told.iter().all(|told| store.learn(&self.realm, *told).is_ok())
            }
            State::Overfull(_) => true,
        };
        if !is_learned {
            self.set(State::Overfull(Instant::now()));
            events::pushed(Pushed::Overfull, self.realm.as_str());
        }
    }

    fn renew(&self, until: Option<Instant>) {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        let held = std::mem::replace(&mut *state, State::Overfull(Instant::now()));
        let is_new = matches!(held, State::Partial(_));
        *state = match held {
            State::Partial(store) | State::Current { store, .. } => State::Current { store, until },
            State::Overfull(since) => State::Overfull(since),
        };
        drop(state);
        if is_new {
            events::pushed(Pushed::Current, self.realm.as_str());
        }
    }

    fn lose(&self) {
        let was_current = self.is_current();
        self.forget();
        if was_current {
            events::pushed(Pushed::Deaf, self.realm.as_str());
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was there goes after the lock is given back: it may be much.
    fn set(&self, state: State) {
        let mut held = self.state.write().unwrap_or_else(PoisonError::into_inner);
        let old = std::mem::replace(&mut *held, state);
        drop(held);
        drop(old);
    }
}

impl State {
    fn nothing(max: usize) -> Self {
        Self::Partial(Store::new(Arc::new(Stopwatch(Instant::now())), max))
    }
}

fn is_before(until: Option<Instant>) -> bool {
    until.is_none_or(|until| Instant::now() < until)
}

impl RevocationWatcher for Told {
    fn notice(&self, notice: RevocationNotice<'_>) {
        match notice {
            RevocationNotice::Revoked(told) => self.learn(told),
            RevocationNotice::Current { until } => self.renew(until.map(Instant::from_std)),
            RevocationNotice::Deaf => self.lose(),
        }
    }
}

impl Clock for Stopwatch {
    fn now(&self) -> Timestamp {
        Timestamp::EPOCH.saturating_add(self.0.elapsed())
    }
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Partial(_) => "Partial",
            Self::Current { .. } => "Current",
            Self::Overfull(_) => "Overfull",
        })
    }
}
