//! [`Spy`]: a session backend that notes what it is asked, and fails, hangs or waits on command.
//!
//! * It wraps any backend; clones share the notes and the orders.
//! * It notes operations and keys, never records, so that a test proves what was *not* done.
//! * Orders are given per operation; the first one that fits a call is carried out, and only that one.
//! * While there are orders, what a backend may do in one step, or by steps, is done by steps.
//!
//! ```
//! # use portcullis_store::*;
//! # struct MyBackend;
//! # impl SessionBackend for MyBackend {
//! #     async fn load(&self, _: Key<'_>) -> Result<Option<Record>, StoreError> { Ok(None) }
//! #     async fn load_many(&self, _: &[Key<'_>]) -> Result<Vec<Option<Record>>, StoreError> { Ok(vec![]) }
//! #     async fn create(&self, _: Key<'_>, _: &Record) -> Result<Created, StoreError> { Ok(Created::Done) }
//! #     async fn save(&self, _: Key<'_>, _: Tag, _: &Record) -> Result<Saved, StoreError> { Ok(Saved::Gone) }
//! #     async fn touch(&self, _: Key<'_>) -> Result<Touched, StoreError> { Ok(Touched::Gone) }
//! #     async fn destroy(&self, _: &[Key<'_>]) -> Result<(), StoreError> { Ok(()) }
//! #     async fn destroy_unchanged(&self, _: Key<'_>, _: Tag, _: Tag) -> Result<Destroyed, StoreError> {
//! #         Ok(Destroyed::Gone)
//! #     }
//! #     async fn enrol(&self, _: Locator, _: Enrolment<'_>) -> Result<Enrolled, StoreError> { Ok(Enrolled::Done) }
//! #     async fn withdraw(&self, _: UserKey<'_>, _: &[Locator]) -> Result<(), StoreError> { Ok(()) }
//! #     async fn members(&self, _: UserKey<'_>) -> Result<Vec<Locator>, StoreError> { Ok(vec![]) }
//! #     async fn credential_version(&self, _: UserKey<'_>) -> Result<CredentialVersion, StoreError> {
//! #         Ok(CredentialVersion(0))
//! #     }
//! #     async fn bump_credential_version(
//! #         &self, _: UserKey<'_>, _: std::time::Duration,
//! #     ) -> Result<CredentialVersion, StoreError> {
//! #         Ok(CredentialVersion(1))
//! #     }
//! # }
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! use portcullis_testkit::spy::{Operation, Spy};
//!
//! let spy = Spy::new(MyBackend); // a clone goes into the layer
//! let realm = Realm::default();
//! let key = Key { realm: &realm, locator: Locator::from_bytes([7; 16]) };
//!
//! spy.on(Operation::Load).times(1).fail(StoreErrorKind::Timeout);
//! assert!(spy.load(key).await.is_err());
//! assert!(spy.load(key).await.is_ok());
//!
//! assert_eq!(spy.count(Operation::Load), 2);
//! assert_eq!(spy.writes(), 0);
//! # });
//! ```

mod call;
mod order;

use std::fmt;
use std::future::{Future, pending};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use portcullis_store::{
    AtOnce, Created, CredentialVersion, Destroyed, Enrolled, Enrolment, Key, Locator, Realm, Record, Saved,
    SessionBackend, StoreError, StoreErrorKind, Tag, Timestamp, Touched, UserKey, Watcher, Watching,
};
use tokio::sync::watch;

pub use self::call::{Call, Operation};
pub use self::order::When;
use self::order::{Effect, Order};

/// A session backend that notes every call and obeys a test's orders. A clone is another handle on the same.
pub struct Spy<B> {
    backend: Arc<B>,
    calls: Arc<watch::Sender<Vec<Call>>>,
    orders: Arc<Mutex<Vec<Order>>>,
    is_deaf: Arc<AtomicBool>,
}

impl<B: SessionBackend> Spy<B> {
    /// A spy on `backend`, without orders.
    #[must_use]
    pub fn new(backend: B) -> Self {
        Self {
            backend: Arc::new(backend),
            calls: Arc::new(watch::Sender::default()),
            orders: Arc::default(),
            is_deaf: Arc::default(),
        }
    }

    /// The backend itself, for arranging what the spy shall not see.
    #[must_use]
    pub fn backend(&self) -> &B {
        &self.backend
    }

    /// All calls since the start or [`forget`](Self::forget).
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        self.calls.borrow().clone()
    }

    /// How many calls of `operation` there were.
    #[must_use]
    pub fn count(&self, operation: Operation) -> usize {
        self.count_of(|call| call.operation == operation)
    }

    /// How many calls were to change something.
    #[must_use]
    pub fn writes(&self) -> usize {
        self.count_of(|call| call.operation.is_write())
    }

    fn count_of(&self, counts: impl Fn(&Call) -> bool) -> usize {
        self.calls.borrow().iter().filter(|call| counts(call)).count()
    }

    /// Forgets the calls so far. Orders stay.
    pub fn forget(&self) {
        self.calls.send_modify(Vec::clear);
    }

    /// Waits until there were `count` calls of `operation`; they may still be under way.
    pub async fn called(&self, operation: Operation, count: usize) {
        let enough =
            |calls: &Vec<Call>| calls.iter().filter(|call| call.operation == operation).count() >= count;
        let mut watch = self.calls.subscribe();
        // The sender lives as long as this spy does, so waiting cannot fail.
        let _ = watch.wait_for(enough).await;
    }

    /// An order for every call of `operation` until [`obey_no_more`](Self::obey_no_more).
    pub const fn on(&self, operation: Operation) -> When<'_, B> {
        When { spy: self, operation: Some(operation), times: usize::MAX }
    }

    /// An order for every call.
    pub const fn on_any(&self) -> When<'_, B> {
        When { spy: self, operation: None, times: usize::MAX }
    }

    /// Every call fails as `kind` without reaching the backend, until [`obey_no_more`](Self::obey_no_more).
    pub fn fail_with(&self, kind: StoreErrorKind) {
        self.on_any().fail(kind);
    }

    /// From here on nobody can watch, as with a backend that cannot tell of ended sessions.
    pub fn tell_nobody(&self) {
        self.is_deaf.store(true, Ordering::Relaxed);
    }

    /// Drops all orders. Calls that hang go on hanging.
    pub fn obey_no_more(&self) {
        self.orders.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Notes the call and takes the first order that fits it.
    fn note(&self, call: Call) -> Option<Effect> {
        let operation = call.operation;
        self.calls.send_modify(|calls| calls.push(call));
        let mut orders = self.orders.lock().unwrap_or_else(PoisonError::into_inner);
        let order = orders.iter_mut().find(|order| order.fits(operation))?;
        order.left = order.left.saturating_sub(1);
        Some(order.effect.clone())
    }

    async fn obey<T>(
        &self,
        call: Call,
        answer: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        match self.note(call) {
            None => answer.await,
            Some(Effect::Fail(kind)) => Err(kind.into()),
            Some(Effect::LoseAnswer(kind)) => answer.await.and(Err(kind.into())),
            Some(Effect::Hang) => pending().await,
            Some(Effect::Before(hook)) => {
                hook().await;
                answer.await
            }
            Some(Effect::After(hook)) => {
                let answer = answer.await;
                hook().await;
                answer
            }
        }
    }

    /// Several steps in one are left to be done one by one while there are orders, which may concern one of them; and are
    /// noted when they are not.
    async fn at_once(
        &self,
        call: Call,
        answer: impl Future<Output = Result<AtOnce, StoreError>>,
    ) -> Result<AtOnce, StoreError> {
        let has_orders =
            self.orders.lock().unwrap_or_else(PoisonError::into_inner).iter().any(|order| order.left > 0);
        if has_orders {
            return Ok(AtOnce::NotDone);
        }
        let answer = answer.await;
        if !matches!(answer, Ok(AtOnce::NotDone)) {
            self.calls.send_modify(|calls| calls.push(call));
        }
        answer
    }
}

impl<B: SessionBackend> SessionBackend for Spy<B> {
    async fn load(&self, key: Key<'_>) -> Result<Option<Record>, StoreError> {
        self.obey(Call::on_sessions(Operation::Load, &[key]), self.backend.load(key)).await
    }

    /// Leaves calls for which there is an order to [`load`](SessionBackend::load), which can wait.
    fn load_now(&self, key: Key<'_>, now: Timestamp) -> Option<Result<Option<Record>, StoreError>> {
        let orders = self.orders.lock().unwrap_or_else(PoisonError::into_inner);
        if orders.iter().any(|order| order.fits(Operation::Load)) {
            return None;
        }
        drop(orders);
        let answer = self.backend.load_now(key, now)?;
        self.calls.send_modify(|calls| calls.push(Call::on_sessions(Operation::Load, &[key])));
        Some(answer)
    }

    /// None: an order may be to hang.
    fn budget(&self) -> Option<Duration> {
        None
    }

    fn max_record_len(&self) -> Option<usize> {
        self.backend.max_record_len()
    }

    async fn load_many(&self, keys: &[Key<'_>]) -> Result<Vec<Option<Record>>, StoreError> {
        self.obey(Call::on_sessions(Operation::LoadMany, keys), self.backend.load_many(keys)).await
    }

    async fn create(&self, key: Key<'_>, record: &Record) -> Result<Created, StoreError> {
        self.obey(Call::on_sessions(Operation::Create, &[key]), self.backend.create(key, record)).await
    }

    async fn create_enrolled(
        &self,
        key: Key<'_>,
        record: &Record,
        enrolment: Enrolment<'_>,
    ) -> Result<Enrolled, StoreError> {
        let call = Call::on_index(Operation::CreateEnrolled, enrolment.user, &[key.locator]);
        self.obey(call, self.backend.create_enrolled(key, record, enrolment)).await
    }

    async fn save(&self, key: Key<'_>, expected: Tag, record: &Record) -> Result<Saved, StoreError> {
        self.obey(Call::on_sessions(Operation::Save, &[key]), self.backend.save(key, expected, record)).await
    }

    async fn touch(&self, key: Key<'_>) -> Result<Touched, StoreError> {
        self.obey(Call::on_sessions(Operation::Touch, &[key]), self.backend.touch(key)).await
    }

    async fn destroy(&self, keys: &[Key<'_>]) -> Result<(), StoreError> {
        self.obey(Call::on_sessions(Operation::Destroy, keys), self.backend.destroy(keys)).await
    }

    async fn destroy_durably(&self, keys: &[Key<'_>], replicas: u32) -> Result<u32, StoreError> {
        let call = Call::on_sessions(Operation::DestroyDurably, keys);
        self.obey(call, self.backend.destroy_durably(keys, replicas)).await
    }

    async fn destroy_unchanged(
        &self,
        key: Key<'_>,
        expected: Tag,
        write: Tag,
    ) -> Result<Destroyed, StoreError> {
        let call = Call::on_sessions(Operation::DestroyUnchanged, &[key]);
        self.obey(call, self.backend.destroy_unchanged(key, expected, write)).await
    }

    async fn destroy_enrolled(&self, key: Key<'_>, user: UserKey<'_>) -> Result<AtOnce, StoreError> {
        let call = Call::on_index(Operation::DestroyEnrolled, user, &[key.locator]);
        self.at_once(call, self.backend.destroy_enrolled(key, user)).await
    }

    async fn supersede(
        &self,
        before: Key<'_>,
        expected: Tag,
        key: Key<'_>,
        record: &Record,
        enrolment: Enrolment<'_>,
    ) -> Result<AtOnce, StoreError> {
        let call = Call::on_index(Operation::Supersede, enrolment.user, &[before.locator, key.locator]);
        self.at_once(call, self.backend.supersede(before, expected, key, record, enrolment)).await
    }

    async fn enrol(&self, locator: Locator, enrolment: Enrolment<'_>) -> Result<Enrolled, StoreError> {
        let call = Call::on_index(Operation::Enrol, enrolment.user, &[locator]);
        self.obey(call, self.backend.enrol(locator, enrolment)).await
    }

    async fn withdraw(&self, user: UserKey<'_>, locators: &[Locator]) -> Result<(), StoreError> {
        let call = Call::on_index(Operation::Withdraw, user, locators);
        self.obey(call, self.backend.withdraw(user, locators)).await
    }

    async fn members(&self, user: UserKey<'_>) -> Result<Vec<Locator>, StoreError> {
        self.obey(Call::on_index(Operation::Members, user, &[]), self.backend.members(user)).await
    }

    async fn credential_version(&self, user: UserKey<'_>) -> Result<CredentialVersion, StoreError> {
        let call = Call::on_index(Operation::CredentialVersion, user, &[]);
        self.obey(call, self.backend.credential_version(user)).await
    }

    async fn bump_credential_version(
        &self,
        user: UserKey<'_>,
        keep: Duration,
    ) -> Result<CredentialVersion, StoreError> {
        let call = Call::on_index(Operation::BumpCredentialVersion, user, &[]);
        self.obey(call, self.backend.bump_credential_version(user, keep)).await
    }

    /// Not noted: it is no call to the store.
    fn watch(&self, realm: &Realm, watcher: Arc<dyn Watcher>) -> Option<Watching> {
        if self.is_deaf.load(Ordering::Relaxed) { None } else { self.backend.watch(realm, watcher) }
    }
}

impl<B> Clone for Spy<B> {
    fn clone(&self) -> Self {
        Self {
            backend: self.backend.clone(),
            calls: self.calls.clone(),
            orders: self.orders.clone(),
            is_deaf: self.is_deaf.clone(),
        }
    }
}

impl<B> fmt::Debug for Spy<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spy").field("calls", &*self.calls.borrow()).finish_non_exhaustive()
    }
}
