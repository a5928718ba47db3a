use portcullis_store::ManualClock;

use super::*;
use crate::bearer::MemoryTokenBackend;
use crate::bearer::revocation::shard::FIRST_SWEEP;

#[test]
fn it_is_bounded_what_is_over_makes_room_and_everyone_can_be_revoked_when_it_is_full() {
    let clock = ManualClock::default();
    let store = MemoryTokenBackend::with_clock(clock.clone()).max(1000).0;
    let realm = Realm::default();
    let user = |at: u128| UserKey { realm: &realm, user: Locator::from_bytes(at.to_be_bytes()) };
    let minute = Duration::from_secs(60);
    let mut refused = 0;
    for at in 0..100_000_u128 {
        let name = Locator::from_bytes(at.to_be_bytes());
        let done = [
            store.mark(user(at), What::Token(name), minute),
            store.mark(user(at), What::Family(name), minute),
            store.begin_epoch(user(at), minute).map(drop),
        ];
        refused +=
            done.iter().filter(|it| it.as_ref().is_err_and(|it| it.kind() == StoreErrorKind::Full)).count();
    }
    assert_eq!(refused, 299_000);
    assert!(store.mark(user(0), What::Token(Locator::from_bytes([0; 16])), minute).is_ok(), "it is there");
    assert!(store.begin_epoch(user(0), minute).is_ok(), "it is there");
    assert!(!store.begin_epoch_for_everyone(&realm, minute).is_never());
    clock.advance(minute);
    assert!(store.begin_epoch(user(200_000), minute).is_ok());
    assert_eq!(store.count.load(Ordering::Relaxed), 1);
    assert_eq!(store.shards.iter().map(|shard| shard.lock().unwrap().len()).sum::<usize>(), 1);
}

#[test]
fn what_is_revoked_while_it_is_told_what_stands_is_kept_for_no_longer() {
    let clock = ManualClock::default();
    let store = MemoryTokenBackend::with_clock(clock.clone()).0;
    let (realm, minute) = (Realm::default(), Duration::from_secs(60));
    let mut told = Vec::new();
    store.standing(&realm, |page| {
        if told.is_empty() {
            clock.advance(Duration::from_millis(1));
            for at in 0..1000_u128 {
                let name = Locator::from_bytes(at.to_be_bytes());
                store.mark(UserKey { realm: &realm, user: name }, What::Token(name), minute).unwrap();
            }
        }
        told.push(page.iter().map(|one| one.keep).max());
    });
    let last = told.pop().flatten();
    assert_eq!((told.iter().flatten().max(), last), (Some(&minute), Some(minute)));
}

#[tokio::test]
async fn what_is_over_is_swept_while_there_is_room_too() {
    use portcullis_store::{Begun, FamilyBackend, FamilyKey, FamilySecret, NewFamily};
    let clock = ManualClock::default();
    let backend = MemoryTokenBackend::with_clock(clock.clone());
    let (realm, minute) = (Realm::default(), Duration::from_secs(60));
    let user = UserKey { realm: &realm, user: Locator::from_bytes([3; 16]) };
    let new = NewFamily {
        secret: FamilySecret([1; 32]),
        absolute: minute,
        idle: minute,
        epoch: None,
        payload: b"",
    };
    let begin = async |at: usize| {
        let family = Locator::from_bytes((at as u128).to_be_bytes());
        let begun = backend.begin_family(FamilyKey { user, family }, new).await.unwrap();
        assert!(matches!(begun, Begun::Done(_)));
    };
    for at in 0..FIRST_SWEEP {
        begin(at).await;
    }
    clock.advance(minute);
    begin(FIRST_SWEEP).await;
    assert_eq!(backend.0.count.load(Ordering::Relaxed), 1);
}
