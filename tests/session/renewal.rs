//! Renewal and rotation of a session's secret: nobody is signed out by it, whatever the store does.

use std::time::Duration;

use portcullis::Session;
use portcullis::session::{SessionCache, SessionKey};
use portcullis_store::{Clock, ManualClock, StoreErrorKind};
use portcullis_testkit::spy::Operation;

use super::handle::around;
use crate::support::app::{Browser, World, eventually, now, on_each_store as on_each};
use crate::support::store::AnyStore;

const HOUR: Duration = Duration::from_secs(3600);

async fn on_each_store<F: Future<Output = ()>>(test: impl Fn(World, Browser) -> F) {
    let clock = now();
    for store in AnyStore::each(&clock) {
        println!("on {store:?}");
        let long = portcullis::session::Lifetime { idle: 100 * HOUR, absolute: 1000 * HOUR };
        let world = World::with(&store, &clock, |layer| layer.renew_every(HOUR).lifetime(long));
        let browser = world.browser();
        browser.get("/login?user=ada").await.assert_status(200);
        test(world, browser).await;
    }
}

#[tokio::test]
async fn an_old_secret_is_replaced_and_the_one_before_ends_soon_after_the_new_one_arrives() {
    on_each_store(|world, browser| async move {
        let old = world.browser().with_jar(browser.jar().copy());
        world.clock.advance(HOUR);
        assert_eq!(browser.get("/me").await.assert_status(200).set_cookies().len(), 1);
        for _ in 0..2 {
            let parallel = old.get("/set/a/parallel").await.assert_status(200);
            assert!(parallel.set_cookies().is_empty(), "served, no second rotation, no cookie");
        }
        world.spy.forget();
        assert_eq!(browser.get("/get/a").await.text(), "parallel");
        world.spy.called(Operation::Save, 1).await;
        eventually("that the new one arrived is noted", || async {
            world.spy.forget();
            browser.get("/me").await;
            world.spy.count(Operation::Save) == 0
        })
        .await;
        assert_eq!(old.get("/me").await.text(), "ada", "a request that was under way");
        world.clock.advance(Duration::from_secs(11));
        assert_eq!(old.get("/me").await.text(), "nobody");
        assert_eq!(browser.get("/me").await.text(), "ada");
    })
    .await;
}

#[tokio::test]
async fn a_lost_renewal_response_logs_nobody_out() {
    on_each_store(|world, browser| async move {
        let lost = world.browser().with_jar(browser.jar().copy());
        world.clock.advance(HOUR);
        assert_eq!(lost.get("/me").await.set_cookies().len(), 1, "the browser never sees this cookie");
        assert!(browser.get("/me").await.set_cookies().is_empty(), "it may still arrive");
        world.clock.advance(10 * HOUR);
        let again = browser.get("/me").await;
        assert_eq!((again.text().as_str(), again.set_cookies().len()), ("ada", 1), "another one is sent");
        assert_eq!(browser.get("/me").await.text(), "ada");
        assert_eq!(lost.get("/me").await.text(), "nobody", "the lost one is forgotten");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_parallel_requests_one_renews() {
    on_each_store(|world, browser| async move {
        world.clock.advance(HOUR);
        let requests: Vec<_> = (0..16)
            .map(|_| tokio::spawn(browser.another().with_jar(browser.jar().copy()).get("/me").send()))
            .collect();
        let mut cookies = 0;
        for request in requests {
            let response = request.await.unwrap().assert_status(200);
            assert_eq!(response.text(), "ada");
            cookies += response.set_cookies().len();
        }
        assert_eq!(cookies, 1);
    })
    .await;
}

#[tokio::test]
async fn a_renewal_that_cannot_be_saved_is_no_ones_loss() {
    on_each_store(|world, browser| async move {
        world.clock.advance(HOUR);
        world.spy.on(Operation::Save).times(1).fail(StoreErrorKind::Full);
        let response = browser.get("/me").await.assert_status(200);
        assert_eq!((response.text().as_str(), response.set_cookies().len()), ("ada", 0));
        assert_eq!(
            browser.get("/me").await.assert_status(200).set_cookies().len(),
            1,
            "the next one tries again"
        );
    })
    .await;
}

#[tokio::test]
async fn an_explicit_rotation_ends_every_secret_before_it() {
    on_each_store(|world, browser| async move {
        let old = world.browser().with_jar(browser.jar().copy());
        world.clock.advance(HOUR);
        browser.get("/me").await.assert_status(200);
        browser.get("/rotate").await.assert_status(200);
        assert_eq!(old.get("/me").await.text(), "nobody");
        assert_eq!(browser.get("/me").await.text(), "ada");
    })
    .await;
}

/// Whether it was done, or comes to nothing, or is done when nobody waits for it any more.
#[tokio::test]
async fn a_rotation_of_which_the_store_never_answers_signs_nobody_out() {
    on_each(|world| async move {
        let browser = world.browser();
        browser.get("/login?user=ada").await.assert_status(200);
        for path in ["/rotate", "/reauthenticated"] {
            for is_done in [true, false] {
                let saves = world.spy.on(Operation::Save);
                if is_done {
                    saves.lose_answer(StoreErrorKind::Timeout);
                } else {
                    saves.fail(StoreErrorKind::Timeout);
                }
                assert!(browser.get(path).await.assert_status(503).set_cookies().is_empty(), "{path}");
                world.spy.obey_no_more();
                for _ in 0..2 {
                    assert_eq!(browser.get("/me").await.text(), "ada", "{path} {is_done}");
                }
                world.clock.advance(Duration::from_secs(2 * 60));
                assert_eq!(browser.get("/me").await.text(), "ada", "{path} {is_done}, later");
            }
        }
        let old = world.browser().with_jar(browser.jar().copy());
        browser.get("/rotate").await.assert_status(200);
        assert_eq!(old.get("/me").await.text(), "nobody", "one that succeeds ends all before it");
        assert_eq!(browser.get("/me").await.text(), "ada");
    })
    .await;
}

/// The first of its two writes is answered, so the new secret goes out; the second is not.
#[tokio::test]
async fn a_rotation_that_is_not_finished_ends_the_secret_before_when_the_new_one_is_presented() {
    on_each(|world| async move {
        let browser = world.browser();
        browser.get("/login?user=ada").await.assert_status(200);
        let old = world.browser().with_jar(browser.jar().copy());
        let proven = async |session: Session| {
            let proven = session.identity().and_then(|me| me.authenticated_at());
            format!("{:?}", proven.map(|at| at.as_millis()))
        };
        let before = around(&world, proven).with_jar(browser.jar().clone()).get("/").await.text();
        world.clock.advance(HOUR / 4);
        world.spy.on(Operation::Save).times(1).before(|| async {});
        world.spy.on(Operation::Save).fail(StoreErrorKind::Timeout);
        let response = browser.get("/reauthenticated").await.assert_status(503);
        assert_eq!(response.set_cookies().len(), 1, "what is stored is handed out");
        world.spy.obey_no_more();
        assert_eq!(old.get("/me").await.text(), "ada", "it may not have arrived");
        let after = around(&world, proven).with_jar(old.jar().clone()).get("/").await.text();
        assert_eq!(after, before, "who has the old secret gains nothing by the proof");
        assert_eq!(browser.get("/me").await.text(), "ada");
        eventually("the secret before has ended, without a grace", || async {
            old.get("/me").await.text() == "nobody"
        })
        .await;
        assert_eq!(browser.get("/me").await.text(), "ada");
    })
    .await;
}

/// As of a thief, whose request began before.
#[tokio::test]
async fn a_secret_that_a_rotation_has_ended_is_not_exchanged_for_a_new_one() {
    on_each(|world| async move {
        let browser = world.browser();
        browser.get("/login?user=ada").await.assert_status(200);
        for (path, status) in [("/rotate", 200), ("/reauthenticated", 401)] {
            world.clock.advance(Duration::from_secs(1));
            let old = world.browser().with_jar(browser.jar().copy());
            let owner = world.another().through(&browser);
            world.spy.on(Operation::Save).times(1).before(move || {
                let rotating = owner.get("/rotate").send();
                async move { assert_eq!(rotating.await.assert_status(200).set_cookies().len(), 1) }
            });
            let late = old.get(path).await.assert_status(status);
            assert!(late.set_cookies().is_empty(), "{path}");
            assert_eq!(old.get("/me").await.text(), "nobody", "{path}");
            assert_eq!(browser.get("/me").await.text(), "ada", "{path}");
        }
    })
    .await;
}

/// The one before was noted by a process whose clock is ahead.
#[tokio::test]
async fn a_proof_that_was_not_noted_is_not_taken_for_a_later_one() {
    on_each(|world| async move {
        let browser = world.browser();
        browser.get("/login?user=ada").await.assert_status(200);
        let ahead = ManualClock::at(world.clock.now().saturating_add(Duration::from_secs(30)));
        let ahead = World::new(&world.store.another(), &ahead);
        ahead.through(&browser).get("/reauthenticated").await.assert_status(200);
        let old = world.browser().with_jar(browser.jar().copy());
        let owner = world.another().through(&browser);
        world.spy.on(Operation::Save).times(1).before(move || {
            let rotating = owner.get("/rotate").send();
            async move { _ = rotating.await.assert_status(200) }
        });
        assert!(old.get("/reauthenticated").await.assert_status(401).set_cookies().is_empty());
        assert_eq!(browser.get("/me").await.text(), "ada");
    })
    .await;
}

#[tokio::test]
async fn a_secret_that_only_a_cache_still_knows_is_not_exchanged_for_a_new_one() {
    let clock = now();
    for store in AnyStore::each(&clock) {
        let world =
            World::with(&store, &clock, |layer| layer.cache(SessionCache::new(SessionCache::LONGEST)));
        let browser = world.browser();
        browser.get("/login?user=ada").await.assert_status(200);
        let old = world.browser().with_jar(browser.jar().copy());
        old.get("/me").await.assert_status(200);
        world.another().through(&browser).get("/rotate").await.assert_status(200);
        assert!(old.get("/rotate").await.assert_status(200).set_cookies().is_empty());
        assert_eq!(old.get("/me").await.text(), "nobody");
        assert_eq!(browser.get("/me").await.text(), "ada");
    }
}

/// The second save is one of the value alone, and never arrives; the record that is found then has the same secret.
#[tokio::test]
async fn what_is_written_beside_a_rotation_that_comes_to_nothing_is_not_taken_for_stored() {
    on_each(|world| async move {
        let browser = world.browser();
        browser.get("/login?user=ada").await.assert_status(200);
        let late = world.browser().with_jar(browser.jar().copy());
        let meanwhile = |path: &'static str| {
            let owner = world.another().through(&browser);
            move || {
                let sending = owner.get(path).send();
                async move { _ = sending.await.assert_status(200) }
            }
        };
        world.spy.on(Operation::Save).times(1).before(meanwhile("/rotate"));
        world.spy.on(Operation::Save).times(1).fail(StoreErrorKind::Timeout);
        world.spy.on(Operation::Save).times(1).before(meanwhile("/set/b/y"));
        let writes = async |session: Session| {
            session.set(&A, &"x".to_owned()).unwrap();
            let rotated = session.rotate().await.map_err(|error| error.kind());
            format!("{rotated:?} {:?}", session.commit().await.map_err(|error| error.kind()))
        };
        let text = around(&world, writes).with_jar(late.jar().clone()).get("/").await.text();
        assert_eq!(text, "Err(Store(Timeout)) Ok(())");
        assert_eq!(browser.get("/get/a").await.text(), "x", "it was acknowledged");
        assert_eq!(browser.get("/get/b").await.text(), "y");
    })
    .await;
}

const A: SessionKey<String> = SessionKey::new("a");
