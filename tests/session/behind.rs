//! What goes on behind the responses, how long a request waits, and what is left in users' indexes.

use std::time::Duration;

use portcullis::session::Lifetime;
use portcullis_store::{Realm, SessionBackend, StoreErrorKind, UserKey};
use portcullis_testkit::spy::Operation;

use crate::support::app::{World, eventually, now, on_each_store};
use crate::support::store::AnyStore;

const MINUTE: Duration = Duration::from_secs(60);

/// How many entries the index has of the user who signed in first.
async fn entries(world: &World) -> usize {
    let user = world.spy.calls().iter().find_map(|call| call.user).unwrap();
    let realm = Realm::default();
    world.store.members(UserKey { realm: &realm, user }).await.unwrap().len()
}

#[tokio::test]
async fn a_session_that_is_ended_leaves_its_users_index() {
    on_each_store(|world| async move {
        let [here, there] = [world.browser(), world.browser()];
        here.get("/login?user=ada").await.assert_status(200);
        here.get("/login?user=ada").await.assert_status(200);
        assert_eq!(entries(&world).await, 1, "a login in the place of another");
        there.get("/login?user=ada").await.assert_status(200);
        assert_eq!(entries(&world).await, 2);
        here.get("/revoke-others").await.assert_status(200);
        assert_eq!(entries(&world).await, 1, "revoked");
        here.get("/login?user=grace").await.assert_status(200);
        assert_eq!(entries(&world).await, 0, "another user's login");
        here.get("/login?user=ada").await.assert_status(200);
        here.get("/logout").await.assert_status(200);
        assert_eq!(entries(&world).await, 0, "logged out");
    })
    .await;
}

#[tokio::test]
async fn a_login_that_failed_leaves_nothing_in_the_index() {
    on_each_store(|world| async move {
        let browser = world.browser();
        browser.get("/login?user=ada").await.assert_status(200);
        world.spy.on(Operation::DestroyUnchanged).times(1).fail(StoreErrorKind::Unavailable);
        browser.get("/login?user=ada").await.assert_status(503);
        eventually("the one before is left", || async { entries(&world).await == 1 }).await;
        assert_eq!(browser.get("/me").await.text(), "ada");
    })
    .await;
}

#[tokio::test]
async fn a_device_list_takes_ended_sessions_out_of_the_index() {
    on_each_store(|world| async move {
        let [here, there] = [world.browser(), world.browser()];
        here.get("/login?user=ada").await.assert_status(200);
        there.get("/login?user=ada").await.assert_status(200);
        world.spy.on(Operation::Withdraw).times(1).fail(StoreErrorKind::Timeout);
        there.get("/logout").await.assert_status(200);
        assert_eq!(entries(&world).await, 2, "its entry stayed");
        assert_eq!(here.get("/devices").await.json::<Vec<String>>().len(), 1);
        assert_eq!(entries(&world).await, 1);
    })
    .await;
}

#[tokio::test]
async fn an_index_that_cannot_be_cleaned_fails_neither_login_nor_logout() {
    on_each_store(|world| async move {
        let browser = world.browser();
        browser.get("/login?user=ada").await.assert_status(200);
        world.spy.on(Operation::Withdraw).fail(StoreErrorKind::Unavailable);
        assert_eq!(browser.get("/login?user=grace").await.assert_status(200).set_cookies().len(), 1);
        assert_eq!(browser.get("/me").await.text(), "grace");
        let response = browser.get("/logout").await.assert_status(200);
        assert!(response.set_cookies()[0].contains("Max-Age=0"));
        assert_eq!(browser.get("/me").await.text(), "nobody");
    })
    .await;
}

#[tokio::test]
async fn every_operation_that_hangs_costs_a_request_its_budget_and_no_more() {
    let clock = now();
    for store in AnyStore::each(&clock) {
        let world = World::with(&store, &clock, |layer| layer.budget(Duration::from_millis(300)));
        let rows = [
            (Operation::LoadMany, "/devices", 503),
            (Operation::Members, "/devices", 503),
            (Operation::Members, "/revoke-others", 503),
            (Operation::Destroy, "/logout", 503),
            (Operation::CreateEnrolled, "/login?user=ada", 503),
            (Operation::Withdraw, "/logout", 200),
            (Operation::Create, "/set/a/x", 503),
        ];
        let patient = World::new(&store, &clock);
        for (operation, path, status) in rows {
            let signed_in = patient.browser();
            if operation != Operation::Create {
                signed_in.get("/login?user=ada").await.assert_status(200);
            }
            let browser = world.browser().with_jar(signed_in.jar().clone());
            world.spy.on(operation).times(1).hang();
            let answer = tokio::time::timeout(Duration::from_secs(5), browser.get(path).send()).await;
            answer.unwrap_or_else(|_| panic!("{operation:?}")).assert_status(status);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_hangs_behind_the_responses_is_bounded_in_number_and_time() {
    let clock = now();
    let stores = [AnyStore::each(&clock), AnyStore::each(&clock)].concat();
    let operations = [Operation::Touch, Operation::Touch, Operation::Enrol, Operation::Enrol];
    let bounded = stores.into_iter().zip(operations);
    let bounded =
        bounded.map(|(store, operation)| tokio::spawn(bounded_behind_the_responses(store, operation)));
    for bounded in bounded.collect::<Vec<_>>() {
        bounded.await.unwrap();
    }
}

/// 64 of `operation` are under way at once, for a budget each; then others may be. The store's clock stands still, so
/// that nothing expires.
async fn bounded_behind_the_responses(store: AnyStore, operation: Operation) {
    const AT_ONCE: usize = 64;
    const BUDGET: Duration = Duration::from_secs(4);
    let (clock, lifetime) = (now(), Lifetime { idle: 30 * MINUTE, absolute: 100_000 * MINUTE });
    let world = World::with(&store, &clock, |layer| layer.budget(BUDGET).lifetime(lifetime));
    let browser = world.browser();
    browser.get("/login?user=ada").await.assert_status(200);
    let due = async || {
        // What was never touched stays due.
        if operation == Operation::Enrol || world.spy.count(operation) == 0 {
            clock.advance(6 * MINUTE);
        }
        assert_eq!(browser.get("/me").await.text(), "ada");
        tokio::task::yield_now().await;
    };
    world.spy.on(operation).hang();
    for _ in 0..AT_ONCE + 3 {
        due().await;
    }
    eventually("as many as may be are under way", || async { world.spy.count(operation) >= AT_ONCE }).await;
    assert_eq!(world.spy.count(operation), AT_ONCE, "{operation:?}");
    tokio::time::sleep(BUDGET).await;
    world.spy.obey_no_more();
    eventually("there is room again", || async {
        due().await;
        world.spy.count(operation) > AT_ONCE
    })
    .await;
}

#[tokio::test]
async fn a_touch_enters_a_session_again_that_the_index_has_lost() {
    on_each_store(|world| async move {
        let browser = world.browser();
        browser.get("/login?user=ada").await.assert_status(200);
        let call = world.spy.calls().into_iter().find(|call| call.user.is_some()).unwrap();
        let realm = Realm::default();
        let user = UserKey { realm: &realm, user: call.user.unwrap() };
        world.store.withdraw(user, &call.locators).await.unwrap();
        assert_eq!(entries(&world).await, 0);
        world.clock.advance(6 * MINUTE);
        browser.get("/me").await.assert_status(200);
        eventually("its entry is back", || async { entries(&world).await == 1 }).await;
    })
    .await;
}

#[tokio::test]
async fn a_session_that_ends_while_it_is_touched_is_not_entered_in_the_index_again() {
    on_each_store(|world| async move {
        let [browser, other] = [world.browser(), world.browser()];
        browser.get("/login?user=ada").await.assert_status(200);
        let other = other.with_jar(browser.jar().copy());
        world.clock.advance(6 * MINUTE);
        let (gate, ended) = (world.gate.clone(), world.gate.clone());
        world.spy.on(Operation::Touch).times(1).before(move || {
            let (gate, other) = (gate.clone(), other.clone());
            async move {
                other.get("/logout").await.assert_status(200);
                gate.reached.notify_one();
            }
        });
        browser.get("/me").await.assert_status(200);
        ended.reached.notified().await;
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert_eq!((world.spy.count(Operation::Enrol), entries(&world).await), (0, 0));
    })
    .await;
}
