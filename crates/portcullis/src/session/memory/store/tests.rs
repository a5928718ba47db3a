//! What an embedded store promises besides its contract: bounds, and room that expired sessions make.

use portcullis_store::{Header, ManualClock, Realm, SecretHash, SessionBackend};

use super::*;
use crate::session::MemoryBackend;

fn record(now: Timestamp) -> Record {
    let header = Header {
        tags: [Tag::default(); 4],
        flags: 0,
        secret: SecretHash([0; 32]),
        previous: None,
        secret_since: now,
        created: now,
        authenticated: None,
        absolute_deadline: now.saturating_add(Duration::from_secs(12 * 3600)),
        idle: Duration::from_secs(60),
        idle_deadline: now.saturating_add(Duration::from_secs(60)),
    };
    Record::new(header, [])
}

fn locator(n: u128) -> Locator {
    Locator::from_bytes(n.to_be_bytes())
}

#[test]
fn one_session_more_than_there_may_be_is_full_until_others_expire() {
    let (clock, realm) = (ManualClock::default(), Realm::default());
    let store = MemoryBackend::with_clock(clock.clone()).max_sessions(100).0;
    let create = |n| store.create(Key { realm: &realm, locator: locator(n) }, &record(clock.now()));
    assert!((0..100).all(|n| create(n).is_ok()));
    assert_eq!(create(100).unwrap_err().kind(), StoreErrorKind::Full);
    clock.advance(Duration::from_secs(61));
    assert!((101..201).all(|n| create(n).is_ok()));
}

#[test]
fn a_users_index_does_not_grow_with_sessions_that_have_ended() {
    let (clock, realm) = (ManualClock::default(), Realm::default());
    let store = MemoryBackend::with_clock(clock.clone()).0;
    let user = UserKey { realm: &realm, user: locator(u128::MAX) };
    for n in 0..10_000 {
        let record = record(clock.now());
        assert!(store.create(Key { realm: &realm, locator: locator(n) }, &record).is_ok());
        let enrolment = Enrolment::new(user, record.header.absolute_deadline);
        assert_eq!(store.enrol(locator(n), &enrolment).unwrap(), Enrolled::Done);
        store.destroy(Key { realm: &realm, locator: locator(n) });
    }
    assert!(store.members(user).len() <= FIRST_SWEEP, "{}", store.members(user).len());
}

#[test]
fn what_a_request_loads_expires_by_the_requests_own_time() {
    let (clock, realm) = (ManualClock::default(), Realm::default());
    let backend = MemoryBackend::with_clock(clock.clone());
    let key = Key { realm: &realm, locator: locator(0) };
    let record = record(clock.now());
    assert!(backend.0.create(key, &record).is_ok());
    let rows = [("in time", 59_999, true), ("at the deadline", 60_000, false), ("past it", 60_001, false)];
    for (name, millis, alive) in rows {
        let now = record.header.created.saturating_add(Duration::from_millis(millis));
        let found = backend.load_now(key, now).unwrap().unwrap();
        assert_eq!(found.is_some(), alive, "{name}");
    }
}

#[test]
fn every_session_is_counted_once_however_it_ends() {
    let (clock, realm) = (ManualClock::default(), Realm::default());
    let store = MemoryBackend::with_clock(clock.clone()).max_sessions(2).0;
    let key = |n| Key { realm: &realm, locator: locator(n) };
    let create = |n| store.create(key(n), &record(clock.now())).is_ok();
    let full = || !create(100) && !create(101);
    assert!(create(0) && create(1) && full(), "refused ones do not count");
    store.destroy(key(0));
    store.destroy(key(0));
    assert!(create(2) && full(), "a destroyed one makes room for one");
    clock.advance(Duration::from_secs(61));
    assert_eq!(store.save(key(1), Tag::default(), &record(clock.now())), Saved::Gone);
    assert!(create(3) && create(4) && full(), "one was met expired, the other was looked for");
}

#[test]
fn a_full_store_looks_for_expired_sessions_at_most_once_a_second() {
    let (clock, realm) = (ManualClock::at(Timestamp::from_secs(1_000_000)), Realm::default());
    let store = MemoryBackend::with_clock(clock.clone()).max_sessions(1).0;
    let create = |n| {
        let mut record = record(clock.now());
        record.header.idle_deadline = clock.now().saturating_add(Duration::from_millis(500));
        store.create(Key { realm: &realm, locator: locator(n) }, &record).is_ok()
    };
    assert!(create(0) && !create(1));
    clock.advance(Duration::from_millis(999));
    assert!(!create(1), "it expired, and was looked for less than a second ago");
    clock.advance(Duration::from_millis(1));
    assert!(create(1));
}

#[test]
fn what_has_expired_is_taken_away_although_nobody_asks_for_it() {
    const BATCH: u128 = 8192;
    let (clock, realm) = (ManualClock::default(), Realm::default());
    let store = MemoryBackend::with_clock(clock.clone()).0;
    let one = UserKey { realm: &realm, user: locator(u128::MAX) };
    for n in 0..4 * BATCH {
        let record = record(clock.now());
        assert!(store.create(Key { realm: &realm, locator: locator(n) }, &record).is_ok());
        let enrolled = |user| store.enrol(locator(n), &Enrolment::new(user, record.header.absolute_deadline));
        assert_eq!(enrolled(one).unwrap(), Enrolled::Done);
        assert_eq!(enrolled(UserKey { realm: &realm, user: locator(n) }).unwrap(), Enrolled::Done);
        if n % BATCH == BATCH - 1 {
            clock.advance(Duration::from_secs(13 * 3600));
        }
    }
    let most = usize::try_from(3 * BATCH).unwrap();
    let records: usize = store.sessions.iter().map(|shard| shard.0.lock().unwrap().records.len()).sum();
    let users: usize = store.indexes.iter().map(|shard| shard.0.lock().unwrap().members.len()).sum();
    let entries = store.indexes(one.user).unwrap().members[&index_key(one)].deadlines.len();
    for (name, count) in [("records", records), ("users", users), ("one user's entries", entries)] {
        assert!(count < most, "{name}: {count}");
    }
}

#[test]
fn a_user_without_sessions_has_no_index() {
    let (realm, store) = (Realm::default(), MemoryBackend::new().0);
    let user = UserKey { realm: &realm, user: locator(0) };
    assert_eq!(store.enrol(locator(1), &Enrolment::new(user, Timestamp::MAX)).unwrap(), Enrolled::Done);
    store.withdraw(user, &[locator(1)]);
    assert!(store.indexes(user.user).unwrap().members.is_empty());
}
