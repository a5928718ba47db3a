//! How many sessions one user may have, exact under races of several processes.

use std::time::Duration;

use portcullis::session::{Limit, MemoryBackend, SessionLayer, User};
use portcullis_store::{Key, Locator, Realm, SessionBackend, StoreErrorKind};
use portcullis_testkit::spy::Operation;

use crate::support::app::{Browser, World, eventually, now};
use crate::support::store::AnyStore;

const ROUNDS: usize = 1000;

/// Runs `test` on each kind of store, with two processes that keep this limit.
async fn with_limit<F: Future<Output = ()>>(limit: Limit, test: impl Fn(World, World) -> F) {
    let clock = now();
    for store in AnyStore::each(&clock) {
        println!("on {store:?}");
        let process = |store: &AnyStore| World::with(store, &clock, |layer| layer.limit(limit));
        test(process(&store), process(&store.another())).await;
    }
}

async fn signed_in(world: &World, user: &str) -> Browser {
    let browser = world.browser();
    browser.get(&format!("/login?user={user}")).await.assert_status(200);
    world.clock.advance(Duration::from_millis(2));
    browser
}

/// Signs the user in from every world at once; gives each browser and the status that it was answered.
async fn race<'a>(worlds: impl IntoIterator<Item = &'a World>, user: &str) -> Vec<(Browser, u16)> {
    let path = format!("/login?user={user}");
    let logins: Vec<_> = worlds
        .into_iter()
        .map(|world| {
            let browser = world.browser();
            let sent = browser.get(&path).send();
            (browser, tokio::spawn(sent))
        })
        .collect();
    let mut answers = Vec::new();
    for (browser, login) in logins {
        answers.push((browser, login.await.unwrap().status.as_u16()));
    }
    answers
}

async fn refs(world: &World, user: &str) -> Vec<String> {
    let devices = world.sessions.list(&User::new(user)).await.unwrap();
    devices.into_iter().map(|device| device.session_ref).collect()
}

/// Nobody holds its token, so it must not keep its user out until it expires.
#[tokio::test(flavor = "multi_thread")]
async fn a_login_whose_response_never_went_out_takes_no_place() {
    with_limit(Limit::reject(1), |world, _| async move {
        let gone = tokio::spawn(world.browser().get("/login-slowly/ada").send());
        world.gate.reached.notified().await;
        assert_eq!(refs(&world, "ada").await.len(), 1);
        gone.abort();
        assert!(gone.await.unwrap_err().is_cancelled());
        eventually("the session that nobody holds is ended", || async {
            refs(&world, "ada").await.is_empty()
        })
        .await;

        let browser = world.browser();
        let stays = tokio::spawn(browser.get("/login-slowly/ada").send());
        world.gate.reached.notified().await;
        world.gate.open.notify_one();
        stays.await.unwrap().assert_status(200);
        drop(world.held().unwrap());
        browser.get("/rotate").await.assert_status(200);
        assert_eq!(browser.get("/me").await.text(), "ada", "one that went out stays, whoever kept a handle");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_logins_for_the_last_place_exactly_one_passes() {
    with_limit(Limit::reject(2), |one, other| async move {
        for round in 0..ROUNDS {
            let user = format!("ada{round}");
            let first = signed_in(&one, &user).await;
            let mut answers = race([&one, &other], &user).await;
            answers.sort_by_key(|(_, status)| *status);
            let [(winner, 200), (loser, 409)] = answers.as_slice() else {
                panic!("{:?} in round {round}", answers.iter().map(|(_, status)| status).collect::<Vec<_>>())
            };
            assert_eq!(refs(&one, &user).await.len(), 2, "round {round}");
            if round % 50 == 0 {
                assert_eq!(first.get("/me").await.text(), user, "nobody gives way");
                assert_eq!(winner.get("/me").await.text(), user);
                assert_eq!(loser.get("/me").await.text(), "nobody");
                assert_eq!(loser.jar().names(), [""; 0]);
            }
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_logins_beyond_the_limit_both_pass_and_end_neither_each_other_nor_themselves() {
    with_limit(Limit::evict_oldest(2), |one, other| async move {
        for round in 0..ROUNDS {
            let user = format!("ada{round}");
            // One place is left, or none.
            let mut before = vec![signed_in(&one, &user).await];
            if round % 2 == 0 {
                before.push(signed_in(&other, &user).await);
            }
            let answers = race([&one, &other], &user).await;
            assert_eq!(refs(&other, &user).await.len(), 2, "round {round}");
            for (browser, status) in &answers {
                assert_eq!((*status, browser.get("/me").await.text()), (200, user.clone()), "round {round}");
            }
            if round % 50 == 0 {
                for browser in before {
                    assert_eq!(browser.get("/me").await.text(), "nobody", "older, in round {round}");
                }
            }
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_limit_holds_however_many_come_at_once() {
    for (limit, passed) in [(Limit::reject(3), 3), (Limit::evict_oldest(3), 12)] {
        with_limit(limit, |one, other| async move {
            for round in 0..20 {
                let user = format!("ada{round}");
                let answers = race([&one, &other].into_iter().cycle().take(12), &user).await;
                let good = answers.iter().filter(|(_, status)| *status == 200).count();
                assert_eq!(good, passed, "{limit:?}");
                let alive = refs(&one, &user).await;
                assert_eq!(alive.len(), 3, "{limit:?}");
                let mut signed_in = 0;
                for (browser, _) in &answers {
                    signed_in += usize::from(browser.get("/me").await.text() == user);
                }
                assert_eq!(signed_in, 3, "{limit:?}: as many as are listed");
            }
        })
        .await;
    }
}

#[tokio::test]
async fn a_refused_login_ends_its_own_session_and_changes_nothing_else() {
    with_limit(Limit::reject(1), |world, other| async move {
        let holder = signed_in(&other, "ada").await;
        let browser = world.browser();
        browser.get("/set/kept/cart").await.assert_status(200);
        let cookie = browser.jar().get("__Host-id");
        world.spy.forget();

        let refused = browser.get("/login?user=ada&note=x").await.assert_status(409);
        assert_eq!(refused.text(), "the user is signed in as often as is allowed");
        let calls = world.spy.calls();
        let new = calls.iter().find(|call| call.operation == Operation::CreateEnrolled).unwrap().locators[0];
        let ended: Vec<_> = calls.iter().filter(|call| call.operation == Operation::Destroy).collect();
        assert_eq!(ended.len(), 1);
        assert_eq!(ended[0].locators, [new], "its own, and before the answer");

        assert_eq!(browser.jar().get("__Host-id"), cookie);
        assert_eq!(browser.get("/get/kept").await.text(), "cart");
        assert_eq!(browser.get("/me").await.text(), "nobody");
        assert_eq!(holder.get("/me").await.text(), "ada");
        assert_eq!(refs(&world, "ada").await.len(), 1);

        // Another user's session in this browser goes on, too.
        let grace = signed_in(&world, "grace").await;
        grace.get("/login?user=ada").await.assert_status(409);
        assert_eq!(grace.get("/me").await.text(), "grace");
    })
    .await;
}

#[tokio::test]
async fn signing_in_again_over_the_own_session_is_not_one_more() {
    for limit in [Limit::reject(1), Limit::evict_oldest(1)] {
        with_limit(limit, |world, _| async move {
            let browser = signed_in(&world, "ada").await;
            for _ in 0..3 {
                let before = world.browser().with_jar(browser.jar().copy());
                browser.get("/login?user=ada").await.assert_status(200);
                assert_eq!(browser.get("/me").await.text(), "ada");
                assert_eq!(before.get("/me").await.text(), "nobody");
                assert_eq!(refs(&world, "ada").await.len(), 1);
            }
        })
        .await;
    }
}

#[tokio::test]
async fn a_place_that_a_dead_session_takes_is_free() {
    with_limit(Limit::reject(1), |world, _| async move {
        signed_in(&world, "ada").await;
        // It has expired, say, and its entry is still there.
        let realm = Realm::default();
        let locator = Locator::parse(&refs(&world, "ada").await[0]).unwrap();
        world.store.destroy(&[Key { realm: &realm, locator }]).await.unwrap();
        let browser = signed_in(&world, "ada").await;
        assert_eq!(refs(&world, "ada").await.len(), 1);
        assert_eq!(browser.get("/me").await.text(), "ada");
    })
    .await;
}

#[tokio::test]
async fn a_step_without_an_answer_leaves_no_live_session_outside_the_index_and_no_login_locked_out() {
    use Operation::{CreateEnrolled, Destroy, Enrol, LoadMany};
    for step in [CreateEnrolled, LoadMany, Destroy, Enrol] {
        for done in [true, false] {
            with_limit(Limit::evict_oldest(1), |world, _| async move {
                signed_in(&world, "ada").await;
                let order = world.spy.on(step).times(1);
                if done {
                    order.lose_answer(StoreErrorKind::Timeout);
                } else {
                    order.fail(StoreErrorKind::Timeout);
                }
                world.browser().get("/login?user=ada").await.assert_status(503);
                // What the failed login has left ends behind the response.
                eventually("no session without a holder", async || orphans(&world, "ada").await.is_empty())
                    .await;
                assert!(refs(&world, "ada").await.len() <= 1, "{step:?} {done}");
                let browser = signed_in(&world, "ada").await;
                assert_eq!(browser.get("/me").await.text(), "ada", "{step:?} {done}");
                assert_eq!(refs(&world, "ada").await.len(), 1, "{step:?} {done}");
                assert!(orphans(&world, "ada").await.is_empty(), "{step:?} {done}");
            })
            .await;
        }
    }
}

#[tokio::test]
async fn a_session_that_cannot_be_read_locks_nobody_out() {
    let unreadable = |world: &World, count| {
        world.spy.on(Operation::LoadMany).times(1).fail(StoreErrorKind::Corrupt);
        world.spy.on(Operation::Load).times(count).fail(StoreErrorKind::Corrupt);
    };
    with_limit(Limit::evict_oldest(2), |world, _| async move {
        let browsers = [signed_in(&world, "ada").await, signed_in(&world, "ada").await];
        world.spy.forget();
        unreadable(&world, 1);
        signed_in(&world, "ada").await;
        let calls = world.spy.calls();
        let unread = calls.iter().find(|call| call.operation == Operation::Load).unwrap().locators[0];
        let mut ended = 0;
        for browser in browsers {
            let is_unread = browser.jar().get("__Host-id").unwrap().starts_with(unread.as_str());
            let has_ended = browser.get("/me").await.text() == "nobody";
            assert_ne!(is_unread, has_ended, "one that can be read gives way");
            ended += usize::from(has_ended);
        }
        assert_eq!((ended, refs(&world, "ada").await.len()), (1, 2));
        unreadable(&world, 2);
        let browser = signed_in(&world, "ada").await;
        assert_eq!((browser.get("/me").await.text(), refs(&world, "ada").await.len()), ("ada".to_owned(), 2));
    })
    .await;
    with_limit(Limit::reject(1), |world, _| async move {
        signed_in(&world, "ada").await;
        unreadable(&world, 1);
        world.browser().get("/login?user=ada").await.assert_status(409);
    })
    .await;
}

/// Sessions that were created here and live, and are not in the user's index.
async fn orphans(world: &World, user: &str) -> Vec<Locator> {
    let realm = Realm::default();
    let listed = refs(world, user).await;
    let mut orphans = Vec::new();
    let creates = |operation| matches!(operation, Operation::CreateEnrolled | Operation::Supersede);
    for call in world.spy.calls().into_iter().filter(|call| creates(call.operation)) {
        let locator = *call.locators.last().unwrap();
        let lives = world.store.load(Key { realm: &realm, locator }).await.unwrap().is_some();
        if lives && !listed.contains(&locator.to_string()) {
            orphans.push(locator);
        }
    }
    orphans
}

#[tokio::test]
async fn a_login_costs_as_many_round_trips_as_documented() {
    use Operation::{
        CreateEnrolled, Destroy, DestroyEnrolled, DestroyUnchanged, Enrol, Load, LoadMany, Supersede,
        Withdraw,
    };
    with_limit(Limit::evict_oldest(2), |world, _| async move {
        let sent = || {
            let calls = world.spy.calls();
            world.spy.forget();
            calls.into_iter().map(|call| call.operation).collect::<Vec<_>>()
        };
        let browser = world.browser();
        browser.get("/login?user=ada").await.assert_status(200);
        assert_eq!(sent(), [CreateEnrolled], "the first");
        browser.get("/login?user=ada").await.assert_status(200);
        let (in_place, ended): (&[_], &[_]) = match world.store {
            AnyStore::Memory(_) => (&[CreateEnrolled, DestroyUnchanged], &[Destroy, Withdraw]),
            AnyStore::Redis(..) => (&[Supersede], &[DestroyEnrolled]),
        };
        assert_eq!(sent(), [&[Load], in_place, &[Withdraw]].concat(), "in the place of another");
        signed_in(&world, "ada").await;
        assert_eq!(sent(), [CreateEnrolled], "up to the limit");
        signed_in(&world, "ada").await;
        assert_eq!(sent(), [CreateEnrolled, LoadMany, Destroy, Enrol], "beyond it");
        world.browser().get("/login?user=ada&version=7").await.assert_status(401);
        assert_eq!(sent(), [&[CreateEnrolled], ended].concat(), "refused for its credentials");
    })
    .await;
    with_limit(Limit::reject(1), |world, _| async move {
        signed_in(&world, "ada").await;
        world.spy.forget();
        world.browser().get("/login?user=ada").await.assert_status(409);
        let sent: Vec<_> = world.spy.calls().into_iter().map(|call| call.operation).collect();
        assert_eq!(sent, [CreateEnrolled, LoadMany, Destroy], "refused for the limit");
    })
    .await;
}

#[tokio::test]
async fn a_limit_of_none_is_an_error_when_the_layer_is_built() {
    for limit in [Limit::reject(0), Limit::evict_oldest(0)] {
        assert!(SessionLayer::builder(MemoryBackend::new()).limit(limit).build().is_err());
    }
}
