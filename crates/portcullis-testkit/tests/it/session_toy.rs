//! [`Toy`]: a session backend in a map, whole or with one fault, to prove that the suite can fail.
#![allow(clippy::wildcard_enum_match_arm, reason = "each place of the toy is concerned by few of its faults")]

mod backend;
mod ends;
mod fault;
mod index;
mod records;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use portcullis_store::{
    Clock, Key, Locator, ManualClock, Realm, Record, StoreError, StoreErrorKind, SystemClock, Timestamp,
    UserKey, Watcher,
};
use portcullis_testkit::conformance::Harness;
use tokio::sync::OwnedMutexGuard;

pub(crate) use self::fault::Fault;
use self::fault::Fault as F;

#[derive(Clone)]
pub(crate) struct Toy<C: Clock> {
    fault: Fault,
    clock: C,
    away: bool,
    turn: Turn,
    shared: Arc<Mutex<Store>>,
    /// What this handle has read, for the fault that keeps it.
    copies: Arc<Mutex<HashMap<Name, Option<Record>>>>,
    watchers: Watchers,
}

/// Held for one operation.
type Turn = Arc<tokio::sync::Mutex<()>>;

/// With the number by which each leaves.
type Watchers = Arc<Mutex<HashMap<usize, (Realm, Arc<dyn Watcher>)>>>;

/// A watcher's, until it is dropped.
struct Place(Watchers, usize);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.lock().unwrap().remove(&self.1);
    }
}

type Name = (String, Locator);

#[derive(Default)]
struct Store {
    sessions: HashMap<Name, Entry>,
    indexes: HashMap<Name, Vec<(Locator, Timestamp)>>,
    index_ends: HashMap<Name, Timestamp>,
    versions: HashMap<Name, (u64, Timestamp)>,
}

#[derive(Clone)]
struct Entry {
    bytes: Vec<u8>,
    expires: Timestamp,
}

impl<C: Clock + Clone> Toy<C> {
    fn is(&self, fault: Fault) -> bool {
        self.fault == fault
    }

    fn store(&self) -> MutexGuard<'_, Store> {
        self.shared.lock().unwrap()
    }

    fn name(&self, key: Key<'_>) -> Name {
        let realm = if self.is(F::RealmsAreOne) { "" } else { key.realm.as_str() };
        (realm.to_owned(), key.locator)
    }

    fn user(&self, user: UserKey<'_>) -> Name {
        let realm = if self.is(F::IndexIgnoresRealm) { "" } else { user.realm.as_str() };
        let user = if self.is(F::UsersAreOne) { Locator::from_bytes([0; 16]) } else { user.user };
        (realm.to_owned(), user)
    }

    /// The turn to answer. Without a fault it is one operation's alone, which takes several steps here and one in a
    /// store; with a fault others come in between.
    async fn answers(&self) -> Result<Option<OwnedMutexGuard<()>>, StoreError> {
        match (self.away, self.fault) {
            (false, F::None) => Ok(Some(Arc::clone(&self.turn).lock_owned().await)),
            (false, _) | (true, F::OutageIsAbsence) => Ok(None),
            (true, F::OutageHangs) => std::future::pending().await,
            (true, _) => Err(StoreErrorKind::Unavailable.into()),
        }
    }
}

/// A store of toys on a clock that is moved.
pub(crate) struct Moved(Toy<ManualClock>);

/// A store of toys on the system's clock, which the suite waits for.
pub(crate) struct Real(Toy<SystemClock>);

fn toy<C: Clock>(fault: Fault, clock: C) -> Toy<C> {
    Toy {
        fault,
        clock,
        away: false,
        turn: Arc::default(),
        shared: Arc::default(),
        copies: Arc::default(),
        watchers: Watchers::default(),
    }
}

impl Moved {
    pub(crate) fn with(fault: Fault) -> Self {
        Self(toy(fault, ManualClock::default()))
    }
}

impl Real {
    pub(crate) fn with(fault: Fault) -> Self {
        Self(toy(fault, SystemClock))
    }
}

impl Harness for Moved {
    type Backend = Toy<ManualClock>;

    async fn handle(&self) -> Toy<ManualClock> {
        let mut toy = Toy { copies: Arc::default(), ..self.0.clone() };
        if toy.is(F::TellsItsOwnHandleOnly) {
            toy.watchers = Arc::default();
        }
        toy
    }

    fn now(&self) -> Timestamp {
        self.0.clock.now()
    }

    async fn advance(&self, time: Duration) {
        self.0.clock.advance(time);
    }

    async fn plant(&self, key: Key<'_>, bytes: &[u8]) -> bool {
        let expires = self.now().saturating_add(Duration::from_secs(60));
        self.0.store().sessions.insert(self.0.name(key), Entry { bytes: bytes.to_vec(), expires });
        true
    }

    async fn peek(&self, key: Key<'_>) -> Option<Vec<u8>> {
        self.0.store().sessions.get(&self.0.name(key)).map(|entry| entry.bytes.clone())
    }

    async fn unreachable(&self) -> Option<Toy<ManualClock>> {
        Some(Toy { away: true, ..self.0.clone() })
    }
}

impl Harness for Real {
    type Backend = Toy<SystemClock>;

    async fn handle(&self) -> Toy<SystemClock> {
        self.0.clone()
    }
}
