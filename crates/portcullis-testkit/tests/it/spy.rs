//! The spy sees everything, changes nothing unasked, and obeys.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use portcullis_store::{
    Created, Destroyed, Enrolled, Enrolment, Key, Locator, Realm, Record, Saved, SessionBackend,
    StoreErrorKind, Tag, Timestamp, Touched, UserKey,
};
use portcullis_testkit::clock::{Clock, ManualClock};
use portcullis_testkit::conformance::{Harness, session};
use portcullis_testkit::spy::{Operation, Spy};
use tokio::time::timeout;

use crate::session_toy::{Fault, Moved, Toy};

struct Spied(Moved);

impl Harness for Spied {
    type Backend = Spy<Toy<ManualClock>>;

    async fn handle(&self) -> Self::Backend {
        Spy::new(self.0.handle().await)
    }

    fn now(&self) -> Timestamp {
        self.0.now()
    }

    async fn advance(&self, time: Duration) {
        self.0.advance(time).await;
    }
}

#[tokio::test]
async fn a_spied_backend_behaves_as_the_backend_does() {
    session::run(&Spied(Moved::with(Fault::None))).await;
}

fn record(tag: u8) -> Record {
    let mut bytes = vec![0; 154];
    bytes[0] = 1;
    let mut record = Record::decode(&bytes).unwrap();
    record.header.tags = [Tag([tag; 8]), Tag([1; 8]), Tag::default(), Tag::default()];
    record.header.idle = Duration::from_secs(60);
    record.header.idle_deadline = ManualClock::default().now().saturating_add(Duration::from_secs(60));
    record.header.absolute_deadline = Timestamp::MAX;
    record
}

async fn spy() -> Spy<Toy<ManualClock>> {
    Spy::new(Moved::with(Fault::None).handle().await)
}

#[tokio::test]
async fn every_operation_is_noted_with_its_keys() {
    let spy = spy().await;
    let realm = Realm::default();
    let (locator, name) = (Locator::from_bytes([1; 16]), Locator::from_bytes([2; 16]));
    let (key, user) = (Key { realm: &realm, locator }, UserKey { realm: &realm, user: name });

    let enrolment = Enrolment::new(user, Timestamp::MAX);
    assert_eq!(spy.create_enrolled(key, &record(1), enrolment).await.unwrap(), Enrolled::Done);
    assert_eq!(spy.create(key, &record(9)).await.unwrap(), Created::Taken);
    assert!(spy.load(key).await.unwrap().is_some());
    assert_eq!(spy.load_many(&[key, key]).await.unwrap().len(), 2);
    assert_eq!(spy.save(key, Tag([1; 8]), &record(2)).await.unwrap(), Saved::Done);
    assert!(matches!(spy.touch(key).await.unwrap(), Touched::Alive(_)));
    assert_eq!(spy.enrol(locator, enrolment).await.unwrap(), Enrolled::Done);
    assert_eq!(spy.members(user).await.unwrap(), [locator]);
    spy.destroy(&[key]).await.unwrap();
    assert_eq!(spy.destroy_durably(&[key], 1).await.unwrap(), 0);
    assert_eq!(spy.destroy_unchanged(key, Tag([1; 8]), Tag([2; 8])).await.unwrap(), Destroyed::Gone);
    spy.withdraw(user, &[locator]).await.unwrap();
    let bumped = spy.bump_credential_version(user, Duration::from_secs(60)).await.unwrap();
    assert_eq!(spy.credential_version(user).await.unwrap(), bumped);

    let expected = [
        (Operation::CreateEnrolled, 1, true),
        (Operation::Create, 1, false),
        (Operation::Load, 1, false),
        (Operation::LoadMany, 2, false),
        (Operation::Save, 1, false),
        (Operation::Touch, 1, false),
        (Operation::Enrol, 1, true),
        (Operation::Members, 0, true),
        (Operation::Destroy, 1, false),
        (Operation::DestroyDurably, 1, false),
        (Operation::DestroyUnchanged, 1, false),
        (Operation::Withdraw, 1, true),
        (Operation::BumpCredentialVersion, 0, true),
        (Operation::CredentialVersion, 0, true),
    ];
    let calls = spy.clone().calls();
    assert_eq!(calls.len(), expected.len());
    for (call, (operation, locators, names_user)) in calls.iter().zip(expected) {
        assert_eq!(call.operation, operation);
        assert_eq!(call.locators, vec![locator; locators], "{operation:?}");
        assert_eq!(call.user, names_user.then_some(name), "{operation:?}");
        assert_eq!(call.realm, Some(realm.clone()), "{operation:?}");
    }
    assert_eq!((spy.writes(), spy.count(Operation::Load)), (10, 1));
    spy.forget();
    assert_eq!(spy.calls(), []);
}

#[tokio::test]
async fn failures_are_as_ordered_and_do_not_reach_the_backend() {
    let spy = spy().await;
    let realm = Realm::default();
    let key = Key { realm: &realm, locator: Locator::from_bytes([1; 16]) };
    spy.on(Operation::Create).times(1).fail(StoreErrorKind::Full);
    spy.on(Operation::Create).times(1).lose_answer(StoreErrorKind::Timeout);

    assert_eq!(spy.create(key, &record(1)).await.unwrap_err().kind(), StoreErrorKind::Full);
    assert!(spy.load(key).await.unwrap().is_none(), "nothing was done");
    assert_eq!(spy.create(key, &record(1)).await.unwrap_err().kind(), StoreErrorKind::Timeout);
    assert!(spy.load(key).await.unwrap().is_some(), "it was done, the answer was lost");

    spy.fail_with(StoreErrorKind::Unavailable);
    assert!(spy.load(key).await.is_err() && spy.touch(key).await.is_err());
    spy.obey_no_more();
    assert!(spy.load(key).await.is_ok());
}

#[tokio::test]
async fn a_call_hangs_and_a_test_is_told_that_it_came() {
    let spy = spy().await;
    spy.on(Operation::Load).hang();
    let other = spy.clone();
    let load = tokio::spawn(async move {
        let realm = Realm::default();
        other.load(Key { realm: &realm, locator: Locator::from_bytes([1; 16]) }).await
    });
    timeout(Duration::from_secs(10), spy.called(Operation::Load, 1)).await.unwrap();
    assert!(!load.is_finished());
    load.abort();
}

#[tokio::test]
async fn hooks_run_before_and_after_the_backend_does() {
    let spy = spy().await;
    let realm = Realm::default();
    let locator = Locator::from_bytes([1; 16]);
    let key = Key { realm: &realm, locator };
    let after = Arc::new(AtomicUsize::new(0));

    let other = spy.clone();
    spy.on(Operation::Create).times(1).before(move || {
        let other = other.clone();
        async move {
            let realm = Realm::default();
            let done = other.backend().create(Key { realm: &realm, locator }, &record(7)).await;
            assert_eq!(done.unwrap(), Created::Done);
        }
    });
    let counter = after.clone();
    spy.on(Operation::Touch).after(move || {
        counter.fetch_add(1, Ordering::SeqCst);
        async {}
    });

    assert_eq!(spy.create(key, &record(9)).await.unwrap(), Created::Taken, "the hook came first");
    assert!(matches!(spy.touch(key).await.unwrap(), Touched::Alive(_)));
    assert_eq!(after.load(Ordering::SeqCst), 1);
    assert_eq!(spy.count(Operation::Create), 1, "the hook's own call is not noted");
}
